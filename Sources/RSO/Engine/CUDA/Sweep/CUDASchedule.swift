import CRSO

/// What a run of proposals needs on the card: turns, and the lists that they point into.
struct CUDARun {
  var turns: [rso_gpu_turn] = []
  /// Elements of the swept tensor.
  var changes: [Int32] = []
  var units: [rso_gpu_unit] = []
  var visits: [Visit] = []

  /// What the host asks for before a turn is judged.
  struct Visit {
    /// The mini-batch's first turn of the sweep.
    var isFirst: Bool
    var refresh: CUDASweep.RefreshKey?
  }
}

/// Which lone channels each mini-batch's rest takes in or gives up before a turn, and which changes of the channel under
/// test are made up for: the rule of `CPUSweep.refresh`. It depends on the order of elements and mini-batches alone,
/// never on a decision, so a whole run can be planned before any of it is judged.
struct CUDASchedule {
  private let slot: Parameters.Slot
  private let root: Int?
  private let channels: Int
  /// Elements per lone channel, and taps of one input channel of theirs.
  private let perChannel: Int
  private let taps: Int
  /// The elements tested so far; the time is their number.
  private var tested: [Int] = []
  /// When each element is decided; `Int32.max`: not yet.
  private(set) var decidedAt: [Int32]
  /// What each mini-batch's kept values are good for: all channels but `channel`, at `time`.
  private var kept: [(channel: Int, time: Int)?]
  /// The elements of the round that is on.
  private var pending: [Int] = []

  init(slot: Parameters.Slot, lone: LoneChannel, batches: Int) {
    self.slot = slot
    root = lone.root
    channels = lone.channels
    perChannel = slot.count / lone.channels
    taps = slot.role == .weight ? slot.shape.dropFirst(2).reduce(1, *) : 1
    decidedAt = Array(repeating: .max, count: slot.count)
    kept = Array(repeating: nil, count: batches)
  }

  var now: Int { tested.count }

  /// The most changes that a proposal's turn lists.
  func changes(before proposal: Proposal) -> Int {
    kept[proposal.batch].map { now - $0.time } ?? 0
  }

  /// Plans the turn of `proposal`.
  mutating func append(_ proposal: Proposal, order: SampleOrder, to run: inout CUDARun) {
    let channel = proposal.element / perChannel
    let row = proposal.element % perChannel
    var turn = rso_gpu_turn()
    turn.batch = Int32(proposal.batch)
    turn.first = Int32(proposal.batch * order.batchSize)
    turn.channel = Int32(channel)
    turn.element = Int32(slot.offset + proposal.element)
    turn.row = Int32(row)
    turn.input = Int32(row / taps)
    turn.tap = Int32(row % taps)
    turn.place = Int32(pending.count)
    pending.append(proposal.element)
    turn.applies = proposal.endsRound ? Int32(pending.count) : 0
    turn.step = proposal.delta
    turn.first_change = Int32(run.changes.count)
    turn.first_unit = Int32(run.units.count)
    withUnsafeMutableBytes(of: &turn.candidates) { bytes in
      for (index, candidate) in proposal.candidates.enumerated() {
        bytes.storeBytes(of: candidate, toByteOffset: index * 4, as: Float.self)
      }
    }

    let state = kept[proposal.batch]
    var visit = CUDARun.Visit(isFirst: state == nil)
    if let units = units(channel: channel, state) {
      let isFresh = units.count == channels && units.last?.sign == 0
      visit.refresh = CUDASweep.RefreshKey(
        count: units.count, mixed: units.count(where: { $0.sign != 0 }), fresh: isFresh)
      run.units += units
    }
    // As the channel was computed, so it is made up for.
    let isOld = visit.refresh == nil || run.units.last?.sign == -1
    if let state, isOld, slot.node == root, slot.role == .weight {
      run.changes += tested[state.time...].filter { $0 / perChannel == channel }.map { Int32($0) }
    }
    turn.changes = Int32(run.changes.count) - turn.first_change
    run.turns.append(turn)
    run.visits.append(visit)
    kept[proposal.batch] = (channel, now)
    if proposal.endsRound { endRound() }
  }

  /// All decisions of a round are of the same time.
  private mutating func endRound() {
    for element in pending {
      decidedAt[element] = Int32(now)
      tested.append(element)
    }
    pending.removeAll(keepingCapacity: true)
  }

  /// The channels to compute, the one under test last; `nil`: the rest is good.
  private func units(channel: Int, _ state: (channel: Int, time: Int)?) -> [rso_gpu_unit]? {
    func unit(_ channel: Int, _ time: Int, _ sign: Float) -> rso_gpu_unit {
      rso_gpu_unit(channel: Int32(channel), time: Int32(time), sign: sign)
    }
    let all = (0..<channels).filter { $0 != channel }.map { unit($0, now, 1) }
    let fresh = all + [unit(channel, now, 0)]
    guard let state else { return fresh }
    var stale = Set(tested[state.time...].map { $0 / perChannel })
    // A changed weight of the root is made up for on what it makes; nothing else changes that but a bias.
    let mustRedo = stale.contains(channel) && slot.node == root && slot.role != .weight
    stale.insert(state.channel)
    stale.remove(channel)
    if state.channel == channel, stale.isEmpty { return nil }
    var units: [rso_gpu_unit] = []
    for c in stale.sorted() {
      if c != state.channel { units.append(unit(c, state.time, -1)) }
      units.append(unit(c, now, 1))
    }
    if channel != state.channel { units.append(unit(channel, state.time, -1)) }
    if channel == state.channel || mustRedo { units.append(unit(channel, now, 0)) }
    return units.count >= channels ? fresh : units
  }
}
