import Foundation
import Testing

@testable import RSO
@testable import RSOFormats

/// What an exported C file computes against the CPU engine, on networks that nobody thought of.
///
/// By hand, other networks: `RSO_NETWORK_SEED=17 RSO_NETWORK_COUNT=300 swift test --filter CExportTests`.
@Suite(.enabled(if: CompiledC.compiler != nil, "there is no C compiler"))
struct CExportTests {
  static let count =
    ProcessInfo.processInfo.environment["RSO_NETWORK_COUNT"].flatMap { Int($0) } ?? 20

  /// A model of discrete weights, with batch norms that rise, fall and are constant, and data for it.
  static func discrete(index: Int) throws -> (model: Model, data: Dataset) {
    let drawn = try NetworkGenerator.network(
      seed: RandomNetworkTests.seed, index: index, hasSteps: true)
    let domains: [Domain] = [
      .binary, .ternary, .integer(bits: 2), .integer(bits: 3), .integer(bits: 4),
    ]
    var network = drawn
    for (place, node) in drawn.nodes.enumerated()
    where node.layer.mixesChannels || node.layer.kind == "depthwiseConv2d" {
      network = try network.settingWeights(
        to: domains[(place + index) % domains.count], matching: "\(node.name).weight")
    }
    var parameters = Parameters(initialFor: network, seed: UInt64(index))
    let philox = Philox(seed: UInt64(index))
    for (tensor, slot) in parameters.slots.enumerated() where slot.role != .weight {
      for element in 0..<slot.count {
        let draw = philox.normal(.initialisation, cycle: 7, tensor: tensor, element: element)
        // Biases are fractions that sums hold exactly, except the last layer's, which are any floats.
        let isLast = slot.node == network.nodes.count - 1
        let isBias = slot.role == .bias && !isLast
        parameters.values[slot.offset + element] =
          isBias
          ? Float((draw * 8).rounded() / 16) : abs(draw) < 0.1 ? 0 : Float(draw)
      }
    }
    return try model(network, parameters, divisor: 256)
  }

  /// A model with the running statistics of random images.
  static func model(
    _ network: Network, _ parameters: Parameters, divisor: Float = 255
  ) throws -> (model: Model, data: Dataset) {
    var data = try Sample.dataset(
      network.input, classes: network.classes, train: 64, test: 48, seed: 5)
    data.normalization = Normalization(
      mean: .init(repeating: divisor == 256 ? 0 : 0.25, count: network.input.channels),
      divisor: divisor)
    let engine = try CPUEngine(network: network, data: data, parameters: parameters, threads: 1)
    _ = try engine.evaluate(.train)
    return (
      Model(
        network: network, parameters: parameters, statistics: engine.statistics,
        normalization: data.normalization, images: .bytes), data
    )
  }

  /// What `body` gives; `nil` if a layer's sums may be larger than single precision can hold.
  static func unlessRefused<Value>(_ body: () throws -> Value) throws -> Value? {
    do {
      return try body()
    } catch let error as RSOError where error.problem.hasPrefix("expected sums of at most") {
      return nil
    }
  }

  static func bytes(_ pixels: Pixels) -> Data {
    switch pixels {
    case .bytes(let bytes): Data(bytes)
    case .floats(let floats): floats.withUnsafeBytes { Data($0) }
    }
  }

  /// The results of the file, after a check that it says what the engine says.
  @discardableResult
  static func compare(_ model: Model, _ images: Pixels, _ comment: String) throws -> CSource {
    let source = try CSource(of: model, name: "net")
    let compiled = try CompiledC(source, of: model)
    defer { compiled.remove() }
    let found = try compiled.run(bytes(images))
    let expected = try model.predict(images)
    #expect(found.count == expected.count, "\(comment)")
    for (found, expected) in zip(found, expected) {
      let scores = found.scores.map { bits in
        source.scoreExponent.map {
          Float(sign: .plus, exponent: $0, significand: Float(Int32(bitPattern: bits)))
        } ?? Float(bitPattern: bits)
      }
      if source.isExact {
        #expect(found.label == expected.label, "\(comment)")
        try #require(scores == expected.logits, "\(comment)")
      } else {
        let scale = expected.logits.reduce(1e-3) { max($0, abs($1)) }
        let isNear = zip(scores, expected.logits).allSatisfy { abs($0 - $1) < 1e-4 * scale }
        try #require(isNear, "\(scores) \(expected.logits) \(comment)")
      }
    }
    return source
  }

  /// Sums, thresholds and scores are integers, and the scores have the bits of the engine's.
  @Test(arguments: 0..<count)
  func discreteNetworks(index: Int) throws {
    let (model, data) = try Self.discrete(index: index)
    let json = String(decoding: try model.network.json(), as: UTF8.self)
    // A network with floats between its steps is compared in other tests: a rounding may turn a step.
    guard let source = try Self.unlessRefused({ try CSource(of: model, name: "net") }),
      source.isExact
    else { return }
    try Self.compare(model, data.test.images, "network \(index): \(json)")
  }

  /// Where the map behind a maximum falls, it takes the minimum of its results.
  @Test func maximaBeforeMapsThatFall() throws {
    let network = try Network(input: Shape(channels: 2, height: 8, width: 8)) {
      Node.conv2d("conv", channels: 6, kernel: 3, padding: 1)
      Node.maxPool("pool", kernel: 2)
      Node.batchNorm("bn")
      Node.activation("step", .quantize(bits: 3))
      Node.flatten("flat")
      Node.linear("fc", features: 5)
    }.settingWeights(to: .integer(bits: 3))
    var parameters = Parameters(initialFor: network, seed: 2)
    if let scale = parameters.slot(named: "bn.weight").map({ parameters.slots[$0] }) {
      parameters.values.replaceSubrange(scale.range, with: [1, -1, 0.5, -0.25, 2, -2])
    }
    let (model, data) = try Self.model(network, parameters, divisor: 256)
    let source = try Self.compare(model, data.test.images, "minima")
    #expect(source.floatReason == nil && source.code.contains("falling2, bytes"))
  }

  /// The engine has an algorithm for such convolutions that divides by 6.
  @Test func sumsOfDiscreteWeightsAreExact() throws {
    let network = try Network(input: Shape(channels: 1, height: 8, width: 8)) {
      Node.conv2d("conv0", channels: 8, kernel: 3, padding: 1)
      Node.activation("step", .quantize(bits: 4))
      Node.conv2d("conv1", channels: 8, kernel: 3, padding: 1)
      Node.globalMaxPool("max")
    }.settingWeights(to: .integer(bits: 8))
    let (model, data) = try Self.model(
      network, Parameters(initialFor: network, seed: 4), divisor: 256)
    let source = try Self.compare(model, data.test.images, "Winograd")
    #expect(source.floatReason == nil)
  }

  /// What the fixed seed draws has what it is for.
  @Test func mostDiscreteNetworksAreExact() throws {
    let sources = try (0..<20).compactMap { index in
      let model = try Self.discrete(index: index).model
      return try Self.unlessRefused { try CSource(of: model, name: "net") }
    }
    #expect(sources.count >= 18)
    #expect(sources.count { $0.isExact } >= 10, "\(sources.map { $0.floatReason ?? "exact" })")
    #expect(sources.count { $0.floatReason == nil } >= 5)
    let code = sources.map(\.code).joined()
    for function in [
      "maximum_", "sum_", "add_", "transpose_", "depthwise_", "levels_", "relu_", "rounded_",
      "falling",
    ] {
      #expect(code.contains(function), "\(function)")
    }
  }

  /// Floats, without steps.
  @Test(arguments: 0..<8)
  func floatNetworks(index: Int) throws {
    let network = try NetworkGenerator.network(seed: RandomNetworkTests.seed, index: index)
    let (model, data) = try Self.model(network, Parameters(initialFor: network, seed: 3))
    let source = try Self.compare(model, data.test.images, "network \(index)")
    #expect(source.scoreExponent == nil && !source.isExact)
  }

  /// A network without steps, each of whose layers has the scale 2^`exponent`.
  static func scaled(
    _ exponent: Int, bias: [Float], pools: Bool = false
  ) throws -> (model: Model, data: Dataset) {
    let network = try Network(input: Shape(channels: 1, height: 4, width: 4)) {
      Node.conv2d("conv", channels: 4, kernel: 3, padding: 1)
      if pools {
        Node.conv2d("conv1", channels: 4, kernel: 1)
        Node.globalAveragePool("mean")
      } else {
        Node.globalMaxPool("max")
      }
      Node.linear("fc", features: 3, bias: true)
    }.settingWeights(to: .ternary)
    var parameters = Parameters(zerosFor: network)
    for (tensor, slot) in parameters.slots.enumerated() {
      guard slot.domain.isDiscrete else {
        parameters.values.replaceSubrange(slot.range, with: bias)
        continue
      }
      let scale = Float.power(exponent)
      for i in 0..<slot.count {
        parameters.values[slot.offset + i] = Float((i + i / 9) % 3 - 1) * scale
      }
      parameters.scales[tensor] = [scale]
    }
    return try model(network, parameters, divisor: 256)
  }

  /// At the ends of what floats hold, sums are still the engine's to the bit. There, the last ones of −59 have a unit of
  /// 2^-126, and of 55 one of 2^102.
  @Test(arguments: [-59, -58, 0, 55])
  func scalesAtTheEnds(exponent: Int) throws {
    // 2^102 holds no small bias.
    let size: Float = exponent > 0 ? 0x1p102 : 1
    let (model, data) = try Self.scaled(exponent, bias: [0.3 * size, -0.7 * size, 2.1 * size])
    let source = try Self.compare(model, data.test.images, "2^\(exponent)")
    #expect(source.isExact)
  }

  /// Beyond them there is no file that could say that it has the engine's bits.
  @Test func scalesBeyondTheEnds() throws {
    func error(_ exponent: Int, _ bias: [Float] = [0.3, -0.7, 2.1], pools: Bool = false)
      -> String?
    {
      errorText {
        _ = try CSource(of: Self.scaled(exponent, bias: bias, pools: pools).model, name: "net")
      }
    }
    let hint =
      "(use scales nearer to 1, or a batch norm and a step behind each layer, and train it again)"
    func units(_ layer: String, _ exponent: Int) -> String {
      "\(layer): expected sums that are multiples of a power of two from 2^-126 to 2^103, which 32-bit floats hold, found "
        + "multiples of 2^\(exponent) \(hint)"
    }
    #expect(error(-60) == units("fc", -128))
    #expect(error(56) == units("fc", 104))
    // The sum of 16 is divided.
    #expect(error(-59, pools: true) == units("mean", -130))
    func biases(_ bias: Float, _ exponent: Int) -> String {
      "fc: expected biases that 32-bit floats hold as multiples of what its sums are multiples of, found \(bias) and sums "
        + "of multiples of 2^\(exponent) \(hint)"
    }
    #expect(error(-59, [0.3, -0.7, 5]) == biases(5, -126))
    #expect(error(50, [0.3, 1e-30, 0.3]) == biases(1e-30, 92))
    #expect(error(55, [3.40282e38, 0, 0.3]) == biases(3.40282e38, 102))
  }

  /// Every activation at many places, through a network that adds nothing to it.
  @Test(arguments: ActivationTests.all)
  func activations(activation: Activation) throws {
    let network = try Network(input: Shape(channels: 3)) { Node.activation("act", activation) }
    let model = Model(
      network: network, parameters: Parameters(zerosFor: network), statistics: .init(),
      normalization: .init(mean: [0, 0, 0]), images: .floats(nil))
    let places = (-3000..<3000).map { Float($0) / 64 } + [0, -0.0, 1e-6]
    let compiled = try CompiledC(try CSource(of: model, name: "net"), of: model)
    defer { compiled.remove() }
    let source = try CSource(of: model, name: "net")
    let found = try compiled.run(Self.bytes(.floats(places))).flatMap(\.scores)
    for (x, bits) in zip(places, found) {
      let y =
        source.scoreExponent.map {
          Float(sign: .plus, exponent: $0, significand: Float(Int32(bitPattern: bits)))
        } ?? Float(bitPattern: bits)
      let expected = activation(Double(x))
      #expect(abs(Double(y) - expected) <= 1e-6 * max(1, abs(expected)), "\(activation) of \(x)")
    }
  }
}
