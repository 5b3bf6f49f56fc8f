/// When the rest kept for a mini-batch must be brought up to date, and how much of it: the schedule that
/// `CPUSweep` follows, without the computing. A pure function of the order of elements and mini-batches.
///
/// The rest of a mini-batch holds all lone channels but the one under test. It is made at the mini-batch's
/// first turn, and changed when the mini-batch comes round again in another channel.
package struct RestUpkeep {
  /// What must be done before one proposal is judged.
  package enum Visit: Hashable, Sendable {
    /// The rest is made of all channels.
    case fresh
    /// That many channels, old and new versions, are computed, and `mixed` of them are added to the rest
    /// or taken out of it.
    case update(units: Int, mixed: Int)
    /// The rest is good; that many changes of the channel under test are made up for.
    case replay(Int)
  }

  private let channels: Int
  private let perChannel: Int
  /// Proposals so far.
  private var now = 0
  /// When each channel was last changed; −1: never.
  private var changed: [Int]
  /// Per mini-batch: the channel left out of its rest, and when it was brought up to date.
  private var kept: [(channel: Int, time: Int)?]
  /// The channels of the round that is on.
  private var pending: [Int] = []

  /// - Parameters:
  ///   - channels: lone channels of the sweep.
  ///   - elements: of the swept tensor.
  ///   - batches: mini-batches of the order.
  package init(channels: Int, elements: Int, batches: Int) {
    self.channels = channels
    perChannel = max(elements / channels, 1)
    changed = Array(repeating: -1, count: channels)
    kept = Array(repeating: nil, count: batches)
  }

  /// Judges `element` on `batch`; with the last of a round, all of it has changed.
  ///
  /// - Complexity: O(channels)
  package mutating func visit(_ element: Int, batch: Int, endsRound: Bool = true) -> Visit {
    let channel = element / perChannel
    defer {
      kept[batch] = (channel, now)
      pending.append(channel)
      if endsRound {
        for channel in pending {
          changed[channel] = now
          now += 1
        }
        pending.removeAll(keepingCapacity: true)
      }
    }
    guard let state = kept[batch] else { return .fresh }
    var units = 1
    for other in 0..<channels where other != channel {
      if other == state.channel {
        units += 1
      } else if changed[other] >= state.time {
        units += 2
      }
    }
    if channel == state.channel, units == 1 { return .replay(now - state.time) }
    // The channel under test is looked at, or taken out as it was.
    let mixed = channel == state.channel ? units - 1 : units
    return units >= channels ? .fresh : .update(units: units, mixed: mixed)
  }
}
