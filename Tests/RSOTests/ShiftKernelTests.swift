import CRSO
import Testing

@testable import RSO

/// `v = z + δ · x` shifted, and a shortcut added, of every instruction set: `v` itself, `v` normalised, `v` and its moments,
/// and the moments alone.
@Suite struct ShiftKernelTests {
  enum Kind: CaseIterable { case plain, normalised, rectified, summed, onlySummed }

  struct Case: Sendable, CustomStringConvertible {
    var window: KernelTests.Window
    var lanes: Int
    var kind: Kind
    var description: String { "\(window), \(lanes) lanes, \(kind)" }
    static let all = KernelTests.Window.all.flatMap { window in
      (1...4).flatMap { lanes in
        Kind.allCases.map { Case(window: window, lanes: lanes, kind: $0) }
      }
    }
  }

  /// Every tap; every other one with something added, every third with a `z` for each lane.
  @Test(arguments: Case.all)
  func shiftAdd(_ test: Case) throws {
    let (w, lanes) = (test.window, test.lanes)
    let area = w.outHeight * w.outWidth
    let stride = (area + 1) * 16
    let x = try KernelTests.random(w.height * w.width * 16, 5)
    let z = try KernelTests.random(stride * lanes, 6)
    let added = try KernelTests.random(stride * lanes, 12)
    let delta = try Buffer<Float>([0.5, 0, -0.25, 2])
    let scale = try Buffer<Float>([1.5, -0.5, 2, 0.75])
    let offset = try Buffer<Float>([0.25, 0.5, -1, 0])
    let valid = try Buffer<Int32>([16, 9, 0, 1])
    let origin = try Buffer<Float>([0.125])
    for kernels in Kernels.available {
      for tap in 0..<w.kernel * w.kernel {
        let y = try Buffer<Float>(stride * lanes)
        y.pointer.update(repeating: -77, count: stride * lanes)
        let sums = try Buffer<Double>(2 * lanes)
        let (isAdded, isPerLane) = (tap % 2 == 1, tap % 3 == 0)
        var shift = rso_shift_add()
        (shift.x, shift.z) = (UnsafePointer(x.pointer), UnsafePointer(z.pointer))
        shift.y = test.kind == .onlySummed ? nil : y.pointer
        if isAdded { shift.added = UnsafePointer(added.pointer) }
        (shift.z_lane, shift.added_lane, shift.y_lane) = (isPerLane ? stride : 0, stride, stride)
        (shift.delta, shift.window) = (UnsafePointer(delta.pointer), w.c)
        (shift.lanes, shift.tap) = (Int32(lanes), Int32(tap))
        switch test.kind {
        case .plain: break
        case .normalised, .rectified:
          shift.scale = UnsafePointer(scale.pointer)
          shift.offset = UnsafePointer(offset.pointer)
          (shift.norm_lane, shift.relu) = (1, test.kind == .rectified ? 1 : 0)
        case .summed, .onlySummed:
          shift.origin = UnsafePointer(origin.pointer)
          shift.valid = UnsafePointer(valid.pointer)
          (shift.sums, shift.sums_lane) = (sums.pointer, 2)
        }
        kernels.table.pointee.shift_add(&shift)

        let roundoff = LossBound.roundoff
        var wrong = 0
        for lane in 0..<lanes {
          var (sum, squares, sizes) = (0.0, 0.0, 0.0)
          for p in 0..<area {
            let row = p / w.outWidth * w.stride - w.padding + tap / w.kernel
            let column = p % w.outWidth * w.stride - w.padding + tap % w.kernel
            let inside = 0..<w.height ~= row && 0..<w.width ~= column
            for s in 0..<16 {
              let at = p * 16 + s
              let δ = Double(delta.pointer[lane])
              let change = inside ? δ * Double(x.pointer[(row * w.width + column) * 16 + s]) : 0
              let first = Double(z.pointer[(isPerLane ? lane * stride : 0) + at]) + change
              let value = first + (isAdded ? Double(added.pointer[lane * stride + at]) : 0)
              // One rounding of each sum, since δ is a power of two; the second carries the first along.
              let error = roundoff * (abs(value) + (isAdded ? (1 + roundoff) * abs(first) : 0))
              if s < Int(valid.pointer[lane]) {
                let d = value - Double(origin.pointer[0])
                sum += d
                squares += d * d
                sizes += abs(d) + abs(value) + abs(first)
              }
              var (expected, bound) = (value, error)
              if test.kind == .normalised || test.kind == .rectified {
                let factor = Double(scale.pointer[lane])
                expected = value * factor + Double(offset.pointer[lane])
                // Where product and sum are rounded separately, the product's rounding comes in too.
                bound = abs(factor) * error * (1 + 2 * roundoff)
                bound += 2 * roundoff * (abs(value * factor) + abs(expected))
                if test.kind == .rectified { expected = max(expected, 0) }
              }
              let found = Double(y.pointer[lane * stride + at])
              if test.kind == .onlySummed { (expected, bound) = (-77, 0) }
              if !(abs(found - expected) <= bound) { wrong += 1 }
            }
          }
          // Per sample `area` additions in single precision, after the roundings of the value and of the difference.
          let ε = 2 * Double(area + 4) * roundoff
          let isSummed = test.kind == .summed || test.kind == .onlySummed
          let (isSum, isSquares) = (sums.pointer[2 * lane], sums.pointer[2 * lane + 1])
          if !(abs(isSum - (isSummed ? sum : 0)) <= ε * sizes) { wrong += 1 }
          // No difference is as large as 32.
          let bound = ε * (squares + 32 * sizes)
          if !(abs(isSquares - (isSummed ? squares : 0)) <= bound) { wrong += 1 }
        }
        #expect(wrong == 0, "\(kernels.name), \(test), tap \(tap)")
      }
    }
  }
}
