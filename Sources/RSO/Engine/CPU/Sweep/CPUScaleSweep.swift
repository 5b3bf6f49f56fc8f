/// Tests the scales of one tensor on the CPU. A candidate changes a whole channel or all of them, so each is a pass of
/// its own over all layers above the cache.
final class CPUScaleSweep {
  private let tensor: Int
  private let cachedValue: Int
  private let network: Network
  private let built: NetworkPass
  private let input: Pass.ValueID
  /// `[samples][width]`, if the objective needs them.
  private let outputs: Buffer<Float>?
  private let batches: Batches
  private let cache: Arena.Memory
  private let order: SampleOrder
  private let train: Split
  private let objective: Objective
  private let workers: Workers

  /// - Parameters:
  ///   - tensor: the index of the tensor's slot.
  ///   - cache: the cached value of all mini-batches.
  init(
    of tensor: Int, network: Network, plan: SweepPlan, statistics: BatchNormStatistics,
    batches: Batches, cache: Arena.Memory, order: SampleOrder, train: Split, objective: Objective,
    kernels: Kernels, workers: Workers
  ) throws {
    (self.tensor, self.network, self.batches, self.cache) = (tensor, network, batches, cache)
    (self.order, self.train, self.objective, self.workers) = (order, train, objective, workers)
    cachedValue = plan.cachedValue
    let built = NetworkPass(
      network, lanes: .samples, kernels: kernels, blockCapacity: batches.blocks)
    input = built.pass.bound(network.shapes[cachedValue])
    built.values[cachedValue] = input
    try built.append(cachedValue..<network.nodes.count)
    outputs = try built.values[network.nodes.count].flatMap {
      try built.pass.append(objective, of: $0, samples: batches.own)
    }
    try built.pass.compile()
    built.use(statistics)
    self.built = built
  }

  /// Judges one proposal and sets the scale that it decides on.
  func judge(
    _ proposal: Proposal, by rule: inout SweepRule, _ parameters: inout Parameters
  ) throws -> Decision {
    built.pass.bind(
      input,
      cache + proposal.batch * batches.blocks * Pass.stride(network.shapes[cachedValue]))
    var losses = ShortList<Double>()
    for candidate in proposal.candidates {
      var changed = parameters
      changed.set(.scales, proposal.element, of: tensor, to: candidate)
      built.load(changed)
      let found = try objective.values(
        of: built.pass.run(batches.input(proposal.batch, candidates: 1), workers),
        candidates: 1, samples: batches.size, workers: workers,
        batches.outputs(
          outputs, candidates: 1, width: network.classes, of: order.batch(proposal.batch), train))
      for loss in found { losses.append(loss) }
    }
    let decision = try Decision(
      on: proposal, losses: losses, by: &rule, parameter: parameters.slots[tensor].scaleName)
    take(decision.value, for: proposal, &parameters)
    return decision
  }

  /// Sets the scale that was decided on.
  func take(_ value: Float, for proposal: Proposal, _ parameters: inout Parameters) {
    parameters.set(.scales, proposal.element, of: tensor, to: value)
  }
}
