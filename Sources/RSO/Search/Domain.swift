/// The values that the weights of a layer may have.
///
/// Except for `float`, a weight is a level times a scale: k · a. A scale is a power of two, so that k · a is exact in
/// single precision, and a device multiplies by shifting. `Parameters` holds the scales.
public enum Domain: Hashable, Sendable {
  /// Any number that a 32-bit float can hold.
  case float
  /// The levels −1 and 1.
  case binary
  /// The levels −1, 0 and 1.
  case ternary
  /// The levels from −(2^(`bits` − 1) − 1) to 2^(`bits` − 1) − 1; `bits` is 2 to 8.
  case integer(bits: Int)

  /// Whether weights are levels.
  public var isDiscrete: Bool { self != .float }

  /// From the lowest level to the highest. `binary` has no level 0 between them; `float` has none but 0.
  public var levels: ClosedRange<Int> {
    switch self {
    case .float: 0...0
    case .binary, .ternary: -1...1
    case .integer(let bits): (1 - 1 << (bits - 1))...(1 << (bits - 1) - 1)
    }
  }

  /// The bits that a weight takes where weights are packed.
  public var bits: Int {
    switch self {
    case .float: 32
    case .binary: 1
    case .ternary: 2
    case .integer(let bits): bits
    }
  }

  /// Whether `level` is one of the levels.
  public func has(_ level: Int) -> Bool {
    levels.contains(level) && !(self == .binary && level == 0)
  }

  /// The level nearest to `x`, which is a weight divided by its scale. Ties go away from zero; `binary` gives 0 the
  /// level 1, as `sign` does.
  public func level(nearest x: Double) -> Int {
    if self == .binary { return x < 0 ? -1 : 1 }
    return Int(min(max(x.rounded(), Double(levels.lowerBound)), Double(levels.upperBound)))
  }

  /// The distance of levels, in standard deviations, that rounds normally distributed numbers with the least squared
  /// error.
  ///
  /// Source: Joel Max, *Quantizing for Minimum Distortion*, IRE Transactions on Information Theory 6 (1960), table II,
  /// which has the same numbers for up to 36 levels; computed anew for up to 255.
  var normalStep: Double {
    switch self {
    case .float: 0
    case .binary: 0.798
    case .ternary: 1.224
    case .integer(let bits): [1.224, 0.651, 0.353, 0.194, 0.106, 0.0572, 0.0308][bits - 2]
    }
  }

  /// The power of two nearest to `scale`, as a ratio; within the exponents of `scaleExponents`.
  static func powerOfTwo(nearest scale: Double) -> Float {
    let exponent = scale > 0 ? scale.exponentOfTwo : scaleExponents.lowerBound
    return Float(
      sign: .plus,
      exponent: min(max(exponent, scaleExponents.lowerBound), scaleExponents.upperBound),
      significand: 1)
  }

  /// With these, a weight is a normal float, and so is a product with a pixel or a level of a step. Scales of layers with
  /// no step between them multiply, and may leave the range of a 32-bit float together.
  static let scaleExponents = -64...64

  /// Whether a scale is one that a file may have.
  static func isScale(_ scale: Float) -> Bool {
    scale > 0 && scale.isNormal && scale.significand == 1
      && scaleExponents.contains(Int(scale.exponent))
  }
}

extension Double {
  /// The exponent of the nearest power of two, as a ratio: √2 is as near to 1 as to 2, and goes to 2.
  fileprivate var exponentOfTwo: Int {
    guard isFinite else { return Domain.scaleExponents.upperBound }
    let exponent = Int(exponent)
    return significand * significand < 2 ? exponent : exponent + 1
  }
}

// MARK: As text

extension Domain: CustomStringConvertible {
  /// The names of all domains.
  static let names = ["float", "binary", "ternary"] + (2...8).map { "int\($0)" }

  /// As in a network's JSON and on the command line: `float`, `binary`, `ternary`, `int2` to `int8`.
  public var description: String {
    switch self {
    case .float: "float"
    case .binary: "binary"
    case .ternary: "ternary"
    case .integer(let bits): "int\(bits)"
    }
  }

  /// The levels in words.
  package var levelWords: String {
    switch self {
    case .float: "any number"
    case .binary: "−1 or 1"
    case .ternary, .integer: "−\(levels.upperBound) to \(levels.upperBound)"
    }
  }

  /// Reads `description`.
  ///
  /// - Throws: `RSOError` listing the domains.
  public init(_ text: some StringProtocol) throws {
    switch text {
    case "float": self = .float
    case "binary": self = .binary
    case "ternary": self = .ternary
    default:
      guard text.hasPrefix("int"), let bits = Int(text.dropFirst(3)), 2...8 ~= bits,
        text == "int\(bits)"
      else {
        throw RSOError(
          "`weights`", "expected float, binary, ternary, or int2 to int8, found '\(text)'",
          hint: "int4 has the levels −7 to 7 times a scale")
      }
      self = .integer(bits: bits)
    }
  }
}

extension Domain: Codable {
  /// From its text.
  public init(from decoder: any Decoder) throws { self = try decoder.decodeText(Domain.init) }

  /// As its text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Network {
  /// The network with another domain for the weights that a pattern names.
  ///
  /// - Parameters:
  ///   - domain: the values that they may have.
  ///   - pattern: a shell pattern for the names of parameters, such as `fc*` or `conv1.weight`. Biases and the
  ///     parameters of batch norms stay floats.
  /// - Throws: `RSOError` if the pattern names no weights of a convolution or linear layer.
  public func settingWeights(to domain: Domain, matching pattern: String = "*") throws -> Network {
    let weights = Parameters.slots(of: self).filter { $0.role == .weight }
    let matching = weights.filter { SearchSettings.matches($0.name, pattern) }
    guard !matching.isEmpty else {
      throw RSOError(
        "`weights`",
        "expected a pattern of the names of weights, found '\(pattern)', which matches none",
        hint: "there are " + weights.map(\.name).joined(separator: ", "))
    }
    var nodes = nodes
    for slot in matching { nodes[slot.node].weights = domain }
    return try Network(input: input, nodes: nodes)
  }

  /// Whether a layer with discrete weights reads the images, perhaps through layers without weights.
  var readsIntegers: Bool {
    var values: Set<Int> = [0]
    for (index, reads) in inputs.enumerated() where reads.contains(where: values.contains) {
      if nodes[index].weights.isDiscrete { return true }
      if nodes[index].layer.tensors(reading: 1).isEmpty { values.insert(index + 1) }
    }
    return false
  }

  /// Whether any weights are discrete.
  public var hasDiscreteWeights: Bool { nodes.contains { $0.weights.isDiscrete } }
}
