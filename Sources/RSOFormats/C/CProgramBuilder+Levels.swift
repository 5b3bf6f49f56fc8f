import RSO

extension CProgramBuilder {
  /// A step activation and the monotone layers before it, which become thresholds on integers.
  struct Chain {
    var nodes: [Int]
    var activation: Activation
  }

  /// The layers from `node` to the next step activation, if nothing else reads a result between them and each is monotone
  /// in every channel.
  func chain(from node: Int) -> Chain? {
    var nodes = [node]
    while let node = nodes.last {
      switch network.nodes[node].layer {
      case .activation(let activation) where activation.isStep:
        return Chain(nodes: nodes, activation: activation)
      case .activation(let activation) where activation.isNondecreasing: break
      case .batchNorm, .maxPool, .globalMaxPool: break
      case .conv2d, .depthwiseConv2d, .linear, .activation, .averagePool, .globalAveragePool,
        .flatten, .add:
        return nil
      }
      guard let reader = onlyReader(of: node), network.inputs[reader][0] == node + 1 else {
        return nil
      }
      nodes.append(reader)
    }
    return nil
  }

  /// Makes the layers from `node` to the next step activation a step on the integers `x`, if that is possible.
  ///
  /// - Parameter first: what the engine computes before these layers.
  mutating func levels(
    _ node: Int, of x: Int, first: [ChannelFunction.Step] = []
  ) throws -> Bool {
    guard let integers = value(x).integers, let chain = chain(from: node) else { return false }
    let units = integers.ranges.map { _ in Float.power(integers.exponent) }
    let (levels, made) = try levels(
      chain, ranges: integers.ranges, units: units, biases: [], first: first)
    append(
      chain, levels, made, shape: value(x).shape, nodes: chain.nodes, .levels(levels), inputs: [x])
    return true
  }

  /// Appends the step that makes levels, and the maxima over them that the chain has.
  mutating func append(
    _ chain: Chain, _ levels: CProgram.Levels, _ made: CProgram.Integers, shape: Shape,
    nodes: [Int], _ operation: CProgram.Operation, inputs: [Int]
  ) {
    var y = step(nodes, operation, inputs, shape, made)
    for (place, node) in chain.nodes.enumerated() {
      let window: CProgram.Window
      switch network.nodes[node].layer {
      case .maxPool(let kernel, let stride, let padding):
        window = .init(height: kernel, width: kernel, stride: stride, padding: padding)
      case .globalMaxPool:
        window = .init(height: value(y).shape.height, width: value(y).shape.width)
      default: continue
      }
      // The maximum before a map that falls is the minimum after it.
      let falling = falling(chain.nodes.dropFirst(place), channels: shape.channels)
      y = step(
        [node], .maxPool(window, falling: falling.contains(true) ? falling : []), [y],
        network.shapes[node + 1], made)
    }
    covered.formUnion(chain.nodes)
    if let last = chain.nodes.last { found[last + 1] = y }
  }

  /// The channels in which an odd number of batch norms fall.
  private func falling(_ nodes: some Sequence<Int>, channels: Int) -> [Bool] {
    var falling = [Bool](repeating: false, count: channels)
    for node in nodes {
      guard case .batchNorm = network.nodes[node].layer else { continue }
      for (channel, scale) in normalizationMap(node).scale.enumerated() where scale < 0 {
        falling[channel].toggle()
      }
    }
    return falling
  }

  /// The thresholds of a chain, found by bisection on the engine's own arithmetic.
  ///
  /// - Parameters:
  ///   - ranges: `[channels]`, what the integers can be.
  ///   - units: `[channels]`: the engine's number is integer · unit + bias, which it holds exactly.
  ///   - biases: `[channels]`, or empty.
  ///   - first: what the engine computes before the chain.
  func levels(
    _ chain: Chain, ranges: [ClosedRange<Int>], units: [Float], biases: [Float],
    first: [ChannelFunction.Step] = []
  ) throws -> (CProgram.Levels, CProgram.Integers) {
    let layer = name(chain.nodes[chain.nodes.count - 1])
    let levels = try StepLevels(chain.activation, layer: layer)
    let function = try ChannelFunction(
      channels: ranges.count, steps: first + functions(of: chain))
    let falling = falling(chain.nodes, channels: ranges.count)
    let rising = zip(ranges, falling).map { range, falls in
      falls ? -range.upperBound ... -range.lowerBound : range
    }
    let thresholds = try levels.thresholds(in: rising) { integers in
      var x: [Float] = []
      for (i, integer) in integers.enumerated() {
        let channel = i / ChannelFunction.lanes
        let own = Float(falling[channel] ? -integer : integer) * units[channel]
        x.append(biases.isEmpty ? own : own + biases[channel])
      }
      return function(x)
    }
    return (
      CProgram.Levels(
        thresholds: thresholds, falling: falling, low: levels.low, step: levels.step),
      levels.integers(channels: ranges.count)
    )
  }

  /// What the engine computes in a chain, except maxima, each of which is one of its inputs.
  private func functions(of chain: Chain) -> [ChannelFunction.Step] {
    var steps: [ChannelFunction.Step] = []
    var nodes = chain.nodes[...]
    while let node = nodes.popFirst() {
      switch network.nodes[node].layer {
      case .batchNorm:
        let (scale, offset) = normalizationMap(node)
        var activation: Activation?
        // The engine computes both at once.
        if let next = nodes.first, case .activation(let own) = network.nodes[next].layer {
          activation = own
          nodes.removeFirst()
        }
        steps.append(.normalize(scale: scale, offset: offset, activation))
      case .activation(let activation): steps.append(.activate(activation))
      case .maxPool, .globalMaxPool, .conv2d, .depthwiseConv2d, .linear, .averagePool,
        .globalAveragePool, .flatten, .add:
        break
      }
    }
    return steps
  }
}

/// The levels of a step activation, as integers times a power of two.
struct StepLevels {
  private let activation: Activation
  private let layer: String
  /// What the engine computes.
  private let values: [Float]
  private let exponent: Int
  let low: Int
  let step: Int

  /// - Throws: `RSOError` naming the layer if its levels are no such integers at equal distances.
  init(_ activation: Activation, layer: String) throws {
    self.activation = activation
    self.layer = layer
    values = try activation.levels()
    exponent = Float.commonExponent(of: values) ?? 0
    let integers = values.compactMap { [exponent] in $0.multiple(of: exponent) }
    let steps = Set(zip(integers.dropFirst(), integers).map { $0 - $1 })
    guard integers.count == values.count, let low = integers.first, let step = steps.first,
      steps.count == 1, step < 1 << 16, abs(low) < 1 << 16
    else {
      throw RSOError(
        layer, "expected levels that are multiples of a power of two, found \(values.prefix(3))…")
    }
    (self.low, self.step) = (low, step)
  }

  /// What a value of these levels is.
  func integers(channels: Int) -> CProgram.Integers {
    .init(
      exponent: exponent,
      ranges: .init(repeating: low...low + step * (values.count - 1), count: channels))
  }

  /// Thresholds, with some that are never reached so that there are 2^bits − 1.
  private var count: Int {
    var count = 1
    while count < values.count - 1 { count = 2 * count + 1 }
    return count
  }

  private func level(of value: Float) throws -> Int {
    guard let level = values.firstIndex(of: value) else {
      throw RSOError(
        layer, "expected one of its levels, found \(value.isNaN ? "nan" : "\(value)")",
        hint:
          "a batch norm before it has numbers so large that its results leave the range of 32-bit floats: "
          + "make its weights, biases and statistics smaller")
    }
    return level
  }

  /// For each channel and level from the second, the least integer of the channel's range that gives this level or a
  /// higher one, or the integer after the range.
  ///
  /// - Parameters:
  ///   - ranges: `[channels]`
  ///   - function: gives the engine's results, `[channels][ChannelFunction.lanes]`, for as many integers. They must not
  ///     fall where the integers rise.
  func thresholds(
    in ranges: [ClosedRange<Int>], _ function: ([Int]) -> [Float]
  ) throws -> [[Int]] {
    let lanes = ChannelFunction.lanes
    var result = ranges.map { [Int](repeating: $0.upperBound + 1, count: count) }
    for first in stride(from: 0, to: values.count - 1, by: lanes) {
      // Below `low` the level is not reached, as far as is known, and at `high` it is.
      var low = ranges.flatMap { [Int](repeating: $0.lowerBound - 1, count: lanes) }
      var high = ranges.flatMap { [Int](repeating: $0.upperBound + 1, count: lanes) }
      while zip(low, high).contains(where: { $1 - $0 > 1 }) {
        let middle = zip(low, high).map { $1 - $0 > 1 ? $0 + ($1 - $0) / 2 : $0 }
        let inside = zip(middle, low).enumerated().map { i, pair in
          pair.0 > pair.1 ? pair.0 : ranges[i / lanes].lowerBound
        }
        let results = function(inside)
        for i in middle.indices where middle[i] > low[i] {
          if try level(of: results[i]) > first + i % lanes {
            high[i] = middle[i]
          } else {
            low[i] = middle[i]
          }
        }
      }
      for i in high.indices where first + i % lanes < values.count - 1 {
        result[i / lanes][first + i % lanes] = high[i]
      }
    }
    return result
  }

  /// The same for floats: the least float that gives each level or a higher one.
  func thresholds() throws -> [Float] {
    let function = try ChannelFunction(channels: 1, steps: [.activate(activation)])
    let largest = Self.place(of: .greatestFiniteMagnitude)
    let places = try thresholds(in: [-largest...largest]) { function($0.map(Self.float)) }
    return places[0].map { $0 > largest ? .infinity : Self.float($0) }
  }

  /// The number of a float when all are counted in their order, from 0.
  private static func place(of value: Float) -> Int { Int(value.magnitude.bitPattern) }

  private static func float(_ place: Int) -> Float {
    let size = Float(bitPattern: UInt32(abs(place)))
    return place < 0 ? -size : size
  }
}
