import CRSO

/// Builds a pass from the layers of a network and loads their weights.
final class NetworkPass {
  let network: Network
  let pass: Pass
  /// Whether batch norms use running statistics instead of the statistics of the pass's samples.
  let usesRunningStatistics: Bool
  /// The pass's value for each value of the network.
  var values: [Int: Pass.ValueID] = [:]
  private var weighted: [(node: Int, set: SetWeights, bias: Buffer<Float>)] = []
  /// Parameters of all channels of a layer, which `load` sets.
  private var whole: [any ChannelParameters] = []
  /// Parameters of lone channels, which the code that builds the pass sets.
  private(set) var lone: [any ChannelParameters] = []
  /// The layer on a lone channel whose parameters differ between candidates.
  var swept: Int?
  /// The nodes that read each value.
  private let readers: [[Int]]
  /// For each node: the bytes it reads, if it can be computed in integers.
  private let bytes: [Network.Bytes?]
  private let grids: [Network.Grid?]

  init(
    _ network: Network, lanes: Pass.Lanes, kernels: Kernels, blockCapacity: Int,
    usesRunningStatistics: Bool = false
  ) {
    self.network = network
    self.usesRunningStatistics = usesRunningStatistics
    pass = Pass(lanes: lanes, kernels: kernels, blockCapacity: blockCapacity)
    var readers = network.shapes.map { _ in [Int]() }
    for (node, inputs) in network.inputs.enumerated() {
      for value in Set(inputs) { readers[value].append(node) }
    }
    self.readers = readers
    grids = network.grids
    bytes = kernels.hasIntegers ? network.bytesOfIntegerLayers : network.nodes.map { _ in nil }
  }

  /// Appends the nodes that are not yet in the pass. Their inputs must be in the pass.
  func append(_ nodes: some Sequence<Int>) throws {
    for node in nodes where !covered.contains(node) {
      let inputs = network.inputs[node].compactMap { values[$0] }
      try append(node, inputs[0], inputs.count > 1 ? inputs[1] : nil)
    }
  }

  /// Nodes in the pass, including nodes whose work an earlier node's step does.
  private(set) var covered: Set<Int> = []

  /// Appends a node that reads `x` (and `b`).
  ///
  /// A batch norm also covers the activation or the global max pooling that follows it.
  ///
  /// - Parameter alone: `x` holds only some channels of the node's input; not allowed for a node that mixes.
  func append(
    _ node: Int, _ x: Pass.ValueID, _ b: Pass.ValueID? = nil, alone: Bool = false
  ) throws {
    guard !covered.contains(node) else { return }
    let shape = pass.values[x].shape
    let output = network.shapes[node + 1]
    let window = network.window(of: node)
    let spatial = Shape(channels: shape.channels, height: output.height, width: output.width)
    let flat = Shape(channels: shape.channels)
    var last = node
    let y: Pass.ValueID
    switch network.nodes[node].layer {
    case .conv2d, .linear: y = try convolution(node, x, window)
    case .depthwiseConv2d:
      y = pass.append(try depthwise(node, x, window, alone: alone), x, shape: spatial)
    case .batchNorm(let epsilon):
      let norm = try self.norm(node, x, epsilon, alone: alone)
      let reader = readers[node + 1].count == 1 ? readers[node + 1][0] : nil
      if let reader, case .activation(let activation) = network.nodes[reader].layer {
        last = reader
        y = pass.append(.normalize(norm: norm, activation.kernel), x, shape: shape)
      } else if let reader, network.nodes[reader].layer == .globalMaxPool {
        // The map is monotone, so its largest output comes from the largest or the smallest input.
        last = reader
        let extremes = pass.append(.extremes, x, shape: Shape(channels: 2 * shape.channels))
        y = pass.append(.normalizeExtremes(norm: norm), extremes, shape: flat)
      } else {
        y = pass.append(.normalize(norm: norm, .identity), x, shape: shape)
      }
    case .activation(let activation):
      y = pass.append(.activate(activation.kernel), x, shape: shape)
    case .averagePool: y = pass.append(.averagePool(window), x, shape: spatial)
    case .maxPool: y = pass.append(.maxPool(window), x, shape: spatial)
    case .globalMaxPool: y = pass.append(.globalMax, x, shape: flat)
    case .globalAveragePool: y = pass.append(.globalAverage, x, shape: flat)
    case .flatten:
      y = pass.append(.activate(.identity), x, shape: Shape(channels: shape.count))
    case .add: y = pass.append(.add, x, b, shape: shape)
    }
    covered.formUnion([node, last])
    values[last + 1] = y
  }

  private func convolution(
    _ node: Int, _ x: Pass.ValueID, _ window: rso_window
  ) throws -> Pass.ValueID {
    let output = network.shapes[node + 1]
    let bias = try Buffer<Float>(output.channels)
    let (operation, set) = try convolution(
      node, window, inputs: pass.values[x].shape.channels, outputs: output.channels, bias: bias)
    weighted.append((node, set, bias))
    return pass.append(operation, x, shape: output)
  }

  /// Sets weights in the parameters' layout, `[out][in][taps]`, given the number of outputs.
  typealias SetWeights = (_ outputs: Int, _ values: ArraySlice<Float>) -> Void

  /// A convolution of a node's inputs, or some of them, that starts from a bias, by the fastest algorithm.
  func convolution(
    _ node: Int, _ window: rso_window, inputs: Int, outputs: Int, bias: Buffer<Float>
  ) throws -> (Pass.Operation, SetWeights) {
    if let bytes = bytes[node], IntegerWeights.suits(window, inputs: inputs, outputs: outputs) {
      let weights = try IntegerWeights(
        window, inputs: inputs, outputs: outputs,
        levels: network.nodes[node].weights.levels.upperBound, reading: bytes)
      return (.integers(weights), weights.set)
    }
    // Winograd's algorithm would round what is exact, and a step behind it could take another level.
    let isExact =
      bytes[node] != nil || usesRunningStatistics && network.nodes[node].weights.isDiscrete
    guard !isExact, WinogradWeights.suits(window, inputs: inputs, outputs: outputs) else {
      return try directConvolution(window, inputs: inputs, outputs: outputs, bias: bias)
    }
    let weights = try WinogradWeights(
      outputs: outputs, inputs: inputs, stride: Int(window.stride))
    let operation = Pass.Operation.winograd(
      window, weights: UnsafePointer(pass.own(weights.buffer)),
      bias: UnsafePointer(pass.own(bias)), inputs: inputs)
    return (operation, weights.set)
  }

  /// A convolution that starts from a bias or from a rest.
  func directConvolution(
    _ window: rso_window, inputs: Int, outputs: Int, bias: Buffer<Float>
  ) throws -> (Pass.Operation, SetWeights) {
    let weights = try PackedWeights(
      outputs: outputs, inputs: inputs, taps: Int(window.kernel * window.kernel))
    let operation = Pass.Operation.convolution(
      window, weights: UnsafePointer(pass.own(weights.buffer)),
      bias: UnsafePointer(pass.own(bias)), inputs: inputs)
    return (operation, weights.set)
  }

  /// The weights that mix one channel of a node's input; `nil` if there is no kernel.
  func mixing(_ node: Int) throws -> MixingWeights? {
    try MixingWeights(
      network.window(of: node), outputs: network.shapes[node + 1].channels, reading: bytes[node])
  }

  private func depthwise(
    _ node: Int, _ x: Pass.ValueID, _ window: rso_window, alone: Bool
  ) throws -> Pass.Operation {
    let weights = try DepthwiseWeights(
      node: node, channels: pass.values[x].shape.channels,
      taps: Int(window.kernel * window.kernel),
      candidates: alone && node == swept ? pass.candidates : 1)
    if alone { lone.append(weights) } else { whole.append(weights) }
    return .depthwise(
      window, weights: UnsafePointer(pass.own(weights.weights)),
      bias: UnsafePointer(pass.own(weights.bias)), candidates: weights.candidates)
  }

  private func norm(
    _ node: Int, _ x: Pass.ValueID, _ epsilon: Double, alone: Bool
  ) throws -> Int {
    let level = usesRunningStatistics ? 0 : pass.values[x].level + 1
    let shape = pass.values[x].shape
    let norm = try Norm(
      node: node, channels: shape.channels, epsilon: epsilon, level: level,
      candidates: pass.candidates,
      chunkCapacity: pass.chunkCapacity, area: shape.area,
      isExact: grids[network.inputs[node][0]] != nil)
    pass.norms.append(norm)
    if alone { lone.append(norm) } else { whole.append(norm) }
    if !usesRunningStatistics { pass.appendSum(.moments(norm: pass.norms.count - 1), of: x) }
    return pass.norms.count - 1
  }

  // MARK: Weights

  /// Loads the weights of all layers that the pass computes whole.
  func load(_ parameters: Parameters) {
    for (node, set, bias) in weighted {
      if let slot = parameters.slot(node: node, .weight) {
        set(slot.shape[0], parameters.values[slot.range])
      }
      if let slot = parameters.slot(node: node, .bias) {
        bias.set(parameters.values[slot.range])
      }
    }
    for part in whole { part.load(parameters) { parameters.values[$0.range] } }
  }

  /// Normalises with these statistics; a pass that computes its own statistics sums around their means instead.
  func use(_ statistics: BatchNormStatistics) {
    for case let norm as Norm in whole {
      guard let moments = statistics.moments[norm.node] else { continue }
      if usesRunningStatistics {
        norm.use(moments)
      } else {
        norm.setOrigin(mean: moments.mean[...], variance: moments.variance[...])
      }
    }
  }
}

extension Buffer<Float> {
  func set(_ values: ArraySlice<Float>) {
    for (index, value) in values.enumerated() { pointer[index] = value }
  }
}
