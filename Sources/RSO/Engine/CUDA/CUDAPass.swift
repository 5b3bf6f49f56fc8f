import CRSO

/// Builds the launches of some of a network's layers on one mini-batch, and finds room for what they make.
///
/// It asks no card: addresses are numbers (`AddressSpace`), launches are values.
final class CUDAPass {
  /// What the channels of lone values are, and so where batch norm's γ and β come from.
  enum Channels {
    case all
    /// Those of the turn's lone channel.
    case lone
    /// Those of so many lone channels in the list of units.
    case units(Int)
  }

  let network: Network
  let parameters: Parameters
  let board: CUDABoard
  let weights: CUDAWeights
  private let space: AddressSpace
  /// Samples of the mini-batch.
  let count: Int
  /// What is swept, and the candidates of each of its elements.
  private let swept: Parameters.Slot?
  private let candidates: Int
  /// Batch norm on running statistics instead of the samples' own.
  private let usesRunningStatistics: Bool
  /// Own statistics are also kept as the running ones.
  var keepsStatistics = false

  /// Values of the network that are at hand.
  var values: [Int: DeviceValue] = [:]
  private(set) var launches: [CUDALaunch] = []
  /// Keeps temporary values apart from what is made of them.
  private var held: [AddressSpace.Piece] = []
  /// What lives as long as the pass.
  private var kept: [AddressSpace.Piece] = []

  init(
    network: Network, parameters: Parameters, board: CUDABoard, weights: CUDAWeights,
    space: AddressSpace, count: Int, swept: Parameters.Slot? = nil, candidates: Int = 1,
    usesRunningStatistics: Bool = false
  ) {
    self.network = network
    self.parameters = parameters
    self.board = board
    self.weights = weights
    self.space = space
    self.count = count
    self.swept = swept
    self.candidates = candidates
    self.usesRunningStatistics = usesRunningStatistics
  }

  /// Samples with their padding.
  var samples: Int { Self.padded(count) }
  static func padded(_ count: Int) -> Int {
    let lanes = rso_gpu_lanes
    return (count + lanes - 1) / lanes * lanes
  }

  /// The most bytes that were in use.
  var workBytes: Int { space.peak }

  func append(_ launch: CUDALaunch) { launches.append(launch) }

  /// Appends nodes in order; values that none of them reads any more give their room back, but for `keeping`.
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

  /// What a node makes of `x` (and of `b`).
  ///
  /// - Parameter channels: `.all` for a node that mixes channels.
  func layer(
    _ node: Int, _ x: DeviceValue, _ b: DeviceValue? = nil, channels: Channels = .all
  ) -> DeviceValue {
    defer { held = [] }
    let output = network.shapes[node + 1]
    let spatial = Shape(channels: x.shape.channels, height: output.height, width: output.width)
    func pooled(_ slide: rso_gpu_slide, maximum: Bool) -> DeviceValue {
      pool(x, to: spatial, slide, maximum: maximum)
    }
    func slide(_ kernel: Int, _ stride: Int, _ padding: Int) -> rso_gpu_slide {
      rso_gpu_slide(x.shape, output, kernel: kernel, stride: stride, padding: padding)
    }
    let everything = rso_gpu_slide(
      height: Int32(x.shape.height), width: Int32(x.shape.width), out_height: 1, out_width: 1,
      kernel_height: Int32(x.shape.height), kernel_width: Int32(x.shape.width), stride: 1,
      padding: 0)
    switch network.nodes[node].layer {
    case .conv2d, .linear:
      return convolution(
        x, to: output, network.slide(of: node), weights: weights.packed(node, self),
        bias: board.parameter(parameters.slot(node: node, .bias)))
    case .batchNorm(let epsilon): return norm(node, plain(x), epsilon, channels)
    case .activation(let activation):
      var y = x.activation == rso_identity ? x : plain(x)
      y.activation = activation.kernel
      return y
    case .averagePool(let kernel, let stride, let padding):
      return pooled(slide(kernel, stride, padding), maximum: false)
    case .maxPool(let kernel, let stride, let padding):
      return pooled(slide(kernel, stride, padding), maximum: true)
    case .globalMaxPool: return pooled(everything, maximum: true)
    case .globalAveragePool: return pooled(everything, maximum: false)
    case .flatten:
      var y = x.shape.area == 1 ? x : plain(x)
      y.shape = Shape(channels: x.shape.count)
      return y
    case .add: return b.map { add(x, $0) } ?? x
    }
  }

  /// Room for a value with so many results.
  func value(_ shape: Shape, results: Int = 1) -> DeviceValue {
    let size = shape.count * samples
    let piece = space.take(size * results, Float.self)
    return DeviceValue(
      shape: shape, address: piece.address, results: results, resultStride: results > 1 ? size : 0,
      pieces: [piece])
  }

  private func scratch<Element>(_ count: Int, _ type: Element.Type) -> UInt64 {
    let piece = space.take(count, type)
    kept.append(piece)
    return piece.address
  }

  /// Keeps a value's memory until the layer at hand is done.
  private func hold(_ value: DeviceValue) -> DeviceValue {
    held += value.pieces
    return value
  }
}

// MARK: Launches

extension CUDAPass {
  /// The numbers as they are read, written out unless they are.
  func plain(_ x: DeviceValue) -> DeviceValue {
    if x.isPlain { return x }
    let y = hold(value(x.shape, results: x.results))
    copy(x, to: y)
    return y
  }

  /// Copies `x`, all its channels or those of units, to `y`, to all its channels, those of units or of the turn's.
  func copy(
    _ x: DeviceValue, to y: DeviceValue, channels: Int? = nil, results: Int? = nil, unit: Int = 1,
    fromUnits: Bool = false, toUnits: Bool = false, toLone: Bool = false
  ) {
    let channels = channels ?? x.shape.channels
    append(
      .overPlaces(
        .copy, samples: samples, area: x.shape.area, planes: channels * (results ?? x.results),
        rso_gpu_copy(
          turn: board.turn, x: x.operand, y: y.target, from: fromUnits ? board.units : 0,
          to: toUnits ? board.units : 0, samples: Int32(samples), area: Int32(x.shape.area),
          channels: Int32(channels), unit: Int32(unit), to_lone: toLone ? 1 : 0)))
  }

  /// A convolution or linear layer.
  ///
  /// - Parameters:
  ///   - weights: `[rows][taps][padded outputs]`.
  ///   - rest: what to start from instead of the bias.
  ///   - units: the inputs are those of lone channels, so many channels of each; nil: all of them.
  ///   - into: where to write; else room is found.
  func convolution(
    _ x: DeviceValue, to output: Shape, _ slide: rso_gpu_slide, weights: UInt64, bias: UInt64 = 0,
    rest: DeviceValue? = nil, inputs: Int? = nil, unit: Int = 1, fromUnits: Bool = false,
    isLone: Bool = false, into: DeviceValue? = nil
  ) -> DeviceValue {
    var x = x
    // These cost more than the multiply-adds of the taps that would each compute them anew.
    if [rso_sigmoid, rso_tanh].contains(x.activation), slide.kernel_width > 1 { x = plain(x) }
    let y = into ?? value(output, results: x.results)
    let padded = CUDAWeights.padded(output.channels)
    let tile = padded % 16 == 0 ? 16 : 4
    let kernel: CUDAKernel =
      switch (tile, slide.kernel_width) {
      case (16, 3): .convolve16_3
      case (16, 1): .convolve16_1
      case (16, _): .convolve16
      default: .convolve4
      }
    append(
      .overPlaces(
        kernel, samples: samples, area: output.area, planes: padded / tile * x.results,
        rso_gpu_convolve(
          turn: board.turn, x: x.operand, rest: rest?.operand ?? rso_gpu_operand(), bias: bias,
          weights: weights, units: fromUnits ? board.units : 0, y: y.target, window: slide,
          samples: Int32(samples), inputs: Int32(inputs ?? x.shape.channels),
          outputs: Int32(output.channels), padded_outputs: Int32(padded),
          unit: Int32(unit), lone: isLone ? 1 : 0)))
    return y
  }

  private func pool(
    _ x: DeviceValue, to output: Shape, _ slide: rso_gpu_slide, maximum: Bool
  ) -> DeviceValue {
    let y = value(output, results: x.results)
    append(
      .overPlaces(
        .pool, samples: samples, area: output.area, planes: output.channels * x.results,
        rso_gpu_pool(
          turn: board.turn, x: x.operand, y: y.target, window: slide, samples: Int32(samples),
          channels: Int32(output.channels), maximum: maximum ? 1 : 0)))
    return y
  }

  private func add(_ a: DeviceValue, _ b: DeviceValue) -> DeviceValue {
    let results = max(a.results, b.results)
    let y = value(a.shape, results: results)
    append(
      .overPlaces(
        .add, samples: samples, area: a.shape.area, planes: a.shape.channels * results,
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
    var unit = 0
    var sweptRole: Int32 = 0
    switch channels {
    case .all: break
    case .lone:
      unit = count
      if swept?.node == node { sweptRole = swept?.role == .scale ? 1 : 2 }
    case .units(let units):
      gamma = rows(of: scale, units: units, width: count / units)
      beta = rows(of: shift, units: units, width: count / units)
    }
    let statistics = board.statistics + UInt64(network.statisticsOffset(of: node) * 8)
    let results = sweptRole == 0 ? x.results : candidates
    var settle = rso_gpu_settle()
    settle.turn = board.turn
    settle.gamma = gamma
    settle.beta = beta
    settle.scale = scratch(results * count, Float.self)
    settle.offset = scratch(results * count, Float.self)
    settle.epsilon = epsilon
    settle.values = Double(self.count * x.shape.area)
    settle.channels = Int32(count)
    settle.partial_results = Int32(x.results)
    settle.unit = Int32(unit)
    settle.swept = sweptRole
    if usesRunningStatistics || keepsStatistics {
      settle.mean = statistics
      settle.variance = statistics + UInt64(count * 8)
    }
    if !usesRunningStatistics {
      let chunk = rso_gpu_chunk
      let chunks = (x.shape.area * samples + chunk - 1) / chunk
      settle.chunks = Int32(chunks)
      settle.partial = scratch(x.results * count * chunks * 2, Double.self)
      append(
        CUDALaunch(
          .moments, grid: (chunks, count, x.results), block: (rso_gpu_threads, 1),
          rso_gpu_moments(
            turn: board.turn, x: x.operand, partial: settle.partial, samples: Int32(samples),
            count: Int32(self.count), area: Int32(x.shape.area), channels: Int32(count),
            chunks: Int32(chunks))))
    }
    append(
      CUDALaunch(
        .settle, grid: (count, results, 1), block: (rso_gpu_threads, 1), settle))
    var y = x
    y.results = results
    y.scale = settle.scale
    y.offset = settle.offset
    y.affineStride = results > 1 ? count : 0
    return y
  }

  /// The elements of units' lone channels, `width` of each, with the values of their time.
  func rows(of slot: Parameters.Slot?, units: Int, width: Int) -> UInt64 {
    guard let slot else { return 0 }
    let rows = scratch(units * width, Float.self)
    append(
      .over(
        .rows, count: units * width,
        rso_gpu_rows(
          turn: board.turn, parameters: board.parameter(slot), units: board.units,
          start: slot == swept ? board.start : 0, decided: slot == swept ? board.decided : 0,
          rows: rows, count: Int32(units), width: Int32(width))))
    return rows
  }

  /// The root's weights of units' lone channels, packed, with the values of their time.
  func packedUnits(_ slot: Parameters.Slot?, units: Int) -> UInt64 {
    guard let slot else { return 0 }
    let taps = slot.shape.dropFirst(2).reduce(1, *)
    let padded = CUDAWeights.padded(units)
    let rows = slot.count / slot.shape[0]
    let weights = scratch(rows * padded, Float.self)
    append(
      .over(
        .pack, count: rows * padded,
        rso_gpu_pack(
          turn: board.turn, parameters: board.parameter(slot), units: board.units,
          start: slot == swept ? board.start : 0, decided: slot == swept ? board.decided : 0,
          weights: weights, inputs: Int32(rows / taps), taps: Int32(taps), outputs: Int32(units),
          padded_outputs: Int32(padded))))
    return weights
  }

  /// The images of the turn's samples in `order`.
  func images(_ images: CUDABoard.Images, order: UInt64, into: DeviceValue? = nil) -> DeviceValue {
    let y = into ?? value(network.input)
    let (channels, area) = (network.input.channels, network.input.area)
    append(
      .overPlaces(
        .loadImages, samples: samples, lanes: 1, area: area, planes: channels,
        rso_gpu_load(
          turn: board.turn, bytes: images.bytes, floats: images.floats, table: images.table,
          mean: images.mean, order: order, y: y.target, samples: Int32(samples),
          count: Int32(count), channels: Int32(channels), area: Int32(area))))
    return y
  }

  /// The sums of the samples' losses, `[results][blocks]`.
  func loss(
    _ logits: DeviceValue, labels: UInt64, order: UInt64, partial: UInt64? = nil,
    predicted: UInt64 = 0
  ) -> (partial: UInt64, blocks: Int) {
    let threads = rso_gpu_threads
    let blocks = (count + threads - 1) / threads
    let partial = partial ?? scratch(logits.results * blocks, Double.self)
    append(
      CUDALaunch(
        .crossEntropy, grid: (blocks, logits.results, 1), block: (threads, 1),
        rso_gpu_loss(
          turn: board.turn, x: logits.operand, order: order, labels: labels, partial: partial,
          predicted: predicted, samples: Int32(samples), count: Int32(count),
          classes: Int32(network.classes), blocks: Int32(blocks))))
    return (partial, blocks)
  }
}
