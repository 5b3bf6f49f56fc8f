import CRSO
import Testing

@testable import RSO

/// The kernel of losses of samples, for every instruction set.
struct LossKernelTests {
  static let losses: [SampleLoss] = [
    .crossEntropy(smoothing: 0.1), .crossEntropy(weights: .balanced), .hinge, .squaredError,
    .absoluteError, .quantile(0.8), .binaryCrossEntropy, .errors,
  ]

  @Test(arguments: [1, 2, 10, 33])
  func sampleLosses(classes: Int) throws {
    let x = try KernelSample(lanes: 2, size: classes, key: classes, deviation: 4)
    let targets = try KernelSample(lanes: 2, size: classes, key: classes + 1)
    let labels = try Buffer<Int32>((0..<32).map { Int32($0 * 7 % classes) })
    let weights = try Buffer<Float>((0..<classes).map { Float($0 % 4) / 2 })
    let valid = try Buffer<Int32>([16, 11])
    for sample in 0..<16 where sample % 3 == 0 {
      // Equal outputs: the first of them is the class.
      x.pointer[(classes - 1) * 16 + sample] = x.pointer[sample]
    }
    // Padding has no part in the sum.
    for c in 0..<classes { x.pointer[x.stride + c * 16 + 12] = .nan }
    for kernels in Kernels.available {
      for loss in Self.losses {
        let isWeighted = loss == .crossEntropy(weights: .balanced)
        var spec = loss.kernel(weights: isWeighted ? UnsafePointer(weights.pointer) : nil)
        spec.weight = 2
        var map = rso_map(
          x: UnsafePointer(x.pointer), y: nil, x_lane: x.stride, y_lane: 0, lanes: 2,
          channels: Int32(classes), area: 1)
        let sums = try Buffer<Double>([0.5, 0, 0.25])
        kernels.table.pointee.sample_loss(
          &map, &spec, labels.pointer, 16, targets.pointer, targets.stride, valid.pointer,
          sums.pointer, 2)
        for lane in 0..<2 {
          var (sum, magnitude) = (lane == 0 ? 0.5 : 0.25, 0.0)
          for sample in 0..<Int(valid.pointer[lane]) {
            let value = loss(
              (0..<classes).map { x[lane, $0, sample] },
              label: Int(labels.pointer[lane * 16 + sample]),
              targets: (0..<classes).map { Float(targets[lane, $0, sample]) }[...],
              weights: isWeighted
                ? Array(UnsafeBufferPointer(start: weights.pointer, count: classes)) : [])
            sum += 2 * value
            // Logits cancel in a loss; they are below 20 here, and a loss adds up to `classes` of them.
            magnitude += 2 * (20 + value)
          }
          let bound = loss == .errors ? 0 : γ(classes + 12) * magnitude
          #expect(
            abs(sums.pointer[2 * lane] - sum) <= bound,
            "\(kernels.name), \(loss), \(classes) classes: \(sums.pointer[2 * lane]), \(sum)")
        }
        #expect(sums.pointer[1] == 0, "\(kernels.name), \(loss)")
      }
    }
  }

  @Test func anOutputThatIsNotFiniteHasNoLoss() throws {
    let labels = try Buffer<Int32>((0..<16).map { Int32($0 % 3) })
    let valid = try Buffer<Int32>([16])
    for kernels in Kernels.available {
      for loss in Self.losses {
        for (bad, place) in [(Float.nan, 0), (.infinity, 16), (-.infinity, 32), (.nan, 33)] {
          let x = try KernelSample(lanes: 1, size: 3, key: 1)
          x.pointer[place] = bad
          var spec = loss.kernel(weights: nil)
          spec.weight = 1
          var map = rso_map(
            x: UnsafePointer(x.pointer), y: nil, x_lane: x.stride, y_lane: 0, lanes: 1, channels: 3,
            area: 1)
          let sum = try Buffer<Double>([0])
          kernels.table.pointee.sample_loss(
            &map, &spec, labels.pointer, 0, x.pointer, 0, valid.pointer, sum.pointer, 0)
          #expect(!sum.pointer[0].isFinite, "\(kernels.name), \(loss), \(bad) at \(place)")
        }
      }
    }
  }
}
