import Testing

@testable import RSO

@Suite struct PhiloxTests {
  /// The known answers published with Random123 (file `kat_vectors`, lines `philox4x32 10`): zeros, all
  /// ones, and the digits of π.
  static let knownAnswers: [(counter: SIMD4<UInt32>, key: SIMD2<UInt32>, block: SIMD4<UInt32>)] = [
    (
      SIMD4(0, 0, 0, 0), SIMD2(0, 0),
      SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)
    ),
    (
      SIMD4(repeating: 0xffff_ffff), SIMD2(repeating: 0xffff_ffff),
      SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd)
    ),
    (
      SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
      SIMD2(0xa409_3822, 0x299f_31d0),
      SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1)
    ),
  ]

  @Test(arguments: knownAnswers.indices)
  func knownAnswer(index: Int) {
    let (counter, key, block) = Self.knownAnswers[index]
    #expect(Philox.block(counter: counter, key: key) == block)
  }

  /// The words of a draw are the block at the counter (element, purpose, cycle, tensor) under the seed.
  @Test func wordsAreTheBlockOfTheArguments() {
    let philox = Philox(seed: 0x0123_4567_89ab_cdef)
    let (a, b) = philox.words(.sampleOrder, cycle: 7, tensor: 5, element: 0x3_0000_0009)
    let block = Philox.block(
      counter: SIMD4(9, 2 << 8 | 3, 7, 5), key: SIMD2(0x89ab_cdef, 0x0123_4567))
    #expect(a == UInt64(block.x) << 32 | UInt64(block.y))
    #expect(b == UInt64(block.z) << 32 | UInt64(block.w))
  }

  /// Moments and tails of 200,000 draws, within five standard errors of what they are for N(0, 1).
  @Test func normalDrawsAreNormal() {
    let count = 200_000
    let n = Double(count)
    let draws = (0..<count).map {
      Philox(seed: 1).normal(.proposal, cycle: 0, tensor: 3, element: $0)
    }
    func mean(_ term: (Double) -> Double) -> Double { draws.reduce(0) { $0 + term($1) } / n }
    let (first, second) = (mean { $0 }, mean { $0 * $0 })
    let (third, fourth) = (mean { $0 * $0 * $0 }, mean { $0 * $0 * $0 * $0 })
    // Var(z) = 1, Var(z²) = 2, Var(z³) = 15, Var(z⁴) = 96.
    #expect(abs(first) < 5 * (1 / n).squareRoot())
    #expect(abs(second - 1) < 5 * (2 / n).squareRoot())
    #expect(abs(third) < 5 * (15 / n).squareRoot())
    #expect(abs(fourth - 3) < 5 * (96 / n).squareRoot())
    // P(|z| > 2) = 0.0455003, P(|z| > 4) = 6.334e-5.
    for (bound, share) in [(2.0, 0.045_500_3), (4.0, 6.334e-5)] {
      let found = mean { abs($0) > bound ? 1 : 0 }
      #expect(abs(found - share) < 5 * (share * (1 - share) / n).squareRoot(), "beyond \(bound)")
    }
    // Neighbours are uncorrelated: their product has mean 0 and variance 1.
    let product = zip(draws, draws.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 } / (n - 1)
    #expect(abs(product) < 5 / (n - 1).squareRoot())
  }

  @Test func aDrawIsAPureFunctionOfItsArguments() {
    let philox = Philox(seed: 72)
    let draw = philox.normal(.proposal, cycle: 3, tensor: 5, element: 17)
    // In between and from another value of the same seed: nothing is used up.
    _ = philox.normal(.proposal, cycle: 3, tensor: 5, element: 18)
    #expect(Philox(seed: 72).normal(.proposal, cycle: 3, tensor: 5, element: 17) == draw)
    let others = [
      Philox(seed: 73).normal(.proposal, cycle: 3, tensor: 5, element: 17),
      // Seeds that differ in the upper half only.
      Philox(seed: 72 | 1 << 40).normal(.proposal, cycle: 3, tensor: 5, element: 17),
      philox.normal(.initialisation, cycle: 3, tensor: 5, element: 17),
      philox.normal(.sampleOrder, cycle: 3, tensor: 5, element: 17),
      philox.normal(.elementOrder, cycle: 3, tensor: 5, element: 17),
      philox.normal(.proposal, cycle: 4, tensor: 5, element: 17),
      philox.normal(.proposal, cycle: 3, tensor: 6, element: 17),
      philox.normal(.proposal, cycle: 3, tensor: 5, element: 18),
    ]
    #expect(Set(others + [draw]).count == others.count + 1)
  }

  /// Draws are stored by no one: a run that is resumed, or an independent program, must draw the same.
  @Test func drawsStayAsTheyAre() {
    let philox = Philox(seed: 0)
    #expect(
      philox.permutation(.sampleOrder, cycle: 0, tensor: 0, count: 10) == Self.pinnedPermutation)
    let draws = (0..<3).map { philox.normal(.proposal, cycle: 1, tensor: 2, element: $0) }
    for (draw, pinned) in zip(draws, Self.pinnedNormals) {
      // Logarithm and cosine are the platform's: equal to a few units in the last place.
      #expect(abs(draw - pinned) <= 8 * pinned.ulp)
    }
  }

  // Computed by a separate program from the definition.
  static let pinnedPermutation: [Int32] = [3, 5, 6, 4, 8, 1, 2, 7, 9, 0]
  static let pinnedNormals = [
    -0.5375980918853133, -0.36292224922400906, -0.49600684767181724,
  ]

  @Test(arguments: [0, 1, 2, 3, 17, 1000])
  func permutationHoldsEveryNumberOnce(count: Int) {
    let order = Philox(seed: 9).permutation(.sampleOrder, cycle: 1, tensor: 2, count: count)
    #expect(order.sorted() == (0..<Int32(count)).map { $0 })
  }

  @Test func permutationDiffersPerKey() {
    func order(
      _ purpose: Philox.Purpose = .sampleOrder, seed: UInt64 = 1, cycle: Int = 0, tensor: Int = 0
    ) -> [Int32] {
      Philox(seed: seed).permutation(purpose, cycle: cycle, tensor: tensor, count: 100)
    }
    let orders = [
      order(), order(.elementOrder), order(seed: 2), order(cycle: 1), order(tensor: 1),
      (0..<100).map { $0 },
    ]
    #expect(Set(orders).count == orders.count)
    #expect(order() == order())
  }

  /// All 24 orders of four numbers come equally often: χ² with 23 degrees of freedom stays below its
  /// 99.99 % point of 58.6.
  @Test func permutationsAreEquallyLikely() {
    var counts: [[Int32]: Int] = [:]
    let draws = 24_000
    for tensor in 0..<draws {
      counts[
        Philox(seed: 4).permutation(.elementOrder, cycle: 0, tensor: tensor, count: 4), default: 0] +=
        1
    }
    #expect(counts.count == 24)
    let expected = Double(draws) / 24
    let statistic = counts.values.reduce(0) {
      $0 + (Double($1) - expected) * (Double($1) - expected) / expected
    }
    #expect(statistic < 58.6)
  }
}
