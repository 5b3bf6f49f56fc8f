/// Multiply-adds of one tensor's tests, for one image.
package struct TensorCost {
  let lone: LoneChannel
  private let slot: Parameters.Slot
  /// Of one candidate.
  package let perImage: Int
  /// Computing one lone channel, and mixing it into the rests.
  private let perChannel: (own: Int, mixing: Int)
  /// Whether the swept element is a weight of the layer that makes the lone channel: one tap, which shifts a channel
  /// of that layer's input.
  let isTap: Bool
  /// What is the same for the whole sweep, once per mini-batch.
  private let fixed: Int
  /// Making up for one change of the channel under test.
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

  /// Before one proposal, for one image.
  package func upkeep(_ visit: RestUpkeep.Visit) -> Int {
    switch visit {
    case .fresh: lone.channels * perChannel.own + (lone.channels - 1) * perChannel.mixing
    case .update(let units, let mixed): units * perChannel.own + mixed * perChannel.mixing
    case .replay(let changes): changes * perChange
    }
  }

  /// The whole sweep, for one image of every mini-batch.
  ///
  /// - Parameter order: of the elements; `nil`: as they stand.
  package func upkeep(_ turns: Turns, order: [Int32]? = nil) -> Int {
    var rests = RestUpkeep(channels: lone.channels, elements: slot.count, batches: turns.batches)
    var sum = fixed * min(turns.batches, (slot.count + turns.hold - 1) / turns.hold)
    for turn in 0..<slot.count {
      let element = order.map { Int($0[turn]) } ?? turn
      sum += upkeep(rests.visit(element, batch: turns.batch(turn)))
    }
    return sum
  }
}
