import CRSO
import Testing

@testable import RSO

/// Turns of a round that a card judges together, as a group: they have the bits of turns one by one.
@Suite struct CUDAGroupTests {
  private static let batchSize = 11

  /// A convolution to mix into, and one above it; the depthwise network of `CUDACandidateTests`; batch norm with several
  /// channels for a lone one, and biases; values that are read whole.
  static let networks =
    CUDACandidateTests.networks + [
      {
        try Network(input: Shape(channels: 2, height: 5, width: 4)) {
          Node.conv2d("conv0", channels: 3, kernel: 3, padding: 1)
          Node.batchNorm("bn0")
          Node.relu("relu0")
          Node.conv2d("conv1", channels: 4, kernel: 3, padding: 1, bias: true)
          Node.averagePool("pool1", kernel: 2)
          Node.flatten("flat")
          Node.batchNorm("bn_flat")
          Node.linear("fc", features: 5, bias: true)
        }
      },
      { try Sample.networks[5].network() },
    ]

  /// How turns come.
  struct Way: Sendable {
    var rule = Rule.best
    var round: SearchSettings.Span
    var hold = 1
    var loss = "cross-entropy"
    var precision = CUDAPrecision.fp32
  }

  /// Mini-batches that take turns, or are held; rounds of a channel, of more than one, of a part of one, and of a number
  /// that no group divides.
  static let ways = [
    Way(round: .channel, hold: 1000, precision: .fp16),
    Way(rule: .slope(), round: .channel),
    Way(rule: .slope(), round: .elements(13), hold: 3),
    Way(rule: .parabola(), round: .elements(5), hold: 2, loss: "0.5 hinge + errors"),
    Way(rule: .margin(), round: .elements(40), loss: "macro-f1"),
  ]

  private struct Judged: Equatable {
    /// Losses, values and the rule's state, as bits: NaN says that a loss was not computed.
    var bits: [UInt64] = []
    var weights: [UInt32] = []

    mutating func add(_ decisions: [Decision], _ rule: SweepRule, _ parameters: Parameters) {
      for decision in decisions {
        bits += decision.losses.map { $0.isNaN ? 1 : $0.bitPattern }
        bits += [UInt64(decision.value.bitPattern), UInt64(decision.choice)]
      }
      bits += [rule.state.squares.bitPattern, rule.state.curvatures.bitPattern]
      weights = parameters.values.map(\.bitPattern)
    }
  }

  private struct Setting {
    var network: Network
    var data: Dataset
    var parameters: Parameters
    var order: SampleOrder

    init(_ network: Network, batchSize: Int = CUDAGroupTests.batchSize, batches: Int = 3) throws {
      self.network = network
      data = try Sample.dataset(
        network.input, classes: network.classes, train: batches * batchSize, test: 5)
      parameters = Parameters(initialFor: network, seed: 3)
      order = SampleOrder((0..<Int32(data.train.count)).reversed(), batchSize: batchSize)
    }

    func engine(_ fake: FakeCUDA, _ way: Way, mostTogether: Int) throws -> CUDAEngine {
      try fake.engine(
        network: network, data: data, parameters: parameters, precision: way.precision,
        objective: Objective(Loss(way.loss), data: data, classes: network.classes),
        mostTogether: mostTogether)
    }

    /// A tensor's first elements.
    func proposals(_ tensor: Int, _ way: Way, atMost most: Int = 20) -> [Proposal] {
      let slot = parameters.slots[tensor]
      let turns = Turns(
        .elements(way.hold), round: way.round, rule: way.rule, of: slot, batches: order.batches)
      return (0..<min(slot.count, most)).map { turn in
        var proposal = CandidateComparison.proposal(
          turn, slot, tensor: tensor, batch: turns.batch(turn), baseline: turns.baseline(turn),
          parameters)
        proposal.endsRound = turns.endsRound(turn) || turn == most - 1
        return proposal
      }
    }

    func rule(_ way: Way) -> SweepRule { SweepRule(way.rule, width: 0.1, cycle: 0, of: 1) }
  }

  /// Turns of each launch that computes losses of a group.
  private func groups(_ ran: ArraySlice<FakeCUDA.Recorded>) -> [Int] {
    ran.compactMap { launch in
      guard ["cross_entropy", "classify", "sample_losses", "classify_losses"].contains(launch.name)
      else { return nil }
      return launch.arguments.withUnsafeBytes {
        let loss = $0.loadUnaligned(as: rso_gpu_loss.self)
        return loss.decides == 1 ? Int(loss.decide.group) : (Int(launch.grid[1]) + 2) / 3
      }
    }
  }

  /// Judged in runs of any length, with threads and blocks in any order, groups have the bits of turns one by one.
  @Test(arguments: networks.indices, ways.indices)
  func groupsHaveTheBitsOfTurns(index: Int, way: Int) throws {
    let (setting, way) = (try Setting(Self.networks[index]()), Self.ways[way])
    var largest = 0
    for tensor in setting.parameters.slots.indices {
      let all = setting.proposals(tensor, way)
      func judge(_ together: Int, _ isBackwards: Bool, _ runLength: Int) throws -> Judged {
        let fake = FakeCUDA()
        fake.isBackwards = isBackwards
        let engine = try setting.engine(fake, way, mostTogether: together)
        try engine.beginSweep(of: tensor, order: setting.order)
        var rule = setting.rule(way)
        var judged = Judged()
        let before = fake.ran.count
        for start in stride(from: 0, to: all.count, by: runLength) {
          let run = all[start..<min(start + runLength, all.count)]
          judged.add(try engine.judge(run, by: &rule), rule, engine.parameters)
        }
        if runLength < all.count { judged.bits = [] }
        let sizes = groups(fake.ran[before...])
        #expect(sizes.allSatisfy { $0 <= together })
        largest = max(largest, sizes.max() ?? 0)
        #expect(fake.faults.isEmpty, "\(fake.faults)")
        return judged
      }
      let name = setting.parameters.slots[tensor].name
      let alone = try judge(1, false, all.count)
      #expect(try judge(32, true, all.count) == alone, "\(name)")
      #expect(try judge(32, false, 7).weights == alone.weights, "\(name)")
    }
    // The host judges losses of mini-batches turn by turn.
    #expect(way.loss == "macro-f1" ? largest == 1 : largest >= (way.hold == 2 ? 2 : 4))
  }

  /// What is launched: the largest power of two of what is left, in the order of the groups' first turns, and a decision
  /// of all turns at the end of the round.
  @Test func sizes() throws {
    let setting = try Setting(Self.networks[0]())
    let tensor = try #require(setting.parameters.slot(named: "conv1.weight"))
    func sizes(_ way: Way, atMost most: Int, together: Int = 32) throws -> [Int] {
      let fake = FakeCUDA()
      let engine = try setting.engine(fake, way, mostTogether: together)
      try engine.beginSweep(of: tensor, order: setting.order)
      let before = fake.ran.count
      var rule = setting.rule(way)
      _ = try engine.judge(setting.proposals(tensor, way, atMost: most)[...], by: &rule)
      return groups(fake.ran[before...])
    }
    // A channel has 27 elements.
    let held = Way(round: .channel, hold: 1000)
    #expect(try sizes(held, atMost: 27) == [16, 8, 2, 1])
    #expect(try sizes(held, atMost: 27, together: 8) == [8, 8, 8, 2, 1])
    #expect(try sizes(held, atMost: 34) == [16, 8, 2, 1] + [4, 2, 1])
    // Nine on each mini-batch.
    #expect(
      try sizes(Way(round: .channel), atMost: 27)
        == [8, 1, 8, 1, 8, 1])
    // Turns 0 and 16 of slope have three candidates, the others two.
    #expect(
      try sizes(Way(rule: .slope(), round: .channel, hold: 1000), atMost: 27)
        == [2] + [16, 8, 1])
    // Without rounds nothing is judged together.
    #expect(try sizes(Way(round: .elements(1), hold: 4), atMost: 4).allSatisfy { $0 == 1 })
  }

  /// The losses of groups are the reference's, for every candidate of every turn.
  @Test(arguments: networks.indices)
  func groupsAgreeWithTheReference(index: Int) throws {
    let setting = try Setting(Self.networks[index]())
    let way = Way(round: .elements(1000), hold: 1000)
    let fake = FakeCUDA()
    let engine = try setting.engine(fake, way, mostTogether: 32)
    var sizes: Set<Int> = []
    for tensor in setting.parameters.slots.indices {
      var reference = ReferenceEngine(
        network: setting.network, data: setting.data, parameters: setting.parameters)
      engine.parameters = setting.parameters
      try reference.beginSweep(of: tensor, order: setting.order)
      try engine.beginSweep(of: tensor, order: setting.order)
      let all = setting.proposals(tensor, way, atMost: 7)
      let bound = LossBound.absolute(
        setting.network, logits: try reference.logits(ofBatch: 0), updates: 0)
      let before = fake.ran.count
      let (expected, found) = (try reference.judge(all[...]), try engine.judge(all[...]))
      sizes.formUnion(groups(fake.ran[before...]))
      for (turn, (a, b)) in zip(expected, found).enumerated() {
        for (x, y) in zip(a.losses, b.losses) {
          #expect(abs(x - y) <= bound, "\(setting.parameters.slots[tensor].name)[\(turn)]")
        }
      }
      #expect(expected.count == found.count)
    }
    #expect(sizes.contains(4) && fake.faults.isEmpty, "\(fake.faults)")
  }

  /// A sweep that was cut short anywhere within a round goes on with the same bits.
  @Test(arguments: networks.indices, [1, 2])
  func resumingWithinARound(index: Int, way: Int) throws {
    let (setting, way) = (try Setting(Self.networks[index]()), Self.ways[way])
    for tensor in setting.parameters.slots.indices {
      let all = setting.proposals(tensor, way)
      let whole = try setting.engine(FakeCUDA(), way, mostTogether: 32)
      try whole.beginSweep(of: tensor, order: setting.order)
      var rule = setting.rule(way)
      var expected: [Decision] = []
      for count in Set([1, all.count / 2, all.count - 1]).sorted()
      where count > expected.count && count < all.count {
        expected += try whole.judge(all[expected.count..<count], by: &rule)
        let other = try setting.engine(FakeCUDA(), way, mostTogether: 32)
        try other.beginSweep(of: tensor, order: setting.order)
        try other.resumeSweep(
          after: all[..<count], values: expected.map(\.value), lastLoss: nil)
        var (one, two) = (Judged(), Judged())
        var (ours, theirs) = (rule, rule)
        two.add(try other.judge(all[count...], by: &theirs), theirs, other.parameters)
        // From the same state of the rule, without an interruption.
        let again = try setting.engine(FakeCUDA(), way, mostTogether: 32)
        try again.beginSweep(of: tensor, order: setting.order)
        var first = setting.rule(way)
        _ = try again.judge(all[..<count], by: &first)
        one.add(try again.judge(all[count...], by: &ours), ours, again.parameters)
        #expect(one == two, "\(setting.parameters.slots[tensor].name), after \(count)")
      }
    }
  }

  /// A NaN within a group ends the sweep. Rounds before it stay, and the weights are those at the beginning of its own.
  @Test func aNaNInAGroup() throws {
    let setting = try Setting(Self.networks[2]())
    let tensor = try #require(setting.parameters.slot(named: "conv1.weight"))
    let way = Way(rule: .slope(), round: .elements(9), hold: 1000)
    var all = setting.proposals(tensor, way, atMost: 27)
    let slot = setting.parameters.slots[tensor]
    // It has its first loss computed, and is neither the first nor the last of its group.
    all[12].candidates[0] = .nan
    all[12].baseline = .computed
    all[11].baseline = .computed
    all[13].baseline = .computed
    let fake = FakeCUDA()
    let engine = try setting.engine(fake, way, mostTogether: 32)
    try engine.beginSweep(of: tensor, order: setting.order)
    var rule = setting.rule(way)
    let error = #expect(throws: RSOError.self) { try engine.judge(all[...], by: &rule) }
    #expect(error?.subject == "\(slot.name)[12]")
    let other = try setting.engine(FakeCUDA(), way, mostTogether: 1)
    try other.beginSweep(of: tensor, order: setting.order)
    var again = setting.rule(way)
    _ = try other.judge(all[..<9], by: &again)
    #expect(engine.parameters == other.parameters && engine.parameters != setting.parameters)
    #expect(fake.faults.isEmpty, "\(fake.faults)")
  }

  /// Groups take memory that single turns do not need, where it is there, and do without it where it is not: then a tensor
  /// whose single turns need all of it has none.
  @Test func memory() throws {
    let network = try Network(input: Shape(channels: 1, height: 4, width: 4)) {
      Node.conv2d("conv0", channels: 4, kernel: 3, padding: 1)
      Node.batchNorm("bn0")
      Node.conv2d("conv1", channels: 4, kernel: 3, padding: 1)
      Node.batchNorm("bn1")
      Node.flatten("flat")
      Node.linear("fc", features: 2)
    }
    let setting = try Setting(network, batchSize: 1100, batches: 1)
    func need(_ mostTogether: Int) -> CUDANeed {
      CUDANeed(
        network: network, batchSize: 1100, batches: 1, samples: 1100, candidates: 3,
        mostTogether: mostTogether)
    }
    #expect(need(1).total < need(2).total && need(2).total < need(32).total)
    #expect(need(1).storage == need(32).storage)
    let way = Way(round: .channel, hold: 1000)
    func judge(
      _ tensor: String, most: Int, memory: Int? = nil, together: Int = 32
    ) throws -> (Judged, [Int]) {
      let index = try #require(setting.parameters.slot(named: tensor))
      let fake = FakeCUDA()
      let engine = try setting.engine(fake, way, mostTogether: together)
      let before = fake.used
      if let memory { fake.memory = before + memory }
      try engine.beginSweep(of: index, order: setting.order)
      #expect(fake.used == before + min(need(together).total, memory ?? .max))
      let ran = fake.ran.count
      var judged = Judged()
      var rule = setting.rule(way)
      judged.add(
        try engine.judge(setting.proposals(index, way, atMost: most)[...], by: &rule), rule,
        engine.parameters)
      #expect(fake.faults.isEmpty, "\(fake.faults)")
      return (judged, groups(fake.ran[ran...]))
    }
    let (all, sizes) = try judge("conv0.weight", most: 3)
    #expect(sizes == [2, 1])
    let (few, single) = try judge("conv0.weight", most: 3, memory: need(1).total)
    #expect(single == [1, 1, 1] && few == all)
    #expect(try judge("conv0.weight", most: 3, together: 1).0 == all)
    // The linear layer needs little, so groups find room.
    let (little, large) = try judge("fc.weight", most: 8, memory: need(1).total)
    #expect(large == [8])
    #expect(try judge("fc.weight", most: 8).0 == little)
  }

  /// What the memory of single turns leaves for groups at batch 5000: the less a turn needs, the larger its group.
  @Test func groupsOfThePapersNetworks() throws {
    func groups(_ network: Network, batches: Int, _ names: [String]) throws -> [Int] {
      let network = network.foldingAveragePools()
      let parameters = Parameters(zerosFor: network)
      let need = CUDANeed(
        network: network, batchSize: 5000, batches: batches, samples: 5000 * batches, candidates: 3)
      return try names.map { name in
        let index = try #require(parameters.slot(named: name + ".weight"))
        let sweep = CUDASweep(
          network: network, parameters: parameters, slot: parameters.slots[index],
          board: CUDABoard(), batchSize: 5000, batches: batches, candidates: 3, storage: 0, work: 0)
        return sweep.largestGroup(in: need.work, atMost: 32)
      }
    }
    let mnist = try groups(
      .mnist(), batches: 12, ["conv0", "conv1", "conv2", "conv3", "conv4", "conv5"])
    let cifar10 = try groups(
      .paper(layers: 9, input: Shape(channels: 3, height: 32, width: 32), classes: 10), batches: 10,
      ["conv0", "conv2", "conv4", "conv5", "conv6", "conv7", "conv8"])
    #expect(mnist == [1, 2, 2, 4, 8, 32])
    #expect(cifar10 == [1, 2, 4, 8, 8, 16, 32])
  }

  /// A group's candidates and channels fit into a card's grid.
  @Test func wideLayers() throws {
    let network = try Network(input: Shape(channels: 2, height: 1, width: 1)) {
      Node.flatten("flat")
      Node.linear("fc0", features: 2000)
      Node.linear("fc1", features: 2)
    }
    let parameters = Parameters(zerosFor: network)
    let sweep = CUDASweep(
      network: network, parameters: parameters, slot: parameters.slots[0], board: CUDABoard(),
      batchSize: 4, batches: 1, candidates: 3, storage: 0, work: 0)
    // 3 · 2000 · 8 planes, and not 16.
    #expect(sweep.largestGroup(in: .max, atMost: 32) == 8)
    #expect(sweep.largestGroup(in: .max, atMost: 4) == 4)
    #expect(sweep.largestGroup(in: 0, atMost: 32) == 1)
  }
}
