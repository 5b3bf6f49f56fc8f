import Foundation
import RSO
import SwiftProtobuf

extension Model {
  /// The names of the input and output in an ONNX file.
  public enum ONNXName {
    /// Images `[N, C, H, W]`, or a table `[N, F]`: pixels from 0 to 255 as unsigned bytes, or floats as the model was
    /// trained on.
    public static let input = "input"
    /// 32-bit floats `[N, classes]`.
    public static let output = "logits"
  }

  /// Writes the model for programs that run ONNX.
  ///
  /// - Throws: `RSOError` if the file cannot be written, or the number of names differs from the number of classes.
  public func writeONNX(to url: URL, classNames: [String]? = nil) throws {
    try AtomicFile.write(onnx(classNames: classNames), to: url)
  }

  /// The model as an ONNX file (operator set 17) with its weights inside.
  ///
  /// It takes images as the model was trained on them: pixels as unsigned bytes, which it divides by 255 or 256 as the
  /// model does, or floats as they are. It subtracts the mean and divides by the deviation itself.
  /// Discrete weights are 8-bit integers that `DequantizeLinear` multiplies by their scales.
  /// Batch norm uses the model's running statistics; where a step (`sign`, `hardStep`, `quantize`) follows before the next
  /// weights, it is computed in double precision, so that it takes the same level as here. The number of images is free.
  ///
  /// - Parameter classNames: one for each class; `nil` for their numbers. They go into the metadata under
  ///   `classes`, as a JSON list.
  /// - Throws: `RSOError` if the number of names differs from the number of classes, or a value is NaN or infinite.
  public func onnx(classNames: [String]? = nil) throws -> Data {
    let names = classNames ?? (0..<network.classes).map(String.init)
    guard names.count == network.classes else {
      throw RSOError(
        "class names", "expected \(network.classes), one for each class, found \(names.count)")
    }
    // The same check as for a model's file.
    _ = try safeTensors(file: "model")
    var graph = ONNXBuilder(self)
    graph.build()
    var file = ONNXModel()
    file.irVersion = 8
    file.producerName = "rso"
    file.opsetImport = [.with { $0.version = 17 }]
    file.graph = graph.graph
    guard hasClasses else { return try file.serializedBytes() }
    let json = try JSONEncoder().encode(names)
    file.metadataProps = [
      .with {
        $0.key = "classes"
        $0.value = String(decoding: json, as: UTF8.self)
      }
    ]
    return try file.serializedBytes()
  }
}

extension Model {
  /// Whether it was trained on floats. A model that does not know takes bytes, as all did before.
  package var takesFloats: Bool { if case .floats? = images { true } else { false } }
}

/// Builds the nodes of a graph from the layers of a network, with the layers' names.
struct ONNXBuilder {
  private let model: Model
  private let network: Network
  private(set) var graph = ONNXGraph()
  /// For every value of the network, the name of its tensor and whether it is `[N, C]` rather than `[N, C, H, W]`.
  private var values: [(name: String, isFlat: Bool)] = []
  /// For every value, whether a step follows it.
  private let isBeforeStep: [Bool]
  /// The names that are not free for a layer's output.
  private let taken: Set<String>

  init(_ model: Model) {
    self.model = model
    network = model.network
    isBeforeStep = network.valuesBeforeSteps
    taken = Set([Model.ONNXName.input, Model.ONNXName.output] + model.tensorNames)
  }

  mutating func build() {
    graph.name = "rso"
    graph.input = [image]
    values = [(pixels(), network.input.isTable)]
    for index in network.nodes.indices { append(index) }
    // The output has its own name and no spatial dimensions.
    let last = values[network.nodes.count]
    node("Flatten", [last.name], Model.ONNXName.output, [.int("axis", 1)])
    graph.output = [
      valueInfo(Model.ONNXName.output, type: .float, dimensions: [network.classes])
    ]
  }

  // MARK: Input

  private var image: ONNXValueInfo {
    let shape = network.input
    return valueInfo(
      Model.ONNXName.input, type: model.takesFloats ? .float : .byte,
      dimensions: shape.isTable
        ? [shape.channels] : [shape.channels, shape.height, shape.width])
  }

  /// Pixels / 255 or 256, or floats, normalised by their channel's mean and deviation, as in training.
  private mutating func pixels() -> String {
    var names = ["pixels", "scaled", "centred"].map { "\(Model.ONNXName.input):\($0)" }
    if model.takesFloats {
      names[1] = Model.ONNXName.input
    } else {
      node("Cast", [Model.ONNXName.input], names[0], [.int("to", Int(ElementType.float.rawValue))])
      let scale = initializer(
        "\(Model.ONNXName.input):divisor", [1], [model.normalization.divisor])
      node("Div", [names[0], scale], names[1])
    }
    let dimensions = [1, model.mean.count] + (network.input.isTable ? [] : [1, 1])
    let mean = initializer("\(Model.ONNXName.input):mean", dimensions, model.mean)
    node("Sub", [names[1], mean], names[2])
    guard model.normalization.divides else { return names[2] }
    let deviation = initializer(
      "\(Model.ONNXName.input):deviation", dimensions, model.normalization.deviation)
    let normalized = "\(Model.ONNXName.input):normalized"
    node("Div", [names[2], deviation], normalized)
    return normalized
  }

  // MARK: Layers

  private mutating func append(_ index: Int) {
    let layer = network.nodes[index].layer
    let name = output(network.nodes[index].name)
    let inputs = network.inputs[index]
    var isFlat = values[inputs[0]].isFlat
    switch layer {
    case .conv2d(_, let kernel, let stride, let padding, _):
      node(
        "Conv", [spatial(inputs[0])] + weights(index, [.weight, .bias]), name,
        window(kernel, stride, padding))
      isFlat = false
    case .depthwiseConv2d(let kernel, let stride, let padding, _):
      let groups = network.shapes[inputs[0]].channels
      node(
        "Conv", [spatial(inputs[0])] + weights(index, [.weight, .bias]), name,
        window(kernel, stride, padding) + [.int("group", groups)])
      isFlat = false
    case .linear:
      node(
        "Gemm", [flat(inputs[0])] + weights(index, [.weight, .bias]), name, [.int("transB", 1)])
      isFlat = true
    case .batchNorm(let epsilon) where isBeforeStep[index + 1]:
      normalize(index, values[inputs[0]].name, epsilon, isFlat: isFlat, name)
    case .batchNorm(let epsilon):
      node(
        "BatchNormalization",
        [values[inputs[0]].name] + weights(index, [.scale, .shift]) + statistics(index), name,
        [.float("epsilon", Float(epsilon))])
    case .activation(let activation): append(activation, values[inputs[0]].name, name)
    case .averagePool(let kernel, let stride, let padding):
      node(
        "AveragePool", [spatial(inputs[0])], name,
        window(kernel, stride, padding) + [.int("count_include_pad", 1)])
      isFlat = false
    case .maxPool(let kernel, let stride, let padding):
      node("MaxPool", [spatial(inputs[0])], name, window(kernel, stride, padding))
      isFlat = false
    case .globalMaxPool:
      node("GlobalMaxPool", [spatial(inputs[0])], name)
      isFlat = false
    case .globalAveragePool:
      node("GlobalAveragePool", [spatial(inputs[0])], name)
      isFlat = false
    case .flatten:
      node("Flatten", [values[inputs[0]].name], name, [.int("axis", 1)])
      isFlat = true
    case .add:
      node("Add", inputs.map { isFlat ? flat($0) : spatial($0) }, name)
    }
    values.append((name, isFlat))
  }

  private func window(_ kernel: Int, _ stride: Int, _ padding: Int) -> [ONNXAttribute] {
    [
      .ints("kernel_shape", [kernel, kernel]), .ints("strides", [stride, stride]),
      .ints("pads", [padding, padding, padding, padding]),
    ]
  }

  /// A value as `[N, C, H, W]`.
  private mutating func spatial(_ value: Int) -> String {
    guard values[value].isFlat else { return values[value].name }
    let name = "\(values[value].name):spatial"
    if !isMade(name) {
      let axes = integers("\(name):axes", [2, 3])
      node("Unsqueeze", [values[value].name, axes], name)
    }
    return name
  }

  /// A value as `[N, C]`.
  private mutating func flat(_ value: Int) -> String {
    guard !values[value].isFlat else { return values[value].name }
    let name = "\(values[value].name):flat"
    if !isMade(name) { node("Flatten", [values[value].name], name, [.int("axis", 1)]) }
    return name
  }

  private func isMade(_ name: String) -> Bool { graph.node.contains { $0.output == [name] } }

  // MARK: Weights

  /// The tensors that a layer has, under their own names.
  private mutating func weights(_ index: Int, _ roles: [Parameters.Role]) -> [String] {
    let parameters = model.parameters
    return roles.compactMap { role in
      parameters.slots.firstIndex { $0.node == index && $0.role == role }.map { tensor in
        let slot = parameters.slots[tensor]
        if slot.domain.isDiscrete { return levels(tensor, slot) }
        return initializer(slot.name, slot.shape, parameters.values[slot.range])
      }
    }
  }

  /// The weights of a discrete tensor: its levels times its scales.
  private mutating func levels(_ tensor: Int, _ slot: Parameters.Slot) -> String {
    let levels = (0..<slot.count).map {
      Int8(clamping: model.parameters.level(of: $0, in: tensor) ?? 0)
    }
    let scales = model.parameters.scales[tensor] ?? []
    let inputs = [
      initializer(slot.name, slot.shape, .int8, levels),
      initializer("\(slot.name).scale", scales.count == 1 ? [] : [scales.count], scales),
    ]
    let name = "\(slot.name):floats"
    node("DequantizeLinear", inputs, name, scales.count == 1 ? [] : [.int("axis", 0)])
    return name
  }

  /// A batch norm before a step, whose rounding may decide the level: the engine's map, in double precision. There the
  /// product is exact, and the result is rounded once, as by the engine.
  private mutating func normalize(
    _ index: Int, _ input: String, _ epsilon: Double, isFlat: Bool, _ name: String
  ) {
    let parameters = model.parameters
    func values(_ role: Parameters.Role) -> [Float] {
      let slot = parameters.slots.first { $0.node == index && $0.role == role }
      return slot.map { Array(parameters.values[$0.range]) } ?? []
    }
    let (gamma, beta) = (values(.scale), values(.shift))
    let moments = model.statistics.moments[index]
    let maps = gamma.indices.map { channel in
      BatchNormStatistics.map(
        gamma: gamma[channel], beta: beta[channel], mean: moments?.mean[channel] ?? 0,
        variance: moments?.variance[channel] ?? 1, epsilon: epsilon)
    }
    let dimensions = [1, maps.count] + (isFlat ? [] : [1, 1])
    node("Cast", [input], "\(name):double", [.int("to", Int(ElementType.double.rawValue))])
    let scale = doubles("\(name):scale", dimensions, maps.map { Double($0.scale) })
    node("Mul", ["\(name):double", scale], "\(name):product")
    let offset = doubles("\(name):offset", dimensions, maps.map { Double($0.offset) })
    node("Add", ["\(name):product", offset], "\(name):sum")
    node("Cast", ["\(name):sum"], name, [.int("to", Int(ElementType.float.rawValue))])
  }

  private mutating func statistics(_ index: Int) -> [String] {
    let name = network.nodes[index].name
    let moments = model.statistics.moments[index]
    return [("running_mean", moments?.mean), ("running_var", moments?.variance)].map {
      let values = ($1 ?? []).map { Float($0) }
      return initializer("\(name).\($0)", [values.count], values)
    }
  }

  // MARK: Messages

  /// Element types, with the format's numbers.
  private enum ElementType: Int32 {
    case float = 1
    case byte = 2
    case int8 = 3
    case integer = 7
    case double = 11
  }

  /// The output of the layer called `name`, which may also be the name of the graph's output or of another layer's
  /// tensor. No layer's name has a colon.
  private func output(_ name: String) -> String { taken.contains(name) ? "\(name):layer" : name }

  mutating func node(
    _ type: String, _ inputs: [String], _ name: String, _ attributes: [ONNXAttribute] = []
  ) {
    graph.node.append(
      .with {
        $0.opType = type
        $0.name = name
        $0.input = inputs
        $0.output = [name]
        $0.attribute = attributes
      })
  }

  mutating func initializer(
    _ name: String, _ shape: [Int], _ values: some Collection<Float>
  ) -> String {
    initializer(name, shape, .float, values.map(\.bitPattern.littleEndian))
  }

  private mutating func doubles(_ name: String, _ shape: [Int], _ values: [Double]) -> String {
    initializer(name, shape, .double, values.map(\.bitPattern.littleEndian))
  }

  private mutating func integers(_ name: String, _ values: [Int64]) -> String {
    initializer(name, [values.count], .integer, values.map(\.littleEndian))
  }

  private mutating func initializer<Bits>(
    _ name: String, _ shape: [Int], _ type: ElementType, _ bits: [Bits]
  ) -> String {
    graph.initializer.append(
      .with {
        $0.name = name
        $0.dims = shape.map(Int64.init)
        $0.dataType = type.rawValue
        $0.rawData = bits.withUnsafeBytes { Data($0) }
      })
    return name
  }

  private func valueInfo(_ name: String, type: ElementType, dimensions: [Int]) -> ONNXValueInfo {
    .with {
      $0.name = name
      $0.type.tensorType.elemType = type.rawValue
      $0.type.tensorType.shape.dim =
        [.with { $0.dimParam = "N" }]
        + dimensions.map { size in .with { $0.dimValue = Int64(size) } }
    }
  }
}

extension Network {
  /// For every value, as `shapes` numbers them, whether a step reads it, directly or behind layers without weights. These
  /// pass on its last digit, which may decide the level.
  fileprivate var valuesBeforeSteps: [Bool] {
    var result = shapes.map { _ in false }
    for index in nodes.indices.reversed() {
      let leads: Bool
      switch nodes[index].layer {
      case .activation(let activation) where activation.isStep: leads = true
      case .conv2d, .depthwiseConv2d, .linear: leads = false
      case .batchNorm, .activation, .averagePool, .maxPool, .globalMaxPool, .globalAveragePool,
        .flatten, .add:
        leads = result[index + 1]
      }
      if leads { for value in inputs[index] { result[value] = true } }
    }
    return result
  }
}

extension ONNXAttribute {
  fileprivate static func int(_ name: String, _ value: Int) -> Self {
    .with {
      $0.name = name
      $0.type = .int
      $0.i = Int64(value)
    }
  }

  fileprivate static func ints(_ name: String, _ values: [Int]) -> Self {
    .with {
      $0.name = name
      $0.type = .ints
      $0.ints = values.map(Int64.init)
    }
  }

  static func float(_ name: String, _ value: Float) -> Self {
    .with {
      $0.name = name
      $0.type = .float
      $0.f = value
    }
  }
}
