/// Everything about a kind of layer except how an engine computes it, as switches without `default`: a new kind
/// does not compile until each of them has an answer.
///
/// `Layer+JSON.swift`, beside this file, has each kind's JSON name and keys. The code that computes a layer is in
/// `ReferenceEngine.apply`, `NetworkPass.append`, `CUDAPass.layer` and, for ONNX, `ONNXBuilder.append`.
extension Layer {
  // MARK: Shape

  /// The square window that slides over the image.
  struct Window: Hashable {
    var kernel = 1
    var stride = 1
    var padding = 0
  }

  /// The layer's window; a single position for a layer without one.
  var window: Window {
    switch self {
    case .conv2d(_, let kernel, let stride, let padding, _),
      .depthwiseConv2d(let kernel, let stride, let padding, _),
      .averagePool(let kernel, let stride, let padding),
      .maxPool(let kernel, let stride, let padding):
      Window(kernel: kernel, stride: stride, padding: padding)
    case .linear, .batchNorm, .activation, .globalMaxPool, .globalAveragePool, .flatten, .add:
      Window()
    }
  }

  /// The output shape for `input`.
  ///
  /// - Throws: `RSOError` about `name` if the layer cannot take that shape.
  func outputShape(of input: Shape, name: String) throws -> Shape {
    switch self {
    case .conv2d(let channels, _, _, _, _):
      guard channels > 0 else {
        throw RSOError(name, "expected 1 or more channels, found \(channels)")
      }
      return try window.output(of: input, channels: channels, name: name)
    case .depthwiseConv2d:
      return try window.output(of: input, channels: input.channels, name: name)
    case .linear(let features, _):
      guard features > 0 else {
        throw RSOError(name, "expected 1 or more features, found \(features)")
      }
      guard input.area == 1 else {
        throw RSOError(
          name, "a linear layer takes a flat input, found \(input)",
          hint: "put a flatten or global pooling layer before it")
      }
      return Shape(channels: features)
    case .averagePool(let kernel, _, let padding):
      try window.check(name)
      // More padding would leave windows without a single input value.
      guard 2 * padding <= kernel || padding < kernel else {
        throw Self.tooMuchPadding(name, kernel, padding)
      }
      return try window.output(of: input, channels: input.channels, name: name)
    case .maxPool(let kernel, _, let padding):
      try window.check(name)
      guard 2 * padding <= kernel else { throw Self.tooMuchPadding(name, kernel, padding) }
      return try window.output(of: input, channels: input.channels, name: name)
    case .batchNorm(let epsilon):
      guard Float(epsilon) > 0, Float(epsilon).isFinite else {
        throw RSOError(
          name, "expected an epsilon above 0 that a 32-bit float can hold, found \(epsilon)")
      }
      return input
    case .globalMaxPool, .globalAveragePool: return Shape(channels: input.channels)
    case .flatten: return Shape(channels: input.count)
    case .activation(let activation):
      try activation.check(name)
      return input
    case .add: return input
    }
  }

  private static func tooMuchPadding(_ name: String, _ kernel: Int, _ padding: Int) -> RSOError {
    RSOError(
      name, "expected a padding of at most half the kernel \(kernel), found \(padding)")
  }

  // MARK: Channels and samples

  /// Whether every output channel depends on every input channel.
  var mixesChannels: Bool {
    switch self {
    case .conv2d, .linear: true
    case .depthwiseConv2d, .batchNorm, .activation, .averagePool, .maxPool, .globalMaxPool,
      .globalAveragePool,
      .flatten, .add:
      false
    }
  }

  /// Whether the layer reduces every channel of an image to one number.
  var poolsImages: Bool {
    switch self {
    case .globalMaxPool, .globalAveragePool: true
    case .conv2d, .depthwiseConv2d, .linear, .batchNorm, .activation, .averagePool, .maxPool,
      .flatten, .add:
      false
    }
  }

  /// Whether the layer needs statistics of all samples, so that no sample can pass it before the others arrive.
  package var takesStatistics: Bool {
    switch self {
    case .batchNorm: true
    case .conv2d, .depthwiseConv2d, .linear, .activation, .averagePool, .maxPool, .globalMaxPool,
      .globalAveragePool, .flatten, .add:
      false
    }
  }

  // MARK: Parameters

  /// One tensor of a layer.
  struct Tensor: Hashable {
    var role: Parameters.Role
    /// Row-major; the output channel comes first.
    var shape: [Int]
    /// Standard deviation of the initial values (0: `initialMean` everywhere).
    var initialDeviation = 0.0
    var initialMean: Float = 0
    /// Standard deviation σ of the proposals before annealing.
    var proposalDeviation: Double
  }

  /// The tensors of a layer whose input has `channels` channels, in the order of their slots.
  func tensors(reading channels: Int) -> [Tensor] {
    switch self {
    case .conv2d(let outputs, let kernel, _, _, let bias):
      Self.weights([outputs, channels, kernel, kernel], bias: bias)
    case .depthwiseConv2d(let kernel, _, _, let bias):
      Self.weights([channels, 1, kernel, kernel], bias: bias)
    case .linear(let features, let bias): Self.weights([features, channels], bias: bias)
    case .batchNorm:
      [
        Tensor(
          role: .scale, shape: [channels], initialMean: 1, proposalDeviation: Self.shiftDeviation),
        Tensor(role: .shift, shape: [channels], proposalDeviation: Self.shiftDeviation),
      ]
    case .activation, .averagePool, .maxPool, .globalMaxPool, .globalAveragePool, .flatten, .add:
      []
    }
  }

  /// The paper's σ for γ and β. The paper has no biases; they act as β does, so they share it.
  private static let shiftDeviation = 0.167

  /// Weights with He's standard deviation √(2 / fan-in), and a bias if there is one.
  private static func weights(_ shape: [Int], bias: Bool) -> [Tensor] {
    let he = (2 / shape.dropFirst().reduce(1.0) { $0 * Double($1) }).squareRoot()
    let weight = Tensor(
      role: .weight, shape: shape, initialDeviation: he, proposalDeviation: he)
    guard bias else { return [weight] }
    return [
      weight, Tensor(role: .bias, shape: [shape[0]], proposalDeviation: shiftDeviation),
    ]
  }

  // MARK: Cost and rounding

  /// Multiply-adds of one sample; 0 for layers that compute no weighted sums.
  func multiplyAdds(from input: Shape, to output: Shape) -> Int {
    switch self {
    case .conv2d(_, let kernel, _, _, _): output.count * input.channels * kernel * kernel
    case .depthwiseConv2d(let kernel, _, _, _): output.count * kernel * kernel
    case .linear: output.count * input.channels
    case .batchNorm, .activation, .averagePool, .maxPool, .globalMaxPool, .globalAveragePool,
      .flatten, .add:
      0
    }
  }

  /// How one output is computed, as far as rounding is concerned.
  enum Rounding: Hashable {
    /// A sum of kernel² products for each input channel.
    case mixing(inputs: Int, outputs: Int, kernel: Int)
    /// This many operations in sequence.
    case operations(Int)
  }

  /// The rounding of one output of a layer that reads `input`.
  func rounding(reading input: Shape) -> Rounding {
    switch self {
    case .conv2d(let channels, let kernel, _, _, _):
      .mixing(inputs: input.channels, outputs: channels, kernel: kernel)
    case .depthwiseConv2d(let kernel, _, _, _): .operations(kernel * kernel + 1)
    case .linear: .mixing(inputs: input.channels, outputs: 1, kernel: 1)
    // Each sample's sums run over the area in single precision; four operations follow.
    case .batchNorm: .operations(input.area + 4)
    case .averagePool(let kernel, _, _): .operations(kernel * kernel + 1)
    case .globalAveragePool: .operations(input.area + 1)
    case .activation(let activation): .operations(activation.roundings)
    case .add: .operations(1)
    case .maxPool, .globalMaxPool, .flatten: .operations(0)
    }
  }
}

extension Layer.Window {
  /// - Throws: `RSOError` about the layer `name` if a number is out of range.
  fileprivate func check(_ name: String) throws {
    guard (1...64).contains(kernel), (1...64).contains(stride), (0...kernel).contains(padding)
    else {
      throw RSOError(
        name,
        "expected a kernel and a stride of 1 to 64 and a padding of 0 to the kernel, "
          + "found kernel \(kernel), stride \(stride), padding \(padding)")
    }
  }

  /// The output shape, with `channels` channels, of sliding the window over `input`.
  fileprivate func output(of input: Shape, channels: Int, name: String) throws -> Shape {
    try check(name)
    let height = input.height + 2 * padding - kernel
    let width = input.width + 2 * padding - kernel
    guard height >= 0, width >= 0 else {
      throw RSOError(
        name, "a kernel of \(kernel) with padding \(padding) does not fit into \(input)",
        hint: "use a smaller kernel, more padding, or fewer pooling layers before it")
    }
    return Shape(channels: channels, height: height / stride + 1, width: width / stride + 1)
  }
}
