import Testing

@testable import RSO

struct RoundingTests {
  private static let weights: [Float] = [
    0.31, -0.72, 0.05, 0.44, -0.12, 0.9, -0.33, 0.27, -0.58, 0.03, 0.61, -0.47,
  ]

  private static func network(_ domain: Domain, hasNorm: Bool) throws -> Network {
    try Network(input: Shape(channels: 6)) {
      Node.linear("fc", features: 2, bias: true, weights: domain)
      if hasNorm {
        Node.relu("relu")
        Node.batchNorm("bn")
      }
    }
  }

  private static func floats(hasNorm: Bool) throws -> Parameters {
    var parameters = Parameters(zerosFor: try network(.float, hasNorm: hasNorm))
    parameters.values.replaceSubrange(0..<12, with: weights)
    (parameters.values[12], parameters.values[13]) = (0.5, -0.25)
    return parameters
  }

  /// The least errors among 400,001 scales from 0.01 to 1.2, and among powers of two, in NumPy 2.4: the root of
  /// `((w - np.clip(np.round(w / a), -n, n) * a) ** 2).sum() / (w ** 2).sum()`.
  @Test(arguments: [
    (Domain.ternary, 0.514444, 0.364621, Float(0.5), 0.365556),
    (.integer(bits: 3), 0.269459, 0.148512, 0.25, 0.164790),
    (.integer(bits: 4), 0.148629, 0.053514, 0.125, 0.080326),
    (.binary, 0.4025, 0.540664, 0.5, 0.577791),
  ])
  func isNearTheBest(
    domain: Domain, scale: Double, error: Double, power: Float, powerError: Double
  ) throws {
    let (free, freely, factors) = try Self.floats(hasNorm: true).rounded(
      to: Self.network(domain, hasNorm: true), scales: .tensor)
    let found = try #require(freely.first)
    #expect(found.parameter == "fc.weight" && found.domain == domain)
    #expect(found.error >= error - 1e-5 && found.error <= 1.02 * error, "\(found.error)")
    let stored = try #require(free.scales[0]?.first)
    let factor = try #require(factors[0])
    #expect(factor.count == 2 && factor[0] == factor[1])
    #expect(abs(Double(stored) / factor[0] / scale - 1) < 0.03, "\(Double(stored) / factor[0])")
    #expect(Domain.isScale(stored) && factor[0] < 1.415 && factor[0] > 0.707)
    // The bias keeps its size beside the products.
    #expect(free.values[12] == Float(0.5) * Float(factor[0]))
    // Without a batch norm, only powers of two.
    let (fixed, fixedly, none) = try Self.floats(hasNorm: false).rounded(
      to: Self.network(domain, hasNorm: false), scales: .tensor)
    #expect(none.isEmpty && fixed.scales[0] == [power])
    #expect(abs((fixedly.first?.error ?? 0) - powerError) < 1e-5)
    #expect(fixed.values[12] == 0.5)
    try fixed.checkLevels()
    try free.checkLevels()
  }

  /// Binary weights become as large as the others are on average, however large one of them is; zeros become the smallest.
  @Test func binaryWeightsOfAllSizes() throws {
    var floats = try Self.floats(hasNorm: false)
    for element in 0..<12 { floats.values[element] = element == 7 ? 4 : 0.01 }
    let binary = try Self.network(.binary, hasNorm: false)
    let found = try floats.rounded(to: binary, scales: .tensor)
    // The mean is 0.34. Of the powers of two, 0.25 leaves (4 − 0.25)² + 11 · 0.24², and 0.5 leaves more.
    #expect(found.parameters.scales[0] == [0.25])
    let size = 16 + 11 * 0.0001
    let error = (3.75 * 3.75 + 11 * 0.24 * 0.24) / size
    #expect(abs((found.roundings.first?.error ?? 0) - error.squareRoot()) < 1e-4)
    for element in 6..<12 { floats.values[element] = 0 }
    let zeros = try floats.rounded(to: binary, scales: .channel)
    #expect(zeros.parameters.scales[0]?.last == 0x1p-64)
    // Other domains have a zero, and keep the scale that a search can begin with.
    let network = try Self.network(.ternary, hasNorm: false)
    let ternary = try floats.rounded(to: network, scales: .channel)
    #expect(ternary.parameters.scales[0]?.last == Parameters(zerosFor: network).scales[0]?.first)
  }

  /// Channels of different sizes need scales of their own.
  @Test func channels() throws {
    var floats = try Self.floats(hasNorm: false)
    for element in 6..<12 { floats.values[element] /= 64 }
    let network = try Self.network(.ternary, hasNorm: false)
    let (one, all, _) = try floats.rounded(to: network, scales: .tensor)
    let (each, own, _) = try floats.rounded(to: network, scales: .channel)
    #expect(one.scales[0]?.count == 1 && each.scales[0] == [0.5, 0x1p-7])
    #expect((own.first?.error ?? 1) < (all.first?.error ?? 0))
    #expect(Set(try one.levels(of: 0).suffix(6)) == [0])
    #expect(Set(try each.levels(of: 0).suffix(6)).count == 3)
    let (fixed, _, _) = try floats.rounded(to: network, scales: .fixed)
    #expect(fixed.scales == Parameters(zerosFor: network).scales)
  }

  /// The statistics follow: but for ε the rounded model computes what the best scale, as a float, would.
  @Test func batchNormTakesTheFactorOut() throws {
    let (float, discrete) = try (
      Self.network(.float, hasNorm: true), Self.network(.integer(bits: 4), hasNorm: true)
    )
    for choice in [ScaleChoice.tensor, .channel] {
      var parameters = try Self.floats(hasNorm: true)
      parameters.values.replaceSubrange(14..<18, with: [2, 3, 0.5, -0.5])
      var statistics = BatchNormStatistics()
      statistics.moments[2] = .init(mean: [0.3, 0.4], variance: [10, 20])
      let model = Model(
        network: float, parameters: parameters, statistics: statistics,
        normalization: Normalization(mean: [Float](repeating: 0, count: 6)))
      let (rounded, _) = try model.rounded(to: discrete, scales: choice)
      #expect(rounded.network == discrete)
      // The same levels times the best scale, as floats.
      let (_, _, factors) = try parameters.rounded(to: discrete, scales: choice)
      let factor = try #require(factors[0])
      var best = model
      for element in 0..<12 {
        best.parameters.values[element] =
          rounded.parameters.values[element] / Float(factor[element / 6])
      }
      let images = Pixels.floats((0..<60).map { Float($0 % 7) - Float($0 % 5) })
      let (a, b) = try (Predictor(best).predict(images), Predictor(rounded).predict(images))
      for (a, b) in zip(a, b) {
        for (x, y) in zip(a.logits, b.logits) { #expect(abs(x - y) < 3e-4, "\(x) \(y)") }
      }
      #expect(factor.contains { abs($0 - 1) > 0.01 })
    }
  }

  @Test func normsBehindLayers() throws {
    let network = try Network(input: Shape(channels: 2, height: 8, width: 8)) {
      Node.conv2d("a", channels: 2, kernel: 3, padding: 1)
      Node.averagePool("pool", kernel: 2)
      Node.batchNorm("bn")
      Node.activation("sign", .sign)
      Node.conv2d("b", channels: 2, kernel: 3, padding: 1)
      Node.add("add", "sign")
      Node.batchNorm("bn1")
      Node.conv2d("c", channels: 2, kernel: 3, padding: 1)
      Node.activation("tanh", .tanh)
      Node.batchNorm("bn2")
      Node.conv2d("d", channels: 2, kernel: 4)
      Node.batchNorm("bn3")
      Node.add("sum", "d", input: "bn3")
    }
    func norm(_ name: String) -> String? {
      network.nodes.firstIndex { $0.name == name }.flatMap { network.norm(after: $0) }
        .map { network.nodes[$0].name }
    }
    // A shortcut, a function that is not homogeneous, and a second reader keep the factor.
    #expect(norm("a") == "bn" && norm("b") == nil && norm("c") == nil)
  }

  @Test func zerosAndOthers() throws {
    let network = try Self.network(.ternary, hasNorm: false)
    let zeros = Parameters(zerosFor: try Self.network(.float, hasNorm: false))
    let (rounded, roundings, _) = try zeros.rounded(to: network, scales: .channel)
    #expect(rounded.values == zeros.values && roundings.map(\.error) == [0])
    try rounded.checkLevels()
    // Levels stay as they are, with their scale.
    var own = rounded
    (own.scales[0], own.values[0]) = ([4], 4)
    let (again, none, _) = try own.rounded(to: network, scales: .tensor)
    #expect(again == own && none.isEmpty)
    var infinite = zeros
    infinite.values[5] = .infinity
    #expect(
      errorText { _ = try infinite.rounded(to: network, scales: .tensor) }
        == "fc.weight[5]: expected a finite weight, found inf")
    #expect(
      errorText { _ = try zeros.rounded(to: SearchTests.network(), scales: .tensor) }
        == "parameters: expected those of the network, found other names or shapes")
  }
}
