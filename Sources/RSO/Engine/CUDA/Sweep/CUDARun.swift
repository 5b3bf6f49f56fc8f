import CRSO

/// The lists that a run of proposals needs on the card: turns, and what they point into.
struct CUDARun {
  private(set) var turns: [rso_gpu_turn] = []
  /// Elements of the swept tensor.
  private(set) var changes: [Int32] = []
  private(set) var units: [rso_gpu_unit] = []
  private(set) var visits: [Visit] = []

  /// What the host queues before a turn is judged.
  struct Visit {
    /// The mini-batch's first turn of the sweep.
    var isFirst: Bool
    var refresh: SweepSchedule.Refresh.Shape?
    /// Candidates whose losses are not computed, the first ones: 0 or 1.
    var from: Int
    /// Whether the turn's launches are all that it needs.
    var isPlain: Bool { !isFirst && refresh == nil }
  }

  /// Whether the card has the loss of the last turn's value: a round of its own, by a rule that chooses a candidate.
  private(set) var knowsLoss: Bool

  /// - Parameter knowsLoss: whether it has that of the value before the run.
  init(knowsLoss: Bool) { self.knowsLoss = knowsLoss }

  /// Appends the next turn of a sweep.
  ///
  /// - Parameters:
  ///   - slot: the slot of the swept tensor.
  ///   - isChoice: whether the rule chooses a candidate.
  mutating func append(
    _ proposal: Proposal, _ schedule: inout SweepSchedule, of slot: Parameters.Slot,
    order: SampleOrder, isChoice: Bool
  ) throws {
    let isKnown = proposal.baseline == .known && knowsLoss && proposal.candidates.count > 1
    let from =
      isKnown || proposal.baseline == .unused && proposal.candidates.count > 1 ? 1 : 0
    let planned = try schedule.next(element: proposal.element, batch: proposal.batch)
    let row = proposal.element % schedule.perChannel
    let taps = slot.role == .weight ? slot.shape.dropFirst(2).reduce(1, *) : 1
    var turn = rso_gpu_turn()
    turn.batch = Int32(proposal.batch)
    turn.first = Int32(proposal.batch * order.batchSize)
    turn.channel = Int32(planned.channel)
    turn.element = Int32(slot.offset + proposal.element)
    turn.row = Int32(row)
    turn.input = Int32(row / taps)
    turn.tap = Int32(row % taps)
    turn.place = Int32(schedule.round.count - 1)
    turn.from = Int32(from)
    turn.is_known = isKnown ? 1 : 0
    turn.applies = proposal.endsRound ? Int32(schedule.round.count) : 0
    turn.step = proposal.delta
    turn.first_change = Int32(changes.count)
    turn.changes = Int32(planned.changes.count)
    turn.first_unit = Int32(units.count)
    withUnsafeMutableBytes(of: &turn.candidates) { bytes in
      for (index, candidate) in proposal.candidates.enumerated() {
        bytes.storeBytes(of: candidate, toByteOffset: index * 4, as: Float.self)
      }
    }
    changes += schedule.changes(of: planned)
    units += (planned.refresh?.units ?? []).map {
      rso_gpu_unit(channel: Int32($0.channel), time: Int32($0.time), sign: Float($0.sign))
    }
    turns.append(turn)
    visits.append(Visit(isFirst: planned.isFirst, refresh: planned.refresh?.shape, from: from))
    knowsLoss =
      isChoice && proposal.endsRound && schedule.round.count == 1 && proposal.baseline != .unused
    if proposal.endsRound { schedule.endRound() }
  }
}
