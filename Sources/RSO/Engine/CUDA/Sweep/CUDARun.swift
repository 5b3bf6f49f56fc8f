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
  }

  /// Appends the next turn of a sweep.
  ///
  /// - Parameter slot: the slot of the swept tensor.
  mutating func append(
    _ proposal: Proposal, _ schedule: inout SweepSchedule, of slot: Parameters.Slot,
    order: SampleOrder
  ) throws {
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
    turn.skips = proposal.baseline == .unused ? 1 : 0
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
    visits.append(Visit(isFirst: planned.isFirst, refresh: planned.refresh?.shape))
    if proposal.endsRound { schedule.endRound() }
  }
}
