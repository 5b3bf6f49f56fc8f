import Testing

@testable import RSO

/// The algorithm, on the reference engine and data small enough for it.
@Suite struct SearchTests {
  static func network() throws -> Network {
    try Network(input: Shape(channels: 1, height: 4, width: 4)) {
      Node.conv2d("conv0", channels: 2, kernel: 3, padding: 1)
      Node.batchNorm("bn0")
      Node.relu("relu1")
      Node.conv2d("conv1", channels: 3, kernel: 3, padding: 1)
      Node.averagePool("pool1", kernel: 2)
      Node.batchNorm("bn1")
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 3)
    }
  }

  static func data(train: Int = 33) throws -> Dataset {
    try Sample.dataset(Shape(channels: 1, height: 4, width: 4), classes: 3, train: train, test: 9)
  }

  static func settings(
    _ change: (inout SearchSettings) -> Void = { _ in }
  ) -> SearchSettings {
    var settings = SearchSettings()
    settings.cycles = 2
    settings.batchSize = 10
    settings.seed = 5
    settings.weightDecay = 0.125
    change(&settings)
    return settings
  }

  static func search(
    _ settings: SearchSettings = settings(), parameters: Parameters? = nil,
    position: RandomSearch.Position = .init(), device: Device = .reference
  ) throws -> RandomSearch {
    try RandomSearch(
      network: network(), data: data(), settings: settings, device: device,
      parameters: parameters, position: position)
  }

  /// Each turn on the next of some mini-batches.
  static func turns(_ batches: Int) throws -> Turns {
    let slots = Parameters(zerosFor: try network()).slots
    return Turns(.elements(1), of: slots[0], batches: batches)
  }

  // MARK: Proposals

  /// w ← p[j] · (1 − wd), Δ ← N(0, σ · annealing); candidates w, w + Δ, w − Δ; element after element,
  /// each on the next mini-batch, from the first again after the last.
  @Test(arguments: [0, 1])
  func proposalsFollowTheFormula(cycle: Int) throws {
    let search = try Self.search()
    for sweep in search.sweeps {
      let slot = search.parameters.slots[sweep.parameter]
      let proposals = try search.proposals(sweep, cycle: cycle, Self.turns(3))
      #expect(proposals.map(\.element) == Array(0..<slot.count))
      #expect(proposals.map(\.batch) == (0..<slot.count).map { $0 % 3 })
      // Two cycles, α = 0.1: 1 and then 0.1 + 0.9 / 2.
      let deviation = slot.proposalDeviation * (cycle == 0 ? 1 : 0.55)
      for proposal in proposals {
        let normal = Philox(seed: 5).normal(
          .proposal, cycle: cycle, tensor: sweep.parameter, element: proposal.element)
        let w = search.parameters.values[slot.offset + proposal.element] * 0.875
        let delta = Float(deviation * normal)
        #expect(proposal.delta == delta)
        #expect(proposal.candidates == [w, w + delta, w - delta])
      }
    }
  }

  /// Shuffled elements are all elements, in an order of each sweep's own; a Δ belongs to its element.
  @Test func shuffledElements() throws {
    let ordered = try Self.search()
    let shuffled = try Self.search(
      Self.settings {
        $0.elementOrder = .shuffled
        $0.sweeps = ["fc": 2]
      })
    let sweep = try #require(ordered.sweeps.first { $0.repetition == 0 })
    let again = try #require(shuffled.sweeps.last)
    #expect(again.parameter == sweep.parameter && again.repetition == 1)
    let plain = try ordered.proposals(sweep, cycle: 0, Self.turns(4))
    let orders = [
      try shuffled.proposals(sweep, cycle: 0, Self.turns(4)),
      try shuffled.proposals(sweep, cycle: 1, Self.turns(4)),
      try shuffled.proposals(again, cycle: 0, Self.turns(4)),
    ]
    for order in orders {
      #expect(order.map(\.element).sorted() == plain.map(\.element))
      #expect(order.map(\.batch) == plain.map(\.batch))
    }
    #expect(Set(orders.map { $0.map(\.element) } + [plain.map(\.element)]).count == 4)
    for proposal in orders[0] { #expect(proposal.delta == plain[proposal.element].delta) }
    // Another round draws anew.
    #expect(
      orders[2].sorted { $0.element < $1.element }.map(\.delta) != plain.map(\.delta))
  }

  /// 33 samples in batches of 10: three whole mini-batches, and three samples sit out.
  @Test func whatIsLeftSitsOut() throws {
    let search = try Self.search()
    let order = search.sampleOrder(search.sweeps[0], cycle: 0)
    #expect(order.batches == 3)
    #expect(order.samples.count == 30)
    #expect(Set(order.samples).count == 30)
    #expect(order.samples.allSatisfy { 0..<33 ~= $0 })
    #expect(order.batch(0) + order.batch(1) + order.batch(2) == order.samples[...])
    // Every sample has its turn: others sit out another time.
    var used = Set<Int32>()
    for cycle in 0..<20 {
      used.formUnion(search.sampleOrder(search.sweeps[0], cycle: cycle).samples)
    }
    #expect(used.count == 33)
    // It is the permutation under the group's number, cut.
    let permutation = Philox(seed: 5).permutation(
      .sampleOrder, cycle: 0, tensor: search.sweeps[0].group, count: 33)
    #expect(order.samples == Array(permutation.prefix(30)))
  }

  /// An order ends after the last mini-batch that its group uses, and otherwise is as it was: 54 elements of conv1,
  /// 27 on each mini-batch, use two of six.
  @Test func anOrderHoldsWhatItsGroupUses() throws {
    let search = try Self.search(Self.settings { ($0.batchSize, $0.hold) = (5, .elements(27)) })
    for sweep in search.sweeps {
      let slot = search.parameters.slots[sweep.parameter]
      let order = search.sampleOrder(sweep, cycle: 0)
      #expect(order.batches == (slot.name.contains("1") ? 2 : 1), "\(slot.name)")
      let permutation = Philox(seed: 5).permutation(
        .sampleOrder, cycle: 0, tensor: sweep.group, count: 33)
      #expect(order.samples == Array(permutation.prefix(order.samples.count)))
      let turns = Turns(search.settings, cycle: 0, of: slot, batches: order.batches)
      let proposals = search.proposals(sweep, cycle: 0, turns)
      #expect(proposals.map(\.batch) == proposals.indices.map { $0 / 27 })
    }
  }

  /// One order for a convolution, its β and its γ; another for every group, round and cycle.
  @Test func sampleOrderBelongsToTheGroup() throws {
    let search = try Self.search(Self.settings { $0.sweeps = ["conv1": 2] })
    var orders: [String: SampleOrder] = [:]
    for cycle in 0..<2 {
      for sweep in search.sweeps {
        let key = "\(cycle) \(sweep.repetition) \(search.parameters.slots[sweep.group].name)"
        let order = search.sampleOrder(sweep, cycle: cycle)
        #expect(orders[key] == nil || orders[key] == order)
        orders[key] = order
      }
    }
    // fc, conv1, conv0, and conv1 again; two cycles.
    #expect(orders.count == 8)
    #expect(Set(orders.values).count == 8)
  }

  // MARK: Decisions

  /// By the paper's rule, on candidates 10, 11, 12, …
  private static func decision(_ losses: [Double]) throws -> Decision {
    var rule = SweepRule.best
    let candidates = ShortList(losses.indices.map { Float(10 + $0) })
    return try Decision(
      on: Proposal(element: 7, batch: 0, candidates: candidates, delta: 1),
      losses: ShortList(losses), by: &rule, parameter: "fc.weight")
  }

  @Test(arguments: [
    ([3.0, 2, 1], 2, [3.0, 2, 1]), ([1, 2, 3], 0, [1, 2, 3]), ([2, 1, 3], 1, [2, 1, 3]),
    // Ties: the first.
    ([1, 1, 1], 0, [1, 1, 1]), ([2, 1, 1], 1, [2, 1, 1]), ([1, 2, 1], 0, [1, 2, 1]),
    // NaN counts as infinite.
    ([1, .nan, .nan], 0, [1, .infinity, .infinity]), ([2, .nan, 1], 2, [2, .infinity, 1]),
    ([.infinity, .nan, 5], 2, [.infinity, .infinity, 5]),
    ([.infinity, .nan, .infinity], 0, [.infinity, .infinity, .infinity]),
    // Any number of candidates, up to eight.
    ([4], 0, [4]), ([4, 3], 1, [4, 3]), ([4, 3, 2, 1, 1], 3, [4, 3, 2, 1, 1]),
    ([4, 3, 2, 8, 9, 7, 1, 0.5], 7, [4, 3, 2, 8, 9, 7, 1, 0.5]),
  ])
  func decision(losses: [Double], choice: Int, comparable: [Double]) throws {
    let decision = try Self.decision(losses)
    #expect(decision.choice == choice)
    #expect(decision.value == Float(10 + choice))
    #expect(Array(decision.losses) == comparable)
  }

  @Test func aKeptValueWithoutALossIsAnError() throws {
    let error = #expect(throws: RSOError.self) {
      try Self.decision([.nan, 1, 2])
    }
    let text =
      "fc.weight[7]: the loss of the value it has is NaN before any change "
      + "(the weights or the data hold infinities or NaN; start from a sound model)"
    #expect(error?.description == text)

    // In a search: a NaN in a layer above makes every loss NaN; the tensor first swept is named.
    var parameters = Parameters(initialFor: try Self.network(), seed: 5)
    parameters.values[parameters.slots[4].offset] = .nan
    #expect(parameters.slots[4].name == "bn1.weight")
    var search = try Self.search(parameters: parameters)
    let found = #expect(throws: RSOError.self) { try search.run { _ in .goOn } }
    #expect(found?.subject == "fc.weight[0]")
  }

  /// A candidate that is NaN is never taken, and leaves no trace.
  @Test func aCandidateThatIsNaN() throws {
    let network = try Self.network()
    let data = try Self.data()
    let parameters = Parameters(initialFor: network, seed: 5)
    var engine = ReferenceEngine(network: network, data: data, parameters: parameters)
    try engine.beginSweep(of: 0, order: SampleOrder((0..<30).map { $0 }, batchSize: 10))
    let w = parameters.values[2]
    let bad = Proposal(element: 2, batch: 0, candidates: [w, .nan, -.infinity], delta: .nan)
    let decision = try engine.judge([bad])[0]
    #expect(decision.choice == 0)
    #expect(decision.losses[1] == .infinity && decision.losses[2] == .infinity)
    #expect(decision.losses[0].isFinite)
    #expect(engine.parameters == parameters)
  }

  /// On one mini-batch and without decay, each proposal begins at the loss that the one before it chose,
  /// so the loss falls or stays from the first element to the last.
  @Test func theLossNeverRises() throws {
    let network = try Self.network()
    let data = try Self.data()
    let search = try Self.search(
      Self.settings {
        $0.weightDecay = 0
        $0.batchSize = 33
      })
    var engine = ReferenceEngine(network: network, data: data, parameters: search.parameters)
    var falls = 0
    for sweep in search.sweeps {
      // The same samples for every tensor, so that the loss goes on from tensor to tensor too, but for
      // the statistics below the cached value.
      try engine.beginSweep(
        of: sweep.parameter, order: SampleOrder((0..<33).map { $0 }, batchSize: 33))
      let slot = search.parameters.slots[sweep.parameter]
      let proposals = try search.proposals(sweep, cycle: 0, Self.turns(1))
      let decisions = try engine.judge(proposals[...])
      #expect(decisions.count == proposals.count)
      var last: Double?
      for (proposal, decision) in zip(proposals, decisions) {
        let chosen = decision.losses[decision.choice]
        #expect(chosen <= decision.losses[0])
        #expect(chosen == decision.losses.min())
        if let last { #expect(decision.losses[0] == last, "\(slot.name)[\(proposal.element)]") }
        last = chosen
        falls += decision.choice == 0 ? 0 : 1
        #expect(
          engine.parameters.values[slot.offset + proposal.element]
            == proposal.candidates[decision.choice])
      }
      // The last loss again, computed with the chosen values alone; an element is judged once per sweep.
      try engine.beginSweep(
        of: sweep.parameter, order: SampleOrder((0..<33).map { $0 }, batchSize: 33))
      let value = engine.parameters.values[slot.offset]
      let again = try engine.judge(
        [Proposal(element: 0, batch: 0, candidates: [value], delta: 0)])[0]
      #expect(Array(again.losses) == [last])
    }
    #expect(falls > 10)
  }
}
