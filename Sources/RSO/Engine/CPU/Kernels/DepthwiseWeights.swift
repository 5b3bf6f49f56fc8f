import CRSO

/// The weights of a depthwise convolution in a pass, packed as the convolution kernel reads them for each channel
/// alone: `[results][channels][taps][8]`, of which the first of eight counts.
final class DepthwiseWeights {
  /// Index of the layer.
  let node: Int
  let channels: Int
  let taps: Int
  /// Sets of weights: one for every candidate, or one for all lanes.
  let results: Int
  let weights: Buffer<Float>
  /// `[results][channels]`
  let bias: Buffer<Float>

  init(node: Int, channels: Int, taps: Int, results: Int) throws {
    self.node = node
    self.channels = channels
    self.taps = taps
    self.results = results
    weights = try Buffer(results * channels * taps * Int(rso_tile))
    bias = try Buffer(results * channels)
  }

  /// Sets one element of a tensor `[channels][taps]` or, for a bias, `[channels]`.
  func set(_ role: Parameters.Role, _ element: Int, _ value: Float, result: Int) {
    if role == .weight {
      weights.pointer[(result * channels * taps + element) * Int(rso_tile)] = value
    } else {
      bias.pointer[result * channels + element] = value
    }
  }

  /// Takes over a whole tensor for all results.
  func set(_ role: Parameters.Role, _ values: some Collection<Float>) {
    for result in 0..<results {
      for (element, value) in values.enumerated() { set(role, element, value, result: result) }
    }
  }
}
