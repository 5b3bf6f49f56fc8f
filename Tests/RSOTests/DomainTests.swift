import Testing

@testable import RSO

struct DomainTests {
  static let discrete: [Domain] =
    [.binary, .ternary] + (2...8).map { .integer(bits: $0) }

  /// The networks of `SearchTests`, with discrete weights.
  static func network(_ domain: Domain) throws -> Network {
    try SearchTests.network().settingWeights(to: domain)
  }

  @Test func isItsText() throws {
    for domain in Self.discrete + [.float] {
      #expect(try Domain("\(domain)") == domain)
    }
    for wrong in ["", "int", "int1", "int9", "int04", "int-4", "Ternary", "int4 ", "4"] {
      #expect(
        errorText { _ = try Domain(wrong) }
          == "`weights`: expected float, binary, ternary, or int2 to int8, found '\(wrong)' "
          + "(int4 has the levels −7 to 7 times a scale)")
    }
  }

  @Test func levels() {
    func levels(_ domain: Domain) -> [Int] { (-300...300).filter(domain.has) }
    #expect(levels(.binary) == [-1, 1])
    #expect(levels(.ternary) == [-1, 0, 1])
    #expect(levels(.integer(bits: 2)) == [-1, 0, 1])
    #expect(levels(.integer(bits: 4)) == Array(-7...7))
    #expect(levels(.integer(bits: 8)) == Array(-127...127))
    for domain in Self.discrete {
      for level in levels(domain) {
        #expect(domain.level(nearest: Double(level) + 0.3) == level, "\(domain)")
        #expect(domain.level(nearest: Double(level) - 0.3) == level, "\(domain)")
      }
      #expect(domain.level(nearest: 1e30) == domain.levels.upperBound)
      #expect(domain.level(nearest: -1e30) == domain.levels.lowerBound)
    }
    #expect(Domain.binary.level(nearest: 0) == 1)
  }

  /// He's deviations are √(2 / 9) = 0.471, √(2 / 18) = 0.333 and √(2 / 3) = 0.816.
  static let scales: [(Domain, [Float])] = [
    (.binary, [0.5, 0.25, 0.5]), (.ternary, [0.5, 0.5, 1]),
    (.integer(bits: 4), [0.125, 0.125, 0.25]), (.integer(bits: 8), [0x1p-6, 0x1p-7, 0x1p-5]),
  ]

  @Test(arguments: scales)
  func scalesArePowersOfTwo(domain: Domain, expected: [Float]) throws {
    let parameters = Parameters(initialFor: try Self.network(domain), seed: 1)
    let discrete = parameters.slots.indices.filter { parameters.slots[$0].domain.isDiscrete }
    #expect(
      discrete.map { parameters.slots[$0].name } == ["conv0.weight", "conv1.weight", "fc.weight"])
    #expect(discrete.map { parameters.scales[$0] } == expected.map { [$0] })
    #expect(parameters.scales.count == 3)
  }

  /// The same draws as for floats, rounded.
  @Test(arguments: discrete)
  func initialValuesAreLevels(domain: Domain) throws {
    let network = try Network(input: Shape(channels: 500)) {
      Node.linear("fc", features: 8, bias: true)
    }
    let floats = Parameters(initialFor: network, seed: 3)
    let parameters = Parameters(
      initialFor: try network.settingWeights(to: domain), seed: 3)
    try parameters.checkLevels()
    let levels = try parameters.levels(of: 0)
    #expect(
      Set(levels).count == (domain == .binary ? 2 : min(domain.levels.count, 255))
        || domain.bits > 5, "\(domain)")
    let σ = floats.slots[0].initialDeviation
    for (level, value) in zip(levels, floats.values) {
      let x = Double(value) / σ / domain.normalStep
      let isNearest =
        domain == .binary
        ? (level > 0) == (value >= 0)
        : abs(Double(level) - x) < 0.50001 || abs(Int(level)) == domain.levels.upperBound
      #expect(isNearest, "\(domain): \(level) of \(x)")
    }
    // Biases stay floats.
    #expect(parameters.values.suffix(8) == floats.values.suffix(8))
  }

  @Test(arguments: discrete)
  func othersAreOtherLevels(domain: Domain) {
    for level in domain.levels where domain.has(level) {
      for step in [-1e9, -300, -4.4, -1, -0.2, 0, 0.3, 1, 2.5, 7, 300, 1e9] {
        let others = domain.others(than: level, step: step)
        let set = Set(others)
        #expect(others.count == (domain == .binary ? 1 : 2))
        #expect(set.count == others.count && !set.contains(level), "\(domain) \(level) \(step)")
        #expect(others.allSatisfy(domain.has), "\(domain) \(level) \(step): \(others)")
      }
    }
  }

  @Test func othersAreStepsAway() {
    let int4 = Domain.integer(bits: 4)
    #expect(Domain.binary.others(than: -1, step: 3) == [1])
    #expect(Domain.ternary.others(than: 0, step: -0.1) == [-1, 1])
    #expect(Domain.ternary.others(than: 1, step: 0.1) == [-1, 0])
    #expect(int4.others(than: 2, step: 2.6) == [5, -1])
    #expect(int4.others(than: 2, step: -0.2) == [1, 3])
    // 9 becomes 7; −3 stays.
    #expect(int4.others(than: 3, step: 6) == [7, -3])
    // There is nothing above 7: its neighbour takes the place, or the one behind it.
    #expect(int4.others(than: 7, step: 4) == [6, 3])
    #expect(int4.others(than: 7, step: 1) == [5, 6])
    #expect(int4.others(than: -7, step: 1) == [-6, -5])
  }

  // MARK: In a search

  /// Candidates are levels, and the value itself comes first, without decay. Δ is in units of the scale.
  @Test func proposals() throws {
    for domain in Self.discrete {
      let network = try Self.network(domain)
      let search = try RandomSearch(
        network: network, data: SearchTests.data(), settings: SearchTests.settings(),
        device: .reference)
      for sweep in search.sweeps {
        let parameters = search.parameters
        let slot = parameters.slots[sweep.parameter]
        guard slot.domain.isDiscrete else { continue }
        let scale = try #require(parameters.scales[sweep.parameter]?.first)
        for proposal in try search.proposals(sweep, cycle: 0, SearchTests.turns(3)) {
          let candidates = proposal.candidates.map { $0 / scale }
          #expect(candidates.count == (domain == .binary ? 2 : 3))
          #expect(
            proposal.candidates[0] == parameters.values[slot.offset + proposal.element])
          #expect(candidates.allSatisfy { domain.has(Int($0)) && $0 == $0.rounded() })
          let step = max((proposal.delta / scale).rounded(), 1)
          if domain == .integer(bits: 8), abs(candidates[0]) + step < 127, proposal.delta > 0 {
            #expect(candidates[1] == candidates[0] + step)
          }
        }
      }
    }
  }

  /// Every weight stays a level, whatever the rule, and the search finds better ones.
  @Test(
    arguments: [Rule.best, .margin(.init(0.5)), .leader(keep: 0.5), .slope(), .parabola()],
    [Domain.binary, .ternary, .integer(bits: 4)])
  func searchStaysOnLevels(rule: Rule, domain: Domain) throws {
    for hold in [1, 3] {
      let settings = SearchTests.settings {
        ($0.rule, $0.hold, $0.cycles) = (rule, .elements(hold), 1)
      }
      var search = try RandomSearch(
        network: Self.network(domain), data: SearchTests.data(), settings: settings,
        device: .cpu(threads: 1))
      let first = search.parameters.values
      var evaluations: [String: Int] = [:]
      try search.run { event in
        if case .swept(let report) = event { evaluations[report.parameter] = report.evaluations }
        return .goOn
      }
      let parameters = search.parameters
      try parameters.checkLevels()
      let changed = zip(first, parameters.values).count { $0 != $1 }
      #expect(changed > 10)
      // 54 weights; held ones know the first loss.
      let candidates = domain == .binary ? 2 : 3
      #expect(evaluations["conv1.weight"] == (hold == 1 ? 54 * candidates : 54 * candidates - 36))
      // A rule that takes steps learns nothing from them.
      let learns = search.ruleStates.keys.contains { $0.hasPrefix("conv") || $0 == "fc.weight" }
      // In its first cycle, the margin that integers of more levels follow is 0.
      let hasTotals = rule == .leader(keep: 0.5) && domain.areLevelsCandidates
      #expect(learns == (rule == .margin(.init(0.5)) || hasTotals))
    }
  }

  /// Two losses for each weight of a binary tensor, three for others; with three weights on a mini-batch, one less for two
  /// of them, also where a rule would need all.
  @Test(arguments: [(Domain.binary, 108, 72), (.ternary, 162, 126), (.float, 162, 112)])
  func cost(domain: Domain, each: Int, held: Int) throws {
    for (hold, rule, expected) in [(1, Rule.best, each), (3, .slope(), held)] {
      let settings = SearchTests.settings { ($0.hold, $0.rule) = (.elements(hold), rule) }
      let model = try CostModel(
        network: Self.network(domain), settings: settings, data: SearchTests.data())
      #expect(model.sweeps.first { $0.parameter == "conv1.weight" }?.candidates == expected)
    }
  }

  @Test func refusesOtherValues() throws {
    let network = try Self.network(.ternary)
    func error(_ change: (inout Parameters) -> Void) -> String? {
      var parameters = Parameters(initialFor: network, seed: 1)
      change(&parameters)
      return errorText {
        _ = try RandomSearch(
          network: network, data: SearchTests.data(), settings: SearchTests.settings(),
          device: .reference, parameters: parameters)
      }
    }
    #expect(error { _ in } == nil)
    #expect(
      error { $0.values[3] = 0.25 }
        == "conv0.weight[3]: expected a level of ternary times 0.5, found 0.25 "
        + "(round the weights to their levels: Model.rounded)")
    #expect(
      error { $0.values[3] = .nan }?.hasPrefix("conv0.weight[3]: expected a level") == true)
    for scale in [Float(0), 0.3, -0.5, .infinity, .nan, 0x1p-65] {
      #expect(
        error { $0.scales[0] = [scale] }
          == "conv0.weight.scale[0]: expected a power of two from 2^-64 to 2^64, found \(scale)")
    }
    #expect(
      error { $0.scales[0] = [1, 1, 1] } == "conv0.weight: expected 1 or 2 scales, found 3")
  }

  @Test func settingWeights() throws {
    let network = try SearchTests.network()
    let mixed = try network.settingWeights(to: .ternary)
      .settingWeights(to: .integer(bits: 8), matching: "fc*")
      .settingWeights(to: .float, matching: "conv0.weight")
    #expect(mixed.nodes.filter { $0.weights.isDiscrete }.map(\.name) == ["conv1", "fc"])
    #expect(mixed.nodes.last?.weights == .integer(bits: 8))
    #expect(
      errorText { _ = try network.settingWeights(to: .binary, matching: "bn*") }
        == "`weights`: expected a pattern of the names of weights, found 'bn*', which matches none "
        + "(there are conv0.weight, conv1.weight, fc.weight)")
    // Only weights can be discrete.
    #expect(
      errorText {
        _ = try Network(input: Shape(channels: 2)) {
          Node("relu", .activation(.relu), weights: .binary)
          Node.linear("fc", features: 2)
        }
      } == "relu: expected weights to be binary, found a layer without weights")
    #expect(
      errorText {
        _ = try Network(input: Shape(channels: 2)) {
          Node.linear("fc", features: 2, weights: .integer(bits: 9))
        }
      } == "fc: expected integer weights of 2 to 8 bits, found 9")
    // It is what JSON says.
    #expect(try Network(json: mixed.json(), name: "f") == mixed)
    #expect(
      errorText {
        let text =
          #"{"input": {"channels": 1, "height": 1, "width": 1}, "layers": [{"name": "a", "#
          + #""type": "linear", "features": 2, "weights": "int9"}]}"#
        _ = try Network(json: .init(text.utf8), name: "f")
      }?.contains("layer a: expected float, binary, ternary, or int2 to int8, found 'int9'") == true
    )
  }
}
