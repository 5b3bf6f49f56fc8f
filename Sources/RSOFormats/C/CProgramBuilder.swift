import RSO

/// Derives a C file's steps from a model, layer by layer. It stays with integers as long as the engine's numbers are
/// integers times powers of two, and says where that ends.
struct CProgramBuilder {
  let model: Model
  /// The network as the engine computes it.
  let network: Network
  let parameters: Parameters
  var program: CProgram
  /// For every value of the network, the program's value.
  var found: [Int: Int] = [:]
  /// Nodes that an earlier node's steps compute.
  var covered: Set<Int> = []
  /// The nodes that read each value of the network.
  let readers: [[Int]]

  /// - Throws: `RSOError` naming the layer that no C file can compute.
  static func program(of model: Model) throws -> CProgram {
    var builder = CProgramBuilder(model)
    builder.readInput()
    for node in builder.network.nodes.indices where !builder.covered.contains(node) {
      try builder.append(node)
    }
    builder.finish()
    return builder.program
  }

  private init(_ model: Model) {
    self.model = model
    network = model.network.foldingAveragePools()
    var parameters = Parameters(zerosFor: network)
    parameters.values = model.parameters.values
    self.parameters = parameters
    var readers = network.shapes.map { _ in [Int]() }
    for (node, inputs) in network.inputs.enumerated() {
      for value in Set(inputs) { readers[value].append(node) }
    }
    self.readers = readers
    program = CProgram(values: [])
  }

  // MARK: Values and steps

  func name(_ node: Int) -> String { network.nodes[node].name }

  func value(_ index: Int) -> CProgram.Value { program.values[index] }

  /// Adds a value; integers get the smallest type that holds them.
  mutating func add(
    _ shape: Shape, _ integers: CProgram.Integers? = nil, sameAs: Int? = nil
  ) -> Int {
    let element = integers.map { CProgram.Element(holding: $0.range) } ?? .f32
    program.values.append(
      .init(
        shape: shape, element: sameAs.map { program.values[$0].element } ?? element,
        integers: integers, sameAs: sameAs))
    return program.values.count - 1
  }

  /// Adds a step that makes a new value.
  mutating func step(
    _ nodes: [Int], _ operation: CProgram.Operation, _ inputs: [Int], _ shape: Shape,
    _ integers: CProgram.Integers? = nil
  ) -> Int {
    let output = add(shape, integers)
    program.steps.append(
      .init(layers: nodes.map(name), operation: operation, inputs: inputs, output: output))
    return output
  }

  /// Notes the first place where floats begin.
  mutating func turnToFloats(_ layer: String, _ reason: String, isExact: Bool = false) {
    if program.firstFloat == nil {
      program.firstFloat = .init(layer: layer, reason: reason, isExact: isExact)
    }
  }

  /// The value as floats.
  mutating func floats(_ x: Int, for node: Int) -> Int {
    guard let integers = value(x).integers else { return x }
    return step(
      [node], .affine(scale: [.power(integers.exponent)], offset: [0]), [x], value(x).shape)
  }

  // MARK: Ends

  private mutating func readInput() {
    let shape = network.input
    var x: Int
    if model.takesFloats {
      turnToFloats("input", "the network takes floats")
      x = add(shape)
    } else {
      let table = model.normalization.byteTable
      let exponent = Float.commonExponent(of: table) ?? 0
      // The bytes themselves, times a power of two.
      let isExact = table.indices.allSatisfy { table[$0] == Float($0 % 256) * .power(exponent) }
      let range = [ClosedRange<Int>](repeating: 0...255, count: shape.channels)
      x = add(shape, .init(exponent: exponent, ranges: range))
      if !isExact {
        program.values[x].integers?.exponent = 0
        let hasMean = model.normalization.mean.contains { $0 != 0 }
        turnToFloats(
          "input",
          hasMean
            ? "a mean is subtracted from its pixels"
            : "its pixels are not divided by a power of two alone")
      }
    }
    let integers = value(x).integers
    if shape.channels > 1, shape.area > 1 {
      let y = add(shape, integers)
      program.steps.append(.init(layers: ["input"], operation: .interleave, inputs: [x], output: y))
      x = y
    }
    if program.firstFloat != nil { x = normalized(x) }
    found[0] = x
  }

  /// Pixels or floats, normalised in floats.
  private mutating func normalized(_ x: Int) -> Int {
    let (mean, deviation) = (model.normalization.mean, model.normalization.deviation)
    let full = model.takesFloats ? 1 : Double(model.normalization.divisor)
    let scale = deviation.map { Float(1 / (full * Double($0))) }
    let offset = zip(mean, deviation).map { Float(-Double($0) / Double($1)) }
    if scale.allSatisfy({ $0 == 1 }), offset.allSatisfy({ $0 == 0 }), value(x).integers == nil {
      return x
    }
    let y = add(network.input)
    program.steps.append(
      .init(
        layers: ["input"], operation: .affine(scale: scale, offset: offset), inputs: [x], output: y)
    )
    return y
  }

  /// Makes the scores a value of their own, of 32 bits.
  private mutating func finish() {
    let last = network.nodes.count
    guard let x = found[last] else { return }
    if program.steps.last?.output == x, value(x).sameAs == nil {
      if case .convolution(let last)? = program.steps.last?.operation, case .integers = last.finish
      {
        program.values[x].element = .i32
      }
      if [.i32, .f32].contains(value(x).element) { return }
    }
    let operation: CProgram.Operation =
      value(x).integers == nil ? .affine(scale: [1], offset: [0]) : .widen
    let y = step([last - 1], operation, [x], value(x).shape, value(x).integers)
    if value(x).integers != nil { program.values[y].element = .i32 }
  }
}
