import CRSO

/// A batch norm in a pass: the sums it needs, and the affine map that they give.
final class Norm: ChannelParameters {
  let node: Int
  let roles: [Parameters.Role] = [.scale, .shift]
  let channels: Int
  let epsilon: Double
  /// The first segment in which the map is known; 0: it uses running statistics.
  let level: Int
  /// The number of candidates; each has its own statistics.
  let candidates: Int

  /// γ and β, `[candidates][channels]`.
  let gamma: Buffer<Float>
  let beta: Buffer<Float>
  /// Whether the inputs are integers times powers of two.
  let isExact: Bool
  /// `[channels]`, subtracted before squares are summed, so that the variance does not suffer from cancellation.
  let origin: Buffer<Float>
  /// `[candidates][channels]`, y = scale · x + offset.
  let scale: Buffer<Float>
  let offset: Buffer<Float>
  /// `[chunks][candidates][channels][2]`
  let sums: Buffer<Double>
  /// `[candidates][channels]`
  private(set) var mean: [Double]
  private(set) var variance: [Double]
  /// Values per sample and channel.
  private let area: Int

  init(
    node: Int, channels: Int, epsilon: Double, level: Int, candidates: Int, chunkCapacity: Int,
    area: Int, isExact: Bool
  ) throws {
    self.node = node
    self.channels = channels
    self.epsilon = epsilon
    self.level = level
    self.candidates = candidates
    self.area = area
    self.isExact = isExact
    gamma = try Buffer(candidates * channels)
    beta = try Buffer(candidates * channels)
    origin = try Buffer(channels)
    scale = try Buffer(candidates * channels)
    offset = try Buffer(candidates * channels)
    sums = try Buffer(level == 0 ? 0 : max(chunkCapacity, 1) * candidates * channels * 2)
    mean = Array(repeating: 0, count: candidates * channels)
    variance = mean
  }

  func set(_ role: Parameters.Role, _ element: Int, _ value: Float, candidate: Int) {
    (role == .scale ? gamma : beta).pointer[candidate * channels + element] = value
  }

  /// Sets the origin from earlier moments of the pass's channels.
  ///
  /// Differences from a mean are no integers, but differences from a nearby multiple of a large power of two are, where
  /// inputs are. Single precision then adds up the first and most of the second moments without error.
  func setOrigin(mean: ArraySlice<Double>, variance: ArraySlice<Double>) {
    for (channel, (mean, variance)) in zip(mean, variance).enumerated() {
      let step = variance.squareRoot().binade
      let isRounded = isExact && step > 0 && step.isFinite
      origin.pointer[channel] = Float(isRounded ? (mean / step).rounded() * step : mean)
    }
  }

  func clear(chunks: Int) {
    sums.pointer.update(repeating: 0, count: max(chunks, 1) * candidates * channels * 2)
  }

  /// Adds up the chunks' sums and derives the map.
  ///
  /// - Parameter samples: the number of samples of all processes.
  func settle(_ reduction: Reduction, samples: Int) throws {
    let count = candidates * channels
    let n = Double(samples * area)
    try reduction.sum(sums.pointer, chunks: Reduction.chunks(of: samples), width: 2 * count)
    for i in 0..<count {
      let shifted = sums.pointer[2 * i] / n
      mean[i] = Double(origin.pointer[i % channels]) + shifted
      // Rounding can make a variance of zero negative. NaN stays NaN.
      let difference = sums.pointer[2 * i + 1] / n - shifted * shifted
      variance[i] = difference < 0 ? 0 : difference
    }
    derive()
  }

  /// Uses the given statistics instead of sums.
  func use(_ moments: BatchNormStatistics.Moments) {
    mean = moments.mean
    variance = moments.variance
    derive()
  }

  private func derive() {
    for i in 0..<candidates * channels {
      (scale.pointer[i], offset.pointer[i]) = BatchNormStatistics.map(
        gamma: gamma.pointer[i], beta: beta.pointer[i], mean: mean[i], variance: variance[i],
        epsilon: epsilon)
    }
  }
}
