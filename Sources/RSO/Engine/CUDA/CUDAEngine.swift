import CRSO
import Foundation

/// Executes a `SweepPlan` on a card in single precision. Sums over samples use double precision and a fixed tree.
///
/// A run of proposals is judged without the host. The lone channels that join or leave a mini-batch's rest depend on
/// which elements were tested, not on the decisions, so the engine works them out first and queues all kernels. The
/// last kernel of every turn decides and changes the weight. Losses come back once per run.
///
/// docs/gpu.md says what has run on a card and what has only run on the CPU.
final class CUDAEngine: Engine {
  var statistics = BatchNormStatistics()
  /// Whether `statistics` are those of the current weights.
  var areStatisticsCurrent = false
  /// Whether they were given for the current weights.
  var areStatisticsKept = false
  /// The network to compute: average pooling is folded into the convolution before it.
  let network: Network
  let data: Dataset
  let objective: Objective
  let context: CUDAContext
  let module: CUDAModule
  /// The caller's weights; their slots name the nodes of the original network.
  private let original: Parameters
  /// The current weights; their slots name the nodes of `network`.
  var current: Parameters
  let memory: CUDABoardMemory
  /// Where the outputs and sums of a turn come to, if the host judges.
  private var results: CUDAResults?
  /// What is kept for a sweep, the cache first, and the memory that passes work in.
  var storage: DeviceMemory<UInt8>?
  var work: DeviceMemory<UInt8>?
  /// The mini-batch size, mini-batches and candidates that the memory is allocated for.
  var roomFor: [Int] = []
  var sweep: Active?
  var cache: Cache?
  /// The most turns of a round that are judged together.
  let mostTogether: Int

  /// The contents of the card's cache.
  struct Cache: Equatable {
    var value: Int
    var group: Int?
    var order: SampleOrder
  }

  /// The current sweep.
  struct Active {
    var sweep: CUDASweep
    var schedule: SweepSchedule
    var order: SampleOrder
    var parameter: Int
    var turns: [CUDASweep.Judge.Shape: CUDATurnGraphs] = [:]
    /// The most turns that are judged together in the memory that there is; `nil`: not known yet.
    var mostTogether: Int?
    /// The decisions of the current round.
    var pending: [(element: Int, value: Float)] = []
    /// The loss of the last decision's value, if a round of its own chose a candidate.
    var lastLoss: Double?
  }

  /// - Parameters:
  ///   - context: the card.
  ///   - image: the kernels, compiled for it.
  ///   - mostTogether: the most turns of a round that are judged together, a power of two.
  ///   - overlaps: launches may begin before the ones in front of them end.
  init(
    network: Network, data: Dataset, parameters: Parameters, precision: CUDAPrecision = .fp32,
    objective: Objective = .crossEntropy, context: CUDAContext, image: [UInt8],
    mostTogether: Int = rso_gpu_group, overlaps: Bool = false
  ) throws {
    self.mostTogether = mostTogether
    self.network = network.foldingAveragePools()
    try CUDALaunch.check(self.network, context.name)
    self.data = data
    self.context = context
    self.objective = objective
    module = try CUDAModule(context, image: image, overlaps: overlaps)
    original = parameters
    current = Parameters(zerosFor: self.network)
    current.values = parameters.values
    memory = try CUDABoardMemory(
      context, network: self.network, data: data, parameters: current, precision: precision,
      objective: objective)
  }

  /// Opens a card of this machine, with kernels compiled for it.
  ///
  /// - Throws: `RSOError` naming the card if libraries are missing or the card does not exist.
  static func open(
    network: Network, data: Dataset, parameters: Parameters, card number: Int,
    precision: CUDAPrecision = .fp32, objective: Objective = .crossEntropy
  ) throws -> CUDAEngine {
    do {
      let context = try CUDAContext(driver: .load(), card: number)
      let environment = ProcessInfo.processInfo.environment
      // If a card judges groups wrongly, it can still judge turns one by one. No card has overlapped launches yet.
      let isAlone = environment["RSO_CUDA_GROUPS"] == "0"
      let overlaps = environment["RSO_CUDA_OVERLAP"] == "1"
      return try CUDAEngine(
        network: network, data: data, parameters: parameters, precision: precision,
        objective: objective, context: context, image: KernelCache.user.kernels(for: context.card),
        mostTogether: isAlone ? 1 : rso_gpu_group, overlaps: overlaps)
    } catch let error as RSOError where !error.subject.hasPrefix("cuda:") {
      throw RSOError("cuda:\(number)", "\(error.subject): \(error.problem)", hint: error.hint)
    }
  }

  // The last reference may go away on another thread than the one that used the engine.
  deinit { try? context.enter() }

  /// Output channels, so that waiting for losses costs nothing and rounds of channels are whole, but still a fraction of a
  /// second.
  func runLength(of parameter: Int) -> Int {
    let channel = current.slots[parameter].elementsPerChannel
    return min((255 / channel + 1) * channel, memory.turnCapacity)
  }

  var parameters: Parameters {
    get {
      var parameters = original
      parameters.values = current.values
      return parameters
    }
    set {
      current.values = newValue.values
      (areStatisticsCurrent, areStatisticsKept) = (false, false)
      sweep = nil
      cache = nil
    }
  }

  /// A card judges changes of one channel, and a scale may change all of them. It has no totals of levels yet.
  var decidesAlone: Bool { true }

  func beginSweep(of parameter: Int, _ part: Sweep.Part, order: SampleOrder) throws {
    guard part == .elements else {
      throw RSOError(context.name, "expected a sweep of elements, found one of scales")
    }
    try context.enter()
    sweep = nil
    try begin(parameter, order, candidates: 3)
  }

  private func begin(_ parameter: Int, _ order: SampleOrder, candidates: Int) throws {
    try makeRoom(order, candidates: candidates)
    guard let storage, let work else { return }
    let slot = current.slots[parameter]
    let sweep = CUDASweep(
      network: network, parameters: current, slot: slot, board: memory.board,
      batchSize: order.batchSize, batches: order.batches, candidates: candidates,
      storage: storage.address, work: work.address)
    try memory.parameters.set(current.values)
    try memory.order.set(order.samples)
    let plan = sweep.lone.plan
    let wanted = Cache(value: plan.cachedValue, group: plan.group, order: order)
    // A sweep begins with statistics of its weights, as on the CPU.
    if !areStatisticsCurrent || cache != wanted { try renewStatistics() }
    if cache != wanted {
      cache = nil
      try fill(sweep.cachedValue, plan.cachedValue, order)
      cache = wanted
    }
    let schedule = SweepSchedule(slot: slot, lone: sweep.lone, batches: order.batches)
    try memory.start.set(Array(current.values[slot.range]))
    try module.launch(sweep.weightLaunches)
    var active = Active(sweep: sweep, schedule: schedule, order: order, parameter: parameter)
    _ = try graphs(of: sweep.judge(.init(candidates: candidates)), &active)
    self.sweep = active
    results = objective.needsOutputs ? try CUDAResults(context, sweep, order) : nil
  }

  func judge(_ proposals: ArraySlice<Proposal>, by rule: inout SweepRule) throws -> [Decision] {
    var active = try active(for: proposals)
    // An error ends the sweep; the weights decided so far stay.
    sweep = nil
    (areStatisticsCurrent, areStatisticsKept) = (false, false)
    var decisions: [Decision] = []
    var rest = proposals
    do {
      while !rest.isEmpty {
        try StopRequest.check()
        let count = try run(rest, &active, &rule, &decisions)
        rest = rest.dropFirst(count)
      }
    } catch let stop as Stopped {
      guard !decisions.isEmpty else { throw stop }
      return decisions
    }
    sweep = active
    return decisions
  }

  /// The sweep, with launches for the number of candidates that the proposals have.
  private func active(for proposals: ArraySlice<Proposal>) throws -> Active {
    guard let active = sweep else { throw RSOError("judge", "no sweep was begun") }
    guard let candidates = proposals.first?.candidates.count else { return active }
    try context.enter()
    guard (1...rso_gpu_candidates).contains(candidates),
      proposals.allSatisfy({ $0.candidates.count == candidates })
    else {
      throw RSOError(
        context.name,
        "expected proposals of 1 to \(rso_gpu_candidates) candidates, all of the same number")
    }
    guard candidates != active.sweep.candidates else { return active }
    guard active.schedule.now == 0 else {
      throw RSOError(context.name, "the number of candidates changed within a sweep")
    }
    sweep = nil
    try begin(active.parameter, active.order, candidates: candidates)
    return sweep ?? active
  }

  /// Plans as many of the first proposals as fit into the lists on the card.
  private func plan(
    _ proposals: some Sequence<Proposal>, _ active: inout Active, _ rule: SweepRule,
    mostTogether: Int = 1
  ) throws -> CUDARun {
    var plan = CUDARun(
      knowsLoss: active.lastLoss != nil && rule.isChoice, mostTogether: mostTogether)
    for proposal in proposals
    where plan.turns.count < memory.turnCapacity
      && plan.units.count + active.sweep.lone.channels <= memory.unitCapacity
    {
      let next = active.schedule.changes(before: proposal.batch)
      if plan.changes.count + next > memory.changeCapacity, !plan.turns.isEmpty { break }
      try plan.append(
        proposal, &active.schedule, of: active.sweep.slot, order: active.order,
        isChoice: rule.isChoice)
    }
    plan.endRound()
    return plan
  }

  /// The most turns of the sweep that are judged together.
  private func mostTogether(_ active: inout Active) -> Int {
    if let known = active.mostTogether { return known }
    let most = active.sweep.largestGroup(in: work?.count ?? 0, atMost: mostTogether)
    active.mostTogether = most
    return most
  }

  /// Judges as many proposals as fit into the lists on the card and returns their number.
  private func run(
    _ proposals: ArraySlice<Proposal>, _ active: inout Active, _ rule: inout SweepRule,
    _ decisions: inout [Decision]
  ) throws -> Int {
    let hasRounds = proposals.contains { !$0.endsRound }
    let plan = try plan(
      proposals, &active, rule, mostTogether: hasRounds ? mostTogether(&active) : 1)
    let count = plan.turns.count
    try memory.upload(
      plan, decided: active.schedule.judgedAt, rule: rule, lastLoss: active.lastLoss)

    try module.launch(active.sweep.start)
    var visits = plan.visits[...]
    var failure: (any Error)?
    while let visit = visits.first, failure == nil {
      try prepare(visit, active)
      // The following visits that need no work of their own go with this one.
      let next = visits.dropFirst().prefix {
        $0.isPlain && $0.from == visit.from && $0.group == visit.group
      }.count
      let turns = results == nil ? 1 + next : 1
      let judge = active.sweep.judge(
        .init(candidates: active.sweep.candidates - visit.from, group: visit.group))
      try graphs(of: judge, &active).launch(turns)
      if let results {
        let proposal = proposals[proposals.startIndex + count - visits.count]
        do {
          let losses = try results.losses(
            of: proposal, by: judge, active.order, objective, data.train)
          try module.launch(active.sweep.decision(losses))
          if visit.from == 0, losses[0].isNaN {
            // The card decides nothing after that.
            visits = visits.dropFirst(turns)
            break
          }
        } catch {
          // The weights decided so far stay.
          failure = error
          continue
        }
      }
      visits = visits.dropFirst(turns)
    }
    // What a host judges comes turn by turn, and ends where it fails.
    let judged = results == nil ? count : count - visits.count
    for (proposal, outcome) in zip(proposals, try memory.outcomes.values(judged)) {
      let decision = Decision(outcome, candidates: active.sweep.candidates)
      try decision.check(active.sweep.slot.name, proposal)
      rule.state = outcome.state
      decisions.append(decision)
      let isCandidate = decision.value == proposal.candidates[decision.choice]
      finish(
        proposal, decision.value, loss: isCandidate ? decision.losses[decision.choice] : nil,
        &active)
    }
    if let failure { throw failure }
    return count
  }

  /// The graphs of turns of a shape, captured when they are needed first.
  private func graphs(
    of judge: CUDASweep.Judge, _ active: inout Active
  ) throws -> CUDATurnGraphs {
    if let made = active.turns[judge.shape] { return made }
    let isWhole = judge.shape.candidates == active.sweep.candidates
    // What a host judges comes turn by turn.
    let rows =
      objective.needsOutputs
      ? [1]
      : judge.shape.group > 1
        ? CUDATurnGraphs.groupRows : isWhole ? CUDATurnGraphs.rows : CUDATurnGraphs.shortRows
    let made = try CUDATurnGraphs(module, judge.launches, rows: rows)
    active.turns[judge.shape] = made
    return made
  }

  /// Queues what a turn needs before it is judged.
  private func prepare(_ visit: CUDARun.Visit, _ active: Active) throws {
    if visit.isFirst { try module.launch(active.sweep.fixedLaunches) }
    if let refresh = visit.refresh { try module.launch(active.sweep.refresh(refresh)) }
  }

  /// Takes a decided value; the end of a round applies all of the round's.
  private func finish(
    _ proposal: Proposal, _ value: Float, loss: Double?, _ active: inout Active
  ) {
    active.pending.append((active.sweep.slot.offset + proposal.element, value))
    active.lastLoss = proposal.endsRound && active.pending.count == 1 ? loss : nil
    guard proposal.endsRound else { return }
    for (element, value) in active.pending { current.values[element] = value }
    active.pending.removeAll(keepingCapacity: true)
  }

  func resumeSweep(
    after proposals: ArraySlice<Proposal>, values: [Float], lastLoss: Double?
  ) throws {
    var active = try active(for: proposals)
    sweep = nil
    (areStatisticsCurrent, areStatisticsKept) = (false, false)
    // A turn whose only candidate is the decided value.
    var rest = zip(proposals, values).map { proposal, value in
      var taken = proposal
      (taken.candidates, taken.baseline) = ([value], .computed)
      return taken
    }[...]
    while !rest.isEmpty {
      try StopRequest.check()
      let plan = try plan(rest, &active, .best)
      try memory.upload(plan, decided: active.schedule.judgedAt, rule: .best)
      try module.launch(active.sweep.start)
      for visit in plan.visits {
        try prepare(visit, active)
        try module.launch(active.sweep.takeLaunches)
      }
      for (index, proposal) in zip(rest.indices, rest.prefix(plan.turns.count)) {
        let isLast = index == values.count - 1
        finish(proposal, proposal.candidates[0], loss: isLast ? lastLoss : nil, &active)
      }
      rest = rest.dropFirst(plan.turns.count)
    }
    try context.synchronize()
    sweep = active
  }

  func evaluate(_ split: EvaluatedSplit) throws -> Evaluation {
    try context.enter()
    try renewStatistics()
    return try evaluate(split, with: statistics)
  }
}

extension Decision {
  /// The decision that a card made.
  fileprivate init(_ outcome: rso_gpu_outcome, candidates: Int) {
    let losses = withUnsafeBytes(of: outcome.losses) { bytes in
      ShortList((0..<candidates).map { bytes.load(fromByteOffset: 8 * $0, as: Double.self) })
    }
    self.init(losses: losses, choice: Int(outcome.choice), value: outcome.value)
  }
}
