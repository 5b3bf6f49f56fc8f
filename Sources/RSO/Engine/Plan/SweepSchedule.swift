/// What must be updated before each proposal of a sweep is judged.
///
/// A *rest* is the output of a mixing layer from all lone channels except the one under test. It is kept for every
/// mini-batch and computed on the mini-batch's first turn. Channels may have changed when the mini-batch comes round
/// again. Then every changed channel is subtracted with the weights it was added with, and added with its current
/// weights; the previous channel under test is added, and the current one is subtracted. If that takes as many channel
/// computations as there are channels, the rest is recomputed.
///
/// All of this follows from the order of elements and mini-batches and never from a decision, so whole runs can be
/// planned before they are judged. The CPU engine, the CUDA engine and the cost estimate all use this schedule.
///
/// Each element is judged at most once per sweep, so the values before the sweep and the order of turns determine every
/// earlier state of the tensor (`SweepHistory`). A second turn for an element is an error.
package struct SweepSchedule {
  /// A lone channel to compute.
  package struct Unit: Hashable, Sendable {
    package var channel: Int
    /// The elements of the swept tensor have the values of this time.
    package var time: Int
    /// +1: add it to the rest, −1: subtract it, 0: neither.
    package var sign: Int
  }

  /// Work on a mini-batch's rest.
  package struct Refresh: Hashable, Sendable {
    /// The channel under test comes last. The candidates start from it.
    package var units: [Unit]
    /// The rest starts from the bias instead of its current value.
    package var isFresh: Bool
    /// Number of units added to the rest or subtracted from it: the first ones.
    package var mixed: Int { units.count - (units.last?.sign == 0 ? 1 : 0) }
    /// Passes of the same shape can share their launches.
    package var shape: Shape { Shape(units: units.count, mixed: mixed, isFresh: isFresh) }

    package struct Shape: Hashable, Sendable {
      package var units: Int
      package var mixed: Int
      package var isFresh: Bool
    }
  }

  /// One proposal's place in the sweep.
  package struct Turn: Hashable, Sendable {
    /// Row-major index into the swept tensor.
    package var element: Int
    package var batch: Int
    /// The lone channel that the element belongs to.
    package var channel: Int
    /// Number of elements judged before it, except those of its own round.
    package var time: Int
    /// The sweep's first turn on this mini-batch: the fixed values must be computed.
    package var isFirst: Bool
    /// `nil`: the rest is up to date.
    package var refresh: Refresh?
    /// Changes to replay on the plane of the channel under test once the rest is up to date: see
    /// `SweepSchedule.changes(of:)`.
    package var changes: Range<Int>
  }

  /// The swept tensor's name, for errors.
  private let name: String
  private let channels: Int
  /// Elements per lone channel.
  package let perChannel: Int
  /// Whether changed elements are replayed on the channel's plane. They are if the swept tensor is the weight of the
  /// layer that makes the channel; other tensors act on the lone channel after the plane.
  private let replays: Bool
  /// Number of elements judged in finished rounds. It serves as the time.
  package private(set) var now = 0
  /// When each element was judged; `Int32.max`: not yet.
  package private(set) var judgedAt: [Int32]
  /// Per lone channel: the elements judged so far and their times.
  private var judged: [(elements: [Int32], times: [Int])]
  /// The elements of the current round.
  package private(set) var round: [Int32] = []
  /// Per mini-batch: its rest holds all channels except `channel`, as of `time`.
  private var kept: [(channel: Int, time: Int)?]

  /// - Parameters:
  ///   - slot: of the swept tensor.
  ///   - batches: number of mini-batches of the order.
  package init(slot: Parameters.Slot, lone: LoneChannel, batches: Int) {
    self.init(
      name: slot.name, elements: slot.count, channels: lone.channels, batches: batches,
      replays: slot.node == lone.root && slot.role == .weight)
  }

  init(name: String, elements: Int, channels: Int, batches: Int, replays: Bool) {
    self.name = name
    self.channels = channels
    self.replays = replays
    perChannel = max(elements / channels, 1)
    judgedAt = Array(repeating: .max, count: elements)
    judged = Array(repeating: ([], []), count: channels)
    kept = Array(repeating: nil, count: batches)
  }

  /// Plans the next turn: `element` on mini-batch `batch`.
  ///
  /// - Throws: `RSOError` if this sweep has already judged the element, or if the element or mini-batch does not exist.
  /// - Complexity: O(channels)
  package mutating func next(element: Int, batch: Int) throws -> Turn {
    guard judgedAt.indices.contains(element), kept.indices.contains(batch) else {
      throw RSOError(
        name,
        "expected an element below \(judgedAt.count) and a mini-batch below \(kept.count), "
          + "found element \(element), mini-batch \(batch)")
    }
    guard judgedAt[element] == .max else {
      throw RSOError(
        "\(name)[\(element)]", "expected each element once in a sweep, found it again",
        hint: "begin a new sweep")
    }
    let channel = element / perChannel
    let refresh = refresh(channel: channel, kept[batch])
    var turn = Turn(
      element: element, batch: batch, channel: channel, time: now, isFirst: kept[batch] == nil,
      refresh: refresh, changes: 0..<0)
    // The plane has the weights it was computed with: the current ones, or those its channel joined the rest with.
    if replays, let state = kept[batch], refresh.map({ $0.units.last?.sign == -1 }) ?? true {
      turn.changes = changes(channel, since: state.time)
    }
    kept[batch] = (channel, now)
    judgedAt[element] = Int32(now + round.count)
    round.append(Int32(element))
    return turn
  }

  /// Ends the round: from now on the tensor has the decisions of the round's turns.
  package mutating func endRound() {
    for element in round {
      let channel = Int(element) / perChannel
      judged[channel].elements.append(element)
      judged[channel].times.append(now)
      now += 1
    }
    round.removeAll(keepingCapacity: true)
  }

  /// The maximum number of changes that a turn on `batch` replays.
  func changes(before batch: Int) -> Int { kept[batch].map { now - $0.time } ?? 0 }

  /// The elements whose changes a turn replays.
  func changes(of turn: Turn) -> ArraySlice<Int32> { judged[turn.channel].elements[turn.changes] }

  /// The elements of a channel that were judged at `time` or later.
  func elements(of channel: Int, since time: Int) -> ArraySlice<Int32> {
    judged[channel].elements[changes(channel, since: time)]
  }

  private func changes(_ channel: Int, since time: Int) -> Range<Int> {
    let times = judged[channel].times
    var (first, end) = (0, times.count)
    while first < end {
      let middle = (first + end) / 2
      if times[middle] < time { first = middle + 1 } else { end = middle }
    }
    return first..<times.count
  }

  /// The channels to compute before a turn; `nil`: none.
  private func refresh(channel: Int, _ state: (channel: Int, time: Int)?) -> Refresh? {
    guard let state else { return fresh(but: channel) }
    // Most turns stay in their channel, and no other channel has changed.
    if channel == state.channel, changes(channel, since: state.time).count == now - state.time {
      return nil
    }
    var units: [Unit] = []
    for other in 0..<channels where other != channel {
      let hasChanged = judged[other].times.last.map { $0 >= state.time } ?? false
      if other == state.channel {
        units.append(Unit(channel: other, time: now, sign: 1))
      } else if hasChanged {
        units.append(Unit(channel: other, time: state.time, sign: -1))
        units.append(Unit(channel: other, time: now, sign: 1))
      }
    }
    // A channel leaves the rest with the weights it was added with; its plane has the same weights.
    units.append(
      channel == state.channel
        ? Unit(channel: channel, time: now, sign: 0)
        : Unit(channel: channel, time: state.time, sign: -1))
    return units.count >= channels ? fresh(but: channel) : Refresh(units: units, isFresh: false)
  }

  private func fresh(but channel: Int) -> Refresh {
    let others = (0..<channels).filter { $0 != channel }
    return Refresh(
      units: others.map { Unit(channel: $0, time: now, sign: 1) }
        + [Unit(channel: channel, time: now, sign: 0)],
      isFresh: true)
  }
}
