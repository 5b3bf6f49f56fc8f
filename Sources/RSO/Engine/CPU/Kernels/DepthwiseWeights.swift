import CRSO

/// The weights of a depthwise convolution in a pass, packed as the convolution kernel reads them for each channel
/// alone: `[candidates][channels][taps][8]`, of which the first of eight counts.
final class DepthwiseWeights {
  /// Index of the layer.
  let node: Int
  let channels: Int
  let taps: Int
  /// Sets of weights: one for every candidate, or one for all lanes.
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

  /// Sets one element of a tensor `[channels][taps]` or, for a bias, `[channels]`.
  func set(_ role: Parameters.Role, _ element: Int, _ value: Float, candidate: Int) {
    if role == .weight {
      weights.pointer[(candidate * channels * taps + element) * Int(rso_tile)] = value
    } else {
      bias.pointer[candidate * channels + element] = value
    }
  }

  /// Takes over a whole tensor for all candidates.
  func set(_ role: Parameters.Role, _ values: some Collection<Float>) {
    for result in 0..<candidates {
      for (element, value) in values.enumerated() { set(role, element, value, candidate: result) }
    }
  }
}
