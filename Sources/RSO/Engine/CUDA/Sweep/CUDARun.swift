import CRSO

/// The lists that a run of proposals needs on the card: turns, and what they point into.
///
/// In a round, turns that need nothing of their own before them are judged together with an earlier one on the same
/// mini-batch, as a group. Mini-batches have nothing in common, so groups may come in the order of their first turns, and
/// after the last one the turns are decided in their own order.
struct CUDARun {
  private(set) var turns: [rso_gpu_turn] = []
  /// Numbers of turns, group by group.
  private(set) var queue: [Int32] = []
  /// Elements of the swept tensor.
  private(set) var changes: [Int32] = []
  private(set) var units: [rso_gpu_unit] = []
  private(set) var visits: [Visit] = []
  /// The most turns of a group.
  private let mostTogether: Int
  /// The current round's turns by what they may be judged together with, in the order of the first ones.
  private var waiting: [(visit: Visit, turns: [Int32])] = []
  /// Those that may be added to.
  private var open: [Together: Int] = [:]
  /// The number of turns that a group decides.
  private var decided = 0

  /// What turns that are judged together share, besides the channel.
  private struct Together: Hashable {
    var batch: Int
    /// Candidates that are left out.
    var from: Int
  }

  /// A group, and what the host queues before it is judged.
  struct Visit {
    /// The mini-batch's first turn of the sweep.
    var isFirst: Bool
    var refresh: SweepSchedule.Refresh.Shape?
    /// Candidates whose losses are not computed, the first ones: 0 or 1.
    var from: Int
    /// The number of turns.
    var group = 1
    /// Whether the group's launches are all that it needs.
    var isPlain: Bool { !isFirst && refresh == nil }
  }

  /// Whether the card has the loss of the last turn's value: a round of its own, by a rule that chooses a candidate.
  private(set) var knowsLoss: Bool

  /// - Parameters:
  ///   - knowsLoss: whether it has that of the value before the run.
  ///   - mostTogether: the most turns of a group, a power of two.
  init(knowsLoss: Bool, mostTogether: Int = 1) {
    (self.knowsLoss, self.mostTogether) = (knowsLoss, mostTogether)
  }

  /// Appends the next turn of a sweep. After the last one, call `endRound()`.
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
    let needs = planned.isFirst || planned.refresh != nil || !planned.changes.isEmpty
    if needs { for from in 0...1 { open[Together(batch: proposal.batch, from: from)] = nil } }
    let together = Together(batch: proposal.batch, from: from)
    if let index = open[together] {
      waiting[index].turns.append(Int32(turns.count))
    } else {
      open[together] = waiting.count
      let visit = Visit(isFirst: planned.isFirst, refresh: planned.refresh?.shape, from: from)
      waiting.append((visit, [Int32(turns.count)]))
    }
    turns.append(turn)
    knowsLoss =
      isChoice && proposal.endsRound && schedule.round.count == 1 && proposal.baseline != .unused
    if proposal.endsRound { schedule.endRound() }
    if proposal.endsRound || mostTogether == 1 { endRound() }
  }

  /// Forms groups of the turns since the last round, or of the part of a round that the run has.
  mutating func endRound() {
    for (first, together) in waiting {
      var (visit, rest) = (first, together[...])
      while let turn = rest.first {
        visit.group = mostTogether
        while visit.group > rest.count { visit.group /= 2 }
        turns[Int(turn)].group = Int32(visit.group)
        queue += rest.prefix(visit.group)
        visits.append(visit)
        rest = rest.dropFirst(visit.group)
        // The first turn's work is done.
        (visit.isFirst, visit.refresh) = (false, nil)
      }
    }
    guard let last = visits.last, decided < turns.count else { return }
    turns[Int(queue[queue.count - last.group])].decides = Int32(turns.count - decided)
    decided = turns.count
    waiting.removeAll(keepingCapacity: true)
    open.removeAll(keepingCapacity: true)
  }
}
