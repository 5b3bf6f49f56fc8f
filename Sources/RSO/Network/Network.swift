/// A network as a value: named layers in a small graph, with every shape inferred and checked.
///
/// Each node reads the node before it unless it names another; `add` reads a second one. A network holds no
/// weights (see `Parameters`) and no data.
///
///     let network = try Network(input: Shape(channels: 1, height: 28, width: 28)) {
///       Node.conv2d("conv0", channels: 16, kernel: 3, padding: 1)
///       Node.batchNorm("bn0")
///       Node.relu("relu0")
///       Node.globalMaxPool("pool")
///       Node.linear("fc", features: 10)
///     }
public struct Network: Hashable, Sendable {
  /// One named layer and the node it reads.
  public struct Node: Hashable, Sendable {
    /// Letters, digits, `_`, `-` and `.`; the names of its parameters begin with it.
    public var name: String
    /// The layer it computes.
    public var layer: Layer
    /// The node it reads; `nil` for the one before. `"input"` names the images.
    public var input: String?
    /// Standard deviation of the initial weights, if it differs from He's √(2 / fan-in).
    public var initialDeviation: Double?
    /// Standard deviation σ of proposals for the weights, if it differs from that of He initialisation.
    public var proposalDeviation: Double?
    /// The values that the weights may have; biases and the parameters of a batch norm are floats.
    public var weights: Domain

    /// A node of any layer; `Network` checks it.
    public init(
      _ name: String, _ layer: Layer, input: String? = nil,
      initialDeviation: Double? = nil, proposalDeviation: Double? = nil, weights: Domain = .float
    ) {
      self.name = name
      self.layer = layer
      self.input = input
      self.initialDeviation = initialDeviation
      self.proposalDeviation = proposalDeviation
      self.weights = weights
    }
  }

  /// The shape of one sample.
  public let input: Shape
  /// In an order where every node comes after the nodes it reads.
  public let nodes: [Node]
  /// `shapes[0]` is the shape of the input, `shapes[i + 1]` that of node `i`'s output. Values are numbered this
  /// way everywhere: value 0 is the input, value `i + 1` the output of node `i`.
  public let shapes: [Shape]
  /// The values that node `i` reads: one, or two for `add` (its own input first).
  public let inputs: [[Int]]

  /// The number of classes: the channels of the last output.
  public var classes: Int { shapes[shapes.count - 1].channels }

  /// - Throws: `RSOError` naming the layer whose name, input or shape is wrong.
  public init(input: Shape, nodes: [Node]) throws {
    guard input.channels > 0, input.height > 0, input.width > 0 else {
      throw RSOError("input", "expected a shape of at least 1×1×1, found \(input)")
    }
    var size = NetworkSize()
    try size.add(input, name: "input")
    var values = ["input": 0]
    var shapes = [input]
    var inputs: [[Int]] = []
    for (index, node) in nodes.enumerated() {
      let name = node.name
      guard Node.isName(name) else { throw RSOError("layer \(index)", Node.expectedName(name)) }
      guard values[name] == nil else { throw RSOError(name, "the name is used twice") }
      func value(_ other: String) throws -> Int {
        guard let value = values[other] else {
          throw RSOError(name, "reads '\(other)', which is not the name of an earlier layer")
        }
        return value
      }
      var reads = [try node.input.map(value) ?? index]
      let shape = shapes[reads[0]]
      if case .add(let other) = node.layer {
        reads.append(try value(other))
        guard shapes[reads[1]] == shape else {
          throw RSOError(
            name, "adds \(shapes[reads[1]]) of '\(other)' to \(shape)",
            hint: "pass the shortcut through a 1×1 convolution of the right channels and stride")
        }
      }
      shapes.append(try node.layer.outputShape(of: shape, name: name))
      try size.add(node.layer, from: shape, to: shapes[index + 1], name: name)
      try node.checkWeights()
      inputs.append(reads)
      values[name] = index + 1
    }
    guard let output = shapes.last, !nodes.isEmpty, output.area == 1 else {
      throw RSOError(
        nodes.last?.name ?? "network",
        "expected the last layer to give one number for each class or target, "
          + "found \(shapes[shapes.count - 1])",
        hint: "end with a linear layer of as many features as there are classes or targets")
    }
    // Searching a layer that nothing reads would have no effect on the loss.
    let read = Set(inputs.joined())
    for (index, node) in nodes.enumerated().dropLast() where !read.contains(index + 1) {
      throw RSOError(node.name, "no later layer reads it", hint: "name it as an input, or drop it")
    }
    self.input = input
    self.nodes = nodes
    self.shapes = shapes
    self.inputs = inputs
  }

  /// A network of the listed nodes.
  ///
  /// - Throws: `RSOError` naming the layer whose name, input or shape is wrong.
  public init(input: Shape, @Builder _ nodes: () -> [Node]) throws {
    try self.init(input: input, nodes: nodes())
  }

  /// Multiply-adds of convolutions and linear layers in one forward pass of one sample, per node.
  public var multiplyAdds: [Int] {
    nodes.indices.map { index in
      nodes[index].layer.multiplyAdds(from: shapes[inputs[index][0]], to: shapes[index + 1])
    }
  }
}

extension Network {
  /// Collects nodes; loops and conditions are allowed.
  @resultBuilder
  public enum Builder {
    /// One node.
    public static func buildExpression(_ node: Node) -> [Node] { [node] }
    /// Nodes made elsewhere.
    public static func buildExpression(_ nodes: [Node]) -> [Node] { nodes }
    /// A sequence of lines.
    public static func buildBlock(_ parts: [Node]...) -> [Node] { parts.flatMap { $0 } }
    /// A loop.
    public static func buildArray(_ parts: [[Node]]) -> [Node] { parts.flatMap { $0 } }
    /// An `if`.
    public static func buildOptional(_ part: [Node]?) -> [Node] { part ?? [] }
    /// The first branch.
    public static func buildEither(first part: [Node]) -> [Node] { part }
    /// The other branch.
    public static func buildEither(second part: [Node]) -> [Node] { part }
  }
}

extension Network.Node {
  static func isName(_ name: String) -> Bool {
    !name.isEmpty && name.allSatisfy { $0.isLetter || $0.isNumber || "_.-".contains($0) }
  }

  /// - Throws: `RSOError` about the layer if it has no weights to be discrete, or they have too many levels.
  fileprivate func checkWeights() throws {
    guard weights.isDiscrete else { return }
    let hasWeights = layer.tensors(reading: 1).contains { $0.role == .weight }
    guard hasWeights else {
      throw RSOError(name, "expected weights to be \(weights), found a layer without weights")
    }
    if case .integer(let bits) = weights, !(2...8 ~= bits) {
      throw RSOError(name, "expected integer weights of 2 to 8 bits, found \(bits)")
    }
  }

  static func expectedName(_ found: String) -> String {
    "expected a name of letters, digits, '_', '-' and '.', found '\(found)'"
  }

  /// `[C, H, W]` to `[channels, H', W']`, H' = (H + 2 · padding − kernel) / stride + 1.
  public static func conv2d(
    _ name: String, channels: Int, kernel: Int, stride: Int = 1, padding: Int = 0,
    bias: Bool = false, input: String? = nil, weights: Domain = .float
  ) -> Self {
    Self(
      name,
      .conv2d(channels: channels, kernel: kernel, stride: stride, padding: padding, bias: bias),
      input: input, weights: weights)
  }
  /// `[C, H, W]` to `[C, H', W']`; each channel has its own weights.
  public static func depthwiseConv2d(
    _ name: String, kernel: Int, stride: Int = 1, padding: Int = 0, bias: Bool = false,
    input: String? = nil, weights: Domain = .float
  ) -> Self {
    Self(
      name, .depthwiseConv2d(kernel: kernel, stride: stride, padding: padding, bias: bias),
      input: input, weights: weights)
  }
  /// `[C, 1, 1]` to `[features, 1, 1]`.
  public static func linear(
    _ name: String, features: Int, bias: Bool = false, input: String? = nil,
    weights: Domain = .float
  ) -> Self {
    Self(name, .linear(features: features, bias: bias), input: input, weights: weights)
  }
  /// Normalises every channel, then scales and shifts it.
  public static func batchNorm(
    _ name: String, epsilon: Double = 1e-3, input: String? = nil
  ) -> Self {
    Self(name, .batchNorm(epsilon: epsilon), input: input)
  }
  /// An element-wise function.
  public static func activation(
    _ name: String, _ activation: Activation, input: String? = nil
  ) -> Self {
    Self(name, .activation(activation), input: input)
  }
  /// `max(x, 0)`.
  public static func relu(_ name: String, input: String? = nil) -> Self {
    Self(name, .activation(.relu), input: input)
  }
  /// Means over windows, which do not overlap if `stride` is `nil`.
  public static func averagePool(
    _ name: String, kernel: Int, stride: Int? = nil, padding: Int = 0, input: String? = nil
  ) -> Self {
    Self(
      name, .averagePool(kernel: kernel, stride: stride ?? kernel, padding: padding), input: input)
  }
  /// Maxima over windows, which do not overlap if `stride` is `nil`.
  public static func maxPool(
    _ name: String, kernel: Int, stride: Int? = nil, padding: Int = 0, input: String? = nil
  ) -> Self {
    Self(name, .maxPool(kernel: kernel, stride: stride ?? kernel, padding: padding), input: input)
  }
  /// `[C, H, W]` to `[C, 1, 1]`, the maximum of every channel.
  public static func globalMaxPool(_ name: String, input: String? = nil) -> Self {
    Self(name, .globalMaxPool, input: input)
  }
  /// `[C, H, W]` to `[C, 1, 1]`, the mean of every channel.
  public static func globalAveragePool(_ name: String, input: String? = nil) -> Self {
    Self(name, .globalAveragePool, input: input)
  }
  /// `[C, H, W]` to `[C·H·W, 1, 1]`.
  public static func flatten(_ name: String, input: String? = nil) -> Self {
    Self(name, .flatten, input: input)
  }
  /// The sum of its input and the output of the node called `other`; both have the same shape.
  public static func add(_ name: String, _ other: String, input: String? = nil) -> Self {
    Self(name, .add(other), input: input)
  }
}

/// The name to use in a network's builder: `Node.relu("relu0")`. (A line there cannot begin with a dot: Swift
/// would read it as a continuation of the line before.)
public typealias Node = Network.Node
