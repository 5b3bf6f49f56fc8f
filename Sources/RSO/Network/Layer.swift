/// What one node of a network computes. Closed, so that a new kind does not compile until every
/// engine handles it.
///
/// Shapes are those of one sample: `[C, H, W]`. Windows are square and floor the output size, as in
/// PyTorch.
public enum Layer: Hashable, Sendable {
  /// Cross-correlation with weights `[channels, C, kernel, kernel]`, zero padding, optional bias.
  case conv2d(channels: Int, kernel: Int, stride: Int = 1, padding: Int = 0, bias: Bool = false)
  /// `[features, C]` weights on `[C, 1, 1]`, optional bias.
  case linear(features: Int, bias: Bool = false)
  /// Per-channel normalisation with biased variance, then scale (`weight`) and shift (`bias`).
  case batchNorm(epsilon: Double = 1e-3)
  /// A function of every value alone.
  case activation(Activation)
  /// Mean over windows; padding counts as zeros.
  case averagePool(kernel: Int, stride: Int, padding: Int = 0)
  /// Maximum over windows; padding is never the maximum.
  case maxPool(kernel: Int, stride: Int, padding: Int = 0)
  /// `[C, H, W]` to `[C, 1, 1]`, the maximum of every channel.
  case globalMaxPool
  /// `[C, H, W]` to `[C, 1, 1]`, the mean of every channel.
  case globalAveragePool
  /// `[C, H, W]` to `[C·H·W, 1, 1]`.
  case flatten
  /// The sum of the node's input and the output of the named earlier node (`"input"`: the images).
  case add(String)
}

/// Functions applied to every value alone.
public enum Activation: String, CaseIterable, Codable, Hashable, Sendable {
  /// `max(x, 0)`.
  case relu
  /// `x < 0 ? 0.01 x : x`.
  case leakyReLU
  /// `1 / (1 + exp(−x))`.
  case sigmoid
  /// The hyperbolic tangent.
  case tanh
  /// −1 below zero and +1 from zero on: no gradient reaches through it, and RSO needs none.
  case sign
}

extension Layer {
  /// The word for this kind of layer in JSON and in messages.
  public var kind: String {
    switch self {
    case .conv2d: "conv2d"
    case .linear: "linear"
    case .batchNorm: "batchNorm"
    case .activation(let activation): activation.rawValue
    case .averagePool: "averagePool"
    case .maxPool: "maxPool"
    case .globalMaxPool: "globalMaxPool"
    case .globalAveragePool: "globalAveragePool"
    case .flatten: "flatten"
    case .add: "add"
    }
  }

  /// The shape this layer makes of `input`.
  ///
  /// - Throws: `RSOError` about `name` when it cannot take that shape.
  func outputShape(of input: Shape, name: String) throws -> Shape {
    switch self {
    case .conv2d(let channels, let kernel, let stride, let padding, _):
      guard channels > 0 else {
        throw RSOError(name, "expected 1 or more channels, found \(channels)")
      }
      return try windowed(input, name, kernel, stride, padding, channels: channels)
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
    case .averagePool(let kernel, let stride, let padding),
      .maxPool(let kernel, let stride, let padding):
      // More padding than that would leave windows without a single value in them.
      guard 2 * padding <= kernel || (padding < kernel && self.isAveragePool) else {
        throw RSOError(
          name, "expected a padding of at most half the kernel \(kernel), found \(padding)")
      }
      return try windowed(input, name, kernel, stride, padding, channels: input.channels)
    case .batchNorm(let epsilon):
      guard epsilon > 0, epsilon.isFinite else {
        throw RSOError(name, "expected an epsilon above 0, found \(epsilon)")
      }
      return input
    case .globalMaxPool, .globalAveragePool: return Shape(channels: input.channels)
    case .flatten: return Shape(channels: input.count)
    case .activation, .add: return input
    }
  }

  private var isAveragePool: Bool { if case .averagePool = self { true } else { false } }

  private func windowed(
    _ input: Shape, _ name: String, _ kernel: Int, _ stride: Int, _ padding: Int, channels: Int
  ) throws -> Shape {
    guard (1...64).contains(kernel), (1...64).contains(stride), (0...kernel).contains(padding)
    else {
      throw RSOError(
        name,
        "expected a kernel and a stride of 1 to 64 and a padding of 0 to the kernel, "
          + "found kernel \(kernel), stride \(stride), padding \(padding)")
    }
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
