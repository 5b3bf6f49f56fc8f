/// What one node of a network computes. The enum is closed: a new kind does not compile until `Layer+Facts.swift`,
/// `Layer+JSON.swift` and every engine handle it.
///
/// Shapes are those of one sample, `[C, H, W]`. Windows are square, and output sizes round down, as in PyTorch.
public enum Layer: Hashable, Sendable {
  /// Cross-correlation with weights `[channels, C, kernel, kernel]`, zero padding, optional bias.
  case conv2d(channels: Int, kernel: Int, stride: Int = 1, padding: Int = 0, bias: Bool = false)
  /// Cross-correlation of each channel with its own weights, `[C, 1, kernel, kernel]`, zero padding, optional
  /// bias. In PyTorch: `Conv2d` with as many groups as channels.
  case depthwiseConv2d(kernel: Int, stride: Int = 1, padding: Int = 0, bias: Bool = false)
  /// `[features, C]` weights on `[C, 1, 1]`, optional bias.
  case linear(features: Int, bias: Bool = false)
  /// Per-channel normalisation with biased variance, then scale (`weight`) and shift (`bias`).
  case batchNorm(epsilon: Double = 1e-3)
  /// An element-wise function.
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
