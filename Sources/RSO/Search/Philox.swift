import Foundation

/// Philox4x32-10, a counter-based generator. Every draw is a pure function of the seed and of its purpose, so
/// there is no state to save, and draws agree on any device and for any number of threads.
///
/// Source: Salmon, Moraes, Dror, Shaw, *Parallel Random Numbers: As Easy as 1, 2, 3*, SC 2011.
public struct Philox: Hashable, Sendable {
  /// The purpose of a draw; draws for different purposes are independent.
  public enum Purpose: UInt32, Sendable {
    /// The initial weights, Δ, the orders of samples and of elements, and the seeds of a search without samples.
    case initialisation, proposal, sampleOrder, elementOrder, seed
  }

  /// The seed; it determines every draw.
  public let seed: UInt64

  /// A generator; the same seed gives the same draws.
  public init(seed: UInt64) { self.seed = seed }

  /// Ten rounds over one 128-bit counter under a 64-bit key.
  public static func block(
    counter: SIMD4<UInt32>, key: SIMD2<UInt32>
  ) -> SIMD4<UInt32> {
    var c = counter
    var k = key
    for _ in 0..<10 {
      let a = c.x.multipliedFullWidth(by: 0xD251_1F53)
      let b = c.z.multipliedFullWidth(by: 0xCD9E_8D57)
      c = SIMD4(b.high ^ c.y ^ k.x, b.low, a.high ^ c.w ^ k.y, a.low)
      k &+= SIMD2(0x9E37_79B9, 0xBB67_AE85)
    }
    return c
  }

  /// Two independent 64-bit words.
  func words(
    _ purpose: Purpose, cycle: Int, tensor: Int, element: Int
  ) -> (UInt64, UInt64) {
    // 40 bits for the element, 8 for the purpose, 32 for the cycle, 32 for the tensor: more than any run needs.
    let counter = SIMD4(
      UInt32(truncatingIfNeeded: element),
      UInt32(truncatingIfNeeded: element >> 32) & 0xFF | purpose.rawValue << 8,
      UInt32(truncatingIfNeeded: cycle), UInt32(truncatingIfNeeded: tensor))
    let key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    let r = Self.block(counter: counter, key: key)
    return (UInt64(r.x) << 32 | UInt64(r.y), UInt64(r.z) << 32 | UInt64(r.w))
  }

  /// A standard normal draw (the cosine branch of Box–Muller, in double precision).
  public func normal(_ purpose: Purpose, cycle: Int, tensor: Int, element: Int) -> Double {
    let (a, b) = words(purpose, cycle: cycle, tensor: tensor, element: element)
    // 53 bits each; the first is in (0, 1], so its logarithm is finite.
    let u = (Double(a >> 11) + 1) * 0x1p-53
    let v = Double(b >> 11) * 0x1p-53
    return (-2 * log(u)).squareRoot() * cos(2 * .pi * v)
  }

  /// A seed for another program's draws, from 1 on: 31 bits, which every generator takes.
  func seed(cycle: Int, tensor: Int, element: Int) -> Int32 {
    let (word, _) = words(.seed, cycle: cycle, tensor: tensor, element: element)
    // The high half of word · (2³¹ − 1).
    return 1 + Int32(word.multipliedFullWidth(by: UInt64(Int32.max)).high)
  }

  /// A random permutation of `0 ..< count` (Fisher–Yates).
  public func permutation(
    _ purpose: Purpose, cycle: Int, tensor: Int, count: Int
  ) -> [Int32] {
    var order = (0..<Int32(count)).map { $0 }
    for last in stride(from: count - 1, to: 0, by: -1) {
      let (word, _) = words(purpose, cycle: cycle, tensor: tensor, element: last)
      // The high half of word · (last + 1): uniform to 2⁻⁶⁴ · count.
      order.swapAt(last, Int(word.multipliedFullWidth(by: UInt64(last + 1)).high))
    }
    return order
  }
}
