import RSO

/// Numbers that are small integers times a power of two, which sums in single precision keep exactly.
struct DyadicWeights {
  /// `[outputs][elements]`
  let levels: [Int]
  /// `[outputs]`: a weight is its level times 2^exponent.
  let exponents: [Int]
  /// 1 if all levels are −1 and 1, else 2 to 8: levels from −2^(bits − 1) + 1 to 2^(bits − 1) − 1.
  let bits: Int

  /// - Parameters:
  ///   - values: `[outputs][elements]`.
  /// - Returns: `nil` if some output's weights need more than 8 bits.
  init?(_ values: [Float], outputs: Int) {
    let size = values.count / max(outputs, 1)
    func rows(_ exponent: (Int) -> Int) -> (levels: [Int], exponents: [Int])? {
      var levels: [Int] = []
      levels.reserveCapacity(values.count)
      let exponents = (0..<outputs).map(exponent)
      for (index, value) in values.enumerated() {
        guard let level = value.multiple(of: exponents[index / size]), abs(level) <= 127 else {
          return nil
        }
        levels.append(level)
      }
      return (levels, exponents)
    }
    let common = Float.commonExponent(of: values) ?? 0
    // One scale for all where it will do: then sums of all channels have one unit.
    guard
      let found = rows({ _ in common })
        ?? rows({ Float.commonExponent(of: values[$0 * size..<($0 + 1) * size]) ?? common })
    else { return nil }
    (levels, exponents) = found
    let largest = levels.reduce(0) { max($0, abs($1)) }
    bits =
      levels.allSatisfy { abs($0) == 1 }
      ? 1 : (2...8).first { largest < 1 << ($0 - 1) } ?? 8
  }
}

extension Float {
  /// The largest e of which all values are multiples of 2^e; `nil` if all are 0 or one is not finite.
  static func commonExponent(of values: some Sequence<Float>) -> Int? {
    var least: Int?
    for value in values where value != 0 {
      guard value.isFinite else { return nil }
      least = Swift.min(least ?? .max, Int(value.exponent) - value.significandWidth)
    }
    return least
  }

  /// self / 2^exponent, if that is an integer below 2^31 in size.
  func multiple(of exponent: Int) -> Int? {
    let quotient = Double(sign: .plus, exponent: -exponent, significand: Double(self))
    guard quotient.rounded() == quotient, abs(quotient) < 0x1p31 else { return nil }
    return Int(quotient)
  }

  /// 2^exponent
  static func power(_ exponent: Int) -> Float {
    Float(sign: .plus, exponent: exponent, significand: 1)
  }
}

/// The largest integer up to which single precision has every integer.
let exactInSinglePrecision = 1 << 24

/// The exponents e with which a normal float can hold 2^e, and a finite one as many times that as
/// `exactInSinglePrecision`.
let exactUnits = -126...(127 - 24)
