/// What a cycle costs before it is run: multiply-adds and memory, as pure functions of the network, the
/// settings and the numbers of samples.
///
/// Multiply-adds are those of convolutions, linear layers and the one changed tap, each counted once,
/// with average pooling folded into the convolution before it (`Network.foldingAveragePools`). What an
/// engine computes twice to save memory is not counted, nor are batch norm, activations and pooling.
public struct CostModel: Hashable, Sendable {
  /// What one sweep of a cycle costs.
  public struct Sweep: Hashable, Sendable {
    /// The swept tensor.
    public let parameter: String
    /// Index into `Parameters.slots`.
    public let slot: Int
    /// One for every element.
    public let proposals: Int
    /// Multiply-adds of one candidate on one image: the changed tap over its channel, the mixing layers
    /// for one input channel, and every layer above them whole:
    ///
    ///     area + Σ mixing (multiply-adds / channels) + Σ whole multiply-adds
    ///
    /// The REFERENCE's 1.84 G for a cycle of MNIST is the sum of this over all elements.
    public let perImage: Int
    /// Candidates that are computed in the whole sweep: three for a proposal, two for a held one.
    public let candidates: Int
    /// Multiply-adds of all candidates: `candidates` · batch · `perImage`.
    public let judging: Int
    /// Multiply-adds of the whole sweep that keep the rests up to date: a first time for every
    /// mini-batch, and whenever a mini-batch comes round in another channel (`RestUpkeep`). On one
    /// mini-batch, for `u` channels of which `m` change the rest:
    ///
    ///     batch · (u · own layer / channels + m · Σ mixing (multiply-adds / channels))
    public let upkeep: Int
    /// Multiply-adds of the cache: all layers below the cached value for every sample of the order, and
    /// the statistics before it. Zero where the sweep before it left the cache.
    public let cache: Int
    /// Multiply-adds of the evaluation after the sweep: statistics, then the test set.
    public let evaluation: Int
    /// Bytes an engine holds during the sweep, beside the data.
    public let memory: Int

    /// Multiply-adds of one proposal on average over the sweep, the upkeep included.
    public var averagePerProposal: Double {
      Double(judging + upkeep) / Double(max(proposals, 1))
    }
    /// Multiply-adds of the sweep and the evaluation after it.
    public var total: Int { judging + upkeep + cache + evaluation }
  }

  /// The sweeps of one cycle in their order.
  public let sweeps: [Sweep]
  /// Bytes of the images and labels, in the data set and in the engine.
  public let dataMemory: Int

  /// Multiply-adds of one cycle.
  public var total: Int { sweeps.reduce(0) { $0 + $1.total } }
  /// Multiply-adds of all candidates of a cycle: what REFERENCE.md counts, times 3 · batch.
  public var judging: Int { sweeps.reduce(0) { $0 + $1.judging } }
  /// Bytes needed at most, the data included: the largest of every part, since the engine keeps the
  /// memory of one sweep for the next.
  public let memory: Int

  /// - Parameters:
  ///   - settings: the cycle is one with mini-batches of `settings.batchSize`.
  ///   - train: training samples.
  ///   - test: test samples.
  ///   - pixelSize: bytes of one pixel of one channel: 1, or 4 for floats.
  /// - Complexity: O(elements · channels), for the upkeep of the rests.
  public init(
    network: Network, settings: SearchSettings, train: Int, test: Int, pixelSize: Int = 1
  ) {
    let parameters = Parameters(zerosFor: network)
    // The slots of the folded network stand in the same order and name its nodes.
    let folded = network.foldingAveragePools()
    let slots = Parameters(zerosFor: folded).slots
    let layers = folded.multiplyAdds
    let forward = layers.reduce(0, +)
    let batches = max(train / max(settings.batchSize, 1), 1)
    let statistics = min(statisticsSamples, train) * forward
    let philox = Philox(seed: settings.seed)

    var sweeps: [Sweep] = []
    var memories: [MemoryModel] = []
    var previous: RSO.Sweep?
    for sweep in settings.sweeps(of: parameters, in: network) {
      let slot = slots[sweep.parameter]
      let cost = TensorCost(network: folded, slot: slot)
      let order =
        settings.elementOrder == .rowMajor
        ? nil
        : philox.permutation(
          .elementOrder, cycle: 0, tensor: sweep.key(sweep.parameter), count: slot.count)
      let turns = Turns(settings.hold, of: slot, batches: batches)
      let perBatch = cost.upkeep(turns, order: order)
      let held = (0..<slot.count).count(where: turns.isHeld)
      let candidates = 3 * slot.count - held
      let sharesCache = previous?.group == sweep.group && previous?.round == sweep.round
      let below = layers[..<cost.lone.plan.cachedValue].reduce(0, +)
      let memory = MemoryModel(
        network: folded, lone: cost.lone, batch: settings.batchSize, batches: batches)
      memories.append(memory)
      sweeps.append(
        Sweep(
          parameter: slot.name, slot: sweep.parameter, proposals: slot.count,
          perImage: cost.perImage, candidates: candidates,
          judging: candidates * settings.batchSize * cost.perImage,
          upkeep: perBatch * settings.batchSize,
          cache: sharesCache ? 0 : below * batches * settings.batchSize + statistics,
          evaluation: statistics + forward * test,
          memory: memory.total
            + MemoryModel.statistics(folded, samples: min(statisticsSamples, train))))
      previous = sweep
    }
    self.sweeps = sweeps
    // The images are held by the data set and, again, by the engine.
    dataMemory =
      (train + test) * (2 * network.input.count * pixelSize + MemoryLayout<Int32>.size)
    memory =
      dataMemory + MemoryModel.statistics(folded, samples: min(statisticsSamples, train))
      + (memories.map(\.cache).max() ?? 0) + (memories.map(\.kept).max() ?? 0)
      + (memories.map(\.passes).max() ?? 0)
  }
}

/// Multiply-adds of one tensor's tests, for one image.
package struct TensorCost {
  let lone: LoneChannel
  private let slot: Parameters.Slot
  /// Of one candidate.
  package let perImage: Int
  /// Computing one lone channel at the bottom, and mixing it into the rests.
  private let perChannel: (own: Int, mixing: Int)
  /// Whether it is a convolution's or linear layer's weights that are swept.
  var isWeight: Bool { slot.role == .weight }
  /// What is the same for the whole sweep, once per mini-batch.
  private let fixed: Int
  /// Making up for one change of the channel under test.
  private let perChange: Int

  package init(network: Network, slot: Parameters.Slot) {
    let plan = SweepPlan(network: network, sweeping: slot.node)
    let lone = LoneChannel(network: network, plan: plan)
    let layers = network.multiplyAdds
    func sum(_ role: SweepPlan.Role) -> Int {
      network.nodes.indices.reduce(0) { $0 + (plan.roles[$1] == role ? layers[$1] : 0) }
    }
    let mixing = sum(.mixing) / lone.channels
    let own = lone.root.map { layers[$0] / lone.channels } ?? 0
    let area = slot.role == .weight ? network.shapes[slot.node + 1].area : 0
    self.lone = lone
    self.slot = slot
    perImage = area + mixing + sum(.whole)
    perChannel = (own, mixing)
    fixed = sum(.fixed)
    perChange = area
  }

  /// Before one proposal, for one image.
  package func upkeep(_ visit: RestUpkeep.Visit) -> Int {
    switch visit {
    case .fresh: lone.channels * perChannel.own + (lone.channels - 1) * perChannel.mixing
    case .update(let units, let mixed): units * perChannel.own + mixed * perChannel.mixing
    case .replay(let changes): changes * perChange
    }
  }

  /// The whole sweep, for one image of every mini-batch.
  ///
  /// - Parameter order: of the elements; `nil`: as they stand.
  package func upkeep(_ turns: Turns, order: [Int32]? = nil) -> Int {
    var rests = RestUpkeep(channels: lone.channels, elements: slot.count, batches: turns.batches)
    var sum = fixed * min(turns.batches, (slot.count + turns.hold - 1) / turns.hold)
    for turn in 0..<slot.count {
      let element = order.map { Int($0[turn]) } ?? turn
      sum += upkeep(rests.visit(element, batch: turns.batch(turn)))
    }
    return sum
  }
}

/// Bytes that `CPUEngine` allocates for the sweep of one tensor.
///
/// A value takes (elements + 1) · 4 bytes per sample, in whole blocks of 16 samples.
struct MemoryModel {
  /// The cached value of all mini-batches.
  let cache: Int
  /// Rests, placed and fixed values and the channel under test, of all mini-batches.
  let kept: Int
  /// What the passes over one mini-batch keep between batch norms: of judging, three candidates of every
  /// layer that is computed whole; of making a rest, the lone channels.
  let passes: Int

  var total: Int { cache + kept + passes }

  init(network: Network, lone: LoneChannel, batch: Int, batches: Int) {
    let blocks = (batch + Kernels.block - 1) / Kernels.block
    func bytes(_ shape: Shape) -> Int { Pass.stride(shape) * blocks * MemoryLayout<Float>.size }
    let plan = lone.plan
    cache = bytes(network.shapes[plan.cachedValue]) * batches

    var values = lone.mixing.map { network.shapes[$0 + 1] } + lone.placed.map { network.shapes[$0] }
    var fixed = Set(lone.fixed)
    if let root = lone.root {
      values.append(lone.shape(root + 1))
      fixed.insert(network.inputs[root][0])
    }
    fixed.remove(plan.cachedValue)
    values += fixed.map { network.shapes[$0] }
    kept = values.reduce(0) { $0 + bytes($1) } * batches

    var passes = 0
    for (node, role) in plan.roles.enumerated() where Self.isKept(node, in: network) {
      switch role {
      case .whole: passes += 3 * bytes(network.shapes[node + 1])
      case .fixed: passes += bytes(network.shapes[node + 1])
      default: break
      }
    }
    if let root = lone.root, Self.isKept(root, in: network), !lone.mixing.isEmpty {
      passes += bytes(network.shapes[root + 1])
    }
    self.passes = passes
  }

  /// What the pass for batch norm's statistics keeps.
  static func statistics(_ network: Network, samples: Int) -> Int {
    let blocks = (samples + Kernels.block - 1) / Kernels.block
    return network.nodes.indices.filter { isKept($0, in: network) }.reduce(0) {
      $0 + Pass.stride(network.shapes[$1 + 1]) * blocks * MemoryLayout<Float>.size
    }
  }

  /// Whether a layer's output is kept from one batch norm to the next: it is dear, and a batch norm
  /// follows.
  static func isKept(_ node: Int, in network: Network) -> Bool {
    guard network.nodes[node].layer.mixesChannels,
      network.multiplyAdds[node] > 16 * network.shapes[node + 1].count
    else { return false }
    return network.nodes.indices.dropFirst(node + 1).contains {
      if case .batchNorm = network.nodes[$0].layer { true } else { false }
    }
  }
}
