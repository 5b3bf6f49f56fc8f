import CRSO
import Testing

@testable import RSO

/// Kernels by themselves, of every instruction set, against plain loops in double precision.
@Suite struct KernelTests {
  struct Window: Sendable, CustomStringConvertible {
    var inputs: Int, outputs: Int, height: Int, width: Int
    var kernel: Int, stride: Int, padding: Int
    var description: String {
      "\(inputs) to \(outputs) of \(height)×\(width), kernel \(kernel), stride \(stride), padding \(padding)"
    }
    var outHeight: Int { (height + 2 * padding - kernel) / stride + 1 }
    var outWidth: Int { (width + 2 * padding - kernel) / stride + 1 }
    var c: rso_window {
      rso_window(
        Shape(channels: inputs, height: height, width: width),
        Shape(channels: outputs, height: outHeight, width: outWidth), kernel: kernel,
        stride: stride, padding: padding)
    }
    static let all = [
      Window(inputs: 1, outputs: 16, height: 7, width: 5, kernel: 3, stride: 1, padding: 1),
      Window(inputs: 16, outputs: 17, height: 5, width: 7, kernel: 3, stride: 1, padding: 1),
      Window(inputs: 3, outputs: 5, height: 9, width: 8, kernel: 3, stride: 2, padding: 0),
      Window(inputs: 17, outputs: 1, height: 6, width: 6, kernel: 5, stride: 1, padding: 2),
      Window(inputs: 32, outputs: 10, height: 1, width: 1, kernel: 1, stride: 1, padding: 0),
      Window(inputs: 2, outputs: 4, height: 8, width: 9, kernel: 7, stride: 3, padding: 3),
    ]
  }

  static func random(_ count: Int, _ key: Int) throws -> Buffer<Float> {
    let philox = Philox(seed: 11)
    return try Buffer(
      (0..<count).map {
        Float(philox.normal(.initialisation, cycle: 0, tensor: key, element: $0))
      })
  }

  /// Lanes of 16 samples, from a bias and from an earlier result; 1, 2 and 3 lanes at once.
  @Test(arguments: Window.all, [1, 2, 3])
  func convolution(window w: Window, lanes: Int) throws {
    let (area, outArea, taps) = (w.height * w.width, w.outHeight * w.outWidth, w.kernel * w.kernel)
    let (xLane, yLane) = ((w.inputs * area + 1) * 16, (w.outputs * outArea + 1) * 16)
    let x = try Self.random(xLane * lanes, 1)
    let initial = try Self.random(yLane * lanes, 2)
    let weights = try Self.random(w.outputs * w.inputs * taps, 3)
    let bias = try Self.random(w.outputs, 4)
    let packed = try PackedWeights(outputs: w.outputs, inputs: w.inputs, taps: taps)
    packed.set(
      outputs: w.outputs,
      Array(UnsafeBufferPointer(start: weights.pointer, count: weights.count))[...])
    for kernels in Kernels.available {
      for usesBias in [true, false] {
        let y = try Buffer<Float>(yLane * lanes)
        var call = rso_convolution(
          x: x.pointer, w: packed.buffer.pointer, bias: bias.pointer,
          init: usesBias ? nil : UnsafePointer(initial.pointer), y: y.pointer, x_lane: xLane,
          y_lane: yLane, init_lane: yLane, next_x: 0, next_init: 0, window: w.c,
          lanes: Int32(lanes), in_channels: Int32(w.inputs), out_channels: Int32(w.outputs))
        kernels.table.pointee.convolution(&call)
        var wrong = 0
        for lane in 0..<lanes {
          for o in 0..<w.outputs {
            for p in 0..<outArea {
              for s in 0..<16 {
                let at = lane * yLane + (o * outArea + p) * 16 + s
                var sum = Double(usesBias ? bias.pointer[o] : initial.pointer[at])
                var size = abs(sum)
                for c in 0..<w.inputs {
                  for tap in 0..<taps {
                    let row = p / w.outWidth * w.stride - w.padding + tap / w.kernel
                    let column = p % w.outWidth * w.stride - w.padding + tap % w.kernel
                    guard 0..<w.height ~= row, 0..<w.width ~= column else { continue }
                    let term =
                      Double(weights.pointer[(o * w.inputs + c) * taps + tap])
                      * Double(
                        x.pointer[lane * xLane + (c * area + row * w.width + column) * 16 + s])
                    sum += term
                    size += abs(term)
                  }
                }
                // n + 1 roundings, each of at most u times the sum of magnitudes (twice without FMA).
                let bound = 2 * Double(w.inputs * taps + 1) * LossBound.roundoff * size
                if !(abs(Double(y.pointer[at]) - sum) <= bound) { wrong += 1 }
              }
            }
          }
        }
        #expect(wrong == 0, "\(kernels.name), \(w), \(usesBias ? "bias" : "init")")
      }
    }
  }

  /// Sums of a block whose last samples are padding.
  @Test(arguments: [1, 5, 16])
  func moments(valid: Int32) throws {
    let (channels, area) = (3, 35)
    let x = try Self.random(channels * area * 16, 7)
    let shift = try Buffer<Float>([0.25, -1, 0])
    let count = try Buffer<Int32>([valid])
    for kernels in Kernels.available {
      let sums = try Buffer<Double>(2 * channels)
      var map = rso_map(
        x: x.pointer, y: nil, x_lane: 0, y_lane: 0, lanes: 1, channels: Int32(channels),
        area: Int32(area))
      kernels.table.pointee.moments(&map, shift.pointer, count.pointer, sums.pointer, 0)
      for c in 0..<channels {
        var (sum, squares, size) = (0.0, 0.0, 0.0)
        for i in 0..<area {
          for s in 0..<Int(valid) {
            let d = Double(x.pointer[(c * area + i) * 16 + s]) - Double(shift.pointer[c])
            sum += d
            squares += d * d
            size += abs(d)
          }
        }
        // Per sample `area` additions in single precision, after one rounding of the difference.
        let ε = 2 * Double(area + 2) * LossBound.roundoff
        #expect(abs(sums.pointer[2 * c] - sum) <= ε * size, "\(kernels.name), channel \(c)")
        #expect(abs(sums.pointer[2 * c + 1] - squares) <= ε * squares, "\(kernels.name), \(c)")
      }
    }
  }
}
