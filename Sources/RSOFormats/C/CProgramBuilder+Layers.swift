import RSO

extension CProgramBuilder {
  /// Appends the steps of a node, and of those after it that the same step computes.
  mutating func append(_ node: Int) throws {
    guard let x = found[network.inputs[node][0]] else { return }
    let shape = value(x).shape
    switch network.nodes[node].layer {
    case .conv2d, .depthwiseConv2d, .linear: try convolution(node, x)
    case .batchNorm:
      if try levels(node, of: x) { return }
      let (scale, offset) = normalizationMap(node)
      let unit = value(x).integers.map { Float.power($0.exponent) } ?? 1
      if value(x).integers != nil {
        turnToFloats(name(node), "no step turns its results into integers")
      }
      found[node + 1] = step(
        [node], .affine(scale: scale.map { $0 * unit }, offset: offset), [x], shape)
    case .activation(let activation): try append(activation, node, x)
    case .maxPool(let kernel, let stride, let padding):
      maxPool(
        node, x, .init(height: kernel, width: kernel, stride: stride, padding: padding))
    case .globalMaxPool: maxPool(node, x, .init(height: shape.height, width: shape.width))
    case .averagePool(let kernel, let stride, let padding):
      try averagePool(
        node, x, .init(height: kernel, width: kernel, stride: stride, padding: padding))
    case .globalAveragePool:
      try averagePool(node, x, .init(height: shape.height, width: shape.width))
    case .flatten: flatten(node, x)
    case .add: try addition(node, x)
    }
  }

  func normalizationMap(_ node: Int) -> (scale: [Float], offset: [Float]) {
    network.normalizationMap(of: node, parameters, model.statistics)
  }

  private mutating func append(_ activation: Activation, _ node: Int, _ x: Int) throws {
    let shape = value(x).shape
    if let integers = value(x).integers {
      if try levels(node, of: x) { return }
      if activation == .relu {
        let ranges = integers.ranges.map { max($0.lowerBound, 0)...max($0.upperBound, 0) }
        found[node + 1] = step(
          [node], .activate(.relu), [x], shape,
          .init(exponent: integers.exponent, ranges: ranges))
        return
      }
      turnToFloats(name(node), "its results are not integers")
    }
    let from = floats(x, for: node)
    guard activation.isStep else {
      found[node + 1] = step([node], .activate(activation), [from], shape)
      return
    }
    let levels = try StepLevels(activation, layer: name(node))
    found[node + 1] = step(
      [node],
      .levelsOfFloats(thresholds: try levels.thresholds(), low: levels.low, step: levels.step),
      [from], shape, levels.integers(channels: shape.channels))
  }

  private mutating func maxPool(_ node: Int, _ x: Int, _ window: CProgram.Window) {
    found[node + 1] = step(
      [node], .maxPool(window, falling: []), [x], network.shapes[node + 1], value(x).integers)
  }

  private mutating func averagePool(_ node: Int, _ x: Int, _ window: CProgram.Window) throws {
    let shape = network.shapes[node + 1]
    guard let integers = value(x).integers else {
      found[node + 1] = step([node], .averagePool(window), [x], shape)
      return
    }
    let ranges = integers.ranges.map {
      min($0.lowerBound, 0) * window.area...max($0.upperBound, 0) * window.area
    }
    var sums = CProgram.Integers(exponent: integers.exponent, ranges: ranges)
    let places = window.area.trailingZeroBitCount
    let isShift = window.area == 1 << places
    try checkExact(sums.range, times: sums.exponent - (isShift ? places : 0), node)
    if isShift {
      sums.exponent -= places
      found[node + 1] = step([node], .averagePool(window), [x], shape, sums)
      return
    }
    // The quotient is rounded: an integer again only after a step.
    let y = step([node], .averagePool(window), [x], shape, sums)
    let share = 1 / Float(window.area)
    if let reader = onlyReader(of: node), try levels(reader, of: y, first: [.multiply(share)]) {
      return
    }
    turnToFloats(name(node), "it divides by \(window.area), which is no power of two")
    found[node + 1] = step(
      [node], .affine(scale: [.power(sums.exponent) * share], offset: [0]), [y], shape)
  }

  private mutating func flatten(_ node: Int, _ x: Int) {
    let shape = value(x).shape
    let flat = network.shapes[node + 1]
    var integers = value(x).integers
    if let own = integers {
      integers?.ranges = own.ranges.flatMap { [ClosedRange<Int>](repeating: $0, count: shape.area) }
    }
    // One channel or one place: the order is the same.
    found[node + 1] =
      shape.area == 1 || shape.channels == 1
      ? add(flat, integers, sameAs: x) : step([node], .flatten, [x], flat, integers)
  }

  private mutating func addition(_ node: Int, _ x: Int) throws {
    guard let b = found[network.inputs[node][1]] else { return }
    let shape = value(x).shape
    guard let first = value(x).integers, let second = value(b).integers else {
      let inputs = [floats(x, for: node), floats(b, for: node)]
      found[node + 1] = step([node], .add(factors: [1, 1]), inputs, shape)
      return
    }
    let exponent = min(first.exponent, second.exponent)
    let shifts = [first.exponent - exponent, second.exponent - exponent]
    guard shifts.allSatisfy({ $0 <= 24 }) else { throw inexact(node, "2^\(shifts.max() ?? 0)") }
    let factors = shifts.map { 1 << $0 }
    let ranges = zip(first.ranges, second.ranges).map { a, b in
      a.lowerBound * factors[0] + b.lowerBound * factors[1]...a.upperBound * factors[0]
        + b.upperBound * factors[1]
    }
    let sums = CProgram.Integers(exponent: exponent, ranges: ranges)
    try checkExact(sums.range, times: exponent, node)
    found[node + 1] = step([node], .add(factors: factors), [x, b], shape, sums)
  }

  // MARK: Checks

  /// The only node that reads a node's output.
  func onlyReader(of node: Int) -> Int? {
    readers[node + 1].count == 1 ? readers[node + 1][0] : nil
  }

  /// - Throws: `RSOError` naming the layer, unless single precision, and so the engine, has every integer of the range
  ///   times 2^`exponent`.
  func checkExact(_ range: ClosedRange<Int>, times exponent: Int, _ node: Int) throws {
    let size = max(abs(range.lowerBound), abs(range.upperBound))
    guard size <= exactInSinglePrecision else { throw inexact(node, "\(size)") }
    let units = exactUnits
    guard units.contains(exponent) else {
      throw RSOError(
        name(node),
        "expected sums that are multiples of a power of two from 2^\(units.lowerBound) to "
          + "2^\(units.upperBound), which 32-bit floats hold, found multiples of 2^\(exponent)",
        hint: Self.scalesHint)
    }
  }

  /// What to do where numbers leave the exponents of a float. Only scales that are multiplied layer after layer do that.
  static let scalesHint =
    "use scales nearer to 1, or a batch norm and a step behind each layer, and train it again"

  func inexact(_ node: Int, _ size: String) -> RSOError {
    RSOError(
      name(node),
      "expected sums of at most \(exactInSinglePrecision), up to which 32-bit floats hold every integer, "
        + "found that they may reach \(size)",
      hint: "use fewer bits for its weights or its input, or fewer inputs")
  }
}
