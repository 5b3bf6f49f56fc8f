/// What is done to the values of every channel before a network reads them: (x − mean) / deviation, where x is
/// byte / `divisor` or a float as it came.
public struct Normalization: Hashable, Sendable {
  /// `[channels]`: what is subtracted.
  public var mean: [Float]
  /// `[channels]`: what the difference is divided by, each above 0.
  public var deviation: [Float]
  /// What bytes are divided by: 255, which makes them 0 to 1, or 256, which is exact in binary.
  public var divisor: Float

  /// - Parameters:
  ///   - mean: `[channels]`.
  ///   - deviation: `[channels]`; `nil` for no division.
  ///   - divisor: what bytes are divided by.
  public init(mean: [Float], deviation: [Float]? = nil, divisor: Float = 255) {
    self.mean = mean
    self.divisor = divisor
    self.deviation = deviation ?? [Float](repeating: 1, count: mean.count)
  }

  /// Whether any channel is divided.
  package var divides: Bool { deviation.contains { $0 != 1 } }

  /// What a network reads for x, rounded once.
  func callAsFunction(_ x: Double, channel: Int) -> Float {
    Float((x - Double(mean[channel])) / Double(deviation[channel]))
  }

  /// What a network reads for a byte, rounded once.
  func callAsFunction(byte: UInt8, channel: Int) -> Float {
    self(Double(byte) / Double(divisor), channel: channel)
  }

  /// `[channels][256]`: what a network reads for every byte; empty if the images are floats.
  func table(for images: Pixels) -> [Float] {
    guard case .bytes = images else { return [] }
    return mean.indices.flatMap { channel in
      (0...UInt8.max).map { self(byte: $0, channel: channel) }
    }
  }

  /// - Parameter name: what errors call it.
  /// - Throws: `RSOError` if there are not as many numbers as channels, or they are out of range as 32-bit floats.
  package init(
    mean: [Double], deviation: [Double]?, divisor: Double = 255, channels: Int, name: String
  ) throws {
    func floats(_ values: [Double], _ what: String, _ holds: (Float) -> Bool) throws -> [Float] {
      let floats = values.map { Float($0) }
      guard floats.count == channels, floats.allSatisfy({ $0.isFinite && holds($0) }) else {
        throw RSOError(
          name, "expected a \(what) of \(channels) channels, as 32-bit floats, found \(values)")
      }
      return floats
    }
    guard [255, 256].contains(divisor) else {
      throw RSOError(name, "expected a divisor of 255 or 256, found \(divisor)")
    }
    self.init(
      mean: try floats(mean, "mean") { _ in true },
      deviation: try deviation.map { try floats($0, "deviation above 0") { $0 > 0 } },
      divisor: Float(divisor))
  }
}
