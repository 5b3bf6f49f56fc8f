import CRSO

/// The tests of one tensor's elements on the CPU: what is kept for every mini-batch, and how a proposal
/// is judged with it.
final class CPUSweep {
  private let network: Network
  private let lone: LoneChannel
  private let batches: Batches
  private let cache: Arena.Memory
  private let statistics: BatchNormStatistics
  private let kernels: Kernels
  private let workers: Workers
  private var history: SweepHistory

  private var judgePass: JudgePass?
  private var refreshPasses: [RefreshKey: RefreshPass] = [:]
  private struct RefreshKey: Hashable {
    var count: Int
    var mixed: Int
    var fresh: Bool
  }

  /// Kept for all mini-batches, `[batches][blocks]`: the rests by mixing node, the placed values, the
  /// fixed values by number, and the root's channel under test.
  private var rests: [Int: Arena.Memory] = [:]
  private var fulls: [Int: Arena.Memory] = [:]
  private var fixed: [Int: Arena.Memory] = [:]
  private let tested: Arena.Memory?
  /// What each mini-batch's kept values are good for: all channels but `channel`, at `time`.
  private var kept: [(channel: Int, time: Int)?]
  private let fixedPass: NetworkPass?
  private var fixedTargets: [Int: Pass.ValueID] = [:]
  private var loadedChannel: Int?
  /// Spent on rests, fixed values and the channel under test.
  private var upkeepSeconds = 0.0
  private let replays: Replays
  /// The loss of the weights as they are, where the last decision kept a candidate.
  private var lastLoss: Double?
  /// What was decided in the round that is on.
  private var pending: [(element: Int, value: Float)] = []

  init(
    network: Network, plan: SweepPlan, slot: Parameters.Slot, parameters: Parameters,
    statistics: BatchNormStatistics, batches: Batches, cache: Arena.Memory, arena: Arena,
    kernels: Kernels, workers: Workers
  ) throws {
    let lone = LoneChannel(network: network, plan: plan)
    self.network = network
    self.lone = lone
    self.batches = batches
    self.cache = cache
    self.statistics = statistics
    self.kernels = kernels
    self.workers = workers
    history = SweepHistory(
      slot: slot, channels: lone.channels, values: parameters.values[slot.range])
    kept = Array(repeating: nil, count: batches.count)
    replays = Replays(kernels)

    // The root's input belongs to what is fixed, whether or not anything else reads it.
    var needed = Set(lone.fixed)
    if let root = lone.root { needed.insert(network.inputs[root][0]) }
    needed.remove(plan.cachedValue)

    let whole = lone.mixing.map { $0 + 1 } + lone.placed + needed
    let shapes = whole.map { network.shapes[$0] } + (lone.root.map { [lone.shape($0 + 1)] } ?? [])
    func floats(_ shape: Shape) -> Int { Pass.stride(shape) * batches.blocks * batches.count }
    try arena.reset(count: shapes.map(floats).reduce(0, +))
    func room(_ shape: Shape) throws -> Arena.Memory { try arena.take(floats(shape)) }
    for node in lone.mixing { rests[node] = try room(network.shapes[node + 1]) }
    for value in lone.placed { fulls[value] = try room(network.shapes[value]) }
    tested = try lone.root.map { try room(lone.shape($0 + 1)) }

    if needed.isEmpty {
      fixedPass = nil
    } else {
      let built = NetworkPass(
        network, lanes: .samples, kernels: kernels, blockCapacity: batches.blocks)
      let input = built.pass.bound(network.shapes[plan.cachedValue])
      built.values[plan.cachedValue] = input
      fixedTargets[plan.cachedValue] = input
      try built.append(network.nodes.indices.filter { plan.roles[$0] == .fixed })
      for value in needed.sorted() {
        let shape = network.shapes[value]
        fixed[value] = try room(shape)
        let target = built.pass.bound(shape)
        fixedTargets[value] = target
        built.pass.append(
          .activate(rso_identity), built.values[value], shape: shape, into: target)
      }
      try built.pass.compile()
      built.load(parameters)
      built.use(statistics)
      fixedPass = built
    }
  }

  /// Judges one proposal; with the last of a round, takes the round's decisions into `parameters`.
  func judge(
    _ proposal: Proposal, by rule: inout SweepRule, _ parameters: inout Parameters
  ) throws -> Decision {
    let slot = history.slot
    let batch = proposal.batch
    let channel = history.channel(of: proposal.element)
    let start = ContinuousClock.now
    try refresh(batch: batch, channel: channel, parameters)
    upkeepSeconds += (ContinuousClock.now - start) / .seconds(1)

    let known = proposal.isHeld ? lastLoss : nil
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
      perChannel: history.perChannel)
    bind(judge, batch: batch, channel: channel, element: proposal.element)
    let computed = try judge.built.pass.run(
      batches.input(batch, results: judge.candidates), workers, candidates: candidates.count)
    var losses = ShortList<Double>()
    if let known { losses.append(known) }
    for loss in computed { losses.append(loss) }
    let decision = try Decision(on: proposal, losses: losses, by: &rule, parameter: slot.name)
    pending.append((proposal.element, decision.value))
    let isAlone = proposal.endsRound && pending.count == 1
    let isCandidate = decision.value == proposal.candidates[decision.choice]
    lastLoss = isAlone && isCandidate ? decision.losses[decision.choice] : nil
    if proposal.endsRound { endRound(&parameters) }
    return decision
  }

  private func endRound(_ parameters: inout Parameters) {
    for (element, value) in pending {
      parameters.values[history.slot.offset + element] = value
      history.record(element)
    }
    pending.removeAll(keepingCapacity: true)
  }

  /// What the proposals so far have cost, in parts: the upkeep, whose multiply-adds differ from one to the
  /// next, then the passes over the mini-batch.
  var parts: [ProposalPart] {
    [ProposalPart(steps: "upkeep", multiplyAdds: 0, seconds: upkeepSeconds)]
      + (judgePass?.built.pass.parts ?? [])
  }

  private func makeJudge(_ candidates: Int, _ parameters: Parameters) throws -> JudgePass {
    judgePass = nil
    let judge = try JudgePass(
      lone, sweeping: history.slot, candidates: candidates, kernels: kernels,
      blocks: batches.blocks)
    judge.built.load(parameters)
    judge.built.use(statistics)
    judgePass = judge
    return judge
  }

  private func bind(_ judge: JudgePass, batch: Int, channel: Int, element: Int) {
    let pass = judge.built.pass
    for (node, value) in judge.rests { pass.bind(value, at(rests[node], batch, node + 1)) }
    for (network, value) in judge.fulls { pass.bind(value, at(fulls[network], batch, network)) }
    for (network, value) in judge.wholeExternals {
      pass.bind(value, at(external(network), batch, network))
    }
    /// One lone channel of a value that holds them all.
    func view(_ value: Int, first: Int) -> UnsafeMutablePointer<Float>? {
      at(external(value), batch, value).map {
        $0 + first * network.shapes[value].area * Kernels.block
      }
    }
    for (network, value) in judge.loneExternals {
      pass.bind(
        value, view(network, first: channel * lone.unit(network)),
        blockStride: Pass.stride(self.network.shapes[network]))
    }
    if let root = lone.root, let value = judge.tested {
      pass.bind(value, testedChannel(batch, root))
      if let value = judge.changed {
        let input = network.inputs[root][0]
        let taps = history.perChannel / network.shapes[input].channels
        pass.bind(
          value, view(input, first: element % history.perChannel / taps),
          blockStride: Pass.stride(network.shapes[input]))
      }
    }
  }

  private func external(_ value: Int) -> Arena.Memory? {
    value == lone.plan.cachedValue ? cache : fixed[value]
  }

  private func at(
    _ memory: Arena.Memory?, _ batch: Int, _ value: Int
  ) -> UnsafeMutablePointer<Float>? {
    memory.map { $0 + batch * batches.blocks * Pass.stride(network.shapes[value]) }
  }

  private func testedChannel(_ batch: Int, _ root: Int) -> UnsafeMutablePointer<Float>? {
    tested.map { $0 + batch * batches.blocks * Pass.stride(lone.shape(root + 1)) }
  }
}

// MARK: Keeping a mini-batch's rest up to date

extension CPUSweep {
  /// Makes what is kept for `batch` hold all channels but `channel`, as they are now.
  private func refresh(batch: Int, channel: Int, _ parameters: Parameters) throws {
    let now = history.now
    defer { kept[batch] = (channel, now) }
    guard let state = kept[batch] else {
      try computeFixed(batch)
      return try update(batch, fresh: true, units: allUnits(but: channel, now), parameters)
    }
    if state.channel == channel, history.isOnly(channel, since: state.time) {
      return try replay(batch, channel, since: state.time, parameters)
    }
    var stale = history.changedChannels(since: state.time)
    // A changed weight of the root is made up for on what it makes; nothing else changes that but a bias.
    let mustRedo =
      stale.contains(channel) && history.slot.node == lone.root && history.slot.role != .weight
    stale.insert(state.channel)
    stale.remove(channel)
    // What the rest holds of a channel was computed with the weights of `state.time`.
    var units: [RefreshPass.Unit] = []
    for c in stale.sorted() {
      if c != state.channel {
        units.append(RefreshPass.Unit(channel: c, time: state.time, sign: -1))
      }
      units.append(RefreshPass.Unit(channel: c, time: now, sign: 1))
    }
    if channel != state.channel {
      units.append(RefreshPass.Unit(channel: channel, time: state.time, sign: -1))
    }
    // As it was taken out, so it is tested.
    let isTakenOut = channel != state.channel && !mustRedo
    if !isTakenOut { units.append(RefreshPass.Unit(channel: channel, time: now, sign: 0)) }
    if units.count >= lone.channels {
      try update(batch, fresh: true, units: allUnits(but: channel, now), parameters)
    } else {
      try update(batch, fresh: false, units: units, parameters)
      if isTakenOut { try replay(batch, channel, since: state.time, parameters) }
    }
  }

  private func allUnits(but channel: Int, _ now: Int) -> [RefreshPass.Unit] {
    (0..<lone.channels).filter { $0 != channel }.map {
      RefreshPass.Unit(channel: $0, time: now, sign: 1)
    } + [RefreshPass.Unit(channel: channel, time: now, sign: 0)]
  }

  private func update(
    _ batch: Int, fresh: Bool, units: [RefreshPass.Unit], _ parameters: Parameters
  ) throws {
    let mixed = units.count - (units.last?.sign == 0 ? 1 : 0)
    let key = RefreshKey(count: units.count, mixed: mixed, fresh: fresh)
    let refresh =
      try refreshPasses[key]
      ?? RefreshPass(
        lone, count: units.count, mixed: mixed, fresh: fresh, kernels: kernels,
        blocks: batches.blocks)
    refreshPasses[key] = refresh
    refresh.load(units, history, parameters, statistics)
    let pass = refresh.built.pass
    for (value, id) in refresh.externals {
      if let memory = at(external(value), batch, value) { pass.bind(id, memory) }
    }
    for (node, id) in refresh.rests { pass.bind(id, at(rests[node], batch, node + 1)) }
    for (value, id) in refresh.fulls { pass.bind(id, at(fulls[value], batch, value)) }
    if let root = lone.root, let id = refresh.tested { pass.bind(id, testedChannel(batch, root)) }
    try pass.run(batches.input(batch, results: 1), workers)
  }

  /// Brings the channel under test up to date: `z += δ · shifted input` for every change since `time`.
  private func replay(_ batch: Int, _ channel: Int, since time: Int, _ parameters: Parameters)
    throws
  {
    guard let root = lone.root, history.slot.node == root, history.slot.role == .weight else {
      return
    }
    let input = network.inputs[root][0]
    guard let z = testedChannel(batch, root), let x = at(external(input), batch, input) else {
      return
    }
    let shape = network.shapes[input]
    try replays.begin(
      x: x, z: z, window: lone.network.window(of: root), inputs: shape.channels, area: shape.area,
      strides: (Pass.stride(shape), Pass.stride(lone.shape(root + 1))))
    history.changes(of: channel, since: time, in: parameters, to: &replays.changes)
    replays.run(perChannel: history.perChannel, batches, workers)
  }

  private func computeFixed(_ batch: Int) throws {
    guard let fixedPass else { return }
    for (value, id) in fixedTargets {
      if let memory = at(external(value), batch, value) { fixedPass.pass.bind(id, memory) }
    }
    try fixedPass.pass.run(batches.input(batch, results: 1), workers)
  }
}
