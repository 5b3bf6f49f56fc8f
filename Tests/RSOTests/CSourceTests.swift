import Foundation
import Testing

@testable import RSO
@testable import RSOFormats

/// What needs no C compiler.
struct CSourceTests {
  /// A model whose weights are `levels` times 0.25, tensor by tensor.
  static func model(_ network: Network, levels: [[Int]]) throws -> Model {
    var parameters = Parameters(zerosFor: network)
    for (tensor, slot) in parameters.slots.enumerated() {
      parameters.values.replaceSubrange(
        slot.range, with: levels[tensor].map { Float($0) * 0.25 })
      if slot.domain.isDiscrete { parameters.scales[tensor] = [0.25] }
    }
    return Model(
      network: network, parameters: parameters, statistics: .init(),
      normalization: .init(mean: .init(repeating: 0, count: network.input.channels), divisor: 256),
      images: .bytes)
  }

  /// A small network of integers, with a last layer of the given domain.
  static func small(last: Domain = .ternary) throws -> Model {
    let network = try Network(input: Shape(channels: 1, height: 4, width: 4)) {
      Node.conv2d("conv", channels: 2, kernel: 3, padding: 1)
      Node.activation("step", .hardStep)
      Node.maxPool("pool", kernel: 2)
      Node.flatten("flat")
      Node.linear("fc", features: 3)
    }.settingWeights(to: .binary).settingWeights(to: last, matching: "fc*")
    return try model(
      network,
      levels: [(0..<18).map { $0 % 3 == 0 ? -1 : 1 }, (0..<24).map { $0 % 3 - 1 }])
  }

  @Test func integersHaveNoFloats() throws {
    let source = try CSource(of: Self.small(), name: "tiny")
    #expect(source.isExact && source.floatReason == nil)
    // Scores are sums of ternary levels of 0.25 and steps of 1.
    #expect(source.scoreExponent == -2)
    let start = try #require(source.code.range(of: "#include")).lowerBound
    for word in ["float", "double", "malloc", "<math.h>", "<stdlib.h>"] {
      #expect(!source.code[start...].contains(word), "\(word)")
    }
    for line in [
      "  int tiny_classify(const uint8_t *pixels, int32_t *scores);",
      "pixels: 16 bytes from 0 to 255, [1][4][4]: channels, rows, columns.",
      "scores: 3 integers are written to it; times 2^-2 they are the network's outputs.",
      "Arithmetic: integers alone.",
      // 18 bits and 24 times 2 bits, each with a byte that the reader touches; 2 thresholds; 3 windows of 10 numbers.
      "Flash: 75 bytes of constants (60 of layer sizes, 11 of weights, 4 of thresholds),",
      // 32 levels of the convolution, 8 of the pooling, 8 flattened, and 9 weights.
      "Work for one image: 312 multiply-adds.",
      // At most 6 weights of 1 and inputs of 255.
      "  conv: 1,530",
    ] {
      #expect(source.code.contains(line), "\(line)\n\(source.code)")
    }
    #expect(source.multiplyAdds == 32 * 9 + 24)
  }

  /// The text is the same for the same model.
  @Test func theTextIsReproducible() throws {
    #expect(
      try CSource(of: Self.small(), name: "a").code == CSource(of: Self.small(), name: "a").code)
  }

  @Test func saysWhereFloatsBegin() throws {
    func reason(_ last: Domain = .ternary, _ change: (inout Model) -> Void) throws -> String? {
      var model = try Self.small(last: last)
      change(&model)
      return try CSource(of: model, name: "net").floatReason
    }
    #expect(
      try reason { $0.normalization.divisor = 255 }
        == "input: its pixels are not divided by a power of two alone")
    #expect(
      try reason { $0.normalization.mean[0] = 0.25 }
        == "input: a mean is subtracted from its pixels")
    #expect(try reason { $0.images = .floats(nil) } == "input: the network takes floats")
    // Also with levels as values: the engine may round what it adds for it.
    #expect(try reason(.float) { _ in } == "fc: its weights are floats")
  }

  @Test func sumsThatSinglePrecisionCannotHold() throws {
    let network = try Network(input: Shape(channels: 600)) { Node.linear("fc", features: 2) }
      .settingWeights(to: .integer(bits: 8))
    // 127 · 255 · 518 is the last below 2^24.
    func levels(_ count: Int) -> [Int] { (0..<1200).map { $0 % 600 < count ? 127 : 1 } }
    let most = 127 * 255 * 517 + 255 * 83
    #expect(most <= 1 << 24)
    let source = try CSource(of: Self.model(network, levels: [levels(517)]), name: "net")
    #expect(source.code.contains("  fc: 16,764,210"), "\(most)")
    #expect(
      errorText { _ = try CSource(of: Self.model(network, levels: [levels(519)]), name: "net") }
        == "fc: expected sums of at most 16777216, up to which 32-bit floats hold every integer, found that they may "
        + "reach \(127 * 255 * 519 + 255 * 81) (use fewer bits for its weights or its input, or fewer inputs)"
    )
  }

  @Test func numbersToPredict() throws {
    var model = try Self.small()
    model.hasClasses = false
    let source = try CSource(of: model, name: "net")
    #expect(source.code.contains("void net_predict(const uint8_t *pixels, int32_t *scores);"))
    #expect(!source.code.contains("return best;"))
    let images = Pixels.bytes(.init(repeating: 7, count: 16))
    #expect(
      errorText { _ = try source.test(with: images) }
        == "`test`: expected a model that tells classes, found one whose outputs are numbers")
    model.hasClasses = true
    let test = try CSource(of: model, name: "net").test(with: images)
    #expect(
      test.contains("static const uint8_t images[1][16] = {\n  {7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7}};")
    )
    #expect(test.contains("int net_classify(const uint8_t *pixels, int32_t *scores);"))
  }

  /// The images of a test are what the file takes, and what the engine is asked about.
  @Test func imagesOfATest() throws {
    var model = try Self.small()
    func test(_ images: Pixels) throws -> String {
      try CSource(of: model, name: "net").test(with: images, name: "digits")
    }
    func floats(_ value: Float) -> Pixels { .floats(.init(repeating: value, count: 16)) }
    // Bytes that were divided are bytes again.
    #expect(try test(floats(51 / 255)).contains("images[1][16] = {\n  {51,51,51,"))
    let refused =
      "digits: expected bytes, as the C file takes them, found floats (give images of bytes, uint8 from 0 to 255)"
    #expect(errorText { _ = try test(floats(0.3)) } == refused)
    model.images = nil
    #expect(errorText { _ = try test(floats(51 / 255)) } == refused)
    #expect(
      errorText { _ = try test(.bytes(.init(repeating: 7, count: 20))) }
        == "digits: expected whole images of 1×4×4, found 20 values")
    // A file of floats takes what bytes become.
    model.images = .floats(0...1)
    model.normalization.divisor = 255
    #expect(
      try test(.bytes(.init(repeating: 51, count: 16))).contains(
        "static const float images[1][16] = {\n  {0.2f,0.2f,"))
    #expect(try test(floats(0.3)).contains("{0.3f,0.3f,"))
  }

  /// A batch norm whose results are no numbers has no levels.
  @Test func resultsBeyondFloats() throws {
    let network = try Network(input: Shape(channels: 1)) {
      Node.batchNorm("bn")
      Node.activation("step", .quantize(bits: 2))
    }
    var parameters = Parameters(zerosFor: network)
    parameters.values = [3e38, 0]
    var model = Model(
      network: network, parameters: parameters, statistics: .init(),
      normalization: .init(mean: [0], divisor: 256), images: .bytes)
    model.statistics.moments[0] = .init(mean: [0.4], variance: [0])
    #expect(
      errorText { _ = try CSource(of: model, name: "net") }
        == "step: expected one of its levels, found nan (a batch norm before it has numbers so large that its results "
        + "leave the range of 32-bit floats: make its weights, biases and statistics smaller)")
  }

  @Test func names() throws {
    for (file, name) in [
      ("model.c", "model"), ("a/my-net.2.c", "my_net_2"), ("7.c", "model_7"), ("größe.c", "gr__e"),
      ("_x.c", "model__x"),
    ] {
      #expect(CSource.name(for: URL(fileURLWithPath: file)) == name)
    }
    for wrong in ["", "7a", "_a", "a-b", "ä", "a b"] {
      #expect(
        errorText { _ = try CSource(of: Self.small(), name: wrong) }
          == "`name`: expected a name of letters, digits and '_' that begins with a letter, found '\(wrong)'"
      )
    }
  }

  @Test(arguments: 1...8)
  func packing(bits: Int) {
    let most = 1 << (bits - 1) - 1
    let levels = (0..<101).map { bits == 1 ? $0 % 3 / 2 * 2 - 1 : $0 * 7 % (2 * most + 1) - most }
    let bytes = CWriter.packed(levels, bits: bits)
    #expect(bytes.count == (101 * bits + 7) / 8 + 1)
    // Bit by bit, the least significant first.
    let stream = bytes.flatMap { byte in (0..<8).map { Int(byte) >> $0 & 1 } }
    for (index, level) in levels.enumerated() {
      let field = (0..<bits).reduce(0) { $0 + stream[index * bits + $1] << $1 }
      let value = bits == 1 ? 2 * field - 1 : field > most ? field - 1 << bits : field
      #expect(value == level)
    }
  }

  @Test func levelsOfWeights() throws {
    func found(_ values: [Float], outputs: Int = 1) -> DyadicWeights? {
      DyadicWeights(values, outputs: outputs)
    }
    let ternary = try #require(found([0.5, 0, -0.5]))
    #expect(ternary.levels == [1, 0, -1] && ternary.exponents == [-1] && ternary.bits == 2)
    #expect(found([2, -2])?.bits == 1)
    let integers = try #require(found([0.75, -1, 0.25]))
    #expect(integers.levels == [3, -4, 1] && integers.exponents == [-2] && integers.bits == 4)
    // A scale for each output, where one for all would take too many bits.
    let scales = try #require(found([0x1p-9, 0x1p-9, 1, -1, 0, 0], outputs: 3))
    #expect(scales.levels == [1, 1, 1, -1, 0, 0] && Array(scales.exponents.prefix(2)) == [-9, 0])
    #expect(found([127, 1])?.bits == 8 && found([128, 1]) == nil && found([0.1, 1]) == nil)
  }

  /// For every integer of a range, thresholds give the level that the engine's own kernels compute.
  @Test(arguments: [
    Activation.sign, .hardStep, .quantize(bits: 1), .quantize(bits: 3),
    .quantize(bits: 4, signed: true),
    .quantize(bits: 8),
  ])
  func thresholds(activation: Activation) throws {
    let network = try Network(input: Shape(channels: 7)) {
      Node.batchNorm("bn")
      Node.activation("step", activation)
    }
    var parameters = Parameters(zerosFor: network)
    // Scales that rise steeply and slowly, fall, and are 0.
    parameters.values = [1, 0.1, -1, -0.03, 0, 7, -1e-3] + [0, 0.1, 0.3, 0.5, 0.25, -0.2, 0.4]
    var model = Model(
      network: network, parameters: parameters, statistics: .init(),
      normalization: .init(mean: .init(repeating: 0, count: 7), divisor: 256), images: .bytes)
    model.statistics.moments[0] = .init(
      mean: .init(repeating: 0.4, count: 7), variance: .init(repeating: 0.3, count: 7))
    let program = try CProgramBuilder.program(of: model)
    guard case .levels(let levels) = try #require(program.steps.first).operation else {
      Issue.record("no levels")
      return
    }
    #expect(levels.falling == [false, false, true, true, false, false, true])
    let images = (0...255).flatMap { [UInt8](repeating: UInt8($0), count: 7) }
    let expected = try model.predict(images)
    for (byte, prediction) in expected.enumerated() {
      for channel in 0..<7 {
        let x = levels.falling[channel] ? -byte : byte
        let reached = levels.thresholds[channel].count { x >= $0 }
        let level = levels.low + levels.step * reached
        let exponent = program.scoreExponent ?? 0
        #expect(
          Float(sign: .plus, exponent: exponent, significand: Float(level))
            == prediction.logits[channel], "\(byte), channel \(channel)")
      }
    }
  }

  /// No two values that are needed at the same time share memory, except one that replaces another.
  @Test(arguments: 0..<10)
  func memory(index: Int) throws {
    let model = try CExportTests.discrete(index: index).model
    guard let program = try CExportTests.unlessRefused({ try CProgramBuilder.program(of: model) })
    else { return }
    let memory = CMemory(program)
    var content: [String: [Int: Int]] = [:]
    for step in program.steps {
      for input in step.inputs {
        let root = program.root(input)
        guard let at = memory.places[root] else {
          #expect(root == 0)
          continue
        }
        let value = program.values[root]
        let array = CMemory.array(of: value.element)
        for i in 0..<value.shape.count {
          try #require(content[array]?[at + i] == root, "\(step.layers) reads what is gone")
        }
      }
      guard let at = memory.places[step.output] else {
        #expect(step.output == program.steps.last?.output)
        continue
      }
      let value = program.values[step.output]
      let array = CMemory.array(of: value.element)
      try #require(at + value.shape.count <= memory.sizes[array] ?? 0)
      for i in 0..<value.shape.count { content[array, default: [:]][at + i] = step.output }
    }
    // Less than all values one after another would take.
    let all = program.steps.dropLast().reduce(0) {
      $0 + program.values[$1.output].shape.count * program.values[$1.output].element.bytes
    }
    #expect(memory.bytes <= all)
  }
}
