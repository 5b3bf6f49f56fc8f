import Testing

@testable import RSO

/// The schedule against what follows from the text at its head, worked out by hand, and against what the engine did.
@Suite struct SweepScheduleTests {
  typealias Unit = SweepSchedule.Unit

  static func schedule(channels: Int, elements: Int, batches: Int, replays: Bool = true)
    -> SweepSchedule
  {
    SweepSchedule(
      name: "w", elements: elements, channels: channels, batches: batches, replays: replays)
  }

  static func units(_ units: (channel: Int, time: Int, sign: Int)...) -> [Unit] {
    units.map { Unit(channel: $0.channel, time: $0.time, sign: $0.sign) }
  }

  /// A turn in a round of its own, and the elements whose changes it makes up for.
  static func turn(
    _ schedule: inout SweepSchedule, _ element: Int, _ batch: Int
  ) throws -> (turn: SweepSchedule.Turn, changes: [Int32]) {
    let turn = try schedule.next(element: element, batch: batch)
    let changes = Array(schedule.changes(of: turn))
    schedule.endRound()
    return (turn, changes)
  }

  /// Eight channels of three elements on two mini-batches.
  @Test func turns() throws {
    var schedule = Self.schedule(channels: 8, elements: 24, batches: 2)
    func next(_ element: Int, _ batch: Int) throws -> (
      turn: SweepSchedule.Turn, changes: [Int32]
    ) { try Self.turn(&schedule, element, batch) }
    for (element, batch) in [(0, 0), (1, 1)] {
      let (turn, changes) = try next(element, batch)
      #expect(turn.isFirst && turn.channel == 0)
      #expect(changes.isEmpty)
      #expect(turn.refresh?.isFresh == true)
      #expect(
        turn.refresh?.units
          == (1..<8).map { Unit(channel: $0, time: element, sign: 1) }
          + [Unit(channel: 0, time: element, sign: 0)])
    }
    // Elements 0 and 1 were judged since.
    var (turn, changes) = try next(2, 0)
    #expect(!turn.isFirst && turn.refresh == nil)
    #expect(changes == [0, 1])
    // Mini-batch 1 was last at time 1: channel 0 goes in as it is, channel 1 comes out as it was.
    (turn, changes) = try next(3, 1)
    #expect(turn.refresh?.units == Self.units((0, 3, 1), (1, 1, -1)))
    #expect(turn.refresh?.isFresh == false && turn.refresh?.mixed == 2)
    #expect(changes.isEmpty)
    // Mini-batch 0, at time 2 in channel 0: element 3 of channel 1 was judged since, and is made up for.
    (turn, changes) = try next(4, 0)
    #expect(turn.refresh?.units == Self.units((0, 4, 1), (1, 2, -1)))
    #expect(changes == [3])
    (turn, changes) = try next(5, 1)
    #expect(turn.refresh == nil)
    #expect(changes == [3, 4])
    // Mini-batch 0 skips channel 2.
    (turn, changes) = try next(9, 0)
    #expect(turn.refresh?.units == Self.units((1, 6, 1), (3, 4, -1)))
    #expect(changes.isEmpty)
    // The same channel, but another was changed in between: its plane is computed with the weights of now.
    _ = try next(6, 1)
    (turn, changes) = try next(10, 0)
    #expect(turn.refresh?.units == Self.units((2, 6, -1), (2, 8, 1), (3, 8, 0)))
    #expect(turn.refresh?.mixed == 2)
    #expect(changes.isEmpty)
  }

  /// As many channels to compute as there are: the rest is made afresh.
  @Test func manyChanges() throws {
    var schedule = Self.schedule(channels: 3, elements: 9, batches: 2)
    for (element, batch) in [(0, 0), (3, 1), (1, 1)] {
      _ = try Self.turn(&schedule, element, batch)
    }
    // Channel 0 goes in, 1 comes out and in, 2 comes out: four of three.
    let (turn, changes) = try Self.turn(&schedule, 6, 0)
    #expect(turn.refresh?.isFresh == true && !turn.isFirst)
    #expect(turn.refresh?.units == Self.units((0, 3, 1), (1, 3, 1), (2, 3, 0)))
    #expect(changes.isEmpty)
  }

  /// In a round nothing changes: its decisions come with its end.
  @Test func rounds() throws {
    var schedule = Self.schedule(channels: 8, elements: 24, batches: 3)
    for batch in 0..<3 { _ = try schedule.next(element: batch, batch: batch) }
    #expect(schedule.now == 0)
    // Another channel of the same round, on a mini-batch that was there before.
    let turn = try schedule.next(element: 3, batch: 0)
    #expect(turn.refresh?.units == Self.units((0, 0, 1), (1, 0, -1)))
    #expect(schedule.changes(of: turn).isEmpty)
    schedule.endRound()
    #expect(schedule.now == 4)
    #expect(schedule.judgedAt[0...4] == [0, 1, 2, 3, .max])
    let next = try schedule.next(element: 4, batch: 1)
    #expect(next.refresh?.units == Self.units((0, 4, 1), (1, 0, -1)))
    #expect(schedule.changes(of: next) == [3])
  }

  /// Tensors that act behind the plane leave nothing to make up for on it.
  @Test func withoutReplays() throws {
    var schedule = Self.schedule(channels: 2, elements: 4, batches: 1, replays: false)
    _ = try Self.turn(&schedule, 0, 0)
    let (turn, changes) = try Self.turn(&schedule, 1, 0)
    #expect(turn.refresh == nil && changes.isEmpty)
  }

  @Test func anElementTwice() throws {
    var schedule = Self.schedule(channels: 2, elements: 4, batches: 1)
    _ = try schedule.next(element: 3, batch: 0)
    #expect(throws: RSOError.self) { try schedule.next(element: 3, batch: 0) }
    schedule.endRound()
    #expect(throws: RSOError.self) { try schedule.next(element: 3, batch: 0) }
    #expect(throws: RSOError.self) { try schedule.next(element: 4, batch: 0) }
    #expect(throws: RSOError.self) { try schedule.next(element: 0, batch: 1) }
  }

  /// Every engine refuses a second proposal for an element.
  @Test func enginesRefuseAnElementTwice() throws {
    let network = try Sample.networks[1].network()
    let data = try Sample.dataset(network.input, classes: network.classes, train: 40)
    let parameters = Parameters(initialFor: network, seed: 3)
    let slot = parameters.slots[0]
    let order = SampleOrder((0..<40).map { $0 }, batchSize: 20)
    let engines =
      try CandidateComparison.engines(network: network, data: data, parameters: parameters)
      + [("reference", ReferenceEngine(network: network, data: data, parameters: parameters))]
    for (name, made) in engines {
      var engine = made
      try engine.beginSweep(of: 0, order: order)
      let proposal = CandidateComparison.proposal(0, slot, tensor: 0, batch: 0, parameters)
      _ = try engine.judge([proposal])
      #expect(throws: RSOError.self, "\(name)") { try engine.judge([proposal]) }
    }
  }

  // MARK: What was estimated is what is done

  /// Turn by turn, the multiply-adds that the CPU engine spends on rests, fixed values and changes are those of
  /// the cost estimate.
  @Test(arguments: Sample.networks.indices, [false, true])
  func estimatesAreWhatIsDone(index: Int, isShuffled: Bool) throws {
    let (name, network) = (Sample.networks[index].name, try Sample.networks[index].network())
    let data = try Sample.dataset(network.input, classes: network.classes, train: 60)
    let engine = try CPUEngine(
      network: network, data: data, parameters: Parameters(initialFor: network, seed: 3),
      threads: 2)
    let folded = network.foldingAveragePools()
    for (tensor, slot) in Parameters(zerosFor: folded).slots.enumerated() {
      let cost = TensorCost(network: folded, slot: slot)
      let order = SampleOrder(
        Philox(seed: 5).permutation(.sampleOrder, cycle: 0, tensor: tensor, count: 60),
        batchSize: 20)
      try engine.beginSweep(of: tensor, order: order)
      var schedule = cost.schedule(batches: order.batches)
      let elements =
        isShuffled
        ? Philox(seed: 6).permutation(
          .elementOrder, cycle: 0, tensor: tensor, count: slot.count)
        : (0..<Int32(slot.count)).map { $0 }
      // Jumps on the way, so that mini-batches come round in channels far from their last.
      for (turn, element) in elements.enumerated() where isShuffled || turn % 5 < 3 {
        let batch = turn / 2 % order.batches
        let planned = try schedule.next(element: Int(element), batch: batch)
        schedule.endRound()
        let before = engine.upkeepMultiplyAdds
        let proposal = CandidateComparison.proposal(
          Int(element), slot, tensor: tensor, batch: batch, engine.parameters)
        _ = try engine.judge([proposal])
        let done = engine.upkeepMultiplyAdds - before
        #expect(done == cost.upkeep(planned), "\(name), \(slot.name), turn \(turn)")
        if turn > 60 { break }
      }
    }
  }
}
