import CRSO

/// The fast engine: executes a `SweepPlan` exactly, in single precision, with SIMD kernels and threads.
///
/// Sums run over fixed chunks of samples, which are added in double precision in a fixed tree (`Reduction`). So the
/// results have the same bits for any number of threads and processes.
package final class CPUEngine: Engine {
  package private(set) var statistics = BatchNormStatistics()
  /// The network that is computed: each average pooling is folded into the convolution before it.
  private let network: Network
  private let data: Dataset
  private let kernels: Kernels
  private let workers: Workers
  private let reduction: Reduction
  private let objective: Objective
  /// The caller's weights; their slots name the nodes of the caller's network.
  private let original: Parameters
  /// The current weights; their slots name the nodes of `network`.
  private var current: Parameters
  private let images: (train: ImageMemory, validation: ImageMemory?, test: ImageMemory)
  private let pixels: Buffer<Float>
  /// `[channels]`, both.
  private let scaling: (mean: Buffer<Float>, deviation: Buffer<Float>)

  private var statisticsPass: (built: NetworkPass, batches: Batches)?
  private var evaluationPasses: [EvaluatedSplit: EvaluationPass] = [:]
  /// Whether `statistics` are those of the current weights.
  private var areStatisticsCurrent = false
  private var cache: Cache?
  /// Memory for the values that a sweep keeps for every mini-batch.
  private let arena = Arena()
  private var sweep: CPUSweep?
  /// The current sweep, if it is one of scales.
  private var scaleSweep: CPUScaleSweep?

  /// One value's activations for all samples of one order.
  private struct Cache {
    var value: Int
    var group: Int?
    var order: SampleOrder
    var batches: Batches
    var buffer: Buffer<Float>
    var isCurrent: Bool
  }

  /// - Parameters:
  ///   - kernels: `nil` selects the fastest.
  ///   - reduction: determines this process's samples. Every process has the whole data set and gets the same calls.
  package init(
    network: Network, data: Dataset, parameters: Parameters, threads: Int,
    objective: Objective = .crossEntropy, kernels: Kernels? = nil, reduction: Reduction = .alone
  ) throws {
    self.reduction = reduction
    self.objective = objective
    self.network = network.foldingAveragePools()
    self.data = data
    self.kernels = try kernels ?? Kernels.preferred()
    workers = try Workers(threads: threads)
    original = parameters
    current = Parameters(zerosFor: self.network)
    (current.values, current.scales) = (parameters.values, parameters.scales)
    images = (
      try ImageMemory(data.train.images), try data.validation.map { try ImageMemory($0.images) },
      try ImageMemory(data.test.images)
    )
    pixels = try Buffer(data.normalization.table(for: data.train.images))
    scaling = try (Buffer(data.normalization.mean), Buffer(data.normalization.deviation))
  }

  package var parameters: Parameters {
    get {
      var parameters = original
      (parameters.values, parameters.scales) = (current.values, current.scales)
      return parameters
    }
    set {
      (current.values, current.scales) = (newValue.values, newValue.scales)
      areStatisticsCurrent = false
      (sweep, scaleSweep) = (nil, nil)
      cache?.isCurrent = false
    }
  }

  package func beginSweep(of parameter: Int, _ part: Sweep.Part, order: SampleOrder) throws {
    (sweep, scaleSweep) = (nil, nil)
    let slot = current.slots[parameter]
    let plan = SweepPlan(network: network, sweeping: slot.node)
    let isCached =
      cache.map {
        $0.isCurrent && $0.value == plan.cachedValue && $0.group == plan.group
          && $0.order == order
      } ?? false
    try renewStatistics()
    if !isCached { try renewCache(plan, order) }
    guard let cache else { return }
    guard part == .elements else {
      scaleSweep = try CPUScaleSweep(
        of: parameter, network: network, plan: plan, statistics: statistics,
        batches: cache.batches, cache: cache.buffer.pointer, order: order, train: data.train,
        objective: objective, kernels: kernels, workers: workers)
      return
    }
    sweep = try CPUSweep(
      network: network, plan: plan, slot: slot, parameters: current, statistics: statistics,
      batches: cache.batches, cache: cache.buffer.pointer, arena: arena, order: order,
      train: data.train, objective: objective, kernels: kernels, workers: workers)
  }

  package func judge(
    _ proposals: ArraySlice<Proposal>, by rule: inout SweepRule
  ) throws -> [Decision] {
    if let scaleSweep {
      areStatisticsCurrent = false
      return try proposals.untilStopped { try scaleSweep.judge($0, by: &rule, &current) }
    }
    guard let sweep else { throw RSOError("judge", "no sweep was begun") }
    // An error ends the sweep but keeps the weights decided so far.
    self.sweep = nil
    areStatisticsCurrent = false
    let decisions = try proposals.untilStopped { try sweep.judge($0, by: &rule, &current) }
    if decisions.count == proposals.count { self.sweep = sweep }
    return decisions
  }

  package func resumeSweep(
    after proposals: ArraySlice<Proposal>, values: [Float], lastLoss: Double?
  ) throws {
    if let scaleSweep {
      areStatisticsCurrent = false
      for (proposal, value) in zip(proposals, values) {
        scaleSweep.take(value, for: proposal, &current)
      }
      return
    }
    guard let sweep else { throw RSOError("resumeSweep", "no sweep was begun") }
    self.sweep = nil
    areStatisticsCurrent = false
    for (number, (proposal, value)) in zip(proposals, values).enumerated() {
      try sweep.take(
        value, for: proposal, loss: number == values.count - 1 ? lastLoss : nil, &current)
    }
    self.sweep = sweep
  }

  /// The cost of this sweep's proposals so far.
  package var parts: [ProposalPart] { sweep?.parts ?? [] }

  /// Multiply-adds per image that this sweep has spent so far on keeping rests and fixed values up to date.
  package var upkeepMultiplyAdds: Int { sweep?.upkeepMultiplyAdds ?? 0 }

  package func evaluate(_ split: EvaluatedSplit) throws -> Evaluation {
    try renewStatistics()
    return try evaluate(split, with: statistics)
  }

  /// A pass over a whole split.
  private struct EvaluationPass {
    var built: NetworkPass
    var batches: Batches
    /// `[samples][width]`, if the objective or its measures need them.
    var outputs: Buffer<Float>?
  }

  private func makeEvaluationPass(_ samples: Split) throws -> EvaluationPass {
    let batches = try Batches(
      (0..<Int32(samples.count)).map { $0 }, size: samples.count, of: samples,
      reduction: reduction)
    let built = try inputPass(to: network.nodes.count, batches, usesRunningStatistics: true)
    var outputs: Buffer<Float>?
    if let logits = built.values[network.nodes.count] {
      outputs = try built.pass.append(
        objective, of: logits, samples: batches.own,
        needsOutputs: !objective.isCrossEntropy)
    }
    try built.pass.compile()
    return EvaluationPass(built: built, batches: batches, outputs: outputs)
  }

  package func evaluate(
    _ split: EvaluatedSplit, with statistics: BatchNormStatistics
  ) throws -> Evaluation {
    let samples = try data.samples(split)
    if self.statistics != statistics {
      (self.statistics, areStatisticsCurrent) = (statistics, false)
    }
    let pass = try evaluationPasses[split] ?? makeEvaluationPass(samples)
    evaluationPasses[split] = pass
    pass.built.load(current)
    pass.built.use(statistics)
    let images =
      switch split {
      case .train: images.train
      case .validation: images.validation ?? images.test
      case .test: images.test
      }
    let batches = pass.batches
    var input = try imageInput(batches.input(0, candidates: 1), images)
    let predicted = try Buffer<Int32>(batches.samples.count)
    input.predicted = predicted.pointer
    let sums = try pass.built.pass.run(input, workers)
    guard let outputs = pass.outputs else {
      var confusion = Evaluation.confusion(classes: network.classes)
      var counts = [Int](repeating: 0, count: network.classes * network.classes)
      for place in 0..<batches.samples.count where batches.samples.pointer[place] >= 0 {
        let label = samples.labels[Int(batches.samples.pointer[place])]
        counts[Int(label) * network.classes + Int(predicted.pointer[place])] += 1
      }
      for (place, count) in try reduction.total(counts).enumerated() {
        confusion[place / network.classes][place % network.classes] = count
      }
      return Evaluation(count: samples.count, loss: sums[0], confusion: confusion)
    }
    let own = Array(
      UnsafeBufferPointer(start: outputs.pointer, count: batches.own * network.classes))
    return try objective.evaluation(
      sum: sums,
      Outputs(
        reduction.collect(own, rows: 1), candidates: 1, width: network.classes,
        of: (0..<Int32(samples.count)).map { $0 }, in: split, samples))
  }

  package func keep(_ statistics: BatchNormStatistics) {
    (self.statistics, areStatisticsCurrent) = (statistics, true)
  }

  /// A pass from the images to `value`.
  private func inputPass(
    to value: Int, _ batches: Batches, blocks: Int? = nil, usesRunningStatistics: Bool
  ) throws -> NetworkPass {
    let built = NetworkPass(
      network, lanes: .samples, kernels: kernels, blockCapacity: blocks ?? batches.blocks,
      usesRunningStatistics: usesRunningStatistics)
    built.values[0] = built.pass.append(.load, shape: network.input)
    try built.append(0..<value)
    return built
  }

  private func imageInput(_ input: Pass.Input, _ images: ImageMemory) -> Pass.Input {
    var input = input
    input.images =
      switch images {
      case .bytes(let bytes):
        .bytes(UnsafePointer(bytes.pointer), table: UnsafePointer(pixels.pointer))
      case .floats(let floats):
        .floats(
          UnsafePointer(floats.pointer), mean: UnsafePointer(scaling.mean.pointer),
          deviation: UnsafePointer(scaling.deviation.pointer))
      }
    return input
  }

  /// Computes the running statistics in one pass over the first samples, which normalises with their own statistics.
  ///
  /// A sweep begins with statistics of its weights, even on a cache that is still right: batch norm's origins come from
  /// them, so a resumed run has the bits of one that was not stopped.
  private func renewStatistics() throws {
    if areStatisticsCurrent { return }
    let (built, batches) =
      try statisticsPass
      ?? {
        let count = min(statisticsSamples, data.train.count)
        let batches = try Batches(
          (0..<Int32(count)).map { $0 }, size: count, of: data.train,
          reduction: reduction)
        let built = try inputPass(
          to: network.nodes.count, batches, usesRunningStatistics: false)
        try built.pass.compile()
        return (built, batches)
      }()
    statisticsPass = (built, batches)
    built.load(current)
    var found = BatchNormStatistics()
    try built.pass.run(imageInput(batches.input(0, candidates: 1), images.train), workers) { norm in
      found.moments[norm.node] = .init(mean: norm.mean, variance: norm.variance)
    }
    (statistics, areStatisticsCurrent) = (found, true)
  }

  private func renewCache(_ plan: SweepPlan, _ order: SampleOrder) throws {
    let batches = try Batches(
      order.samples, size: order.batchSize, of: data.train, reduction: reduction)
    let shape = network.shapes[plan.cachedValue]
    let floats = Pass.stride(shape) * batches.count * batches.blocks
    // Reuse the largest buffer so far: freeing and allocating gigabytes takes seconds.
    let old = cache?.buffer
    cache = nil
    let buffer = try old.flatMap { $0.count >= floats ? $0 : nil } ?? Buffer<Float>(floats)

    let built = NetworkPass(
      network, lanes: .samples, kernels: kernels,
      blockCapacity: batches.blocks * batches.count, usesRunningStatistics: true)
    let target = built.pass.bound(shape)
    built.pass.bind(target, buffer.pointer)
    if plan.cachedValue == 0 {
      built.pass.append(.load, shape: shape, into: target)
    } else {
      built.values[0] = built.pass.append(.load, shape: network.input)
      try built.append(0..<plan.cachedValue)
      built.pass.append(
        .activate(.identity), built.values[plan.cachedValue], shape: shape, into: target)
    }
    try built.pass.compile()
    built.load(current)
    built.use(statistics)
    try built.pass.run(imageInput(batches.everything(), images.train), workers)
    cache = Cache(
      value: plan.cachedValue, group: plan.group, order: order, batches: batches, buffer: buffer,
      isCurrent: true)
  }
}
