import CRSO

/// The weights of a depthwise convolution in a pass, packed as the convolution kernel reads them for a single channel:
/// `[candidates][channels][taps][8]`, of which only the first of eight is used.
final class DepthwiseWeights: ChannelParameters {
  let node: Int
  let roles: [Parameters.Role] = [.weight, .bias]
  let channels: Int
  let taps: Int
  let candidates: Int
  let weights: Buffer<Float>
  /// `[candidates][channels]`
  let bias: Buffer<Float>

  init(node: Int, channels: Int, taps: Int, candidates: Int) throws {
    self.node = node
    self.channels = channels
    self.taps = taps
    self.candidates = candidates
    weights = try Buffer(candidates * channels * taps * Int(rso_tile))
    bias = try Buffer(candidates * channels)
  }

  /// Sets one element of the weights `[channels][taps]` or of the bias `[channels]`.
  func set(_ role: Parameters.Role, _ element: Int, _ value: Float, candidate: Int) {
    if role == .weight {
      weights.pointer[(candidate * channels * taps + element) * Int(rso_tile)] = value
    } else {
      bias.pointer[candidate * channels + element] = value
    }
  }
}
