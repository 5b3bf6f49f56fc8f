/// The cost of a cycle before it runs, in multiply-adds and memory: pure functions of the network, the settings and the
/// numbers of samples.
///
/// The model counts the multiply-adds of convolutions, linear layers and the changed tap, each once, with average
/// pooling folded into the convolution before it (`Network.foldingAveragePools`). It does not count what an engine
/// computes twice to save memory, nor batch norm, activations and pooling.
public struct CostModel: Hashable, Sendable {
  /// The cost of one sweep of a cycle.
  public struct Sweep: Hashable, Sendable {
    /// The swept tensor.
    public let parameter: String
    /// Index into `Parameters.slots`.
    public let slot: Int
    /// Whether it searches the tensor's scales, not its elements.
    public let isOfScales: Bool
    /// One proposal per element, or per scale.
    public let proposals: Int
    /// Multiply-adds of one candidate on one image: the changed tap on its channel, the depthwise convolutions of that
    /// channel, the mixing layers for one input channel, and all layers above them in full:
    ///
    ///     area + Σ (depthwise, mixing) (multiply-adds / channels) + Σ whole multiply-adds
    ///
    /// Summed over all elements, this is 1.84 G for a cycle of MNIST. For a scale, it is all layers above the cache.
    public let perImage: Int
    /// Candidates that the whole sweep computes: three per proposal, or two if the loss of the current value is known
    /// or unused (`Proposal.Baseline`).
    public let candidates: Int
    /// Multiply-adds of all candidates: `candidates` · batch · `perImage`.
    public let judging: Int
    /// Multiply-adds that keep the rests up to date over the whole sweep: on the first turn of every mini-batch, and
    /// whenever a mini-batch comes round again in another channel (`SweepSchedule`). On one mini-batch, for `u`
    /// channels of which `m` change the rest:
    ///
    ///     batch · (u · own layer / channels + m · Σ mixing (multiply-adds / channels))
    public let upkeep: Int
    /// Multiply-adds of the cache: all layers below the cached value for every sample of the order, and the statistics
    /// before it. Zero if the previous sweep left the cache.
    public let cache: Int
    /// Multiply-adds of the evaluation after the sweep: statistics, then the validation set, or the test set if there is
    /// none.
    public let evaluation: Int
    /// Bytes an engine holds during the sweep, without the data.
    public let memory: Int

    /// Average multiply-adds of one proposal over the sweep, including the upkeep.
    public var averagePerProposal: Double {
      Double(judging + upkeep) / Double(max(proposals, 1))
    }
    /// Multiply-adds of the sweep and the evaluation after it.
    public var total: Int { CostModel.sum([judging, upkeep, cache, evaluation]) }
  }

  /// The sweeps of one cycle, in order.
  public let sweeps: [Sweep]
  /// Bytes of the images and labels, in the data set and in the engine.
  public let dataMemory: Int

  /// Multiply-adds of one cycle.
  public var total: Int { Self.sum(sweeps.map(\.total)) }
  /// Multiply-adds of all candidates of a cycle: batch · Σ (`candidates` · `perImage`) over the sweeps.
  public var judging: Int { Self.sum(sweeps.map(\.judging)) }
  /// The most bytes needed, including the data: the sum of each part's maximum, since the engine reuses the memory of
  /// one sweep for the next.
  public let memory: Int

  /// The cost of a cycle of a search on `data`.
  public init(network: Network, settings: SearchSettings, data: Dataset) {
    self.init(
      network: network, settings: settings, train: data.train.count,
      validation: data.validation?.count ?? 0, test: data.test.count,
      pixelSize: data.train.images.size)
  }

  /// - Parameters:
  ///   - network: the network to search.
  ///   - settings: the cycle has mini-batches of `settings.batchSize` and rounds of `settings.round`.
  ///   - train: number of training samples.
  ///   - validation: number of validation samples, which are not among the training samples.
  ///   - test: number of test samples.
  ///   - pixelSize: bytes of one pixel of one channel: 1, or 4 for floats.
  /// - Complexity: O(elements · channels), for the upkeep of the rests.
  public init(
    network: Network, settings: SearchSettings, train: Int, validation: Int = 0, test: Int,
    pixelSize: Int = 1
  ) {
    // The slots of the folded network have the same order and name its nodes.
    let folded = network.foldingAveragePools()
    var parameters = Parameters(zerosFor: folded)
    settings.spreadScales(of: &parameters, in: folded)
    let layers = folded.multiplyAdds
    let forward = layers.reduce(0, +)
    let allBatches = max(train / max(settings.batchSize, 1), 1)
    let statistics = Self.times(min(statisticsSamples, train), forward)
    let philox = Philox(seed: settings.seed)

    var sweeps: [Sweep] = []
    var memories: [CPUMemory] = []
    var previous: RSO.Sweep?
    let plan = settings.sweeps(of: Parameters(zerosFor: network), in: network)
    for (number, sweep) in plan.enumerated() {
      let slot = sweep.slot(in: parameters)
      let batches = min(allBatches, settings.batches(of: sweep, in: plan, parameters))
      let cost = TensorCost(network: folded, slot: slot)
      let order =
        settings.elementOrder == .rowMajor
        ? nil
        : philox.permutation(
          .elementOrder, cycle: 0, tensor: sweep.key(sweep.parameter), count: slot.count)
      let turns = Turns(
        settings.hold, round: settings.round, rule: settings.rule(of: slot), of: slot,
        batches: batches)
      let isOfScales = sweep.part == .scales
      let perBatch = isOfScales ? 0 : cost.upkeep(turns, order: order)
      let fewer = isOfScales ? 0 : (0..<slot.count).count { turns.baseline($0) != .computed }
      let candidates = (isOfScales ? 3 : slot.domain.candidates) * slot.count - fewer
      let perImage =
        isOfScales ? layers[cost.lone.plan.cachedValue...].reduce(0, +) : cost.perImage
      let isEvaluated = settings.evaluations == .tensor || number == plan.count - 1
      let sharesCache = previous?.group == sweep.group && previous?.repetition == sweep.repetition
      let below = layers[..<cost.lone.plan.cachedValue].reduce(0, +)
      let memory = CPUMemory(
        network: folded, lone: cost.lone, batch: settings.batchSize, batches: batches)
      memories.append(memory)
      sweeps.append(
        Sweep(
          parameter: slot.name, slot: sweep.parameter, isOfScales: isOfScales,
          proposals: slot.count,
          perImage: perImage, candidates: candidates,
          judging: Self.times(candidates, settings.batchSize, perImage),
          upkeep: Self.times(perBatch, settings.batchSize),
          cache: sharesCache
            ? 0 : Self.sum([Self.times(below, batches, settings.batchSize), statistics]),
          evaluation: isEvaluated
            ? Self.sum([statistics, Self.times(forward, validation > 0 ? validation : test)]) : 0,
          memory: memory.total
            + CPUMemory.statistics(folded, samples: min(statisticsSamples, train))))
      previous = sweep
    }
    self.sweeps = sweeps
    // Both the data set and the engine hold the images.
    dataMemory =
      (train + validation + test) * (2 * network.input.count * pixelSize + MemoryLayout<Int32>.size)
    memory =
      dataMemory + CPUMemory.statistics(folded, samples: min(statisticsSamples, train))
      + (memories.map(\.cache).max() ?? 0) + (memories.map(\.kept).max() ?? 0)
      + (memories.map(\.passes).max() ?? 0)
  }

  // A network at its bounds, with many samples, needs more multiply-adds than an integer holds.

  /// The product, or the largest integer.
  private static func times(_ factors: Int...) -> Int { product(of: factors) ?? .max }

  /// The sum, or the largest integer.
  fileprivate static func sum(_ terms: [Int]) -> Int {
    terms.reduce(0) { sum, term in
      let (next, overflow) = sum.addingReportingOverflow(term)
      return overflow ? .max : next
    }
  }
}
