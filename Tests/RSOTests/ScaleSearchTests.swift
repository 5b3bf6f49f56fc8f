import Testing

@testable import RSO

/// Scales as part of a search.
struct ScaleSearchTests {
  static func settings(
    _ scales: ScaleChoice, _ change: (inout SearchSettings) -> Void = { _ in }
  ) -> SearchSettings {
    SearchTests.settings {
      $0.scales = scales
      change(&$0)
    }
  }

  static func search(
    _ settings: SearchSettings, parameters: Parameters? = nil,
    position: RandomSearch.Position = .init(), ruleStates: [String: RuleState] = [:],
    device: Device = .cpu(threads: 2)
  ) throws -> RandomSearch {
    try RandomSearch(
      network: DomainTests.network(.ternary), data: SearchTests.data(), settings: settings,
      device: device, parameters: parameters, position: position, ruleStates: ruleStates)
  }

  // MARK: The plan

  /// Scales come after their tensor's elements, on its samples; not where a batch norm follows, nor where patterns leave
  /// them out.
  @Test func sweeps() throws {
    func names(_ settings: SearchSettings) throws -> [String] {
      let search = try Self.search(settings)
      // What a cycle is expected to cost has the same sweeps.
      let cost = try CostModel(
        network: search.network, settings: settings, data: search.data)
      let names = search.sweeps.map { $0.slot(in: search.parameters).name }
      #expect(cost.sweeps.map(\.parameter) == names)
      return names
    }
    let fixed = try names(Self.settings(.fixed))
    #expect(fixed.first == "fc.weight" && fixed.count == 7)
    for choice in [ScaleChoice.tensor, .channel] {
      #expect(
        try names(Self.settings(choice))
          == ["fc.weight", "fc.weight.scale"] + fixed.dropFirst())
      #expect(try names(Self.settings(choice) { $0.freeze = ["*.scale"] }) == fixed)
      #expect(
        try names(Self.settings(choice) { $0.only = ["fc.weight.scale"] }) == ["fc.weight.scale"])
    }
    #expect(
      try names(Self.settings(.tensor) { $0.sweeps = ["fc": 2, "conv0": 0, "conv1": 0] })
        == ["fc.weight", "fc.weight.scale", "fc.weight", "fc.weight.scale"])
    let search = try Self.search(Self.settings(.tensor))
    let orders = search.sweeps.prefix(2).map { search.sampleOrder($0, cycle: 1) }
    #expect(orders[0] == orders[1])
    #expect(
      try DomainTests.network(.ternary).normalizedScales == ["conv0.weight", "conv1.weight"])
  }

  /// One scale, or one for each channel: as it is, doubled and halved, each on the next mini-batch.
  @Test(arguments: [(ScaleChoice.tensor, 1), (.channel, 3)])
  func proposals(choice: ScaleChoice, count: Int) throws {
    let search = try Self.search(Self.settings(choice) { $0.hold = .elements(2) })
    #expect(search.parameters.scales[6] == [Float](repeating: 1, count: count))
    // Those that are not searched stay one for each tensor.
    #expect(search.parameters.scales[0]?.count == 1)
    let proposals = search.proposals(
      search.sweeps[1], cycle: 0, try SearchTests.turns(2))
    #expect(proposals.map(\.element) == Array(0..<count))
    #expect(proposals.map(\.batch) == (0..<count).map { $0 % 2 })
    for proposal in proposals {
      #expect(proposal.candidates == [1, 2, 0.5])
      #expect(proposal.endsRound && proposal.baseline == .computed)
    }
    let cost = try CostModel(
      network: search.network, settings: search.settings, data: search.data
    ).sweeps[1]
    // The linear layer, 3 · 3, for every candidate.
    #expect(cost.proposals == count && cost.candidates == 3 * count && cost.perImage == 9)
    #expect(cost.cache == 0 && cost.upkeep == 0)
  }

  @Test func aScaleAtAnEnd() throws {
    var parameters = try Self.search(Self.settings(.tensor)).parameters
    for (scale, others) in [(Float(0x1p64), [Float(0x1p63)]), (0x1p-64, [0x1p-63])] {
      parameters.scales[6] = [scale]
      #expect(
        parameters.scaleProposals(of: 6, batches: 1)[0].candidates == ShortList([scale] + others))
    }
  }

  @Test func wrongSettings() throws {
    #expect(
      errorText { _ = try SearchTests.search(SearchTests.settings { $0.scales = .tensor }) }
        == "`scales`: expected fixed: no weights are discrete, found tensor "
        + "(binary, ternary and integer weights have scales: `weights`)")
    #expect(
      errorText { _ = try Self.search(Self.settings(.tensor) { $0.only = ["*.scales"] }) }?
        .contains("there are conv0.weight, conv0.weight.scale, bn0.weight") == true)
  }

  /// Old settings have fixed scales.
  @Test func settingsOfEarlierVersions() throws {
    let text = try compactJSON(Self.settings(.channel))
    #expect(try decodeJSON(text, "settings", "f") == Self.settings(.channel))
    let old = text.replacing(#""scales":"channel","#, with: "")
    #expect(old != text)
    #expect(try decodeJSON(old, "settings", "f") == Self.settings(.fixed))
  }

  // MARK: The losses

  /// The loss of a scale is that of the whole model with it: the reference's has the same bits, and the CPU's is within
  /// rounding. The decision is in the weights; the levels stay.
  @Test(arguments: Sample.networks.indices, [true, false])
  func lossesAreThoseOfModels(index: Int, isPerChannel: Bool) throws {
    let network = try Sample.networks[index].network().settingWeights(to: .integer(bits: 4))
    if network.nodes.count > 20 { return }
    let samples = 2 * 35
    let data = try Sample.dataset(network.input, classes: network.classes, train: samples)
    var parameters = Parameters(initialFor: network, seed: 3)
    for (tensor, slot) in parameters.slots.enumerated() where isPerChannel {
      guard let scale = parameters.scales[tensor]?.first else { continue }
      parameters.scales[tensor] = [Float](repeating: scale, count: slot.shape[0])
    }
    var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    let cpu = try CPUEngine(network: network, data: data, parameters: parameters, threads: 2)
    var (largest, changes) = (0.0, 0)
    for (tensor, scales) in parameters.scales.sorted(by: { $0.key < $1.key }) {
      let order = SampleOrder(
        Philox(seed: 5).permutation(.sampleOrder, cycle: 0, tensor: tensor, count: samples),
        batchSize: 35)
      let before = reference.parameters
      let proposal = before.scaleProposals(of: tensor, batches: 2)[scales.count - 1]
      // The last channel, or all.
      let part = before.slots[tensor].range.suffix(
        before.slots[tensor].count / scales.count)
      try reference.beginSweep(of: tensor, .scales, order: order)
      let bound = LossBound.absolute(
        network, logits: try reference.logits(ofBatch: proposal.batch), updates: 1)
      let expected = try reference.judge([proposal])[0]
      for (candidate, loss) in zip(proposal.candidates, expected.losses) {
        var changed = before
        for place in part { changed.values[place] *= candidate / proposal.candidates[0] }
        changed.scales[tensor]?[scales.count - 1] = candidate
        var model = ReferenceEngine(network: network, data: data, parameters: changed)
        try model.beginSweep(of: tensor, order: order)
        let value = changed.values[changed.slots[tensor].offset]
        let same = Proposal(element: 0, batch: proposal.batch, candidates: [value], delta: 0)
        #expect(try model.judge([same])[0].losses[0] == loss)
      }
      try cpu.beginSweep(of: tensor, .scales, order: order)
      let found = try cpu.judge([proposal])[0]
      for (a, b) in zip(expected.losses, found.losses) {
        largest = max(largest, abs(a - b) / bound)
        // Doubled weights double logits, and what rounds them.
        #expect(abs(a - b) <= 2 * bound, "\(before.slots[tensor].name): \(a), \(b)")
      }
      #expect(found.value == proposal.candidates[found.choice])
      #expect(cpu.parameters.scales[tensor]?.last == found.value)
      try cpu.parameters.checkLevels()
      #expect(try cpu.parameters.levels(of: tensor) == before.levels(of: tensor))
      changes += found.choice == 0 ? 0 : 1
      if found.choice == expected.choice {
        #expect(cpu.parameters == reference.parameters)
      } else {
        cpu.parameters = reference.parameters
      }
    }
    #expect(largest > 1e-5 && changes > 0)
  }

  /// A scale that begins far off ends where neither twice nor half of it has a smaller loss.
  @Test(arguments: [ScaleChoice.tensor, .channel])
  func findsTheScale(choice: ScaleChoice) throws {
    let settings = Self.settings(choice) {
      ($0.batchSize, $0.cycles, $0.only) = (33, 20, ["*.scale"])
    }
    var parameters = Parameters(initialFor: try DomainTests.network(.ternary), seed: 5)
    parameters.set(.scales, 0, of: 6, to: 64)
    var search = try Self.search(settings, parameters: parameters)
    var losses = [try search.evaluate(.train).loss]
    try search.run { event in
      if case .swept(let report) = event {
        #expect(report.parameter == "fc.weight.scale")
        #expect(report.evaluations == 3 * report.proposals)
      }
      return .goOn
    }
    let found = search.parameters
    losses.append(try search.evaluate(.train).loss)
    #expect(losses[1] < 0.2 * losses[0])
    #expect(try found.levels(of: 6) == parameters.levels(of: 6))
    #expect(
      found.values.prefix(found.slots[6].offset) == parameters.values.prefix(found.slots[6].offset))
    let scales = try #require(found.scales[6])
    #expect(scales.allSatisfy { $0 < 32 } && (choice == .tensor || Set(scales).count > 1))
    for index in scales.indices {
      for factor in [Float(2), 0.5] {
        var other = found
        other.set(.scales, index, of: 6, to: factor * scales[index])
        var search = try Self.search(settings, parameters: other)
        let loss = try search.evaluate(.train).loss
        // A class may be best off without weights: its scale goes on to fall, and gains next to nothing.
        #expect(loss >= losses[1] - 1e-3, "\(scales), scale \(index) times \(factor): \(loss)")
      }
    }
  }

  // MARK: Guarantees

  /// A search that stops after any tensor and goes on ends with the bits of one that did not, on any number of threads.
  @Test(arguments: [Rule.best, .margin(.init(0.5)), .slope()])
  func stopsAndGoesOn(rule: Rule) throws {
    let settings = Self.settings(.channel) { $0.rule = rule }
    var whole = try Self.search(settings)
    try whole.run()
    #expect(whole.parameters.scales[6] != [1, 1, 1])
    for stop in 1..<4 {
      var first = try Self.search(settings, device: .cpu(threads: 1))
      var swept = 0
      try first.run { event in
        if case .swept = event { swept += 1 }
        return swept == stop ? .stop : .goOn
      }
      #expect(
        first.ruleStates.keys.contains("fc.weight.scale")
          == (rule == .margin(.init(0.5)) && stop > 1))
      var rest = try Self.search(
        settings, parameters: first.parameters, position: first.position,
        ruleStates: first.ruleStates)
      try rest.run()
      #expect(rest.parameters == whole.parameters, "\(stop)")
    }
  }

  /// Ranks that share every mini-batch have the bits of one.
  @Test func ranks() throws {
    @Sendable func found(_ reduction: Reduction) throws -> ([ShortList<Double>], Parameters) {
      let network = try DomainTests.network(.ternary)
      let data = try Sample.dataset(network.input, classes: 3, train: 420, test: 9)
      let engine = try CPUEngine(
        network: network, data: data, parameters: Parameters(initialFor: network, seed: 3),
        threads: 1, reduction: reduction)
      let order = SampleOrder((0..<420).map { Int32($0) }, batchSize: 210)
      try engine.beginSweep(of: 6, .scales, order: order)
      let proposals = engine.parameters.scaleProposals(of: 6, batches: 2)
      return (try engine.judge(proposals[...]).map(\.losses), engine.parameters)
    }
    let alone = try found(.alone)
    for other in try FakeRanks(3).run({ try found($0) }) {
      #expect(other.0 == alone.0 && other.1 == alone.1)
    }
  }

  /// A card judges changes of one channel.
  @Test func aCardRefuses() throws {
    let (network, data) = (try DomainTests.network(.ternary), try SearchTests.data())
    let parameters = Parameters(initialFor: network, seed: 3)
    let engine = try FakeCUDA().engine(network: network, data: data, parameters: parameters)
    #expect(
      errorText {
        _ = try RandomSearch(
          .network(network, data), Self.settings(.tensor), engine, on: nil, position: .init(),
          ruleStates: [:])
      } == "`scales`: expected fixed on a card, found tensor "
        + "(search on the CPU: --device cpu)")
    #expect(
      errorText {
        _ = try RandomSearch(
          .network(network, data), Self.settings(.fixed) { $0.rule = .leader() }, engine, on: nil,
          position: .init(), ruleStates: [:])
      } == "`rule`: expected best, margin, slope or parabola on a card, found leader:keep=0.9 "
        + "(search on the CPU: --device cpu)")
    #expect(
      errorText {
        try engine.beginSweep(of: 6, .scales, order: SampleOrder([0, 1], batchSize: 2))
      }?.contains("expected a sweep of elements, found one of scales") == true)
    _ = try RandomSearch(
      .network(network, data), Self.settings(.tensor) { $0.freeze = ["*.scale"] }, engine, on: nil,
      position: .init(), ruleStates: [:])
  }
}
