import RSO

/// What a C file computes for one image, step by step. It knows layers and numbers, and not how C says them.
///
/// Values lie as `[rows][columns][channels]`, so that a window's row is one run of memory.
struct CProgram {
  /// The type of a value's elements.
  enum Element: String, Hashable {
    case u8, i8, i16, i32, f32

    var bytes: Int {
      switch self {
      case .u8, .i8: 1
      case .i16: 2
      case .i32, .f32: 4
      }
    }

    /// The smallest integer that holds a range.
    init(holding range: ClosedRange<Int>) {
      let candidates: [(Self, ClosedRange<Int>)] = [
        (.u8, 0...255), (.i8, -128...127), (.i16, -32768...32767),
      ]
      self =
        candidates.first { $0.1.contains(range.lowerBound) && $0.1.contains(range.upperBound) }?.0
        ?? .i32
    }
  }

  /// The engine's number is an integer times 2^`exponent`.
  struct Integers: Hashable {
    var exponent: Int
    /// `[channels]`: what the integers can be.
    var ranges: [ClosedRange<Int>]

    var range: ClosedRange<Int> {
      let low = ranges.map(\.lowerBound).min() ?? 0
      return low...max(low, ranges.map(\.upperBound).max() ?? 0)
    }
  }

  struct Value {
    var shape: Shape
    var element: Element
    /// `nil` for floats.
    var integers: Integers?
    /// The value whose memory it is, in another shape.
    var sameAs: Int?
  }

  /// Values 0 is the input; the last step writes the scores.
  var values: [Value]
  var steps: [Step] = []
  /// Where the file computes in floats; `nil` if it has integers alone.
  var firstFloat: FirstFloat?

  struct FirstFloat {
    var layer: String
    var reason: String
    /// Whether the file adds these floats in the engine's order, and so gets the same bits.
    var isExact = false
  }

  struct Step {
    /// The layers that it computes.
    var layers: [String]
    var operation: Operation
    var inputs: [Int]
    var output: Int
  }

  enum Operation {
    /// `[channels][rows][columns]` to `[rows][columns][channels]`.
    case interleave
    /// `[rows][columns][channels]` to `[channels · rows · columns]`, as the engine flattens.
    case flatten
    case convolution(Convolution)
    /// The levels of a step that follows functions of integers.
    case levels(Levels)
    /// The levels of a step that follows floats; the thresholds serve all channels.
    case levelsOfFloats(thresholds: [Float], low: Int, step: Int)
    /// Maxima; minima in the channels that are `falling`.
    case maxPool(Window, falling: [Bool])
    /// Sums of integers, or means of floats.
    case averagePool(Window)
    /// x[0] · factors[0] + x[1] · factors[1]; factors are 1 for floats.
    case add(factors: [Int])
    /// scale · x + offset as a float, per channel or, of one element, for all.
    case affine(scale: [Float], offset: [Float])
    /// max(x, 0) of integers, or any function of floats.
    case activate(Activation)
    /// To another integer.
    case widen
  }

  struct Window: Hashable {
    var height: Int
    var width: Int
    var stride = 1
    var padding = 0

    var area: Int { height * width }
  }

  struct Convolution {
    var window: Window
    var isDepthwise: Bool
    var weights: Weights
    var finish: Finish
    /// The largest size of a sum or of a part of it, if the sums are integers.
    var bound: Int?
  }

  /// `[outputs][rows][columns][inputs]`, or `[channels][rows][columns]` if depthwise.
  enum Weights {
    /// Integers of `bits` bits each; of 1 bit: −1 and 1.
    case packed([Int], bits: Int)
    case floats([Float])
  }

  /// What becomes of a convolution's sum.
  enum Finish {
    case levels(Levels)
    /// sum · factor + bias, per channel; no factors: 1, no biases: 0.
    case integers(factors: [Int], biases: [Int])
    /// scale · sum + offset, per channel; no scales: 1, no offsets: 0.
    case floats(scales: [Float], offsets: [Float])
    /// scale · sum as a float, with a sum that starts from a float and is rounded after every product, as the engine's.
    case rounded(starts: [Float], scales: [Float])
  }

  /// A step activation behind monotone functions: level `low + step · i`, where i is the number of thresholds that x
  /// reaches, or −x in the channels that are falling.
  struct Levels {
    /// `[channels][2^bits − 1]`, rising.
    var thresholds: [[Int]]
    var falling: [Bool]
    var low: Int
    var step: Int
  }
}

extension CProgram {
  /// The value whose memory `value` is.
  func root(_ value: Int) -> Int {
    var value = value
    while let other = values[value].sameAs { value = other }
    return value
  }

  /// Whether its scores have the bits of the CPU engine's.
  var isExact: Bool { firstFloat?.isExact ?? true }

  /// The type of the scores; integers also where a step turned floats back.
  var scores: Element { steps.last.map { values[$0.output].element } ?? .f32 }

  /// Integer scores are the logits divided by 2^`scoreExponent`.
  var scoreExponent: Int? { steps.last.flatMap { values[$0.output].integers?.exponent } }

  /// Multiply-adds for one image.
  var multiplyAdds: Int {
    steps.reduce(0) { sum, step in
      guard case .convolution(let convolution) = step.operation else { return sum }
      let inputs = convolution.isDepthwise ? 1 : values[step.inputs[0]].shape.channels
      return sum + values[step.output].shape.count * convolution.window.area * inputs
    }
  }
}
