import CRSO

extension Activation {
  /// The function and its numbers, as all kernels take them.
  var kernel: rso_activation {
    var result = rso_activation()
    switch self {
    case .relu: result.function = rso_relu
    case .leakyReLU(let slope):
      result.function = rso_leaky_relu
      result.slope = Float(slope)
    case .sigmoid: result.function = rso_sigmoid
    case .tanh: result.function = rso_tanh
    case .sign: result.function = rso_sign
    case .gelu: result.function = rso_gelu
    case .silu: result.function = rso_silu
    case .hardSigmoid: result.function = rso_hard_sigmoid
    case .hardSwish: result.function = rso_hard_swish
    case .hardStep: result.function = rso_hard_step
    case .quantize(let bits, let signed):
      result.function = rso_quantize
      result.low = signed ? -1 : 0
      result.steps = Float(1 << bits - 1)
    }
    return result
  }
}

extension rso_activation {
  /// No activation.
  static var identity: Self { Self() }

  /// Whether it jumps from one level to another.
  var isStep: Bool { [rso_sign, rso_hard_step, rso_quantize].contains(function) }
}
