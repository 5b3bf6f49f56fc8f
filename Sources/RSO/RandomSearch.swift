import Foundation

/// RSO, random search optimisation: training a deep network without gradients, by changing one weight
/// at a time and keeping the best of `w`, `w + Δ`, `w − Δ` on a mini-batch.
///
/// Rohun Tripathi and Bharat Singh, *RSO: A Gradient Free Sampling Based Approach For Training Deep Neural
/// Networks*, 2020, arXiv 2005.05955. Where the paper and its authors' script differ, we follow the script.
/// Deviations: draws come from a counter-based generator, so a run can resume anywhere; the batch size need not
/// divide the training set, and samples left over sit out the sweep.
///
///     var search = try RandomSearch(network: .mnist(), data: .mnist(), settings: SearchSettings())
///     try search.run { event in
///       if case .swept(let report) = event { print(report.parameter, report.meanLoss) }
///       return .goOn
///     }
///
/// A copy shares the engine, and with it the weights: continue with only one of them.
public struct RandomSearch {
  /// What is searched: a network's weights, or tensors of any meaning.
  public let subject: Subject
  /// The settings of the search.
  public let settings: SearchSettings
  /// What it computes on; `nil` if a loss of the caller's judges tensors.
  public let device: Device?
  /// The sweeps of one cycle, in order.
  public let sweeps: [Sweep]
  /// The next sweep.
  public private(set) var position: Position
  /// What the rule has learnt about each tensor, by the tensor's name; the paper's rule learns nothing.
  public private(set) var ruleStates: [String: RuleState]
  /// Whether losses of the search were finite: then whatever is not finite comes from the search.
  private(set) var wasFinite: Bool
  /// What the sweep at `position` has decided so far; `nil` between two sweeps.
  public var progress: SweepProgress? { found.values.isEmpty ? nil : found }
  var found = SweepProgress()
  /// The weights before the sweep, and the statistics that were kept then.
  var before: (parameters: Parameters?, kept: KeptStatistics?) = (nil, nil)
  var engine: any Engine
  /// In place of the settings' loss.
  let ownLoss: (any BatchLoss)?
  var kept: KeptStatistics?

  /// A search's position: its next sweep.
  public struct Position: Hashable, Codable, Sendable {
    /// From 0; `settings.cycles` when the search is finished.
    public var cycle = 0
    /// Index into `sweeps`.
    public var sweep = 0
    /// A position; the beginning by default.
    public init(cycle: Int = 0, sweep: Int = 0) {
      self.cycle = cycle
      self.sweep = sweep
    }
  }

  /// A search by an engine that has the weights. `RandomSearch+Subjects.swift` has the initialisers for callers.
  init(
    _ subject: Subject, _ settings: SearchSettings, _ engine: any Engine, on device: Device?,
    position: Position, progress: SweepProgress? = nil, ruleStates: [String: RuleState],
    statistics: BatchNormStatistics? = nil, loss: (any BatchLoss)? = nil
  ) throws {
    (self.subject, self.settings, self.engine, self.device) = (subject, settings, engine, device)
    (self.position, self.ruleStates, ownLoss) = (position, ruleStates, loss)
    wasFinite = position != Position() || progress != nil
    let slots = engine.parameters.slots
    sweeps = settings.sweeps(of: engine.parameters, in: subject.network)
    if engine.decidesAlone { try settings.requireCard(for: sweeps) }
    guard position.cycle >= 0, position.sweep == 0 || sweeps.indices.contains(position.sweep) else {
      throw RSOError(
        "position",
        "expected a cycle from 0 on and a sweep below \(sweeps.count), found \(position)")
    }
    let earlier = position.cycle > 0 ? sweeps[...] : sweeps.prefix(position.sweep)
    kept = try subject.network.map {
      try KeptStatistics(statistics, settings, $0, slots, earlier: earlier)
    }
    if let statistics = kept?.statistics { try self.engine.keep(statistics) }
    guard let progress, !isFinished else { return }
    let slot = sweeps[position.sweep].slot(in: engine.parameters)
    if let problem = progress.problem(ofElements: slot.count) {
      throw RSOError("progress", "\(slot.name): \(problem)")
    }
    (found, before) = (progress, (engine.parameters, kept))
    self.ruleStates[slot.name] = progress.ruleState ?? ruleStates[slot.name]
  }

  /// Whether every cycle is done.
  public var isFinished: Bool { position.cycle >= settings.cycles || sweeps.isEmpty }

  /// Searches until every cycle is done or `observe` returns `.stop`.
  ///
  /// Stopping within a sweep keeps the changes made so far and leaves `position` at that sweep; `progress` has what was
  /// decided, and another call goes on from there.
  ///
  /// - Complexity: per cycle, O(elements · batch · work above the swept layer).
  public mutating func run(_ observe: (Event) throws -> Answer = { _ in .goOn }) throws {
    while !isFinished {
      let (cycle, sweep) = (position.cycle, sweeps[position.sweep])
      let slot = sweep.slot(in: engine.parameters)
      guard try self.sweep(sweep, slot, cycle: cycle, observe) else { return }
      let searched = ContinuousClock.now
      let isDue = settings.evaluations == .tensor || position.sweep == sweeps.count - 1
      let evaluation = isDue ? try engine.evaluate(subject.evaluatedSplit) : nil
      try requireFiniteModel(after: (slot.name, cycle))
      let width = settings.width(of: sweep, slot, cycle: cycle)
      let judged = judged(slot, width: width, cycle: cycle)
      let report = SweepReport(
        cycle: cycle, sweep: position.sweep, parameter: slot.name, keptShare: judged.keptShare,
        step: judged.step, meanLoss: judged.meanLoss,
        batchSize: settings.batchSize(inCycle: cycle), deviation: width, proposals: slot.count,
        evaluations: found.evaluations, split: subject.evaluatedSplit, evaluation: evaluation,
        seconds: found.seconds,
        evaluationSeconds: (ContinuousClock.now - searched) / .seconds(1))
      position.sweep += 1
      if position.sweep == sweeps.count { position = Position(cycle: cycle + 1) }
      found = SweepProgress()
      if try observe(.swept(report)) == .stop { return }
    }
  }

  /// Tests every element of one tensor, or every scale, or those that are left; `false` if stopped before the end.
  private mutating func sweep(
    _ sweep: Sweep, _ slot: Parameters.Slot, cycle: Int, _ observe: (Event) throws -> Answer
  ) throws -> Bool {
    let (start, earlier) = (ContinuousClock.now, found.seconds)
    if progress != nil { try returnToStart() } else { before.kept = kept }
    before.parameters = engine.parameters
    let width = settings.width(of: sweep, slot, cycle: cycle)
    let order = sampleOrder(sweep, cycle: cycle)
    try engine.beginSweep(of: sweep.parameter, sweep.part, order: order)
    kept?.end(sweep)

    try Memory.require(
      slot.count, of: (Proposal, Int32).self, for: "the proposals of \(slot.name)",
      hint: Memory.networkHint)
    let turns = Turns(settings, cycle: cycle, of: slot, batches: order.batches)
    var rule = SweepRule(
      settings.rule(of: slot), width: width, cycle: cycle, of: settings.cycles,
      state: ruleStates[slot.name] ?? RuleState(),
      levelWidth: engine.parameters.scales[sweep.parameter]?.max() ?? 0, of: slot)
    let proposals = proposals(sweep, cycle: cycle, turns)
    let runLength = engine.runLength(of: sweep.parameter)
    if let progress {
      try engine.resumeSweep(
        after: proposals.prefix(progress.values.count), values: progress.values,
        lastLoss: progress.lastLoss)
      if let statistics = kept?.statistics { try engine.keep(statistics) }
    }
    while found.values.count < proposals.count {
      let first = found.values.count
      let run = proposals[first..<min(first + runLength, proposals.count)]
      // w ← argmin over {w, w + Δ, w − Δ} of the loss, or the value another rule derives from the three losses.
      let decisions = try judged(in: cycle) { try engine.judge(run, by: &rule) }
      let decided = run.prefix(decisions.count)
      try requireFinite(decisions, on: decided, of: slot.name, cycle: cycle)
      wasFinite = true
      if let statistics = kept?.statistics { try engine.keep(statistics) }
      ruleStates[slot.name] = rule.learnt
      found.add(decisions, on: decided, learnt: rule.learnt)
      found.seconds = earlier + (ContinuousClock.now - start) / .seconds(1)
      var judged = judged(slot, width: width, cycle: cycle)
      (judged.proposals, judged.decisions) = (decided, decisions)
      let answer = try observe(.judged(judged))
      if decisions.count < run.count { throw Stopped() }
      if answer == .stop { return false }
    }
    return true
  }

  /// What judges the proposals of a sweep, as far as its group needs it: the shuffled training set, or seeds if there are
  /// no samples. All tensors of a group share one order.
  public func sampleOrder(_ sweep: Sweep, cycle: Int) -> SampleOrder {
    let philox = Philox(seed: settings.seed)
    let key = sweep.key(sweep.group)
    let batches = settings.batches(of: sweep, in: sweeps, engine.parameters)
    switch subject {
    case .network(_, let data):
      let samples = philox.permutation(
        .sampleOrder, cycle: cycle, tensor: key, count: data.train.count)
      let size = settings.batchSize(inCycle: cycle)
      return SampleOrder(Array(samples.prefix(batches * size)), batchSize: size)
    case .tensors:
      let seeds = (0..<batches).map { philox.seed(cycle: cycle, tensor: key, element: $0) }
      return SampleOrder(seeds, batchSize: 1)
    }
  }

  /// A proposal for every element of one tensor, each on the next mini-batch unless it is held. All are drawn up
  /// front: a sweep tests every element once, so no draw depends on a decision.
  func proposals(_ sweep: Sweep, cycle: Int, _ turns: Turns) -> [Proposal] {
    let philox = Philox(seed: settings.seed)
    let parameters = engine.parameters
    if sweep.part == .scales {
      return parameters.scaleProposals(of: sweep.parameter, batches: turns.batches)
    }
    let slot = parameters.slots[sweep.parameter]
    let σ = settings.deviation(of: slot.proposalDeviation, cycle: cycle)
    let key = sweep.key(sweep.parameter)

    let elements =
      switch settings.elementOrder {
      case .rowMajor: (0..<Int32(slot.count)).map { $0 }
      case .shuffled:
        philox.permutation(.elementOrder, cycle: cycle, tensor: key, count: slot.count)
      }
    return elements.enumerated().map { turn, element in
      let old = parameters.values[slot.offset + Int(element)]
      let normal = philox.normal(.proposal, cycle: cycle, tensor: key, element: Int(element))
      let delta = Float(σ * normal)
      let baseline = turns.baseline(turn)
      let candidates: ShortList<Float>
      if slot.domain.isDiscrete {
        candidates = parameters.levelCandidates(
          of: Int(element), in: sweep.parameter, delta: σ * normal)
      } else {
        let w = old * Float(1 - settings.weightDecay)
        candidates = [baseline == .known ? old : w, w + delta, w - delta]
      }
      return Proposal(
        element: Int(element), batch: turns.batch(turn), candidates: candidates, delta: delta,
        baseline: baseline, endsRound: turns.endsRound(turn))
    }
  }
}
