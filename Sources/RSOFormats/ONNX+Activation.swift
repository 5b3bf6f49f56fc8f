import RSO

extension ONNXBuilder {
  /// An activation: a single node where operator set 17 has one that computes the same.
  mutating func append(_ activation: Activation, _ input: String, _ name: String) {
    switch activation {
    case .relu: node("Relu", [input], name)
    case .leakyReLU(let slope): node("LeakyRelu", [input], name, [.float("alpha", Float(slope))])
    case .sigmoid: node("Sigmoid", [input], name)
    case .tanh: node("Tanh", [input], name)
    // ONNX's own Sign is 0 at 0.
    case .sign: step(input, name, below: -1)
    case .hardStep: step(input, name, below: 0)
    case .gelu:
      // The operator Gelu came with set 20.
      let scaled = apply("Mul", input, Float(0.5).squareRoot(), "\(name):scaled")
      node("Erf", [scaled], "\(name):erf")
      let sum = apply("Add", "\(name):erf", 1, "\(name):sum")
      node("Mul", [input, sum], "\(name):double")
      _ = apply("Mul", "\(name):double", 0.5, name)
    case .silu:
      node("Sigmoid", [input], "\(name):sigmoid")
      node("Mul", [input, "\(name):sigmoid"], name)
    case .hardSigmoid:
      node("HardSigmoid", [input], name, [.float("alpha", 1 / 6), .float("beta", 0.5)])
    case .hardSwish: node("HardSwish", [input], name)
    case .quantize(let bits, let signed): quantize(input, name, bits, signed)
    }
  }

  /// `below` for negative numbers, else 1.
  private mutating func step(_ input: String, _ name: String, below: Float) {
    let isNegative = "\(name):negative"
    node("Less", [input, constant(0, "\(name):zero")], isNegative)
    node("Where", [isNegative, constant(below, "\(name):down"), constant(1, "\(name):up")], name)
  }

  /// The operations of `Activation.quantize` in their order, each of which rounds as ours does.
  private mutating func quantize(_ input: String, _ name: String, _ bits: Int, _ signed: Bool) {
    let steps = Float(1 << bits - 1)
    let low: Float = signed ? -1 : 0
    let (clipped, level) = ("\(name):clipped", "\(name):level")
    let limits = [
      constant(low, "\(name):low", isScalar: true), constant(1, "\(name):high", isScalar: true),
    ]
    node("Clip", [input] + limits, clipped)
    var place = clipped
    if signed { place = apply("Add", place, 1, "\(name):raised") }
    node("Round", [apply("Mul", place, steps / (1 - low), "\(name):place")], level)
    var centred = level
    if signed {
      centred = apply("Sub", apply("Mul", level, 2, "\(name):twice"), steps, "\(name):centred")
    }
    _ = apply("Div", centred, steps + 1, name)
  }

  /// Applies an operator to a value and a number.
  private mutating func apply(_ type: String, _ x: String, _ number: Float, _ name: String)
    -> String
  {
    node(type, [x, constant(number, "\(name):by")], name)
    return name
  }

  /// - Parameter isScalar: without a dimension, as some inputs must be.
  private mutating func constant(_ value: Float, _ name: String, isScalar: Bool = false) -> String {
    initializer(name, isScalar ? [] : [1], [value])
  }
}
