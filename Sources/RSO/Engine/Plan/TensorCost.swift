/// Multiply-adds of testing one tensor's elements, for one image.
package struct TensorCost {
  let lone: LoneChannel
  let slot: Parameters.Slot
  /// For one candidate.
  package let perImage: Int
  /// For computing one lone channel, and for mixing it into the rests.
  private let perChannel: (own: Int, mixing: Int)
  /// Whether the swept element is a weight of the layer that makes the lone channel: one tap, which multiplies a
  /// shifted channel of that layer's input.
  let isTap: Bool
  /// For the values that stay fixed for the whole sweep, once per mini-batch.
  private let fixed: Int
  /// For replaying one change of the channel under test.
  private let perChange: Int

  package init(network: Network, slot: Parameters.Slot) {
    let plan = SweepPlan(network: network, sweeping: slot.node)
    let lone = LoneChannel(network: network, plan: plan)
    let layers = network.multiplyAdds
    func sum(_ role: SweepPlan.Role) -> Int {
      network.nodes.indices.reduce(0) { $0 + (plan.roles[$1] == role ? layers[$1] : 0) }
    }
    let mixing = sum(.mixing) / lone.channels
    // Depthwise convolutions on the lone channel.
    let alone = lone.nodes.reduce(0) { $0 + layers[$1] } / lone.channels
    let own = (lone.root.map { layers[$0] / lone.channels } ?? 0) + alone
    let isTap = slot.role == .weight && slot.node == lone.root
    let area = isTap ? network.shapes[slot.node + 1].area : 0
    self.lone = lone
    self.slot = slot
    self.isTap = isTap
    perImage = area + alone + mixing + sum(.whole)
    perChannel = (own, mixing)
    fixed = sum(.fixed)
    perChange = area
  }

  /// Upkeep before one proposal, for one image.
  package func upkeep(_ turn: SweepSchedule.Turn) -> Int {
    rest(turn) + turn.changes.count * perChange
  }

  /// The same without replaying changes.
  func rest(_ turn: SweepSchedule.Turn) -> Int {
    let units = turn.refresh.map {
      $0.units.count * perChannel.own + $0.mixed * perChannel.mixing
    }
    return (units ?? 0) + (turn.isFirst ? fixed : 0)
  }

  /// The schedule of a sweep.
  func schedule(batches: Int) -> SweepSchedule {
    SweepSchedule(slot: slot, lone: lone, batches: batches)
  }

  /// Upkeep of the whole sweep, for one image of every mini-batch.
  ///
  /// - Parameter order: order of the elements; `nil`: row-major.
  package func upkeep(_ turns: Turns, order: [Int32]? = nil) -> Int {
    var schedule = schedule(batches: turns.batches)
    var sum = 0
    for turn in 0..<slot.count {
      let element = order.map { Int($0[turn]) } ?? turn
      // A permutation has no element twice.
      guard let next = try? schedule.next(element: element, batch: turns.batch(turn)) else { break }
      sum += upkeep(next)
      if turns.endsRound(turn) { schedule.endRound() }
    }
    return sum
  }
}
