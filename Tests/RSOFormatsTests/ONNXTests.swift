import Foundation
import RSO
import Testing

@testable import RSOFormats

/// The graph that is written. That ONNX Runtime computes the same is checked by `.ci/onnx_check.py`.
struct ONNXTests {
  static func model(_ network: Network) -> Model {
    var statistics = BatchNormStatistics()
    for (index, node) in network.nodes.enumerated() {
      guard case .batchNorm = node.layer else { continue }
      let channels = network.shapes[index + 1].channels
      statistics.moments[index] = .init(
        mean: (0..<channels).map { Double($0) / 4 }, variance: (0..<channels).map { Double($0 + 1) }
      )
    }
    return Model(
      network: network, parameters: Parameters(initialFor: network, seed: 3),
      statistics: statistics, normalization: Normalization(mean: [0.25]))
  }

  static func network() throws -> Network {
    try Network(input: Shape(channels: 1, height: 8, width: 6)) {
      Node.conv2d("conv", channels: 3, kernel: 3, stride: 2, padding: 1, bias: true)
      Node.batchNorm("bn", epsilon: 1e-5)
      Node.activation("leaky", .leakyReLU())
      Node.averagePool("pool", kernel: 2, padding: 1)
      Node.flatten("flat")
      Node.linear("logits", features: 5, bias: true)
      Node.activation("sign", .sign)
      Node.conv2d("mix", channels: 5, kernel: 1)
      Node.linear("again", features: 5, input: "sign")
      Node.add("sum", "mix")
    }
  }

  private static func file(_ names: [String]? = nil) throws -> ONNXModel {
    try ONNXModel(serializedBytes: try model(network()).onnx(classNames: names))
  }

  @Test func everyLayerIsThere() throws {
    let file = try Self.file()
    #expect(file.opsetImport.map(\.version) == [17] && file.irVersion == 8)
    let graph = file.graph
    #expect(
      graph.node.map(\.opType) == [
        "Cast", "Div", "Sub", "Conv", "BatchNormalization", "LeakyRelu", "AveragePool", "Flatten",
        "Gemm", "Less", "Where", "Unsqueeze", "Conv", "Gemm", "Flatten", "Add", "Flatten",
      ])
    func dimensions(_ value: ONNXValueInfo) -> [String] {
      value.type.tensorType.shape.dim.map { $0.dimParam.isEmpty ? "\($0.dimValue)" : $0.dimParam }
    }
    #expect(
      graph.input.map(\.name) == ["input"] && dimensions(graph.input[0]) == ["N", "1", "8", "6"])
    #expect(graph.output.map(\.name) == ["logits"] && dimensions(graph.output[0]) == ["N", "5"])
    Self.checkNames(graph)
  }

  /// Every tensor is made once and before it is read.
  private static func checkNames(_ graph: ONNXGraph) {
    var made = Set(graph.initializer.map(\.name) + ["input"])
    #expect(made.count == graph.initializer.count + 1)
    for node in graph.node {
      for input in node.input { #expect(made.contains(input), "\(node.name) reads \(input)") }
      for output in node.output { #expect(made.insert(output).inserted, "\(output) is made twice") }
    }
    #expect(made.contains("logits"))
  }

  /// A model of floats takes them as they are.
  @Test func floatsAreNotScaled() throws {
    var model = Self.model(try Self.network())
    model.images = .floats(-0.5...2.75)
    let graph = try ONNXModel(serializedBytes: try model.onnx()).graph
    #expect(graph.node.prefix(2).map(\.opType) == ["Sub", "Conv"])
    #expect(graph.node[0].input == ["input", "input:mean"])
    // 1 is a float, 2 an unsigned byte.
    #expect(graph.input[0].type.tensorType.elemType == 1)
    Self.checkNames(graph)
    model.images = .bytes
    let bytes = try ONNXModel(serializedBytes: try model.onnx())
    #expect(bytes.graph.input[0].type.tensorType.elemType == 2)
    #expect(try bytes == Self.file())
  }

  @Test func aDeviationDivides() throws {
    var model = Self.model(try Self.network())
    model.normalization.deviation = [0.5]
    let graph = try ONNXModel(serializedBytes: try model.onnx()).graph
    #expect(graph.node.prefix(5).map(\.opType) == ["Cast", "Div", "Sub", "Div", "Conv"])
    #expect(graph.node[3].input == ["input:centred", "input:deviation"])
    #expect(graph.node[4].input.first == "input:normalized")
    let deviation = try #require(graph.initializer.first { $0.name == "input:deviation" })
    #expect(deviation.dims == [1, 1, 1, 1] && Array(deviation.rawData) == [0, 0, 0, 0x3f])
    Self.checkNames(graph)
  }

  /// A table is `[N, F]`, also in front of layers that read images.
  @Test func tablesHaveTwoDimensions() throws {
    var model = Self.model(
      try Network(input: Shape(channels: 3)) {
        Node.linear("fc", features: 4)
        Node.conv2d("conv", channels: 2, kernel: 1, input: "input")
        Node.linear("out", features: 4, input: "conv")
        Node.add("sum", "fc")
      })
    model.images = .floats(nil)
    model.normalization = Normalization(mean: [1, 2, 3], deviation: [4, 5, 6])
    let graph = try ONNXModel(serializedBytes: try model.onnx()).graph
    let shape = graph.input[0].type.tensorType.shape.dim
    #expect(shape.map(\.dimValue) == [0, 3] && shape[0].dimParam == "N")
    #expect(graph.node.map(\.opType).prefix(5) == ["Sub", "Div", "Gemm", "Unsqueeze", "Conv"])
    for name in ["input:mean", "input:deviation"] {
      #expect(graph.initializer.first { $0.name == name }?.dims == [1, 3])
    }
    Self.checkNames(graph)
  }

  /// A layer may be called as another one's tensor is.
  @Test func layersNamedAsTensors() throws {
    let network = try Network(input: Shape(channels: 1, height: 8, width: 6)) {
      Node.conv2d("conv", channels: 3, kernel: 3, bias: true)
      Node.batchNorm("bn")
      Node.relu("conv.weight")
      Node.activation("conv.bias", .tanh)
      Node.activation("bn.weight", .sign)
      Node.relu("bn.running_mean", input: "conv.bias")
      Node.add("bn.running_var", "bn.weight")
      Node.flatten("flat")
      Node.linear("fc", features: 2)
      Node.linear("fc.weight", features: 2)
    }
    let graph = try ONNXModel(serializedBytes: try Self.model(network).onnx()).graph
    Self.checkNames(graph)
    let last = try #require(graph.node.last { $0.opType == "Gemm" })
    #expect(last.input == ["fc", "fc.weight.weight"] && last.output == ["fc.weight:layer"])
    #expect(graph.initializer.contains { $0.name == "fc.weight" && $0.dims == [2, 72] })
  }

  /// Those that operator set 17 has, and those that take several operators.
  @Test func activations() throws {
    let network = try Network(input: Shape(channels: 1, height: 8, width: 6)) {
      Node.activation("leaky", .leakyReLU(slope: 0.25))
      Node.activation("gelu", .gelu)
      Node.activation("silu", .silu)
      Node.activation("hard", .hardSigmoid)
      Node.activation("swish", .hardSwish)
      Node.activation("step", .hardStep)
      Node.activation("levels", .quantize(bits: 2))
      Node.activation("signed", .quantize(bits: 3, signed: true))
      Node.flatten("flat")
      Node.linear("fc", features: 2)
    }
    let graph = try ONNXModel(serializedBytes: try Self.model(network).onnx()).graph
    Self.checkNames(graph)
    #expect(
      graph.node.dropFirst(3).map(\.opType) == [
        "LeakyRelu", "Mul", "Erf", "Add", "Mul", "Mul", "Sigmoid", "Mul", "HardSigmoid",
        "HardSwish", "Less", "Where", "Clip", "Mul", "Round", "Div",
        "Clip", "Add", "Mul", "Round", "Mul", "Sub", "Div", "Flatten", "Gemm", "Flatten",
      ])
    func attributes(_ name: String) -> [Float] {
      graph.node.first { $0.name == name }?.attribute.map(\.f) ?? []
    }
    #expect(attributes("leaky") == [0.25] && attributes("hard") == [1 / 6, 0.5])
    func number(_ name: String) -> Float? {
      graph.initializer.first { $0.name == name }?.rawData.withUnsafeBytes {
        $0.loadUnaligned(as: Float.self)
      }
    }
    #expect(number("levels:place:by") == 3 && number("signed:place:by") == 3.5)
    #expect(number("levels:low") == 0 && number("signed:low") == -1)
    #expect(number("levels:by") == 4 && number("signed:by") == 8)
    // Clip takes its limits without a dimension.
    #expect(graph.initializer.first { $0.name == "levels:low" }?.dims == [])
    #expect(number("step:down") == 0 && number("step:up") == 1)
  }

  /// A convolution of as many groups as channels, also behind a flatten, where ONNX wants its dimensions back.
  @Test func depthwise() throws {
    let network = try Network(input: Shape(channels: 1, height: 8, width: 6)) {
      Node.conv2d("conv", channels: 3, kernel: 3)
      Node.depthwiseConv2d("depth", kernel: 3, stride: 2, padding: 1, bias: true)
      Node.flatten("flat")
      Node.depthwiseConv2d("scale", kernel: 1)
      Node.linear("fc", features: 2)
    }
    let graph = try ONNXModel(serializedBytes: try Self.model(network).onnx()).graph
    func node(_ name: String) throws -> ONNXNode {
      try #require(graph.node.first { $0.name == name })
    }
    for (name, groups) in [("depth", 3), ("scale", 3 * 3 * 2)] {
      let node = try node(name)
      #expect(node.opType == "Conv")
      #expect(node.attribute.first { $0.name == "group" }?.i == Int64(groups))
      let weight = try #require(graph.initializer.first { $0.name == "\(name).weight" })
      #expect(weight.dims == [Int64(groups), 1] + (name == "depth" ? [3, 3] : [1, 1]))
    }
    #expect(try node("depth").input.dropFirst() == ["depth.weight", "depth.bias"])
    #expect(try node("scale").input == ["flat:spatial", "scale.weight"])
    #expect(try node("conv").attribute.allSatisfy { $0.name != "group" })
  }

  @Test func attributesAndWeightsAreTheNetworks() throws {
    let model = Self.model(try Self.network())
    let graph = try Self.file().graph
    func attributes(_ name: String) -> [String: [Double]] {
      let node = graph.node.first { $0.name == name }
      let pairs = (node?.attribute ?? []).map { attribute -> (String, [Double]) in
        switch attribute.type {
        case .float: (attribute.name, [Double(attribute.f)])
        case .int: (attribute.name, [Double(attribute.i)])
        default: (attribute.name, attribute.ints.map { Double($0) })
        }
      }
      return Dictionary(pairs) { first, _ in first }
    }
    #expect(
      attributes("conv") == ["kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]])
    #expect(
      attributes("pool") == [
        "kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": [1],
      ])
    #expect(attributes("bn") == ["epsilon": [Double(Float(1e-5))]])
    #expect(attributes("leaky") == ["alpha": [Double(Float(0.01))]])
    #expect(attributes("logits:layer")["transB"] == [1])
    func values(_ name: String) -> [Float] {
      let data = graph.initializer.first { $0.name == name }?.rawData ?? Data()
      return data.withUnsafeBytes { bytes in
        stride(from: 0, to: bytes.count, by: 4).map {
          bytes.loadUnaligned(fromByteOffset: $0, as: Float.self)
        }
      }
    }
    for slot in model.parameters.slots {
      #expect(values(slot.name) == Array(model.parameters.values[slot.range]), "\(slot.name)")
    }
    #expect(values("bn.running_mean") == [0, 0.25, 0.5])
    #expect(values("bn.running_var") == [1, 2, 3])
    #expect(values("input:mean") == [0.25] && values("input:divisor") == [255])
  }

  /// Levels as 8-bit integers, with one scale for a tensor or for each output channel; and a batch norm before a step as
  /// a map in double precision.
  @Test func discreteWeights() throws {
    let network = try Network(input: Shape(channels: 1, height: 4, width: 4)) {
      Node.conv2d("conv", channels: 2, kernel: 3, weights: .ternary)
      Node.batchNorm("bn")
      Node.activation("sign", .sign)
      Node.flatten("flat")
      Node.linear("fc", features: 2, weights: .integer(bits: 8))
      Node.batchNorm("bn1")
      Node.activation("step", .hardStep)
      Node.linear("last", features: 2)
    }
    var model = Self.model(network)
    model.parameters.scales[0] = [0.5, 4]
    for element in 9..<18 { model.parameters.values[element] *= 8 }
    model.normalization = Normalization(mean: [0], divisor: 256)
    let graph = try ONNXModel(serializedBytes: try model.onnx()).graph
    Self.checkNames(graph)
    #expect(
      graph.node.dropFirst(3).map(\.opType) == [
        "DequantizeLinear", "Conv", "Cast", "Mul", "Add", "Cast", "Less", "Where", "Flatten",
        "DequantizeLinear", "Gemm", "Cast", "Mul", "Add", "Cast", "Less", "Where", "Gemm",
        "Flatten",
      ])
    func tensor(_ name: String) throws -> ONNXTensor {
      try #require(graph.initializer.first { $0.name == name })
    }
    func floats(_ name: String) throws -> [Float] {
      try tensor(name).rawData.withUnsafeBytes { bytes in
        stride(from: 0, to: bytes.count, by: 4).map {
          bytes.loadUnaligned(fromByteOffset: $0, as: Float.self)
        }
      }
    }
    for (slot, name, scales) in [(0, "conv.weight", [0.5, 4]), (3, "fc.weight", nil)]
      as [(Int, String, [Float]?)]
    {
      let levels = try tensor(name)
      #expect(
        levels.dataType == 3 && levels.dims == model.parameters.slots[slot].shape.map(Int64.init))
      #expect(
        levels.rawData.map { Int8(bitPattern: $0) } == (try model.parameters.levels(of: slot)))
      let scale = try tensor("\(name).scale")
      #expect(scale.dims == (scales == nil ? [] : [2]))
      #expect(try floats("\(name).scale") == scales ?? model.parameters.scales[slot])
      let node = try #require(graph.node.first { $0.input.first == name })
      #expect(node.attribute.map(\.name) == (scales == nil ? [] : ["axis"]))
    }
    #expect(try floats("input:divisor") == [256])
    // Channel 1 has the mean 1/4 and the variance 2; γ is 1 and β is 0.
    let scale = try tensor("bn:scale")
    #expect(scale.dataType == 11 && scale.dims == [1, 2, 1, 1])
    let factor = 1 / (2.0 + 1e-3).squareRoot()
    func doubles(_ name: String) throws -> [Double] {
      try tensor(name).rawData.withUnsafeBytes { bytes in
        stride(from: 0, to: bytes.count, by: 8).map {
          bytes.loadUnaligned(fromByteOffset: $0, as: Double.self)
        }
      }
    }
    #expect(try doubles("bn:scale")[1] == Double(Float(factor)))
    #expect(try doubles("bn:offset")[1] == Double(Float(-0.25 * factor)))
    #expect(try tensor("bn1:offset").dims == [1, 2])
  }

  /// A batch norm is rounded as here wherever a step follows it before the next weights.
  @Test func batchNormsBeforeSteps() throws {
    let network = try Network(input: Shape(channels: 2, height: 4, width: 4)) {
      Node.batchNorm("relu")
      Node.relu("a1")
      Node.activation("a2", .quantize(bits: 4))
      Node.batchNorm("leaky")
      Node.activation("b1", .leakyReLU(slope: 0.1))
      Node.maxPool("b2", kernel: 2)
      Node.activation("b3", .sign)
      Node.batchNorm("twice0")
      Node.batchNorm("twice1")
      Node.activation("c1", .hardStep)
      // One reader is a sum that a step reads, the other the layer of weights after it.
      Node.batchNorm("sum")
      Node.conv2d("d1", channels: 2, kernel: 1)
      Node.add("d2", "sum")
      Node.globalMaxPool("d3")
      Node.activation("d4", .sign)
      Node.batchNorm("flat")
      Node.flatten("e1")
      Node.activation("e2", .hardStep)
      Node.batchNorm("weights")
      Node.linear("f1", features: 2)
      Node.activation("f2", .sign)
      Node.batchNorm("end")
      Node.relu("g1")
    }
    let graph = try ONNXModel(serializedBytes: try Self.model(network).onnx()).graph
    Self.checkNames(graph)
    let floats = graph.node.filter { $0.opType == "BatchNormalization" }.map(\.name)
    #expect(floats == ["weights", "end"])
    for name in ["relu", "leaky", "twice0", "twice1", "sum", "flat"] {
      #expect(graph.node.contains { $0.opType == "Add" && $0.name == "\(name):sum" }, "\(name)")
    }
  }

  @Test func classNamesAreInTheMetadata() throws {
    func names(_ file: ONNXModel) throws -> [String] {
      let text = try #require(file.metadataProps.first { $0.key == "classes" }).value
      return try JSONDecoder().decode([String].self, from: Data(text.utf8))
    }
    #expect(try names(Self.file()) == ["0", "1", "2", "3", "4"])
    let pets = ["cat", "dog \"x\"", "é", "a,b", ""]
    #expect(try names(Self.file(pets)) == pets)
    #expect(
      errorText { _ = try Self.file(["cat"]) }
        == "class names: expected 5, one for each class, found 1")
  }

  @Test func nothingIsWrittenWhereItCannotBe() throws {
    try withTemporaryFolder { folder in
      var model = Self.model(try Self.network())
      let missing = folder.appendingPathComponent("none/m.onnx")
      #expect(
        errorText { try model.writeONNX(to: missing) }?
          .contains("none/m.onnx: cannot be written: No such file or directory") == true)
      model.parameters.values[0] = .nan
      #expect(
        errorText { try model.writeONNX(to: folder.appendingPathComponent("m.onnx")) }
          == "model: expected finite values, found nan at conv.weight[0]")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }
  }
}
