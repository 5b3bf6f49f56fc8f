import CRSO

@testable import RSO

extension IntegerKernelTests {
  /// A layer of integers, as its tests compute it.
  struct Layer: Sendable, CustomStringConvertible {
    var inputs: Int, outputs: Int, height: Int, width: Int
    var kernel = 3, stride = 1, padding = 1
    /// `nil`: the input comes from no step but is levels already.
    var step: Activation?
    /// The padding of box sums.
    var box: Int?
    /// The stride with which another channel is mixed in; 0: none is.
    var mixing = 0
    /// The largest level of the weights.
    var largest = 1
    /// Whether Winograd's algorithm runs along the columns.
    var isAtPoints = false

    var description: String {
      "\(inputs) to \(outputs) of \(height)×\(width), kernel \(kernel), stride \(stride), padding \(padding), "
        + "step \(step.map { "\($0)" } ?? "none"), box \(box.map { "\($0)" } ?? "none"), mixing \(mixing)"
    }

    var shape: Shape { Shape(channels: inputs, height: height, width: width) }
    /// What the convolution reads.
    var read: Shape {
      let more = box.map { 2 * $0 - 1 } ?? 0
      return Shape(channels: inputs, height: height + more, width: width + more)
    }
    var window: rso_window {
      let out = { (size: Int) in (size + 2 * padding - kernel) / stride + 1 }
      return rso_window(
        read, Shape(channels: outputs, height: out(read.height), width: out(read.width)),
        kernel: kernel, stride: stride, padding: padding)
    }
    var outArea: Int { Int(window.out_height * window.out_width) }
    /// The bytes of the input.
    var bytes: Network.Bytes {
      switch step {
      case .sign: .init(perUnit: 1, zero: 1, largest: 2)
      case .hardStep: .init(perUnit: 1, zero: 0, largest: 1)
      case .quantize(let bits, let signed):
        .init(
          perUnit: Float(1 << bits), zero: signed ? Int32(1 << bits - 1) : 0,
          largest: Int32((1 << bits - 1) * (signed ? 2 : 1)))
      default: .init(perUnit: 2, zero: 100, largest: 200)
      }
    }

    /// The bytes that the convolution reads.
    var readBytes: Network.Bytes {
      let factor: Int32 = box == nil ? 1 : 4
      return .init(
        perUnit: Float(factor) * bytes.perUnit, zero: factor * bytes.zero,
        largest: factor * bytes.largest)
    }

    static let all = [
      // Every remainder of rows of three pixels, of eight outputs and of four inputs.
      Layer(
        inputs: 16, outputs: 16, height: 7, width: 7, step: .quantize(bits: 4), isAtPoints: true),
      // Winograd's algorithm with the largest levels, columns of fours and of threes, signs, box sums and a mixed channel.
      Layer(
        inputs: 10, outputs: 9, height: 11, width: 4, padding: 0, step: .quantize(bits: 4),
        largest: 3, isAtPoints: true),
      Layer(inputs: 8, outputs: 17, height: 4, width: 5, step: .sign, isAtPoints: true),
      Layer(
        inputs: 9, outputs: 8, height: 6, width: 3, step: .quantize(bits: 3, signed: true),
        mixing: 1, largest: 3, isAtPoints: true),
      Layer(
        inputs: 8, outputs: 7, height: 9, width: 6, padding: 0, step: .quantize(bits: 2), box: 1,
        isAtPoints: true),
      // It does not suit columns of five, more bits, larger weights, few channels and strides.
      Layer(inputs: 16, outputs: 16, height: 5, width: 7, step: .quantize(bits: 4)),
      Layer(inputs: 16, outputs: 16, height: 7, width: 7, step: .quantize(bits: 4, signed: true)),
      Layer(inputs: 16, outputs: 16, height: 7, width: 7, step: .quantize(bits: 4), largest: 4),
      Layer(inputs: 5, outputs: 9, height: 3, width: 4, step: .quantize(bits: 8), largest: 127),
      Layer(inputs: 7, outputs: 3, height: 5, width: 5, stride: 2, step: .hardStep),
      Layer(inputs: 4, outputs: 17, height: 6, width: 3, padding: 0, step: .sign),
      Layer(
        inputs: 6, outputs: 8, height: 9, width: 8, kernel: 5, stride: 3, padding: 2,
        step: .quantize(bits: 6, signed: true), largest: 7),
      Layer(
        inputs: 30, outputs: 10, height: 1, width: 1, kernel: 1, padding: 0,
        step: .quantize(bits: 2)),
      Layer(inputs: 9, outputs: 8, height: 4, width: 6, step: nil, largest: 3),
      Layer(
        inputs: 16, outputs: 16, height: 14, width: 14, stride: 2, padding: 0,
        step: .quantize(bits: 4),
        box: 1),
      Layer(inputs: 6, outputs: 5, height: 6, width: 8, padding: 0, step: .sign, box: 0),
      Layer(
        inputs: 8, outputs: 8, height: 7, width: 5, stride: 2, padding: 0,
        step: .quantize(bits: 3, signed: true), box: 1),
      Layer(inputs: 8, outputs: 8, height: 7, width: 7, step: .quantize(bits: 5), mixing: 1),
      Layer(
        inputs: 5, outputs: 4, height: 4, width: 5, step: .quantize(bits: 2, signed: true),
        mixing: 2),
      Layer(
        inputs: 16, outputs: 16, height: 6, width: 6, stride: 2, padding: 0,
        step: .quantize(bits: 4),
        box: 1, mixing: 1),
    ]
  }
}
