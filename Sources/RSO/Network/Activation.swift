import Foundation

/// Element-wise functions.
public enum Activation: String, CaseIterable, Codable, Hashable, Sendable {
  /// `max(x, 0)`.
  case relu
  /// `x < 0 ? 0.01 x : x`.
  case leakyReLU
  /// `1 / (1 + exp(−x))`.
  case sigmoid
  /// The hyperbolic tangent.
  case tanh
  /// −1 below zero, +1 at zero and above. No gradient passes through it, and RSO needs none.
  case sign
}

// Every fact of an activation. Kernels compute it in `pointwise.inc` and `kernels.cu`.
extension Activation {
  /// The function, in double precision.
  func callAsFunction(_ x: Double) -> Double {
    switch self {
    case .relu: max(x, 0)
    case .leakyReLU: x < 0 ? 0.01 * x : x
    case .sigmoid: 1 / (1 + exp(-x))
    case .tanh: Foundation.tanh(x)
    case .sign: x < 0 ? -1 : 1
    }
  }

  /// The number of operations that round.
  var roundings: Int {
    switch self {
    // Range reduction, a polynomial of degree 7 and a division.
    case .sigmoid, .tanh: 12
    case .relu, .leakyReLU, .sign: 0
    }
  }
}
