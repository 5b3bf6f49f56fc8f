import RSO

extension CProgramBuilder {
  /// A convolution, depthwise convolution or linear layer, with what follows it where one step does both.
  mutating func convolution(_ node: Int, _ x: Int) throws {
    let output = network.shapes[node + 1]
    let channels = value(x).shape.channels
    let layer = network.nodes[node].layer
    let window: CProgram.Window
    var isDepthwise = false
    switch layer {
    case .conv2d(_, let kernel, let stride, let padding, _):
      window = .init(height: kernel, width: kernel, stride: stride, padding: padding)
    case .depthwiseConv2d(let kernel, let stride, let padding, _):
      window = .init(height: kernel, width: kernel, stride: stride, padding: padding)
      isDepthwise = true
    default: window = .init(height: 1, width: 1)
    }
    let inputs = isDepthwise ? 1 : channels
    let values = interleaved(slot(node, .weight), taps: window.area, inputs: inputs)
    let bias = slot(node, .bias)
    let weights = DyadicWeights(values, outputs: output.channels)
    // The engine adds products of discrete weights one by one, and others perhaps by Winograd's algorithm, which rounds.
    guard let weights, network.nodes[node].weights.isDiscrete, let integers = value(x).integers
    else {
      if value(x).integers != nil {
        turnToFloats(name(node), "its weights are floats")
      }
      floatConvolution(
        node, x,
        .init(
          window: window, isDepthwise: isDepthwise, weights: .floats(values),
          finish: .floats(scales: [], offsets: []), bound: nil),
        weights, bias)
      return
    }
    let units = weights.exponents.map { $0 + integers.exponent }
    let ranges = sums(
      weights.levels, integers.ranges, isDepthwise: isDepthwise, taps: window.area,
      outputs: output.channels)
    for (range, unit) in zip(ranges, units) { try checkExact(range, times: unit, node) }
    let bound = ranges.reduce(0) { max($0, $1.upperBound, -$1.lowerBound) }
    var result = CProgram.Convolution(
      window: window, isDepthwise: isDepthwise,
      weights: .packed(weights.levels, bits: weights.bits),
      finish: .integers(factors: [], biases: []), bound: bound)

    guard isExact(ranges, units, bias) else {
      let reason = "its bias is no multiple of what its sums are multiples of"
      if node + 1 == network.nodes.count, case .linear = layer {
        let starts = try starts(ranges, units, bias, node)
        turnToFloats(name(node), reason, isExact: true)
        result.finish = .rounded(starts: starts, scales: units.map { .power($0) })
        found[node + 1] = step([node], .convolution(result), [x], output)
        return
      }
      turnToFloats(name(node), reason)
      return floatFinish(node, x, &result, units.map { .power($0) }, bias)
    }
    let reader = onlyReader(of: node)
    if let reader, network.inputs[reader][0] == node + 1, let chain = chain(from: reader) {
      let (levels, made) = try levels(
        chain, ranges: ranges, units: units.map { .power($0) }, biases: bias)
      result.finish = .levels(levels)
      append(
        chain, levels, made, shape: output, nodes: [node] + chain.nodes, .convolution(result),
        inputs: [x])
      return
    }
    if let reader, case .batchNorm = network.nodes[reader].layer {
      turnToFloats(name(reader), "no step turns its results into integers")
      return floatFinish(node, x, &result, units.map { .power($0) }, bias)
    }
    // One unit for all channels.
    let exponent = min(units.min() ?? 0, Float.commonExponent(of: bias) ?? .max)
    guard units.allSatisfy({ $0 - exponent <= 24 }) else {
      throw inexact(node, "2^\((units.max() ?? 0) - exponent)")
    }
    let factors = units.map { 1 << ($0 - exponent) }
    let biases = bias.map { $0.multiple(of: exponent) ?? 0 }
    let results = ranges.indices.map { i in
      let shift = biases.isEmpty ? 0 : biases[i]
      return ranges[i].lowerBound * factors[i] + shift...ranges[i].upperBound * factors[i] + shift
    }
    for range in results { try checkExact(range, times: exponent, node) }
    result.finish = .integers(
      factors: factors.allSatisfy { $0 == 1 } ? [] : factors,
      biases: biases.allSatisfy { $0 == 0 } ? [] : biases)
    found[node + 1] = step(
      [node], .convolution(result), [x], output, .init(exponent: exponent, ranges: results))
  }

  /// The values of a layer's tensor; empty if it has none.
  private func slot(_ node: Int, _ role: Parameters.Role) -> [Float] {
    let slot = parameters.slots.first { $0.node == node && $0.role == role }
    return slot.map { Array(parameters.values[$0.range]) } ?? []
  }

  /// `[outputs][inputs][taps]` as `[outputs][taps][inputs]`.
  private func interleaved(_ values: [Float], taps: Int, inputs: Int) -> [Float] {
    values.indices.map { index in
      let (rest, input) = (index / inputs, index % inputs)
      return values[(rest / taps * inputs + input) * taps + rest % taps]
    }
  }

  /// `[outputs]`: between what a sum and every part of it can be.
  private func sums(
    _ levels: [Int], _ inputs: [ClosedRange<Int>], isDepthwise: Bool, taps: Int, outputs: Int
  ) -> [ClosedRange<Int>] {
    let size = levels.count / outputs
    return (0..<outputs).map { output in
      var (low, high) = (0, 0)
      for i in 0..<size {
        let range = inputs[isDepthwise ? output : i % inputs.count]
        let level = levels[output * size + i]
        let ends = (level * range.lowerBound, level * range.upperBound)
        low += min(0, ends.0, ends.1)
        high += max(0, ends.0, ends.1)
      }
      return low...high
    }
  }

  /// Whether single precision holds every part of every sum and bias.
  private func isExact(_ ranges: [ClosedRange<Int>], _ units: [Int], _ bias: [Float]) -> Bool {
    bias.indices.allSatisfy { i in
      guard let exponent = Float.commonExponent(of: CollectionOfOne(bias[i])) else {
        return bias[i] == 0
      }
      let grid = min(exponent, units[i])
      guard units[i] - grid <= 24, let own = bias[i].multiple(of: grid) else { return false }
      let size = max(ranges[i].upperBound, -ranges[i].lowerBound)
      return size << (units[i] - grid) + abs(own) <= exactInSinglePrecision
    }
  }

  /// Biases in the units of their sums.
  ///
  /// - Throws: `RSOError` naming the layer and the first bias that a float does not hold in its unit, or with which a sum
  ///   may be infinite: then the sums would be rounded in another way than the engine's.
  private func starts(
    _ ranges: [ClosedRange<Int>], _ units: [Int], _ bias: [Float], _ node: Int
  ) throws -> [Float] {
    try bias.indices.map { i in
      let unit = Float.power(units[i])
      let start = bias[i] / unit
      let size = Double(max(ranges[i].upperBound, -ranges[i].lowerBound))
      let most = size * Double(unit) + Double(abs(bias[i]))
      guard start.isFinite, start * unit == bias[i],
        most <= Double(Float.greatestFiniteMagnitude)
      else {
        throw RSOError(
          name(node),
          "expected biases that 32-bit floats hold as multiples of what its sums are multiples of, "
            + "found \(bias[i]) and sums of multiples of 2^\(units[i])",
          hint: Self.scalesHint)
      }
      return start
    }
  }

  // MARK: Floats

  /// A convolution with floats in its input or weights.
  private mutating func floatConvolution(
    _ node: Int, _ x: Int, _ template: CProgram.Convolution, _ dyadic: DyadicWeights?,
    _ bias: [Float]
  ) {
    var result = template
    let outputs = network.shapes[node + 1].channels
    let unit = value(x).integers.map(\.exponent) ?? 0
    if let dyadic {
      result.weights = .packed(dyadic.levels, bits: dyadic.bits)
      return floatFinish(node, x, &result, dyadic.exponents.map { .power($0 + unit) }, bias)
    }
    floatFinish(node, x, &result, .init(repeating: .power(unit), count: outputs), bias)
  }

  /// Appends a convolution whose results are floats, with the batch norm after it.
  ///
  /// - Parameter units: `[outputs]`: what one unit of its sum is.
  private mutating func floatFinish(
    _ node: Int, _ x: Int, _ result: inout CProgram.Convolution, _ units: [Float], _ bias: [Float]
  ) {
    var nodes = [node]
    var scales = units.map { Double($0) }
    var offsets = bias.isEmpty ? units.map { _ in 0 } : bias.map { Double($0) }
    if let reader = onlyReader(of: node), case .batchNorm = network.nodes[reader].layer {
      let (scale, offset) = normalizationMap(reader)
      for i in scales.indices {
        scales[i] *= Double(scale[i])
        offsets[i] = offsets[i] * Double(scale[i]) + Double(offset[i])
      }
      nodes.append(reader)
      covered.insert(reader)
    }
    if case .floats(let weights) = result.weights {
      let size = weights.count / scales.count
      result.weights = .floats(
        weights.enumerated().map { Float(Double($1) * scales[$0 / size]) })
      scales = []
    }
    if scales.allSatisfy({ $0 == 1 }) { scales = [] }
    if offsets.allSatisfy({ $0 == 0 }) { offsets = [] }
    result.finish = .floats(scales: scales.map { Float($0) }, offsets: offsets.map { Float($0) })
    found[(nodes.last ?? node) + 1] = step(
      nodes, .convolution(result), [x], network.shapes[node + 1])
  }
}
