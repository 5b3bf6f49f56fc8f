import CRSO

@testable import RSO

/// Random values of several lanes as kernels read them, `[lanes][channels · area][16]`, with a gap behind
/// every lane.
struct KernelSample {
  let lanes: Int
  let size: Int
  let buffer: Buffer<Float>
  /// Floats between lanes.
  var stride: Int { (size + 1) * Kernels.block }
  var pointer: UnsafeMutablePointer<Float> { buffer.pointer }

  /// - Parameters:
  ///   - size: channels times area.
  ///   - key: other keys give other numbers.
  init(lanes: Int, size: Int, key: Int, deviation: Double = 1) throws {
    self.lanes = lanes
    self.size = size
    let philox = Philox(seed: 11)
    buffer = try Buffer(
      (0..<lanes * (size + 1) * Kernels.block).map {
        Float(deviation * philox.normal(.initialisation, cycle: 0, tensor: key, element: $0))
      })
  }

  /// Room for results, all NaN.
  init(lanes: Int, size: Int) throws {
    self.lanes = lanes
    self.size = size
    buffer = try Buffer(lanes * (size + 1) * Kernels.block)
    buffer.pointer.update(repeating: .nan, count: buffer.count)
  }

  subscript(lane: Int, i: Int, sample: Int) -> Double {
    Double(pointer[lane * stride + i * Kernels.block + sample])
  }

  /// A number of lanes that hold 16-bit integers.
  func short(_ lane: Int, _ i: Int, _ sample: Int) -> Double {
    Double(
      UnsafeRawPointer(pointer + lane * stride).load(
        fromByteOffset: 2 * (i * Kernels.block + sample), as: Int16.self))
  }

  func setShort(_ value: Int16, _ lane: Int, _ i: Int, _ sample: Int) {
    UnsafeMutableRawPointer(pointer + lane * stride).storeBytes(
      of: value, toByteOffset: 2 * (i * Kernels.block + sample), as: Int16.self)
  }

  /// Calls `body` with the place of every number.
  func forEach(_ body: (_ lane: Int, _ i: Int, _ sample: Int) -> Void) {
    for lane in 0..<lanes {
      for i in 0..<size {
        for sample in 0..<Kernels.block { body(lane, i, sample) }
      }
    }
  }

  /// How many numbers are farther from what they should be than `bound` allows, or were written where
  /// nothing is to be written.
  func wrong(_ expected: (_ lane: Int, _ i: Int, _ sample: Int) -> (value: Double, bound: Double))
    -> Int
  {
    var wrong = 0
    forEach { lane, i, sample in
      let (value, bound) = expected(lane, i, sample)
      if !(abs(self[lane, i, sample] - value) <= bound) { wrong += 1 }
    }
    for lane in 0..<lanes {
      for sample in 0..<Kernels.block where !self[lane, size, sample].isNaN { wrong += 1 }
    }
    return wrong
  }

  /// From this value to `y`.
  func map(to y: KernelSample, channels: Int, area: Int) -> rso_map {
    rso_map(
      x: UnsafePointer(pointer), y: y.pointer, x_lane: stride, y_lane: y.stride,
      lanes: Int32(lanes), channels: Int32(channels), area: Int32(area))
  }
}

/// n roundings in a row change a number by at most this fraction: n u / (1 − n u), Higham, *Accuracy and
/// Stability of Numerical Algorithms*, lemma 3.1.
func γ(_ n: Int) -> Double {
  let nu = Double(n) * LossBound.roundoff
  return nu / (1 - nu)
}
