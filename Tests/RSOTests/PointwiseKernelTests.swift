import CRSO
import Foundation
import Testing

@testable import RSO

/// Kernels that take one value to one value, and the loss, of every instruction set, against the functions
/// in double precision.
@Suite struct PointwiseKernelTests {
  static let u = LossBound.roundoff

  /// What `exp` of kernels.inc may be off by, relatively, in units of u. |r| ≤ ln 2 / 2, so the result is
  /// at least 0.7 before it is scaled by a power of two, which is exact:
  /// - the reduction: n ln 2 in two parts, of which the first product is exact; r, below 0.35, is rounded once,
  ///   n · 2.1e-4, below 0.03, once, and its constant once: 0.41
  /// - the Taylor series ends 5.4e-9 early: 0.1 (and 0.13 of 0.7)
  /// - p r², below 0.061, has five roundings: 0.43 of 0.7; the sum with r, below 0.42, one: 0.42 of 1; the
  ///   sum with 1 one: 1
  static let exp = 3.0

  /// One rounding of the function itself, from the number given; and how far it can be from one at a number
  /// that differs by `e`.
  static func expected(
    _ f: Activation?, _ z: Double, _ e: Double
  ) -> (value: Double, bound: Double) {
    switch f {
    case nil: return (z, e)
    case .relu: return (max(z, 0), e)
    // The slope is rounded, and so is the product.
    case .leakyReLU(let slope):
      return (z < 0 ? slope * z : z, max(1, abs(slope)) * e + γ(2) * abs(slope * z))
    case .sigmoid:
      // The slope is at most 1/4. e^−z errs by 3 u, of which 1 + e^−z keeps a part; the sum and the quotient
      // round. Beyond ±88 nothing is left but subnormal numbers.
      let y = 1 / (1 + Foundation.exp(-z))
      return (y, e / 4 + (exp + 2) * u * y + Double(Float.leastNormalMagnitude))
    case .tanh:
      // The slope is at most 1. With E = e^2z, of relative error 3 u, the quotient (E − 1) / (E + 1) errs by
      // 3 u / sinh 2|z| and three roundings. It serves from |z| = 0.2 on, where sinh 2|z| ≥ 0.41. Below, the
      // series and its last sum err by less than 2 u. From 10 on it is taken for tanh 10, 0.07 u from 1.
      let y = Foundation.tanh(z)
      return (y, e + (exp / 0.41 + 3.1) * u * abs(y))
    case .sign: return (z < 0 ? -1 : 1, abs(z) <= e ? 2 : 0)
    case .hardStep: return (z < 0 ? 0 : 1, abs(z) <= e ? 1 : 0)
    case .gelu:
      // The slope is at most 1.13. The result is max(z, 0) less |z| Φ(−|z|), the tail. In units of u, relatively:
      // e^(−z² / 2) errs by 3, and by z² / 2 as z² rounds; t, a quotient, errs by 2 where t P(t) changes three times as
      // fast as t, for z near 0, and by 4 where it changes less than twice as fast; P errs by 0.34, and by 7 as its
      // partial sums round, which add up to 3.5 P; three products. The difference rounds once.
      let tail = abs(z) * erfc(abs(z) / 2.0.squareRoot()) / 2
      let value = max(z, 0) - tail
      return (
        value,
        1.13 * e + u * ((exp + z * z / 2 + 8 + 7.4 + 3) * tail + abs(value))
          + abs(z) * Double(Float.leastNormalMagnitude)
      )
    case .silu:
      // The slope is at most 1.1. As for sigmoid, without the rounding of a quotient more.
      let y = z / (1 + Foundation.exp(-z))
      return (
        y, 1.1 * e + (exp + 2) * u * abs(y) + abs(z) * Double(Float.leastNormalMagnitude)
      )
    case .hardSigmoid:
      // The sum rounds where it counts at most 6, 1/6 rounds, and so does the product.
      let y = min(max(z + 3, 0), 6) / 6
      return (y, e / 6 + γ(3) * y)
    case .hardSwish:
      let y = min(max(z + 3, 0), 6) / 6
      // The slope is at most 1.5.
      return (z * y, 1.5 * e + γ(4) * abs(z) * y)
    // Equal to the bit on equal inputs, see `ActivationTests`; a level away where rounding came before.
    case .quantize(let bits, let signed):
      let width = (signed ? 2.0 : 1) / Double(1 << bits - 1)
      return (Activation.quantize(bits: bits, signed: signed)(z), e == 0 ? 0 : width + u)
    }
  }

  static let activations: [Activation?] = [nil] + ActivationTests.all

  static let planes = [(channels: 1, area: 1), (3, 35), (17, 4)]

  @Test(arguments: activations.indices, planes)
  func normalize(activation: Int, plane: (channels: Int, area: Int)) throws {
    let f = Self.activations[activation]
    let name = f.map { "\($0)" } ?? "identity"
    let kernel = f?.kernel ?? .identity
    let (channels, area) = plane
    let x = try KernelSample(lanes: 3, size: channels * area, key: 1)
    let scale = try KernelSample(lanes: 3, size: channels, key: 2)
    let offset = try KernelSample(lanes: 3, size: channels, key: 3)
    for kernels in Kernels.available {
      // Lanes with a scale of their own, or with one for all.
      for lane in [scale.stride, 0] {
        let y = try KernelSample(lanes: 3, size: channels * area)
        var map = x.map(to: y, channels: channels, area: area)
        kernels.table.pointee.normalize(&map, scale.pointer, offset.pointer, lane, kernel)
        let wrong = y.wrong { l, i, sample in
          let product = Double(scale.pointer[l * lane + i / area]) * x[l, i, sample]
          let o = Double(offset.pointer[l * lane + i / area])
          // A product and a sum; a fused one rounds once.
          return Self.expected(f, product + o, γ(2) * (abs(product) + abs(o)))
        }
        #expect(wrong == 0, "\(kernels.name), \(name), \(channels) of \(area), lane \(lane)")
      }
    }
  }

  /// Numbers of every size, so that each branch and both ends of a function's range are met; in place too.
  @Test(arguments: activations.indices, [0.1, 1, 40])
  func activate(activation: Int, deviation: Double) throws {
    let f = Self.activations[activation]
    let name = f.map { "\($0)" } ?? "identity"
    let kernel = f?.kernel ?? .identity
    let (channels, area) = (3, 35)
    let x = try KernelSample(lanes: 2, size: channels * area, key: 4, deviation: deviation)
    for kernels in Kernels.available {
      let y = try KernelSample(lanes: 2, size: channels * area)
      var map = x.map(to: y, channels: channels, area: area)
      kernels.table.pointee.activate(&map, kernel)
      #expect(
        y.wrong { Self.expected(f, x[$0, $1, $2], 0) } == 0,
        "\(kernels.name), \(name), \(deviation)")
      let copy = try KernelSample(
        lanes: 2, size: channels * area, key: 4, deviation: deviation)
      map = copy.map(to: copy, channels: channels, area: area)
      kernels.table.pointee.activate(&map, kernel)
      var different = 0
      y.forEach { if y[$0, $1, $2] != copy[$0, $1, $2] { different += 1 } }
      #expect(different == 0, "\(kernels.name), \(name), in place")
    }
  }

  @Test(arguments: planes)
  func add(plane: (channels: Int, area: Int)) throws {
    let (channels, area) = plane
    let x = try KernelSample(lanes: 3, size: channels * area, key: 5)
    let b = try KernelSample(lanes: 3, size: channels * area, key: 6)
    for kernels in Kernels.available {
      for lane in [b.stride, 0] {
        let y = try KernelSample(lanes: 3, size: channels * area)
        var map = x.map(to: y, channels: channels, area: area)
        kernels.table.pointee.add(&map, b.pointer, lane)
        let wrong = y.wrong { l, i, sample in
          let sum = x[l, i, sample] + b[lane == 0 ? 0 : l, i, sample]
          return (sum, γ(1) * abs(sum))
        }
        #expect(wrong == 0, "\(kernels.name), \(channels) of \(area), lane \(lane)")
      }
    }
  }

  /// Losses and predicted classes; ties go to the first class, and samples beyond the valid ones are NaN,
  /// which must not be seen.
  @Test(arguments: [2, 10, 100], [(1, 16), (5, 16), (16, 3)])
  func crossEntropy(classes: Int, valid: (Int, Int)) throws {
    let x = try KernelSample(lanes: 2, size: classes, key: 7, deviation: 5)
    let valid = [valid.0, valid.1]
    let labels = try Buffer<Int32>((0..<32).map { Int32($0 * 7 % classes) })
    for sample in 0..<16 {
      for lane in 0..<2 {
        let logits = x.pointer + lane * x.stride + sample
        // The last class as large as one before it, in every third sample.
        if sample % 3 == 0 { logits[(classes - 1) * 16] = logits[(classes / 2 - 1) * 16] }
        // One that says nothing but one class: exponentials end at 0.
        if sample == 4 { logits[0] = 200 }
        if sample >= valid[lane] { for c in 0..<classes { logits[c * 16] = .nan } }
      }
    }
    let counts = try Buffer<Int32>(valid.map { Int32($0) })
    for kernels in Kernels.available {
      // Lanes with labels of their own, or with the same for all.
      for labelsLane in [16, 0] {
        // Added to what is there.
        let before = [0.5, 0, 0.25]
        let losses = try Buffer<Double>(before)
        let predicted = try Buffer<Int32>(32)
        var map = rso_map(
          x: UnsafePointer(x.pointer), y: nil, x_lane: x.stride, y_lane: 0, lanes: 2,
          channels: Int32(classes), area: 1)
        kernels.table.pointee.cross_entropy(
          &map, labels.pointer, labelsLane, counts.pointer, losses.pointer, 2, predicted.pointer)
        for lane in 0..<2 {
          var (sum, bound) = (before[2 * lane], 0.0)
          for sample in 0..<valid[lane] {
            let logits = (0..<classes).map { x[lane, $0, sample] }
            let loss = SampleLoss.crossEntropy()(
              logits, label: Int(labels.pointer[lane * labelsLane + sample]))
            sum += loss
            bound += Self.lossBound(loss, classes: classes)
            let best = logits.indices.reduce(0) { logits[$1] > logits[$0] ? $1 : $0 }
            #expect(
              predicted.pointer[lane * 16 + sample] == Int32(best),
              "\(kernels.name), \(classes) classes, sample \(sample)")
          }
          #expect(
            abs(losses.pointer[2 * lane] - sum) <= bound,
            "\(kernels.name), \(classes) classes, lane \(lane)")
        }
        #expect(losses.pointer[1] == 0, "\(kernels.name): written between two lanes' losses")
        // What is predicted need not be asked for.
        let again = try Buffer<Double>(before)
        kernels.table.pointee.cross_entropy(
          &map, labels.pointer, labelsLane, counts.pointer, again.pointer, 2, nil)
        #expect(again.pointer[0] == losses.pointer[0] && again.pointer[2] == losses.pointer[2])
      }
    }
  }

  /// With d = logit − largest, rounded: a term e^d of the sum errs by |d| e^d u ≤ 0.37 u, the largest by none,
  /// and by `exp` of itself; n − 1 additions follow. The sum is at least 1, so its logarithm errs by
  /// 1.37 (n − 1) u + 3 u, and by its own roundings: 0.7 u of 2 s, which is below 0.35, and two sums of that
  /// size; one more with the exponent's part. The difference of logits rounds once, so does the sum with the
  /// logarithm: with the one before, 2 u of the loss.
  private static func lossBound(_ loss: Double, classes: Int) -> Double {
    u * (2 * loss + 1.4 * Double(classes - 1) + exp + 2)
  }

  @Test func loadImages() throws {
    let (channels, area) = (2, 15)
    let philox = Philox(seed: 3)
    let images = try Buffer<UInt8>(
      philox.permutation(.sampleOrder, cycle: 0, tensor: 0, count: 4 * channels * area).map {
        UInt8($0)
      })
    let table = try Buffer<Float>((0..<channels * 256).map { Float($0) / 8 })
    let samples = try Buffer<Int32>((0..<16).map { $0 % 5 == 4 ? -1 : Int32($0 * 3 % 4) })
    let y = try KernelSample(lanes: 1, size: channels * area)
    rso_load_images(
      images.pointer, samples.pointer, table.pointer, Int32(channels), Int32(area), y.pointer)
    let wrong = y.wrong { _, i, sample in
      let number = Int(samples.pointer[sample])
      guard number >= 0 else { return (0, 0) }
      let pixel = Int(images.pointer[number * channels * area + i])
      return (Double(table.pointer[i / area * 256 + pixel]), 0)
    }
    #expect(wrong == 0)
  }
}
