import CRSO

/// Tests one tensor's elements on the CPU: keeps values for every mini-batch and judges proposals with them.
final class CPUSweep {
  private let network: Network
  private let lone: LoneChannel
  private let batches: Batches
  private let order: SampleOrder
  private let train: Split
  private let objective: Objective
  private let cache: Arena.Memory
  private let statistics: BatchNormStatistics
  private let kernels: Kernels
  private let workers: Workers
  private var schedule: SweepSchedule
  private let history: SweepHistory

  private var judgePass: JudgePass?
  private var refreshPasses: [SweepSchedule.Refresh.Shape: RefreshPass] = [:]

  /// `[batches][blocks]`
  private var kept: [KeptValues.Value: Arena.Memory] = [:]
  private let fixedPass: NetworkPass?
  private var fixedTargets: [Int: Pass.ValueID] = [:]
  private var loadedChannel: Int?
  /// Time spent on rests, fixed values and the channel under test.
  private var upkeepSeconds = 0.0
  /// Multiply-adds per image spent on the same so far; `TensorCost.upkeep` estimates them.
  private(set) var upkeepMultiplyAdds = 0
  private let replays: Replays
  /// The loss of the current weights, known if the last round had one proposal and its decision chose a candidate.
  private var lastLoss: Double?
  /// The decisions of the current round.
  private var pending: [(element: Int, value: Float)] = []

  init(
    network: Network, plan: SweepPlan, slot: Parameters.Slot, parameters: Parameters,
    statistics: BatchNormStatistics, batches: Batches, cache: Arena.Memory, arena: Arena,
    order: SampleOrder, train: Split, objective: Objective, kernels: Kernels, workers: Workers
  ) throws {
    let lone = LoneChannel(network: network, plan: plan)
    self.network = network
    self.lone = lone
    self.batches = batches
    self.order = order
    self.train = train
    self.objective = objective
    self.cache = cache
    self.statistics = statistics
    self.kernels = kernels
    self.workers = workers
    history = SweepHistory(slot: slot, values: parameters.values[slot.range])
    schedule = SweepSchedule(slot: slot, lone: lone, batches: batches.count)
    replays = Replays(kernels)

    let values = KeptValues(lone)
    func floats(_ shape: Shape) -> Int { Pass.stride(shape) * batches.blocks * batches.count }
    try arena.reset(count: values.shapes.reduce(0) { $0 + floats($1.shape) })
    for (value, shape) in values.shapes { kept[value] = try arena.take(floats(shape)) }

    if values.fixed.isEmpty {
      fixedPass = nil
    } else {
      let built = NetworkPass(
        network, lanes: .samples, kernels: kernels, blockCapacity: batches.blocks)
      let input = built.pass.bound(network.shapes[plan.cachedValue])
      built.values[plan.cachedValue] = input
      fixedTargets[plan.cachedValue] = input
      try built.append(network.nodes.indices.filter { plan.roles[$0] == .fixed })
      for value in values.fixed {
        let shape = network.shapes[value]
        let target = built.pass.bound(shape)
        fixedTargets[value] = target
        built.pass.append(
          .activate(.identity), built.values[value], shape: shape, into: target)
      }
      try built.pass.compile()
      built.load(parameters)
      built.use(statistics)
      fixedPass = built
    }
  }

  /// Judges one proposal. The last proposal of a round applies the round's decisions to `parameters`.
  func judge(
    _ proposal: Proposal, by rule: inout SweepRule, _ parameters: inout Parameters
  ) throws -> Decision {
    let slot = history.slot
    let batch = proposal.batch
    let turn = try schedule.next(element: proposal.element, batch: batch)
    let channel = turn.channel
    let start = ContinuousClock.now
    try prepare(turn, parameters)
    upkeepSeconds += (ContinuousClock.now - start) / .seconds(1)

    let known: Double? =
      switch proposal.baseline {
      case .computed: nil
      case .known: lastLoss
      case .unused: .nan
      }
    let candidates = proposal.candidates.dropFirst(known == nil ? 0 : 1)
    let judge =
      try judgePass.flatMap { $0.candidates >= candidates.count ? $0 : nil }
      ?? makeJudge(proposal.candidates.count, parameters)
    if loadedChannel != channel || slot.node != lone.root {
      judge.load(channel: channel, parameters, statistics)
      loadedChannel = channel
    }
    judge.propose(
      candidates, of: proposal.element, old: parameters.values[slot.offset + proposal.element],
      perChannel: schedule.perChannel)
    bind(judge, batch: batch, channel: channel, element: proposal.element)
    let computed = try objective.values(
      of: judge.built.pass.run(
        batches.input(batch, candidates: judge.candidates), workers, candidates: candidates.count),
      candidates: candidates.count, samples: batches.size, workers: workers,
      outputs(of: judge, batch: batch, candidates.count))
    var losses = ShortList<Double>()
    if let known { losses.append(known) }
    for loss in computed { losses.append(loss) }
    let decision = try Decision(on: proposal, losses: losses, by: &rule, parameter: slot.name)
    let isCandidate = decision.value == proposal.candidates[decision.choice]
    finish(
      proposal, decision.value, loss: isCandidate ? decision.losses[decision.choice] : nil,
      &parameters)
    return decision
  }

  /// Takes a value that was decided on a proposal when the sweep was cut short: does what judging does to everything
  /// that is kept, and computes no losses.
  ///
  /// - Parameter loss: of the value, if it was a candidate's.
  func take(
    _ value: Float, for proposal: Proposal, loss: Double?, _ parameters: inout Parameters
  ) throws {
    let turn = try schedule.next(element: proposal.element, batch: proposal.batch)
    try prepare(turn, parameters)
    finish(proposal, value, loss: loss, &parameters)
  }

  private func finish(
    _ proposal: Proposal, _ value: Float, loss: Double?, _ parameters: inout Parameters
  ) {
    pending.append((proposal.element, value))
    lastLoss = proposal.endsRound && pending.count == 1 ? loss : nil
    if proposal.endsRound { endRound(&parameters) }
  }

  /// The outputs of the candidates that were just run.
  private func outputs(of judge: JudgePass, batch: Int, _ candidates: Int) throws -> Outputs {
    try batches.outputs(
      judge.outputs, candidates: candidates, width: network.classes, of: order.batch(batch), train)
  }

  private func endRound(_ parameters: inout Parameters) {
    for (element, value) in pending {
      parameters.values[history.slot.offset + element] = value
    }
    schedule.endRound()
    pending.removeAll(keepingCapacity: true)
  }

  /// The cost of the proposals so far: first the upkeep, whose multiply-adds differ from proposal to proposal, then the
  /// segments of the pass over the mini-batch.
  var parts: [ProposalPart] {
    [ProposalPart(steps: "upkeep", multiplyAdds: 0, seconds: upkeepSeconds)]
      + (judgePass?.built.pass.parts ?? [])
  }

  private func makeJudge(_ candidates: Int, _ parameters: Parameters) throws -> JudgePass {
    judgePass = nil
    let judge = try JudgePass(
      lone, sweeping: history.slot, candidates: candidates, kernels: kernels,
      blocks: batches.blocks, objective: objective, samples: batches.own)
    judge.built.load(parameters)
    judge.built.use(statistics)
    judgePass = judge
    return judge
  }

  private func bind(_ judge: JudgePass, batch: Int, channel: Int, element: Int) {
    let pass = judge.built.pass
    for (node, value) in judge.rests { pass.bind(value, at(kept[.rest(node)], batch, node + 1)) }
    for (network, value) in judge.placed {
      pass.bind(value, at(kept[.placed(network)], batch, network))
    }
    for (network, value) in judge.wholeExternals {
      pass.bind(value, at(external(network), batch, network))
    }
    /// One lone channel of a value that holds all channels.
    func view(_ value: Int, first: Int) -> UnsafeMutablePointer<Float>? {
      at(external(value), batch, value).map {
        $0 + first * network.shapes[value].area * Kernels.block
      }
    }
    for (network, value) in judge.loneExternals {
      pass.bind(
        value, view(network, first: channel * lone.width(network)),
        blockStride: Pass.stride(self.network.shapes[network]))
    }
    if let root = lone.root, let value = judge.tested {
      pass.bind(value, testedChannel(batch, root))
      if let value = judge.changed {
        let input = network.inputs[root][0]
        let taps = schedule.perChannel / network.shapes[input].channels
        pass.bind(
          value, view(input, first: element % schedule.perChannel / taps),
          blockStride: Pass.stride(network.shapes[input]))
      }
    }
  }

  private func external(_ value: Int) -> Arena.Memory? {
    value == lone.plan.cachedValue ? cache : kept[.fixed(value)]
  }

  private func at(
    _ memory: Arena.Memory?, _ batch: Int, _ value: Int
  ) -> UnsafeMutablePointer<Float>? {
    memory.map { $0 + batch * batches.blocks * Pass.stride(network.shapes[value]) }
  }

  private func testedChannel(_ batch: Int, _ root: Int) -> UnsafeMutablePointer<Float>? {
    kept[.tested].map { $0 + batch * batches.blocks * Pass.stride(lone.shape(root + 1)) }
  }
}

// MARK: Keeping a mini-batch's rest up to date

extension CPUSweep {
  /// Does the work that the schedule requires before a turn is judged.
  private func prepare(_ turn: SweepSchedule.Turn, _ parameters: Parameters) throws {
    if turn.isFirst { try computeFixed(turn.batch) }
    if let refresh = turn.refresh { try update(turn.batch, refresh, parameters) }
    try replay(turn, parameters)
  }

  private func update(
    _ batch: Int, _ refresh: SweepSchedule.Refresh, _ parameters: Parameters
  ) throws {
    let made =
      try refreshPasses[refresh.shape]
      ?? RefreshPass(lone, refresh.shape, kernels: kernels, blocks: batches.blocks)
    refreshPasses[refresh.shape] = made
    made.load(refresh.units, history, schedule, parameters, statistics)
    let pass = made.built.pass
    for (value, id) in made.externals {
      if let memory = at(external(value), batch, value) { pass.bind(id, memory) }
    }
    for (node, id) in made.rests { pass.bind(id, at(kept[.rest(node)], batch, node + 1)) }
    for (value, id) in made.placed { pass.bind(id, at(kept[.placed(value)], batch, value)) }
    if let root = lone.root, let id = made.tested { pass.bind(id, testedChannel(batch, root)) }
    try pass.run(batches.input(batch, candidates: 1), workers)
    upkeepMultiplyAdds += pass.multiplyAdds
  }

  /// Applies the turn's changes to the channel under test: `z += δ · shifted input`.
  private func replay(_ turn: SweepSchedule.Turn, _ parameters: Parameters) throws {
    guard !turn.changes.isEmpty, let root = lone.root else { return }
    let input = network.inputs[root][0]
    guard let z = testedChannel(turn.batch, root), let x = at(external(input), turn.batch, input)
    else { return }
    let shape = network.shapes[input]
    try replays.begin(
      x: x, z: z, window: network.window(of: root), inputs: shape.channels, area: shape.area,
      strides: (Pass.stride(shape), Pass.stride(lone.shape(root + 1))))
    history.changes(of: schedule.changes(of: turn), in: parameters, to: &replays.changes)
    replays.run(perChannel: schedule.perChannel, batches, workers)
    upkeepMultiplyAdds += turn.changes.count * lone.shape(root + 1).area
  }

  private func computeFixed(_ batch: Int) throws {
    guard let fixedPass else { return }
    for (value, id) in fixedTargets {
      if let memory = at(external(value), batch, value) { fixedPass.pass.bind(id, memory) }
    }
    try fixedPass.pass.run(batches.input(batch, candidates: 1), workers)
    upkeepMultiplyAdds += fixedPass.pass.multiplyAdds
  }
}
