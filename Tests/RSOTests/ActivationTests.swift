import CRSO
import CUDAHost
import Foundation
import Testing

@testable import RSO

/// What activations are, and that the CPU's kernels and a card's, which run on the CPU here, compute the same.
@Suite struct ActivationTests {
  /// All with their defaults, and others with numbers of their own.
  static let all: [Activation] =
    [
      .relu, .leakyReLU(), .leakyReLU(slope: 0.25), .leakyReLU(slope: 1), .leakyReLU(slope: -1.5),
      .sigmoid, .tanh, .sign, .gelu, .silu, .hardSigmoid, .hardSwish, .hardStep,
    ] + steps.dropFirst(2)

  /// Those whose results must be equal to the bit.
  static let steps: [Activation] =
    [.sign, .hardStep]
    + (1...8).flatMap { bits in [false, true].map { .quantize(bits: bits, signed: $0) } }

  private static let inputs = [
    -100, -12, -5.5, -3, -2.75, -1, -0.5, -0.0078125, 0, 0.0078125, 0.3125, 1, 2.25, 3, 5.5, 40,
  ]

  /// `torch.nn.functional`'s `gelu`, `silu`, `hardsigmoid`, `hardswish` and `leaky_relu` of `inputs` in double
  /// precision, PyTorch 1.13.
  @Test(arguments: [
    (
      Activation.gelu,
      [
        0, 0, -1.0444259362918373e-07, -0.00404969409489031, -0.008194348896400028,
        -0.15865525393145702, -0.15426876936299344, -0.0038819007432746673, 0,
        0.003930599256725333, 0.1945842870219241, 0.841344746068543, 2.2224949365261493,
        2.99595030590511, 5.499999895557407, 40,
      ]
    ),
    (
      .silu,
      [
        -3.720075976020836e-42, -7.373009522657661e-05, -0.0223857574374287,
        -0.14227761953270035, -0.16523828797852097, -0.2689414213699951, -0.1887703343990727,
        -0.0038909912885472407, 0, 0.003921508711452759, 0.18046730162056618, 0.7310585786300049,
        2.035463703977004, 2.8577223804672998, 5.477614242562572, 40,
      ]
    ),
    (
      .hardSigmoid,
      [
        0, 0, 0, 0, 0.041666666666666664, 0.3333333333333333, 0.4166666666666667,
        0.4986979166666667, 0.5, 0.5013020833333334, 0.5520833333333334, 0.6666666666666666, 0.875,
        1, 1, 1,
      ]
    ),
    (
      .hardSwish,
      [
        0, 0, 0, 0, -0.11458333333333333, -0.3333333333333333, -0.20833333333333334,
        -0.0038960774739583335, 0, 0.003916422526041667, 0.17252604166666666, 0.6666666666666666,
        1.96875, 3, 5.5, 40,
      ]
    ),
    (
      .leakyReLU(),
      [
        -1, -0.12, -0.055, -0.03, -0.0275, -0.01, -0.005, -7.8125e-05, 0, 0.0078125, 0.3125, 1,
        2.25, 3, 5.5, 40,
      ]
    ),
    (
      .leakyReLU(slope: -1.5),
      [
        150, 18, 8.25, 4.5, 4.125, 1.5, 0.75, 0.01171875, 0, 0.0078125, 0.3125, 1, 2.25, 3, 5.5, 40,
      ]
    ),
  ])
  func valuesOfPyTorch(activation: Activation, expected: [Double]) {
    for (x, y) in zip(Self.inputs, expected) {
      // PyTorch's 1 + erf cancels far below zero, where ours does not.
      let bound = 1e-15 * max(1, abs(y))
      #expect(abs(activation(x) - y) <= bound, "\(activation) of \(x): \(activation(x)), not \(y)")
    }
  }

  /// The numbers of the levels, n y or 2 i − n, of `round(clamp(x, 0, 1) * n) / n` and of
  /// `(round((clamp(x, -1, 1) + 1) * (n / 2)) * 2 - n) / n` in PyTorch 1.13, 32-bit floats. 1/6, 0.5 and others are ties.
  @Test(arguments: [
    (1, false, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
    (1, true, [-1, -1, -1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
    (2, false, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3]),
    (2, true, [-3, -3, -3, -1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3]),
    (3, false, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 4, 4, 6, 6, 7, 7]),
    (3, true, [-7, -7, -5, -3, -3, 1, 1, 1, 1, 1, 1, 1, 3, 5, 5, 7, 7, 7]),
    (4, true, [-15, -15, -11, -7, -5, 1, 1, 1, 1, 3, 3, 3, 7, 9, 13, 13, 15, 15]),
    (8, false, [0, 0, 0, 0, 0, 0, 0, 0, 26, 42, 51, 64, 128, 159, 212, 230, 255, 255]),
    (
      8, true,
      [-255, -255, -191, -127, -85, 1, 1, 1, 25, 43, 51, 63, 127, 159, 213, 229, 255, 255]
    ),
  ])
  func levelsOfPyTorch(bits: Int, signed: Bool, expected: [Int]) {
    let inputs: [Float] = [
      -2, -1, -0.75, -0.5, -1 / 3, -1e-9, -0.0, 1e-9, 0.1, 1 / 6, 0.2, 0.25, 0.5, 0.625, 5 / 6, 0.9,
      1, 3,
    ]
    let n = Float(1 << bits - 1)
    let activation = Activation.quantize(bits: bits, signed: signed)
    for (x, level) in zip(inputs, expected) {
      #expect(activation(Double(x)) == Double(level) / Double(n + 1), "\(activation) of \(x)")
    }
  }

  /// Numbers around every place where a result jumps, and others.
  private static let jumps: [Float] = {
    var numbers: [Float] = [0, -0.0, 1, -1, 2, -2, 1e-9, -1e-9, 1e30, -1e30, .infinity, -.infinity]
    for bits in 1...8 {
      let n = Float(1 << bits - 1)
      for i in 0...(1 << bits) {
        for tie in [(Float(i) - 0.5) / n, (2 * Float(i) - 1) / n - 1] {
          numbers += [tie.nextDown, tie, tie.nextUp]
        }
      }
    }
    let philox = Philox(seed: 2)
    numbers += (0..<2000).map {
      Float(philox.normal(.initialisation, cycle: 0, tensor: 0, element: $0))
    }
    while numbers.count % 16 != 0 { numbers.append(0) }
    return numbers
  }()

  /// The results of an activation for `numbers`: of every instruction set, and of a card.
  private func results(
    _ activation: Activation, _ numbers: [Float]
  ) throws -> [(engine: String, values: [Float])] {
    let x = try Buffer<Float>(numbers)
    let y = try Buffer<Float>(numbers.count)
    var results = Kernels.available.map { kernels in
      var map = rso_map(
        x: UnsafePointer(x.pointer), y: y.pointer, x_lane: 0, y_lane: 0, lanes: 1, channels: 1,
        area: Int32(numbers.count / Kernels.block))
      kernels.table.pointee.activate(&map, activation.kernel)
      return (kernels.name, Array(UnsafeBufferPointer(start: y.pointer, count: numbers.count)))
    }
    // The card's copy reads one place and channel of as many samples.
    y.pointer.update(repeating: .nan, count: numbers.count)
    var turn = rso_gpu_turn()
    let launched = withUnsafePointer(to: &turn) { turn in
      var operand = rso_gpu_operand()
      operand.data = UInt64(UInt(bitPattern: x.pointer))
      operand.activation = activation.kernel
      var arguments = rso_gpu_copy()
      arguments.turn = UInt64(UInt(bitPattern: turn))
      arguments.x = operand
      arguments.y.data = UInt64(UInt(bitPattern: y.pointer))
      arguments.samples = Int32(numbers.count)
      (arguments.area, arguments.channels, arguments.width) = (1, 1, 1)
      let blocks = UInt32(numbers.count / Int(rso_gpu_quad))
      return cudahost_launch("copy", [blocks, 1, 1], [1, 1, 1], 0, &arguments, 0)
    }
    #expect(launched == 1)
    results.append(
      ("CUDA", Array(UnsafeBufferPointer(start: y.pointer, count: numbers.count))))
    return results
  }

  @Test(arguments: steps)
  func stepsAreEqualToTheBit(activation: Activation) throws {
    let numbers = Self.jumps
    let expected = numbers.map { Float(activation(Double($0))) }
    for (engine, values) in try results(activation, numbers) {
      let different = numbers.indices.filter {
        values[$0].bitPattern != expected[$0].bitPattern
      }
      #expect(
        different.isEmpty,
        "\(engine), \(activation): \(different.prefix(3).map { (numbers[$0], values[$0], expected[$0]) })"
      )
    }
    // A level for every number of `bits`, and both ends.
    if case .quantize(let bits, let signed) = activation {
      #expect(Set(expected).count == 1 << bits)
      let highest = 1 - 1 / Float(1 << bits)
      #expect(expected.min() == (signed ? -highest : 0) && expected.max() == highest)
    }
  }

  /// The CPU's sets are held against tighter bounds by `PointwiseKernelTests`; the last line is the card's.
  @Test(arguments: all)
  func everyEngineComputesTheSame(activation: Activation) throws {
    let numbers = Self.jumps.filter { $0.isFinite && abs($0) < 100 }
    let whole = Array(numbers.prefix(numbers.count / 16 * 16))
    for (engine, values) in try results(activation, whole) {
      let wrong = zip(whole, values).filter { x, y in
        let expected = activation(Double(x))
        let size = max(abs(expected), abs(Double(x)))
        return abs(Double(y) - expected)
          > 16 * LossBound.roundoff * size + Double(Float.leastNormalMagnitude)
      }
      #expect(wrong.isEmpty, "\(engine), \(activation): \(wrong.prefix(3))")
    }
  }

  /// A NaN must reach the loss, where it is noticed.
  @Test(arguments: [Activation.gelu, .silu, .hardSigmoid, .hardSwish, .quantize(bits: 3)])
  func notANumberStaysNone(activation: Activation) throws {
    #expect(activation(.nan).isNaN)
    let numbers = [Float](repeating: .nan, count: 16)
    for (engine, values) in try results(activation, numbers) {
      #expect(values.allSatisfy { $0.isNaN }, "\(engine), \(activation)")
    }
  }
}
