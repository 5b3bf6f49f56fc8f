import Foundation

/// Element-wise functions.
///
/// `sign`, `hardStep` and `quantize` are steps, which no gradient passes; RSO needs none.
public enum Activation: Hashable, Sendable {
  /// `max(x, 0)`.
  case relu
  /// `x < 0 ? slope · x : x`, with a slope of at most 1. In PyTorch: `LeakyReLU(slope)`.
  case leakyReLU(slope: Double = 0.01)
  /// `1 / (1 + exp(−x))`.
  case sigmoid
  /// The hyperbolic tangent.
  case tanh
  /// −1 below zero, +1 at zero and above.
  case sign
  /// `x · Φ(x)`, where Φ is the normal distribution's cumulative function, `(1 + erf(x / √2)) / 2`. In PyTorch: `GELU()`;
  /// not the approximation by tanh.
  case gelu
  /// `x / (1 + exp(−x))`, also called swish. In PyTorch: `SiLU()`.
  case silu
  /// `min(max(x + 3, 0), 6) / 6`. In PyTorch: `Hardsigmoid()`.
  case hardSigmoid
  /// `x · min(max(x + 3, 0), 6) / 6`. In PyTorch: `Hardswish()`.
  case hardSwish
  /// 0 below zero, 1 at zero and above.
  case hardStep
  /// One of 2^`bits` evenly spaced levels: x is clipped to 0 to 1 or, if `signed`, to −1 to 1, and rounded to one of the
  /// levels that divide that range evenly; ties go to the level with the even number.
  ///
  /// With n = 2^`bits` − 1 and i = `round(n · clip(x))`, the result is i / (n + 1); if `signed`, i is
  /// `round(n · (clip(x) + 1) / 2)` and the result (2 i − n) / (n + 1). So the levels are fractions of a power of two,
  /// which single precision adds without error, and the highest is a little below 1. All engines compute it in 32-bit
  /// floats, so that equal inputs give equal bits. `bits` is 1 to 8.
  ///
  /// Levels as of i / n: Shuchang Zhou et al., *DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth
  /// Gradients*, arXiv 1606.06160, equation 5.
  case quantize(bits: Int, signed: Bool = false)
}

// Every fact of an activation, except its JSON, which is in `Layer+JSON.swift`. Kernels compute it in `pointwise.inc` and
// `kernels.cu`.
extension Activation {
  /// The function, in double precision except for `quantize`.
  func callAsFunction(_ x: Double) -> Double {
    switch self {
    case .relu: max(x, 0)
    case .leakyReLU(let slope): x < 0 ? slope * x : x
    case .sigmoid: 1 / (1 + exp(-x))
    case .tanh: Foundation.tanh(x)
    case .sign: x < 0 ? -1 : 1
    case .gelu: 0.5 * x * erfc(-x * 0.5.squareRoot())
    case .silu: x / (1 + exp(-x))
    case .hardSigmoid: Self.hardSigmoid(x)
    case .hardSwish: x * Self.hardSigmoid(x)
    case .hardStep: x < 0 ? 0 : 1
    case .quantize(let bits, let signed): Self.quantize(x, bits: bits, signed: signed)
    }
  }

  private static func hardSigmoid(_ x: Double) -> Double { min(max(x + 3, 0), 6) / 6 }

  private static func quantize(_ x: Double, bits: Int, signed: Bool) -> Double {
    let steps = Float(1 << bits - 1)
    let (low, width): (Float, Float) = signed ? (-1, 2) : (0, 1)
    let level = ((min(max(Float(x), low), 1) - low) * (steps / width)).rounded(.toNearestOrEven)
    return Double((level * width + low * steps) / (steps + 1))
  }

  /// - Throws: `RSOError` about the layer `name` if a number is out of range.
  func check(_ name: String) throws {
    switch self {
    case .leakyReLU(let slope):
      guard slope <= 1, Float(slope).isFinite else {
        throw RSOError(
          name, "expected a slope of at most 1 that a 32-bit float can hold, found \(slope)")
      }
    case .quantize(let bits, _):
      guard 1...8 ~= bits else { throw RSOError(name, "expected 1 to 8 bits, found \(bits)") }
    case .relu, .sigmoid, .tanh, .sign, .gelu, .silu, .hardSigmoid, .hardSwish, .hardStep: break
    }
  }

  /// Whether it jumps from one level to another, so that rounding before it may change a level.
  package var isStep: Bool {
    switch self {
    case .sign, .hardStep, .quantize: true
    case .relu, .leakyReLU, .sigmoid, .tanh, .gelu, .silu, .hardSigmoid, .hardSwish: false
    }
  }

  /// The number of operations that round.
  var roundings: Int {
    switch self {
    // Range reduction, a polynomial of degree 7 and a division.
    case .sigmoid, .tanh: 12
    case .silu: 13
    // As much, and a polynomial of degree 8, whose argument is a quotient.
    case .gelu: 26
    case .hardSigmoid: 2
    case .hardSwish: 3
    case .leakyReLU: 1
    case .relu, .sign, .hardStep, .quantize: 0
    }
  }
}
