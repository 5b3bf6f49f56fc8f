import Foundation
import Testing

@testable import RSO

/// Rounds of proposals, and rules other than the paper's, in whole searches and in engines.
@Suite struct RoundTests {
  // MARK: Proposals

  @Test func roundsOfASweep() throws {
    let settings = SearchTests.settings {
      $0.round = .channel
      $0.firstRounds = [.init(span: .elements(4), cycles: 1)]
    }
    let search = try SearchTests.search(settings)
    for sweep in search.sweeps {
      let slot = search.parameters.slots[sweep.parameter]
      for (cycle, length) in [(0, 4), (1, slot.elementsPerChannel)] {
        let turns = Turns(settings, cycle: cycle, of: slot, batches: 3)
        let proposals = search.proposals(sweep, cycle: cycle, turns)
        let ends = proposals.indices.filter { proposals[$0].endsRound }.map { $0 + 1 }
        var expected = Array(stride(from: length, to: slot.count, by: length))
        expected.append(slot.count)
        #expect(ends == expected, "\(slot.name) \(cycle)")
      }
    }
    #expect(settings.roundWords == "4:1,channel")
    #expect(SearchSettings().roundWords == "1")
  }

  /// A loss is known from the decision before with the paper's rule and rounds of 1 only; what is not known decays.
  @Test func heldMiniBatches() throws {
    func proposals(_ change: (inout SearchSettings) -> Void) throws -> [Proposal] {
      let settings = SearchTests.settings {
        $0.hold = .elements(3)
        change(&$0)
      }
      let search = try SearchTests.search(settings)
      let slot = search.parameters.slots[search.sweeps[0].parameter]
      return search.proposals(
        search.sweeps[0], cycle: 0, Turns(settings, cycle: 0, of: slot, batches: 3))
    }
    let paper = try proposals { _ in }
    #expect(
      paper.map(\.baseline).prefix(6) == [.computed, .known, .known, .computed, .known, .known])
    let slope = try proposals { $0.rule = .slope() }
    // One loss of the current value in 16; the tensor has 9 elements.
    #expect(slope.map(\.baseline) == [.computed] + Array(repeating: .unused, count: 8))
    #expect(slope.map(\.evaluations) == [3, 2, 2, 2, 2, 2, 2, 2, 2])
    let others = try [
      proposals { $0.rule = .parabola() }, proposals { $0.round = .elements(2) },
    ]
    for other in others { #expect(other.allSatisfy { $0.baseline == .computed }) }
    for other in others + [slope] {
      #expect(other.map(\.batch) == paper.map(\.batch))
      #expect(other[0].candidates == paper[0].candidates)
      #expect(other[1].candidates[0] == 0.875 * paper[1].candidates[0])
    }
  }

  // MARK: Engines

  private static let lengths = [3, 9]

  /// All engines on a network whose batch norm behind a flatten has several channels for a lone one.
  private static func comparison() throws -> (Dataset, Parameters, Network) {
    let network = try Network(input: Shape(channels: 2, height: 5, width: 4)) {
      Node.conv2d("conv0", channels: 3, kernel: 3, padding: 1)
      Node.batchNorm("bn0")
      Node.relu("relu0")
      Node.conv2d("conv1", channels: 4, kernel: 3, padding: 1, bias: true)
      Node.averagePool("pool1", kernel: 2)
      Node.flatten("flat")
      Node.batchNorm("bn_flat")
      Node.linear("fc", features: 5, bias: true)
    }
    let data = try Sample.dataset(network.input, classes: 5, train: 60)
    return (data, Parameters(initialFor: network, seed: 3), network)
  }

  private static func proposals(
    _ slot: Parameters.Slot, _ parameters: Parameters, round: Int, slope: Bool = false
  ) -> [Proposal] {
    (0..<slot.count).map { element in
      var proposal = CandidateComparison.proposal(
        element, slot, tensor: 1, batch: element / 2 % 3, parameters)
      proposal.endsRound = (element + 1) % round == 0 || element + 1 == slot.count
      if slope, element % 4 != 0 { proposal.baseline = .unused }
      return proposal
    }
  }

  /// Every loss of a round comes from the weights at its beginning; at its end all of it is applied. The engine agrees
  /// with the reference, and its values are what the rule makes of its own losses.
  @Test(arguments: lengths, [Rule.best, .slope(), .parabola()])
  func enginesAgree(round: Int, rule: Rule) throws {
    let (data, parameters, network) = try Self.comparison()
    let order = SampleOrder((0..<60).reversed().map { Int32($0) }, batchSize: 20)
    var compared = 0
    for (name, made) in try CandidateComparison.engines(
      network: network, data: data, parameters: parameters)
    {
      var engine = made
      for (index, slot) in parameters.slots.enumerated() {
        var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
        engine.parameters = parameters
        try reference.beginSweep(of: index, order: order)
        try engine.beginSweep(of: index, order: order)
        let all = Self.proposals(slot, parameters, round: round, slope: rule == .slope())
          .prefix(30)
        func make() -> SweepRule {
          SweepRule(rule, width: slot.proposalDeviation, cycle: 0, of: 1)
        }
        var (ours, theirs, again) = (make(), make(), make())
        var start = 0
        while start < all.count {
          let end = all[start...].firstIndex(where: \.endsRound).map { $0 + 1 } ?? all.count
          let before = reference.parameters
          // A round may come in pieces.
          let middle = (start + end) / 2
          let found =
            try engine.judge(all[start..<middle], by: &ours)
            + engine.judge(all[middle..<end], by: &ours)
          let expected = try reference.judge(all[start..<end], by: &theirs)
          #expect(found.count == end - start)
          for (turn, (a, b)) in zip(expected, found).enumerated() {
            let proposal = all[start + turn]
            let place = "\(name), \(slot.name)[\(proposal.element)]"
            let bound = 1e-5 * a.losses[1]
            let isUnused = proposal.baseline == .unused
            #expect(a.losses[0].isNaN == isUnused && b.losses[0].isNaN == isUnused, "\(place)")
            for (x, y) in zip(a.losses, b.losses).dropFirst(isUnused ? 1 : 0) {
              #expect(abs(x - y) <= bound, "\(place)")
            }
            #expect(again.decide(proposal, b.losses).value == b.value, "\(place)")
            compared += 1
            // Judged alone, from the same weights, a proposal has the same losses.
            guard turn == 2, name == "CUDA" else { continue }
            var alone = ReferenceEngine(network: network, data: data, parameters: before)
            try alone.beginSweep(of: index, order: order)
            for (x, y) in zip(try alone.judge([proposal])[0].losses, a.losses) {
              #expect(x == y || x.isNaN && y.isNaN, "\(place)")
            }
          }
          // From here on the engines' weights differ by what roundings of losses make of them.
          for (proposal, decision) in zip(all[start..<end], found) {
            let expected =
              all[end - 1].endsRound
              ? decision.value : before.values[slot.offset + proposal.element]
            #expect(engine.parameters.values[slot.offset + proposal.element] == expected)
          }
          guard expected.map(\.value) == found.map(\.value) || isNear(expected, found, slot) else {
            break
          }
          start = end
        }
      }
    }
    #expect(compared > 300)
  }

  private func isNear(_ a: [Decision], _ b: [Decision], _ slot: Parameters.Slot) -> Bool {
    zip(a, b).allSatisfy { abs(Double($0.value - $1.value)) < 1e-4 * slot.proposalDeviation }
  }

  /// Rounds longer than a card's lists, handed over in pieces, have the bits of one call; and a NaN in a round leaves the
  /// weights as they were before it.
  @Test func aRoundOnACard() throws {
    let (data, parameters, network) = try Self.comparison()
    let order = SampleOrder((0..<60).map { $0 }, batchSize: 20)
    let index = try #require(parameters.slot(named: "fc.weight"))
    let slot = parameters.slots[index]
    var all = Self.proposals(slot, parameters, round: slot.count)
    func run(_ piece: Int) throws -> ([Decision], [UInt32]) {
      let fake = FakeCUDA()
      fake.isBackwards = piece == 1
      let engine = try fake.engine(network: network, data: data, parameters: parameters)
      try engine.beginSweep(of: index, order: order)
      var rule = SweepRule(.slope(), width: 0.1, cycle: 0, of: 1)
      var decisions: [Decision] = []
      for start in stride(from: 0, to: all.count, by: piece) {
        #expect(engine.parameters == parameters)
        decisions += try engine.judge(all[start..<min(start + piece, all.count)], by: &rule)
      }
      return (decisions, engine.parameters.values.map(\.bitPattern))
    }
    let whole = try run(all.count)
    for piece in [1, 7] {
      let pieces = try run(piece)
      #expect(pieces.0 == whole.0 && pieces.1 == whole.1)
    }
    all[4].candidates[0] = .nan
    for (name, made) in try CandidateComparison.engines(
      network: network, data: data, parameters: parameters)
    {
      var engine = made
      try engine.beginSweep(of: index, order: order)
      #expect(throws: RSOError.self, "\(name)") { try engine.judge(all[..<7]) }
      #expect(engine.parameters == parameters, "\(name)")
    }
  }

  // MARK: Searches

  static let ways: [(rule: Rule, round: SearchSettings.Span, hold: SearchSettings.Span)] = [
    (.slope(), .elements(1), .elements(1)), (.parabola(), .elements(1), .elements(1)),
    (.best, .channel, .elements(1)), (.slope(c: 1), .elements(5), .channel),
    (.parabola(), .channel, .elements(2)),
  ]

  static func settings(_ way: Int) -> SearchSettings {
    SearchTests.settings {
      $0.cycles = 3
      ($0.rule, $0.round, $0.hold) = (ways[way].rule, ways[way].round, ways[way].hold)
      $0.firstRounds = [.init(span: .elements(1), cycles: 1)]
      $0.sweeps = ["fc": 2]
      $0.evaluations = way % 2 == 0 ? .tensor : .cycle
    }
  }

  /// Stopped after any tensor and resumed with what the rule had learnt, a run ends with the same bits; and threads do
  /// not matter.
  @Test(arguments: ways.indices)
  func resumingGivesTheSameBits(way: Int) throws {
    let settings = Self.settings(way)
    var whole = try SearchTests.search(settings, device: .cpu(threads: 1))
    let expected = try SearchRunTests.run(&whole)
    let bits = whole.parameters.values.map(\.bitPattern)
    #expect(whole.ruleStates.isEmpty == !"\(settings.rule)".hasPrefix("slope"))
    for stop in [1, 2, 7, expected.reports.count - 1] {
      var first = try SearchTests.search(settings, device: .cpu(threads: 2))
      let before = try SearchRunTests.run(&first, stopAfter: stop)
      // As a checkpoint holds them.
      let json = try JSONEncoder().encode(first.ruleStates)
      var second = try RandomSearch(
        network: SearchTests.network(), data: SearchTests.data(), settings: settings,
        device: .cpu(threads: 1), parameters: first.parameters, position: first.position,
        ruleStates: JSONDecoder().decode([String: RuleState].self, from: json))
      let after = try SearchRunTests.run(&second)
      #expect(before.losses + after.losses == expected.losses, "stopped after \(stop)")
      #expect(before.reports + after.reports == expected.reports, "stopped after \(stop)")
      #expect(second.parameters.values.map(\.bitPattern) == bits, "stopped after \(stop)")
      #expect(second.ruleStates == whole.ruleStates)
    }
  }

  /// Without what the rule had learnt a run goes on in another way: the test above would notice.
  @Test func whatIsLearntMatters() throws {
    let settings = Self.settings(0)
    var whole = try SearchTests.search(settings)
    _ = try SearchRunTests.run(&whole)
    var first = try SearchTests.search(settings)
    _ = try SearchRunTests.run(&first, stopAfter: 9)
    var second = try SearchTests.search(
      settings, parameters: first.parameters, position: first.position)
    _ = try SearchRunTests.run(&second)
    #expect(second.parameters != whole.parameters)
  }

  /// A share of what changed, and weights that are what the decisions say.
  @Test(arguments: ways.indices)
  func decisionsAreTheWeights(way: Int) throws {
    var search = try SearchTests.search(Self.settings(way))
    var parameters = search.parameters
    var (changed, squares) = (0, 0.0)
    let isChoice = search.settings.rule == .best
    try search.run { event in
      switch event {
      case .judged(let judged):
        let slot = try #require(parameters.slots.first { $0.name == judged.parameter })
        for (proposal, decision) in zip(judged.proposals, judged.decisions) {
          parameters.values[slot.offset + proposal.element] = decision.value
          changed += decision.value == proposal.candidates[0] ? 0 : 1
          squares += pow(Double(decision.value - proposal.candidates[0]), 2)
        }
      case .swept(let report):
        let slot = try #require(parameters.slots.first { $0.name == report.parameter })
        // Rules that move every weight have no share of those that moved.
        #expect(report.keptShare == (isChoice ? Double(changed) / Double(slot.count) : nil))
        let step = (squares / Double(slot.count)).squareRoot() / report.deviation
        #expect(step > 0 && abs(report.step - step) < 1e-5 * step)
        (changed, squares) = (0, 0)
      }
      return .goOn
    }
    #expect(search.parameters == parameters)
  }
}
