/// Judges proposals. An engine knows nothing of the search: neither how proposals are drawn nor what happens next.
///
/// A conformer computes the forward pass of docs/method.md. Up to the value that a sweep starts from, batch norm uses
/// running statistics, taken from one pass over the first `statisticsSamples` training samples; above it, batch norm
/// uses the mini-batch's own statistics. A conformer passes `EngineConformanceTests`, which compares it with
/// `ReferenceEngine`. The same inputs give the same bits for any number of threads.
package protocol Engine {
  /// The weights. Setting them ends the sweep.
  var parameters: Parameters { get set }

  /// Freezes everything below the tensor in slot `parameter` for the samples of `order`.
  ///
  /// Consecutive sweeps of one group (`SweepPlan.group`) with the same order share the cache. Draws no random numbers.
  ///
  /// - Parameter part: what of the tensor the sweep changes. If that is `scales`, the element of a proposal is the index
  ///   of a scale, and every proposal is a round of its own whose losses are all computed.
  mutating func beginSweep(of parameter: Int, _ part: Sweep.Part, order: SampleOrder) throws

  /// Whether it decides by itself, many proposals at a time: then it judges no scales, and no rule keeps totals.
  var decidesAlone: Bool { get }

  /// Judges the proposals one after another. Each sees the decisions of all earlier rounds. `rule` turns losses into
  /// values; its state advances in the order of the proposals.
  ///
  /// A sweep judges each element at most once; a second proposal for it is an error. Engines update what they keep for
  /// every mini-batch from the values before the sweep and the order of elements (`SweepSchedule`).
  ///
  /// `parameters` holds the chosen values of every finished round; a round may span calls. Returns one decision per
  /// proposal, or fewer if a stop was requested meanwhile, which ends the sweep.
  mutating func judge(_ proposals: ArraySlice<Proposal>, by rule: inout SweepRule) throws
    -> [Decision]

  /// Goes on with a sweep that was cut short, right after `beginSweep` with the weights before it: takes `values` for
  /// the decisions on the first proposals. The rest is judged with the bits of a sweep that went on.
  ///
  /// - Parameter lastLoss: the loss of the last value, if that was a candidate.
  mutating func resumeSweep(
    after proposals: ArraySlice<Proposal>, values: [Float], lastLoss: Double?) throws

  /// How many proposals of the tensor in slot `parameter` to pass at once: enough that the engine need not wait for the
  /// search, few enough that the search can show progress and stop.
  func runLength(of parameter: Int) -> Int

  /// Renews the running statistics of batch norm and evaluates a split with them.
  mutating func evaluate(_ split: EvaluatedSplit) throws -> Evaluation

  /// Evaluates a split with the given running statistics.
  mutating func evaluate(_ split: EvaluatedSplit, with statistics: BatchNormStatistics) throws
    -> Evaluation

  /// Takes the given running statistics for those of the current weights, until a weight changes.
  mutating func keep(_ statistics: BatchNormStatistics) throws

  /// The running statistics of batch norm that the last sweep or evaluation used.
  var statistics: BatchNormStatistics { get }
}

extension Engine {
  package func runLength(of parameter: Int) -> Int { 32 }
  package var decidesAlone: Bool { false }

  /// Begins a sweep of a tensor's elements.
  package mutating func beginSweep(of parameter: Int, order: SampleOrder) throws {
    try beginSweep(of: parameter, .elements, order: order)
  }

  /// Judges by the paper's rule.
  package mutating func judge(_ proposals: ArraySlice<Proposal>) throws -> [Decision] {
    var rule = SweepRule.best
    return try judge(proposals, by: &rule)
  }
}

extension Collection<Proposal> {
  /// Judges one proposal after another. A stop keeps the decisions before it.
  func untilStopped(_ judge: (Proposal) throws -> Decision) throws -> [Decision] {
    var decisions: [Decision] = []
    decisions.reserveCapacity(count)
    for proposal in self {
      do {
        decisions.append(try judge(proposal))
      } catch let stop as Stopped {
        guard !decisions.isEmpty else { throw stop }
        break
      }
    }
    return decisions
  }
}

extension Engine where Self: AnyObject {
  /// Begins a sweep of a tensor's elements.
  package func beginSweep(of parameter: Int, order: SampleOrder) throws {
    var engine = self
    try engine.beginSweep(of: parameter, .elements, order: order)
  }

  /// Judges by the paper's rule.
  package func judge(_ proposals: ArraySlice<Proposal>) throws -> [Decision] {
    var (engine, rule) = (self, SweepRule.best)
    return try engine.judge(proposals, by: &rule)
  }
}

/// Training samples whose batch statistics become batch norm's running statistics.
package let statisticsSamples = 2000
