import Foundation

extension Model {
  /// The images that a model was trained on, as far as their values go.
  ///
  /// A network that learnt from pixels / 255 makes little of standardised floats, and the other way round, although
  /// both have the same shape.
  public enum Images: Hashable, Sendable {
    /// Pixels from 0 to 255, which were divided by 255.
    case bytes
    /// Floats, which were taken as they came, with the least and the greatest of the training images; `nil` if those
    /// are unknown.
    case floats(ClosedRange<Float>?)

    /// The kind of some images.
    ///
    /// - Complexity: O(values) for floats.
    public init(_ pixels: Pixels) {
      switch pixels {
      case .bytes: self = .bytes
      case .floats(let values):
        var range: ClosedRange<Float>?
        for value in values where value.isFinite {
          range = min(range?.lowerBound ?? value, value)...max(range?.upperBound ?? value, value)
        }
        self = .floats(range ?? 0...0)
      }
    }
  }
}

extension Model.Images {
  /// `0 to 1`, as messages say a range of floats.
  private static func words(_ range: ClosedRange<Float>) -> String {
    "\(range.lowerBound) to \(range.upperBound)"
  }

  /// Whether floats in `range` are very likely bytes that were divided by 255, or were not if `scale` is 255: they
  /// use the whole scale, and nothing is beyond it.
  private static func fills(_ range: ClosedRange<Float>, scale: Float) -> Bool {
    range.lowerBound >= 0 && range.upperBound <= scale && range.upperBound > 0.98 * scale
  }

  /// A warning about floats that look like bytes nobody has scaled; `nil` for other images.
  package var doubt: String? {
    guard case .floats(let range?) = self, Self.fills(range, scale: 255) else { return nil }
    return "floats from \(Self.words(range)), taken as they are; bytes (uint8) are divided by 255"
  }

  /// Images as the model takes them.
  ///
  /// - Parameters:
  ///   - name: what errors call the images.
  ///   - divisor: what the model divides bytes by (`Normalization.divisor`).
  /// - Returns: the images, and a note if they are of the other kind but certain to mean the same.
  /// - Throws: `RSOError` if they are of the other kind.
  package func adapted(
    _ pixels: Pixels, name: String, divisor: Float = 255
  ) throws -> (pixels: Pixels, note: String?) {
    switch (self, pixels) {
    case (.bytes, .bytes): return (pixels, nil)
    case (.bytes, .floats(let values)):
      guard case .floats(let found?) = Self(pixels) else { return (pixels, nil) }
      guard found.lowerBound >= 0, found.upperBound <= 1 else {
        throw RSOError(
          name,
          "expected bytes, or floats from 0 to 1, because the model was trained on bytes / 255, "
            + "found floats from \(Self.words(found))",
          hint: "give the pixels as they are: images.astype('uint8'), or images / 255")
      }
      // As bytes, where they are: the model may divide them by another number.
      let bytes = values.map { ($0 * 255).rounded() }
      let areBytes = zip(values, bytes).allSatisfy { abs($0 * 255 - $1) < 1e-3 }
      return (
        areBytes
          ? .bytes(bytes.map { UInt8($0) })
          : divisor == 255 ? pixels : .floats(values.map { $0 * 255 / divisor }),
        "floats from 0 to 1, taken as the bytes / 255 that the model was trained on"
      )
    case (.floats(nil), .floats): return (pixels, nil)
    case (.floats(nil), .bytes):
      throw RSOError(
        name, "expected floats, which the model takes, found bytes",
        hint: "convert them as the training images were, and save them as float32 in an .npy file")
    case (.floats(let range?), .bytes(let bytes)):
      if Self.fills(range, scale: 1) {
        return (
          pixels, "bytes, divided by 255: the model was trained on floats from \(Self.words(range))"
        )
      }
      if Self.fills(range, scale: 255) {
        return (
          .floats(bytes.map { Float($0) }),
          "bytes, not divided: the model was trained on floats from \(Self.words(range))"
        )
      }
      throw RSOError(
        name,
        "expected floats like those that the model was trained on, \(Self.words(range)), "
          + "found bytes",
        hint: "convert them as the training images were, and save them as float32 in an .npy file")
    case (.floats(let range?), .floats):
      guard case .floats(let found?) = Self(pixels) else { return (pixels, nil) }
      // Some are always beyond what was seen in training; far beyond is another scale.
      let reach = range.upperBound / 2 - range.lowerBound / 2
      let isFar =
        found.upperBound / 2 - range.upperBound / 2 > reach
        || range.lowerBound / 2 - found.lowerBound / 2 > reach
      return (
        pixels,
        isFar
          ? "floats from \(Self.words(found)): the model was trained on \(Self.words(range))" : nil
      )
    }
  }
}

/// JSON: `{"kind":"bytes"}`, or `{"kind":"floats","least":-0.42,"greatest":2.82}`, or `{"kind":"floats"}`.
extension Model.Images: Codable {
  private enum Key: String, CodingKey { case kind, least, greatest }
  private enum Kind: String, Codable { case bytes, floats }

  /// - Throws: `DecodingError`, also for a range without an order.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    switch try container.decode(Kind.self, forKey: .kind) {
    case .bytes: self = .bytes
    case .floats:
      guard container.contains(.least) || container.contains(.greatest) else {
        self = .floats(nil)
        return
      }
      // A double's shortest decimal form reads back as the same float.
      let least = Float(try container.decode(Double.self, forKey: .least))
      let greatest = Float(try container.decode(Double.self, forKey: .greatest))
      guard least.isFinite, greatest.isFinite, least <= greatest else {
        throw DecodingError.dataCorruptedError(
          forKey: .greatest, in: container, debugDescription: "not a range of floats")
      }
      self = .floats(least...greatest)
    }
  }

  /// Writes what `init(from:)` reads.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    switch self {
    case .bytes: try container.encode(Kind.bytes, forKey: .kind)
    case .floats(let range):
      try container.encode(Kind.floats, forKey: .kind)
      try container.encodeIfPresent(range.map { Double($0.lowerBound) }, forKey: .least)
      try container.encodeIfPresent(range.map { Double($0.upperBound) }, forKey: .greatest)
    }
  }
}
