import CRSO

/// Executes a `SweepPlan` on a card in single precision. Sums over samples use double precision and a fixed tree.
///
/// A run of proposals is judged without the host. The lone channels that join or leave a mini-batch's rest depend on
/// which elements were tested, not on the decisions, so the engine works them out first and queues all kernels. The
/// last kernel of every turn decides and changes the weight. Losses come back once per run.
///
/// docs/gpu.md says what has run on a card and what has only run on the CPU.
final class CUDAEngine: Engine {
  private(set) var statistics = BatchNormStatistics()
  /// Whether `statistics` are those of the current weights.
  private var areStatisticsCurrent = false
  /// Whether they were given for the current weights.
  private var areStatisticsKept = false
  /// The network to compute: average pooling is folded into the convolution before it.
  private let network: Network
  private let data: Dataset
  private let objective: Objective
  private let context: CUDAContext
  private let module: CUDAModule
  /// The caller's weights; their slots name the nodes of the original network.
  private let original: Parameters
  /// The current weights; their slots name the nodes of `network`.
  private var current: Parameters
  private let memory: CUDABoardMemory
  /// Where the outputs and sums of a turn come to, if the host judges.
  private var results: CUDAResults?
  /// What is kept for a sweep, the cache first, and the memory that passes work in.
  private var storage: DeviceMemory<UInt8>?
  private var work: DeviceMemory<UInt8>?
  /// The mini-batch size, mini-batches and candidates that the memory is allocated for.
  private var roomFor: [Int] = []
  private var sweep: Active?
  private var cache: Cache?

  /// The contents of the card's cache.
  private struct Cache: Equatable {
    var value: Int
    var group: Int?
    var order: SampleOrder
  }

  /// The current sweep.
  private struct Active {
    var sweep: CUDASweep
    var schedule: SweepSchedule
    var order: SampleOrder
    var parameter: Int
    var turns: CUDATurnGraphs
    /// The decisions of the current round.
    var pending: [(element: Int, value: Float)] = []
  }

  /// - Parameter image: the kernels, compiled for the card.
  init(
    network: Network, data: Dataset, parameters: Parameters, precision: CUDAPrecision = .fp32,
    objective: Objective = .crossEntropy, context: CUDAContext, image: [UInt8]
  ) throws {
    self.network = network.foldingAveragePools()
    try CUDALaunch.check(self.network, context.name)
    self.data = data
    self.context = context
    self.objective = objective
    module = try CUDAModule(context, image: image)
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
      return try CUDAEngine(
        network: network, data: data, parameters: parameters, precision: precision,
        objective: objective, context: context, image: KernelCache.user.kernels(for: context.card))
    } catch let error as RSOError where !error.subject.hasPrefix("cuda:") {
      throw RSOError("cuda:\(number)", "\(error.subject): \(error.problem)", hint: error.hint)
    }
  }

  // The last reference may go away on another thread than the one that used the engine.
  deinit { try? context.enter() }

  /// One output channel or more, so that waiting for losses costs nothing, but still a fraction of a second.
  func runLength(of parameter: Int) -> Int {
    min(max(256, current.slots[parameter].elementsPerChannel), memory.turnCapacity)
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

  func beginSweep(of parameter: Int, order: SampleOrder) throws {
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
    self.sweep = Active(
      sweep: sweep, schedule: schedule, order: order, parameter: parameter,
      turns: try CUDATurnGraphs(
        module, sweep.judgeLaunches, inRows: !objective.needsOutputs))
    results = objective.needsOutputs ? try CUDAResults(context, sweep, order) : nil
  }

  func judge(_ proposals: ArraySlice<Proposal>, by rule: inout SweepRule) throws -> [Decision] {
    guard var active = sweep else { throw RSOError("judge", "no sweep was begun") }
    guard let first = proposals.first else { return [] }
    try context.enter()
    let candidates = first.candidates.count
    guard (1...rso_gpu_candidates).contains(candidates),
      proposals.allSatisfy({ $0.candidates.count == candidates })
    else {
      throw RSOError(
        context.name,
        "expected proposals of 1 to \(rso_gpu_candidates) candidates, all of the same number")
    }
    if candidates != active.sweep.candidates {
      guard active.schedule.now == 0 else {
        throw RSOError(context.name, "the number of candidates changed within a sweep")
      }
      sweep = nil
      try begin(active.parameter, active.order, candidates: candidates)
      guard let renewed = sweep else { return [] }
      active = renewed
    }
    // An error ends the sweep; the weights decided so far stay.
    sweep = nil
    (areStatisticsCurrent, areStatisticsKept) = (false, false)
    var decisions: [Decision] = []
    var rest = proposals
    while !rest.isEmpty {
      let count = try run(rest, &active, &rule, &decisions)
      rest = rest.dropFirst(count)
    }
    sweep = active
    return decisions
  }

  /// Judges as many proposals as fit into the lists on the card and returns their number.
  private func run(
    _ proposals: ArraySlice<Proposal>, _ active: inout Active, _ rule: inout SweepRule,
    _ decisions: inout [Decision]
  ) throws -> Int {
    let slot = active.sweep.slot
    var plan = CUDARun()
    for proposal in proposals
    where plan.turns.count < memory.turnCapacity
      && plan.units.count + active.sweep.lone.channels <= memory.unitCapacity
    {
      let next = active.schedule.changes(before: proposal.batch)
      if plan.changes.count + next > memory.changeCapacity, !plan.turns.isEmpty { break }
      try plan.append(proposal, &active.schedule, of: slot, order: active.order)
    }
    let count = plan.turns.count
    try memory.upload(plan, decided: active.schedule.judgedAt, rule: rule)

    try module.launch(active.sweep.start)
    var visits = plan.visits[...]
    var failure: (any Error)?
    while let visit = visits.first, failure == nil {
      if visit.isFirst { try module.launch(active.sweep.fixedLaunches) }
      if let refresh = visit.refresh { try module.launch(active.sweep.refresh(refresh)) }
      // The following visits that need no work of their own go with this one.
      let next = visits.dropFirst().prefix { !$0.isFirst && $0.refresh == nil }.count
      let turns = results == nil ? 1 + next : 1
      try active.turns.launch(turns)
      if let results {
        let proposal = proposals[proposals.startIndex + count - visits.count]
        do {
          let losses = try results.losses(
            of: proposal, active.order, objective, data.train)
          try module.launch(active.sweep.decision(losses))
          if losses[0].isNaN, proposal.baseline != .unused {
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
    for (proposal, outcome) in zip(proposals, try memory.outcomes.values(count - visits.count)) {
      let decision = Decision(outcome, candidates: active.sweep.candidates)
      try decision.check(slot.name, proposal)
      rule.state = outcome.state
      decisions.append(decision)
      active.pending.append((slot.offset + proposal.element, decision.value))
      guard proposal.endsRound else { continue }
      for (element, value) in active.pending { current.values[element] = value }
      active.pending.removeAll(keepingCapacity: true)
    }
    if let failure { throw failure }
    return count
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

// MARK: Whole passes

extension CUDAEngine {
  func evaluate(
    _ split: EvaluatedSplit, with statistics: BatchNormStatistics
  ) throws -> Evaluation {
    try context.enter()
    let samples = try data.samples(split)
    if self.statistics != statistics {
      self.statistics = statistics
      (areStatisticsCurrent, areStatisticsKept) = (false, false)
    }
    try memory.set(statistics, network)
    try memory.parameters.set(current.values)
    var result = Evaluation(
      count: samples.count, loss: 0,
      confusion: Evaluation.confusion(classes: network.classes))
    var losses: [Double] = []
    var outputs: [Float] = []
    for first in stride(from: 0, to: samples.count, by: statisticsSamples) {
      let count = min(statisticsSamples, samples.count - first)
      let work = try room(
        CUDAWholePass(network, current, memory.board, .loss(split), count: count, work: 0).bytes)
      let pass = CUDAWholePass(
        network, current, memory.board, .loss(split), count: count, work: work)
      try run(pass, first: first)
      losses += try memory.partial.values(pass.blocks)
      guard objective.isCrossEntropy else {
        outputs += try memory.outputs.values(count * network.classes)
        continue
      }
      for (index, predicted) in try memory.predicted.values(count).enumerated() {
        result.confusion[Int(samples.labels[first + index])][Int(predicted)] += 1
      }
    }
    result.loss = try Reduction.alone.sum(losses)
    guard !objective.isCrossEntropy else { return result }
    return try objective.evaluation(
      sum: objective.sampleTerms.isEmpty ? [] : [result.loss],
      Outputs(
        outputs, candidates: 1, width: network.classes, of: (0..<Int32(samples.count)).map { $0 },
        in: split, samples))
  }

  func keep(_ statistics: BatchNormStatistics) {
    self.statistics = statistics
    (areStatisticsCurrent, areStatisticsKept) = (true, true)
  }

  /// Takes the running statistics from the first samples, in one pass that uses the samples' own statistics.
  private func renewStatistics() throws {
    if areStatisticsKept { return try memory.set(statistics, network) }
    let count = min(statisticsSamples, data.train.count)
    try memory.parameters.set(current.values)
    let work = try room(
      CUDAWholePass(network, current, memory.board, .statistics, count: count, work: 0).bytes)
    try run(
      CUDAWholePass(network, current, memory.board, .statistics, count: count, work: work), first: 0
    )
    (statistics, areStatisticsCurrent) = (try memory.statistics(network), true)
  }

  /// Computes the cached value of every mini-batch with running statistics.
  private func fill(_ cache: DeviceValue, _ value: Int, _ order: SampleOrder) throws {
    guard let work else { return }
    let pass = CUDAWholePass(
      network, current, memory.board, .value(value, into: cache), count: order.batchSize,
      work: work.address)
    for batch in 0..<order.batches {
      try run(pass, first: batch * order.batchSize, batch: batch, packs: batch == 0)
    }
  }

  private func run(
    _ pass: CUDAWholePass, first: Int, batch: Int = 0, packs: Bool = true
  ) throws {
    try StopRequest.check()
    var turn = rso_gpu_turn()
    turn.batch = Int32(batch)
    turn.first = Int32(first)
    try memory.turn.set([turn])
    if packs { try module.launch(pass.weightLaunches) }
    try module.launch(pass.launches)
  }

  /// The address of at least `bytes` bytes for a pass.
  private func room(_ bytes: Int) throws -> UInt64 {
    if let work, work.count >= bytes { return work.address }
    // A sweep's launches contain the old address.
    sweep = nil
    work = nil
    let room = try DeviceMemory<UInt8>(context, count: bytes)
    work = room
    return room.address
  }

  /// Allocates memory for sweeping any tensor, before anything is judged.
  ///
  /// - Throws: `RSOError` that says how much memory is needed and free, and which `batchSize` fits.
  private func makeRoom(_ order: SampleOrder, candidates: Int) throws {
    let wanted = [order.batchSize, order.batches, candidates]
    if roomFor == wanted, storage != nil, work != nil { return }
    let need = CUDANeed(
      network: network, batchSize: order.batchSize, batches: order.batches,
      samples: data.train.count, candidates: candidates, loss: memory.board.loss)
    roomFor = wanted
    if let storage, let work, storage.count >= need.storage, work.count >= need.work { return }
    storage = nil
    work = nil
    cache = nil
    let free = try context.memory().free
    guard need.total <= free else {
      let fitting = CUDANeed.largestBatch(
        network: network, below: order.batchSize, samples: data.train.count, candidates: candidates,
        free: free, loss: memory.board.loss)
      throw RSOError(
        context.name,
        "`batchSize` \(order.batchSize): expected \(megabytes(need.total)) of the card's memory, "
          + "found \(megabytes(free)) free",
        hint: fitting.map { "`batchSize` \($0) fits" }
          ?? "no `batchSize` fits: use fewer samples with `trainLimit`, or a larger card")
    }
    storage = try DeviceMemory(context, count: need.storage)
    work = try DeviceMemory(context, count: need.work)
  }
}
