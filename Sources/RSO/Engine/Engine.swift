/// Judges proposals. It knows nothing of the search: not how a proposal was drawn nor what follows.
///
/// A conformer computes the forward pass of docs/method.md: running statistics of batch
/// norm, taken from one pass over the first `statisticsSamples` training samples, up to the value that
/// a sweep is computed from, the mini-batch's own statistics above it. It passes
/// `EngineConformanceTests`, which compares it with `ReferenceEngine`. The same inputs give the same
/// bits, whatever the number of threads.
package protocol Engine {
  /// The weights. Setting them ends the sweep.
  var parameters: Parameters { get set }

  /// Freezes what lies below the tensor in slot `parameter` for the samples of `order`.
  ///
  /// Sweeps of one group (`SweepPlan.group`) that follow one another with the same order share what was
  /// cached. Draws nothing.
  mutating func beginSweep(of parameter: Int, order: SampleOrder) throws

  /// Judges the proposals one after another: each sees the decisions of the rounds before its own. `rule` makes values of
  /// the losses, and its state advances in the order of the proposals.
  ///
  /// An element is judged at most once per sweep; a second proposal for it is an error. What engines keep for every
  /// mini-batch is brought up to date from the values before the sweep and the order of elements (`SweepSchedule`).
  ///
  /// `parameters` holds the chosen values of every round that has ended; a round may span calls. One decision for each
  /// proposal.
  mutating func judge(_ proposals: ArraySlice<Proposal>, by rule: inout SweepRule) throws
    -> [Decision]

  /// Proposals of the tensor in slot `parameter` to hand over at once: enough that an engine need not wait for the
  /// search, few enough to watch and to stop.
  func runLength(of parameter: Int) -> Int

  /// Renews the running statistics of batch norm and evaluates a split with them.
  mutating func evaluate(_ split: EvaluatedSplit) throws -> Evaluation

  /// Evaluates a split with the running statistics that are given.
  mutating func evaluate(_ split: EvaluatedSplit, with statistics: BatchNormStatistics) throws
    -> Evaluation

  /// The running statistics of batch norm that the last sweep or evaluation used.
  var statistics: BatchNormStatistics { get }
}

extension Engine {
  package func runLength(of parameter: Int) -> Int { 32 }

  /// Judges by the paper's rule.
  package mutating func judge(_ proposals: ArraySlice<Proposal>) throws -> [Decision] {
    var rule = SweepRule.best
    return try judge(proposals, by: &rule)
  }
}

extension Engine where Self: AnyObject {
  /// Judges by the paper's rule.
  package func judge(_ proposals: ArraySlice<Proposal>) throws -> [Decision] {
    var (engine, rule) = (self, SweepRule.best)
    return try engine.judge(proposals, by: &rule)
  }
}

/// Training samples whose batch statistics become batch norm's running statistics.
package let statisticsSamples = 2000
