/// How exactly a card multiplies in whole layers, which are most of the work. Sums are in single precision. Everything
/// else is the same as with `fp32`, except that `fp16` also keeps values in 16 bits.
public enum CUDAPrecision: String, Hashable, Sendable, CaseIterable {
  /// Single precision, on tensor cores with each factor split in two.
  case fp32
  /// Factors rounded to 11 bits. This is faster, but a different method, since decisions differ.
  case tf32
  /// Single precision by halves of 16 bits. No card has run it yet.
  case halves
  /// Factors rounded to half precision: 11 bits, as with `tf32`; and so are the values above the mixing layer, where batch
  /// norm bounds them. No card has run it yet.
  case fp16

  /// The precision of layers whose inputs half precision may not hold.
  var fallback: CUDAPrecision {
    switch self {
    case .fp32, .halves: .fp32
    case .tf32, .fp16: .tf32
    }
  }

  /// Whether its losses are those of single precision, to rounding.
  package var isExact: Bool { fallback == .fp32 }

  var isHalf: Bool { self != fallback }

  /// Whether a proposal's values above the mixing layer are kept in 16 bits where something bounds them.
  var keepsHalves: Bool { self == .fp16 }
}

/// Powers of two that bring the inputs and weights of a layer into the range of half precision (`half.cu`).
struct HalfFactors {
  let inputs: Float
  let weights: Float
  /// Takes the product out again.
  let product: Float

  /// - Parameters:
  ///   - bound: what no input exceeds in magnitude.
  ///   - weights: the layer's.
  ///   - clamps: takes the nearest factors for numbers too far from 1, so that half precision does not depend on weights.
  /// - Returns: `nil` if a number is not finite or too far from 1, unless it clamps.
  init?(bound: Float, weights: ArraySlice<Float>, clamps: Bool = false) {
    let largest = weights.reduce(0) { max($0, $1.magnitude) }
    guard let x = Self.exponent(bound, 15, clamps), let w = Self.exponent(largest, 14, clamps)
    else { return nil }
    inputs = Float(sign: .plus, exponent: x, significand: 1)
    self.weights = Float(sign: .plus, exponent: w, significand: 1)
    product = Float(sign: .plus, exponent: -x - w, significand: 1)
  }

  /// The unit of halves that hold numbers up to `bound`: then they are at most 2¹⁵. Any bound has one.
  static func unit(upTo bound: Float) -> Float {
    guard bound.isFinite, bound > 0 else { return 1 }
    return Float(sign: .plus, exponent: max(Int(bound.exponent) - 14, -100), significand: 1)
  }

  /// The power of two that brings a number to 2^`most` at most.
  private static func exponent(_ x: Float, _ most: Int, _ clamps: Bool) -> Int? {
    guard x.isFinite else { return clamps ? 0 : nil }
    guard x > 0 else { return 0 }
    let found = most - (Int(x.exponent) + 1)
    return clamps ? min(max(found, -40), 40) : (-40...40).contains(found) ? found : nil
  }
}
