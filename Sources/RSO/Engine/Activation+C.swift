import CRSO

extension Activation {
  var kernel: rso_activation {
    switch self {
    case .relu: rso_relu
    case .leakyReLU: rso_leaky_relu
    case .sigmoid: rso_sigmoid
    case .tanh: rso_tanh
    case .sign: rso_sign
    }
  }
}
