/// Which mini-batch judges each element of a sweep, and which elements are decided together.
package struct Turns {
  /// The number of consecutive elements on one mini-batch.
  let hold: Int
  /// The number of mini-batches in the sample order.
  var batches: Int
  /// The number of proposals judged from the same weights.
  let round: Int
  /// Whether the current value's loss is already known while the mini-batch is held.
  private let knowsLoss: Bool
  /// The loss of the current value is computed for the first of this many turns.
  private let interval: Int
  private let count: Int

  /// - Parameter slot: the slot of the swept tensor.
  package init(
    _ hold: SearchSettings.Span, round: SearchSettings.Span = .elements(1), rule: Rule = .best,
    of slot: Parameters.Slot, batches: Int
  ) {
    self.hold = hold.count(in: slot)
    self.round = round.count(in: slot)
    self.batches = batches
    count = slot.count
    // A rule that steps may end at a value whose loss was never computed, and a round changes other elements at the
    // same time.
    knowsLoss = rule.isChoice && self.round == 1
    interval = if case .slope = rule { Rule.curvatureInterval } else { 1 }
  }

  /// The turns of a sweep in one cycle.
  package init(_ settings: SearchSettings, cycle: Int, of slot: Parameters.Slot, batches: Int) {
    self.init(
      settings.hold, round: settings.round(inCycle: cycle), rule: settings.rule(of: slot),
      of: slot, batches: batches)
  }

  /// The mini-batch of a turn, counted from 0.
  package func batch(_ turn: Int) -> Int { turn / hold % batches }
  /// Where the loss of a turn's current value comes from.
  package func baseline(_ turn: Int) -> Proposal.Baseline {
    if knowsLoss && turn % hold != 0 { return .known }
    return turn % interval == 0 ? .computed : .unused
  }
  /// Whether pending decisions are applied after this turn. No round extends past the end of a sweep.
  package func endsRound(_ turn: Int) -> Bool { (turn + 1) % round == 0 || turn + 1 == count }
}

extension SearchSettings {
  /// The rule for a tensor: discrete weights take the best candidate where others take a step, and only where all levels
  /// are candidates is there one that leads.
  func rule(of slot: Parameters.Slot) -> Rule {
    guard case .leader(_, let margin) = rule else {
      return slot.domain.isDiscrete && !rule.isChoice ? .best : rule
    }
    guard slot.domain.isDiscrete else { return .slope() }
    if slot.domain.areLevelsCandidates { return rule }
    // Without a margin of its own, the rule's usual one.
    return margin == Rule.Ramp(0) ? .margin() : .margin(margin)
  }
}
