import CRSO

/// Builds the launches of some of a network's layers on one mini-batch, and allocates memory for their results.
///
/// It needs no card: addresses are numbers (`AddressSpace`) and launches are values.
final class CUDAPass {
  /// Which channels a value has, and so where batch norm's γ and β come from.
  enum Channels {
    case all
    /// The channels of the turn's lone channel.
    case lone
    /// The channels of that many lone channels in the list of units.
    case units(Int)
  }

  let network: Network
  let parameters: Parameters
  let board: CUDABoard
  let weights: CUDAWeights
  private let space: AddressSpace
  /// Number of samples in the mini-batch.
  let count: Int
  /// The swept tensor.
  let swept: Parameters.Slot?
  /// The number of turns that are judged together, and of candidates to compute for each and for all of them.
  let group: Int
  let each: Int
  var candidates: Int { group * each }
  /// The number of a proposal's candidates, of which the pass may compute fewer. Blocks are cut for these, so that no
  /// sum depends on how many are computed.
  let proposed: Int
  /// Batch norm uses running statistics instead of the samples' own.
  private let usesRunningStatistics: Bool
  /// The samples' own statistics are also stored as the running ones.
  var keepsStatistics = false
  /// New values are kept in 16 bits where something bounds them, except for the network's outputs.
  var keepsHalves = false
  /// The current layer's result is the network's.
  private var isLast = false

  /// Values of the network that are available.
  var values: [Int: DeviceValue] = [:]
  private(set) var launches: [CUDALaunch] = []
  /// Temporary values of the current layer, whose memory its result must not reuse.
  private var held: [AddressSpace.Piece] = []
  /// Memory that lives as long as the pass.
  private var kept: [AddressSpace.Piece] = []

  /// - Parameters:
  ///   - candidates: of each turn.
  ///   - group: turns.
  init(
    network: Network, parameters: Parameters, board: CUDABoard, weights: CUDAWeights,
    space: AddressSpace, count: Int, swept: Parameters.Slot? = nil, candidates: Int = 1,
    group: Int = 1, proposed: Int? = nil, usesRunningStatistics: Bool = false
  ) {
    self.network = network
    self.parameters = parameters
    self.board = board
    self.weights = weights
    self.space = space
    self.count = count
    self.swept = swept
    each = candidates
    self.group = group
    self.proposed = proposed ?? candidates
    self.usesRunningStatistics = usesRunningStatistics
  }

  /// Number of samples, including padding.
  var samples: Int { Self.padded(count) }
  static func padded(_ count: Int) -> Int {
    let lanes = rso_gpu_quad
    return (count + lanes - 1) / lanes * lanes
  }

  /// The most bytes in use at any time.
  var workBytes: Int { space.peak }

  /// The branch that launches are appended to; `nil`: the main stream.
  var branch: Int?

  func append(_ launch: CUDALaunch) {
    var launch = launch
    launch.branch = branch
    launches.append(launch)
  }

  /// Appends nodes in order. Values that no later node of these reads are freed, except those in `keeping`.
  func append(_ nodes: [Int], keeping: Set<Int>) {
    var readers: [Int: Int] = [:]
    for node in nodes { for value in network.inputs[node] { readers[value, default: 0] += 1 } }
    for node in nodes {
      let inputs = network.inputs[node].compactMap { values[$0] }
      values[node + 1] = layer(node, inputs[0], inputs.count > 1 ? inputs[1] : nil)
      for value in network.inputs[node] {
        readers[value, default: 1] -= 1
        if readers[value] == 0, !keeping.contains(value) { values[value] = nil }
      }
    }
  }

  /// Computes a node from `x` (and `b`).
  ///
  /// - Parameter channels: `.all` for a node that mixes channels.
  func layer(
    _ node: Int, _ x: DeviceValue, _ b: DeviceValue? = nil, channels: Channels = .all
  ) -> DeviceValue {
    isLast = node == network.nodes.count - 1
    defer { (held, isLast) = ([], false) }
    let output = network.shapes[node + 1]
    let x = network.nodes[node].layer.mixesChannels ? x : unboxed(x)
    let spatial = Shape(channels: x.shape.channels, height: output.height, width: output.width)
    let slide = network.slide(of: node)
    switch network.nodes[node].layer {
    case .conv2d, .linear:
      return convolution(
        x, to: output, slide, weightsOf: node,
        bias: board.parameter(parameters.slot(node: node, .bias)), needsSums: isNormed(node),
        bound: bound(of: node, reading: x))
    case .depthwiseConv2d: return depthwise(node, x, to: spatial, slide, channels)
    case .batchNorm(let epsilon): return norm(node, plain(x), epsilon, channels)
    case .activation(let activation):
      var y = x.activation == nil ? x : plain(x)
      y.activation = activation
      y.sums = nil
      y.bound = y.bound.map(activation.bound)
      return activation.isAppliedByReaders ? y : plain(y)
    case .averagePool(let kernel, let stride, let padding):
      if kernel == 2, stride == 1, x.box == nil, isBoxed(node, padding, x.shape) {
        var y = x
        y.shape = spatial
        y.box = .init(shape: x.shape, padding: padding)
        y.sums = nil
        return y
      }
      return pool(x, to: spatial, slide, maximum: false)
    case .maxPool: return pool(x, to: spatial, slide, maximum: true)
    case .globalMaxPool: return poolImages(x, maximum: true)
    case .globalAveragePool: return poolImages(x, maximum: false)
    case .flatten:
      var y = x.shape.area == 1 ? x : plain(x)
      y.shape = Shape(channels: x.shape.count)
      return y
    case .add: return b.map { add(x, unboxed($0)) } ?? x
    }
  }

  /// Whether a batch norm with the samples' own statistics reads the output of a node.
  func isNormed(_ node: Int) -> Bool {
    guard !usesRunningStatistics else { return false }
    return readers(of: node + 1).contains { network.nodes[$0].layer.takesStatistics }
  }

  func readers(of value: Int) -> [Int] {
    network.nodes.indices.filter { network.inputs[$0].contains(value) }
  }

  /// Allocates a value for that many candidates.
  ///
  /// - Parameter bound: what no number will exceed in magnitude, if that is known.
  func value(_ shape: Shape, candidates: Int = 1, bound: Float? = nil) -> DeviceValue {
    let size = shape.count * samples
    let unit = keepsHalves && !isLast ? bound.map(HalfFactors.unit) : nil
    let piece =
      unit == nil
      ? space.take(size * candidates, Float.self) : space.take(size * candidates, UInt16.self)
    return DeviceValue(
      shape: shape, address: piece.address, candidates: candidates, unit: unit ?? 0,
      candidateStride: candidates > 1 ? size : 0, bound: board.precision.keepsHalves ? bound : nil,
      pieces: [piece])
  }

  /// What no output of a layer with weights exceeds in magnitude, if its inputs are bounded and batch norm alone reads it.
  /// Without batch norm in between, the bound would grow far beyond the numbers from layer to layer.
  ///
  /// - Complexity: O(weights)
  func bound(of node: Int, reading x: DeviceValue) -> Float? {
    guard board.precision.keepsHalves, isNormed(node), let most = x.bound,
      readers(of: node + 1).allSatisfy({ network.nodes[$0].layer.takesStatistics }),
      let slot = parameters.slot(node: node, .weight)
    else { return nil }
    let row = slot.count / slot.shape[0]
    let biases = parameters.slot(node: node, .bias).map { parameters.values[$0.range] }
    return (0..<slot.shape[0]).reduce(0) { largest, output in
      let first = slot.offset + output * row
      let sum = parameters.values[first..<first + row].reduce(0) { $0 + $1.magnitude }
      let bias = biases.map { $0[$0.startIndex + output].magnitude } ?? 0
      return max(largest, sum * most + bias)
    }
  }

  func scratch<Element>(_ count: Int, _ type: Element.Type) -> UInt64 {
    let piece = space.take(count, type)
    kept.append(piece)
    return piece.address
  }

  /// Keeps a value's memory until the current layer is done.
  func hold(_ value: DeviceValue) -> DeviceValue {
    held += value.pieces
    return value
  }
}

// MARK: Launches

extension CUDAPass {
  /// The numbers as readers see them, written out if they are not stored that way.
  func plain(_ x: DeviceValue) -> DeviceValue {
    if x.isPlain { return x }
    if x.box != nil { return unboxed(x) }
    let y = hold(value(x.shape, candidates: x.candidates, bound: x.bound))
    copy(x, to: y)
    return y
  }

  /// The stored numbers with the averages written out. This applies the map as well if there is something to average.
  func unboxed(_ x: DeviceValue) -> DeviceValue {
    guard let box = x.box else { return x }
    var whole = x
    whole.box = nil
    whole.shape = box.shape
    return hold(
      pool(
        whole, to: x.shape,
        rso_gpu_slide(box.shape, x.shape, kernel: 2, stride: 1, padding: box.padding),
        maximum: false))
  }

  /// Copies all channels of `x`, or those of units, to all channels of `y`, those of units or the turn's channel.
  func copy(
    _ x: DeviceValue, to y: DeviceValue, channels: Int? = nil, candidates: Int? = nil,
    width: Int = 1,
    fromUnits: Bool = false, toUnits: Bool = false, toLone: Bool = false
  ) {
    let channels = channels ?? x.shape.channels
    let x = unboxed(x)
    append(
      .overPlaces(
        .copy, samples: samples, area: x.shape.area,
        planes: channels * (candidates ?? x.candidates),
        rso_gpu_copy(
          turn: board.turn, x: x.operand, y: y.target, from: fromUnits ? board.units : 0,
          to: toUnits ? board.units : 0, samples: Int32(samples), area: Int32(x.shape.area),
          channels: Int32(channels), width: Int32(width), to_lone: toLone ? 1 : 0)))
  }

  private func pool(
    _ x: DeviceValue, to output: Shape, _ slide: rso_gpu_slide, maximum: Bool
  ) -> DeviceValue {
    let y = value(output, candidates: x.candidates, bound: x.bound)
    append(
      .overPlaces(
        .pool, samples: samples, area: output.area, planes: output.channels * x.candidates,
        rso_gpu_pool(
          turn: board.turn, x: x.operand, y: y.target, window: slide, samples: Int32(samples),
          channels: Int32(output.channels), maximum: maximum ? 1 : 0)))
    return y
  }

  private func poolImages(_ x: DeviceValue, maximum: Bool) -> DeviceValue {
    let y = value(Shape(channels: x.shape.channels), candidates: x.candidates)
    var arguments = rso_gpu_pool()
    arguments.turn = board.turn
    arguments.x = x.operand
    arguments.y = y.target
    arguments.window.height = Int32(x.shape.height)
    arguments.window.width = Int32(x.shape.width)
    arguments.samples = Int32(samples)
    arguments.maximum = maximum ? 1 : 0
    append(
      CUDALaunch(
        .poolImages, grid: ((samples + 31) / 32, x.shape.channels, x.candidates),
        block: (rso_gpu_threads, 1), arguments))
    return y
  }

  private func add(_ a: DeviceValue, _ b: DeviceValue) -> DeviceValue {
    let candidates = max(a.candidates, b.candidates)
    let bound = a.bound.flatMap { bound in b.bound.map { bound + $0 } }
    let y = value(a.shape, candidates: candidates, bound: bound)
    append(
      .overPlaces(
        .add, samples: samples, area: a.shape.area, planes: a.shape.channels * candidates,
        rso_gpu_add(
          turn: board.turn, a: a.operand, b: b.operand, y: y.target, samples: Int32(samples),
          area: Int32(a.shape.area), channels: Int32(a.shape.channels))))
    return y
  }

  /// Batch norm as a map that the readers of `x` apply.
  private func norm(
    _ node: Int, _ x: DeviceValue, _ epsilon: Double, _ channels: Channels
  ) -> DeviceValue {
    let scale = parameters.slot(node: node, .scale)
    let shift = parameters.slot(node: node, .shift)
    let count = x.shape.channels
    var gamma = board.parameter(scale)
    var beta = board.parameter(shift)
    var width = 0
    var sweptRole: Int32 = 0
    switch channels {
    case .all: break
    case .lone:
      width = count
      if swept?.node == node { sweptRole = swept?.role == .scale ? 1 : 2 }
    case .units(let units):
      gamma = rows(of: scale, units: units, width: count / units)
      beta = rows(of: shift, units: units, width: count / units)
    }
    let statistics = board.statistics + UInt64(network.statisticsOffset(of: node) * 8)
    let candidates = sweptRole == 0 ? x.candidates : self.candidates
    var settle = rso_gpu_settle()
    settle.turn = board.turn
    settle.gamma = gamma
    settle.beta = beta
    settle.scale = scratch(candidates * count, Float.self)
    settle.offset = scratch(candidates * count, Float.self)
    settle.epsilon = epsilon
    settle.values = Double(self.count * x.shape.area)
    settle.channels = Int32(count)
    settle.partial_candidates = Int32(x.candidates)
    settle.width = Int32(width)
    settle.swept = sweptRole
    settle.each = Int32(each)
    if usesRunningStatistics || keepsStatistics {
      settle.mean = statistics
      settle.variance = statistics + UInt64(count * 8)
    }
    if !usesRunningStatistics, let sums = x.sums {
      settle.chunks = Int32(sums.chunks)
      settle.partial = sums.partial
    } else if !usesRunningStatistics {
      let chunk = rso_gpu_chunk
      let chunks = (x.shape.area * samples + chunk - 1) / chunk
      settle.chunks = Int32(chunks)
      settle.partial = scratch(x.candidates * count * chunks * 2, Double.self)
      append(
        CUDALaunch(
          .moments, grid: (chunks, count, x.candidates), block: (rso_gpu_threads, 1),
          rso_gpu_moments(
            turn: board.turn, x: x.operand, partial: settle.partial, samples: Int32(samples),
            count: Int32(self.count), area: Int32(x.shape.area), channels: Int32(count),
            chunks: Int32(chunks))))
    }
    append(
      CUDALaunch(
        .settle, grid: (count, candidates, 1), block: (rso_gpu_threads, 1), settle))
    var y = x
    y.sums = nil
    y.candidates = candidates
    y.scale = settle.scale
    y.offset = settle.offset
    y.affineStride = candidates > 1 ? count : 0
    y.bound = nil
    if !usesRunningStatistics, swept?.node != node {
      // n numbers of mean 0 and variance 1 are at most √n.
      let most = Float(settle.values.squareRoot())
      let (gammas, betas) = (
        scale.map { parameters.values[$0.range] }, shift.map { parameters.values[$0.range] }
      )
      y.bound = zip(gammas ?? [], betas ?? []).reduce(0) {
        max($0, $1.0.magnitude * most + $1.1.magnitude)
      }
    }
    return y
  }
}
