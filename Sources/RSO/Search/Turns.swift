/// Which mini-batch judges the elements of a sweep, one after another.
package struct Turns {
  /// Elements in a row on one mini-batch.
  let hold: Int
  /// Mini-batches of the order.
  var batches: Int

  /// - Parameter slot: of the swept tensor.
  package init(_ hold: SearchSettings.Hold, of slot: Parameters.Slot, batches: Int) {
    switch hold {
    case .elements(let count): self.hold = count
    // A linear or convolution layer's weights are [out][in]…, everything else has one value per channel.
    case .channel: self.hold = max(slot.count / slot.shape[0], 1)
    }
    self.batches = batches
  }

  /// The mini-batch of a turn counted from 0.
  package func batch(_ turn: Int) -> Int { turn / hold % batches }
  /// Whether a turn stays on the mini-batch of the one before.
  package func isHeld(_ turn: Int) -> Bool { turn % hold != 0 }
}
