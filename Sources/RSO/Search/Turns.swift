/// Which mini-batch judges the elements of a sweep, one after another, and which of them are decided together.
package struct Turns {
  /// Elements in a row on one mini-batch.
  let hold: Int
  /// Mini-batches of the order.
  var batches: Int
  /// Proposals that are judged from the same weights.
  let round: Int
  /// Whether the loss of the value as it is is known where the mini-batch is held.
  private let knowsLoss: Bool
  private let count: Int

  /// - Parameter slot: of the swept tensor.
  package init(
    _ hold: SearchSettings.Span, round: SearchSettings.Span = .elements(1), rule: Rule = .best,
    of slot: Parameters.Slot, batches: Int
  ) {
    self.hold = hold.count(in: slot)
    self.round = round.count(in: slot)
    self.batches = batches
    count = slot.count
    // Another rule may keep a value that was never computed, and a round changes other elements at the same time.
    knowsLoss = rule == .best && self.round == 1
  }

  /// Those of a cycle.
  package init(_ settings: SearchSettings, cycle: Int, of slot: Parameters.Slot, batches: Int) {
    self.init(
      settings.hold, round: settings.round(inCycle: cycle), rule: settings.rule, of: slot,
      batches: batches)
  }

  /// The mini-batch of a turn counted from 0.
  package func batch(_ turn: Int) -> Int { turn / hold % batches }
  /// Whether the decision before left the loss of the value as it is on the turn's mini-batch.
  package func isHeld(_ turn: Int) -> Bool { knowsLoss && turn % hold != 0 }
  /// Whether the decisions up to a turn are applied after it. No round crosses the end of a sweep.
  package func endsRound(_ turn: Int) -> Bool { (turn + 1) % round == 0 || turn + 1 == count }
}
