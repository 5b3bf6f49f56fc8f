@testable import RSO

/// Networks of every kind of layer, with shortcuts over one another, drawn from a seed.
///
/// Not drawn unless asked for: `sign`, `hardStep` and `quantize`, whose steps turn rounding into another number altogether.
struct NetworkGenerator {
  private var state: UInt64
  /// Whether activations are steps, one behind every batch norm, so that all other layers can compute in integers.
  private let hasSteps: Bool
  /// Values between a batch norm and its step, or between a mean and its step, which no shortcut takes.
  private var unfinished: Set<String> = []
  private var nodes: [Node] = []
  private var values: [(name: String, shape: Shape)] = []

  /// Network number `index` of a seed; always the same.
  static func network(seed: UInt64, index: Int, hasSteps: Bool = false) throws -> Network {
    var generator = NetworkGenerator(
      state: seed &* 1_000_003 &+ UInt64(index), hasSteps: hasSteps)
    return try generator.make()
  }

  private init(state: UInt64, hasSteps: Bool) {
    self.state = state
    self.hasSteps = hasSteps
  }

  // MARK: Draws

  /// SplitMix64: a wrong draw here changes which networks are tested, not what is found of them.
  private mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  private mutating func integer(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(next() % UInt64(range.count))
  }

  private mutating func one<Value>(of values: [Value]) -> Value {
    values[integer(0...values.count - 1)]
  }

  private mutating func happens(_ percent: Int) -> Bool { integer(1...100) <= percent }

  // MARK: Layers

  private var shape: Shape { values[values.count - 1].shape }
  private var last: String { values[values.count - 1].name }

  private mutating func add(_ word: String, _ layer: Layer, input: String? = nil) throws {
    let name = "\(word)\(nodes.count)"
    let from = input.flatMap { input in values.first { $0.name == input }?.shape } ?? shape
    values.append((name, try layer.outputShape(of: from, name: name)))
    nodes.append(Node(name, layer, input: input))
  }

  private mutating func make() throws -> Network {
    let input = Shape(
      channels: integer(1...4), height: integer(5...11), width: integer(5...11))
    values = [("input", input)]
    if happens(20) { try norm() }
    if happens(15) { try depthwise() }
    if happens(80) {
      for _ in 0..<integer(2...4) { try block() }
    }
    if shape.area > 1 {
      switch integer(0...2) {
      case 0: try add("max", .globalMaxPool)
      case 1:
        try add("mean", .globalAveragePool)
        if hasSteps { try mean() }
      default:
        try add("flat", .flatten)
        if happens(40) { try depthwise() }
      }
    }
    for _ in 0..<integer(0...2) {
      try add("linear", .linear(features: one(of: [6, 6, 17]), bias: happens(50)))
      if happens(50) { try shortcut() }
      if happens(50) { try norm() }
      if happens(80) { try activation() }
    }
    try add("out", .linear(features: one(of: [2, 3, 7, 10, 10, 40]), bias: happens(50)))
    return try Network(input: input, nodes: nodes)
  }

  private mutating func block() throws {
    let kernel = one(of: [1, 3, 3, 3, 5, 7])
    let padding = min(shape.height, shape.width) < kernel || happens(80) ? kernel / 2 : 0
    try add(
      "conv",
      .conv2d(
        channels: one(of: [3, 4, 4, 4, 8, 9]), kernel: kernel, stride: happens(20) ? 2 : 1,
        padding: padding, bias: happens(30)))
    // Before or after what follows, as in the paper or as in other residual networks.
    let isEarly = happens(60)
    if isEarly, happens(75) { try shortcut() }
    if happens(40), min(shape.height, shape.width) >= 4 { try pool() }
    if happens(65) { try norm() }
    if happens(70) { try activation() }
    if !isEarly, happens(75) { try shortcut() }
    if happens(25) {
      try depthwise()
      if happens(30) { try shortcut() }
      if happens(40) { try norm() }
      if happens(60) { try activation() }
    }
  }

  private mutating func depthwise() throws {
    let kernel = shape.area == 1 ? 1 : one(of: [1, 3, 3, 5])
    let padding = min(shape.height, shape.width) < kernel || happens(80) ? kernel / 2 : 0
    try add(
      "depth",
      .depthwiseConv2d(
        kernel: kernel, stride: happens(25) ? 2 : 1, padding: padding, bias: happens(40)))
  }

  private mutating func norm() throws {
    try add("bn", .batchNorm(epsilon: one(of: [1e-3, 1e-5])))
    guard hasSteps else { return }
    unfinished.insert(last)
    // What may stand between a batch norm and its step.
    if happens(20) {
      try add("relu", .activation(.relu))
      unfinished.insert(last)
    }
    if happens(25), min(shape.height, shape.width) >= 4 {
      try add("max", .maxPool(kernel: 2, stride: 2))
      unfinished.insert(last)
    }
    try step()
  }

  /// A step behind a mean over windows, which may be no multiple of a power of two.
  private mutating func mean() throws {
    unfinished.insert(last)
    try step()
  }

  private mutating func step() throws { try add("step", .activation(one(of: Self.steps))) }

  private static let steps: [Activation] = [
    .sign, .hardStep, .quantize(bits: 1), .quantize(bits: 2), .quantize(bits: 4),
    .quantize(bits: 2, signed: true), .quantize(bits: 3, signed: true), .quantize(bits: 8),
  ]

  private static let activations: [Activation] = [
    .relu, .relu, .relu, .leakyReLU(), .leakyReLU(slope: 0.25), .tanh, .sigmoid, .gelu, .silu,
    .hardSigmoid, .hardSwish,
  ]

  private mutating func activation() throws {
    try add(
      "act", .activation(hasSteps ? one(of: Self.steps + [.relu]) : one(of: Self.activations)))
  }

  private mutating func pool() throws {
    let kernel = one(of: [2, 2, 3])
    let stride = happens(70) ? kernel : integer(1...2)
    let padding = happens(30) ? 1 : 0
    try add(
      "pool",
      happens(60)
        ? .averagePool(kernel: kernel, stride: stride, padding: padding)
        : .maxPool(kernel: kernel, stride: stride, padding: padding))
    if hasSteps, kernel == 3 { try mean() }
  }

  /// Adds an earlier value, through a 1×1 convolution where the shapes differ.
  private mutating func shortcut() throws {
    let (main, target) = (last, shape)
    // Prefer one that can be added: the images, or what a kernel without padding made, often cannot.
    let sources = values.dropLast().filter { !unfinished.contains($0.name) }
    var source = one(of: sources)
    for _ in 0..<3 where source.shape.area != target.area { source = one(of: sources) }
    if source.shape == target { return try add("add", .add(source.name)) }
    guard target.area > 1 || source.shape.area == 1,
      let stride = (1...4).first(where: {
        (source.shape.height - 1) / $0 + 1 == target.height
          && (source.shape.width - 1) / $0 + 1 == target.width
      })
    else { return }
    try add(
      "short",
      .conv2d(channels: target.channels, kernel: 1, stride: stride, bias: happens(20)),
      input: source.name)
    if happens(60) { try norm() }
    // Either of the two is the one that is read first.
    let short = last
    if happens(50) {
      try add("add", .add(short), input: main)
    } else {
      try add("add", .add(main))
    }
  }
}
