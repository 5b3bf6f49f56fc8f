/// Times the sweeps of a search on `CPUEngine` without running them in full: some proposals of each tensor, of every
/// kind in the sweep.
///
/// A proposal costs more when its mini-batch was last in another channel, since its rest must be updated first
/// (`SweepSchedule`). Proposals are judged in the sweep's own order and timed one by one. The median of each kind is
/// weighted by how often the kind occurs in the whole sweep. If there was no time to reach a kind, its time is
/// estimated from the other kinds: a part for judging and a part for the multiply-adds of the upkeep.
///
/// Every candidate equals the element's current value, so nothing changes.
package struct SpeedMeasurement {
  package struct Timing: Hashable, Sendable {
    package var parameter: String
    /// Proposals of the sweep, and how many of them were timed.
    package var proposals: Int
    package var timed: Int
    /// Average for one proposal over the whole sweep, including the upkeep of the rests.
    package var secondsPerProposal: Double
    /// Average multiply-adds of one proposal over the whole sweep, including the upkeep.
    package var multiplyAddsPerProposal: Double
    /// The fewest bytes that one proposal streams between memory and cores (`TensorCost.streamedBytes`).
    package var bytesPerProposal: Double
    /// Average for one timed proposal, without the first few.
    package var parts: [ProposalPart]
    /// Seconds before the first proposal, for statistics and cache; near zero if they were there already.
    package var cacheSeconds: Double

    package var operationsPerSecond: Double { 2 * multiplyAddsPerProposal / secondsPerProposal }

    /// Seconds for a proposal on a machine that computes at its peak and waits for nothing, or that only waits for its
    /// memory, whichever is longer. An algorithm with fewer multiply-adds than those counted can take less, and so can
    /// small values that stay in a cache.
    ///
    /// - Parameters:
    ///   - peak: floating-point operations per second.
    ///   - bandwidth: bytes per second.
    package func floor(peak: Double, bandwidth: Double) -> Double {
      max(2 * multiplyAddsPerProposal / peak, bytesPerProposal / bandwidth)
    }
  }

  /// The sweeps of a cycle and what they cost.
  package let model: CostModel
  private let search: RandomSearch
  private let engine: CPUEngine
  private let folded: Network

  package init(
    network: Network, data: Dataset, settings: SearchSettings, threads: Int
  ) throws {
    // One or a few proposals of a cycle.
    var settings = settings
    settings.scales = .fixed
    settings.statistics = .renew
    search = try RandomSearch(
      network: network, data: data, settings: settings, device: .cpu(threads: threads))
    engine = try CPUEngine(
      network: network, data: data, parameters: search.parameters, threads: threads,
      objective: Objective(settings.loss, data: data, classes: network.classes))
    folded = network.foldingAveragePools()
    model = CostModel(network: network, settings: settings, data: data)
  }

  /// Times one sweep.
  ///
  /// - Parameters:
  ///   - index: into `model.sweeps`.
  ///   - seconds: approximate time for the proposals; at least a few of every kind are timed.
  package func time(_ index: Int, seconds: Double) throws -> Timing {
    let sweep = search.sweeps[index]
    let slot = Parameters(zerosFor: folded).slots[sweep.parameter]
    let cost = TensorCost(network: folded, slot: slot)
    let order = search.sampleOrder(sweep, cycle: 0)
    let settings = search.settings
    var turns = Turns(
      settings.hold, round: settings.round, rule: settings.rule(of: slot), of: slot,
      batches: order.batches)
    let proposals = search.proposals(sweep, cycle: 0, turns)
    let values = engine.parameters.values[slot.range]

    func begin() throws { try engine.beginSweep(of: sweep.parameter, order: order) }
    var cacheSeconds = try Self.seconds(begin)
    if model.sweeps[index].cache > 0 {
      // The first sweep also allocates memory, which happens once in a run, not in every cycle.
      engine.parameters = engine.parameters
      cacheSeconds = try Self.seconds(begin)
    }
    var counts: [Kind: Int] = [:]
    var whole = cost.schedule(batches: order.batches)
    for proposal in proposals {
      let next = try whole.next(element: proposal.element, batch: proposal.batch)
      if proposal.endsRound { whole.endRound() }
      counts[Kind(next, cost, baseline: proposal.baseline), default: 0] += 1
    }

    var timed = cost.schedule(batches: order.batches)
    var times: [Kind: [Double]] = [:]
    var total = 0.0
    // The first proposals allocate memory.
    let warmUp = min(3, (slot.count + 1) / 2)
    var (judged, before) = (0, [ProposalPart]())
    func judge(_ element: Int, batch: Int, baseline: Proposal.Baseline, endsRound: Bool) throws {
      let kind = try Kind(timed.next(element: element, batch: batch), cost, baseline: baseline)
      if endsRound { timed.endRound() }
      let w = values[slot.offset + element]
      let proposal = Proposal(
        element: element, batch: batch,
        candidates: ShortList(repeatElement(w, count: proposals[0].candidates.count)), delta: 0,
        baseline: baseline, endsRound: endsRound)
      let spent = try Self.seconds { _ = try engine.judge([proposal]) }
      times[kind, default: []].append(spent)
      total += spent
      judged += 1
      if judged == warmUp { before = engine.parts }
    }
    // In order. If the first turns alone take half the time, the rounds use fewer mini-batches.
    var turn = 0
    while turn < proposals.count && (total < seconds || turn < 3) {
      let visited = turn / turns.hold
      if visited < turns.batches && visited >= 2 && total > seconds / 2 { turns.batches = visited }
      try judge(
        proposals[turn].element, batch: turns.batch(turn), baseline: turns.baseline(turn),
        endsRound: turns.endsRound(turn))
      turn += 1
    }
    // The loop may not have reached the next channel.
    let next = (proposals[turn - 1].element / slot.elements(cost) + 1) * slot.elements(cost)
    if next + 3 <= slot.count, search.settings.elementOrder == .rowMajor {
      let seen = min(turns.batches, (turn + turns.hold - 1) / turns.hold)
      for step in 0..<3 where counts.keys.contains(where: { $0.isUpdate && times[$0] == nil }) {
        try judge(next + step, batch: step % seen, baseline: .computed, endsRound: true)
      }
    }

    let parts = zip(engine.parts, before).map { now, then in
      var part = now
      part.seconds = (now.seconds - then.seconds) / Double(max(judged - warmUp, 1))
      return part
    }
    let perKind = Self.expected(times, counts.keys)
    let sum = counts.reduce(0) { $0 + Double($1.value) * (perKind[$1.key] ?? 0) }
    return Timing(
      parameter: slot.name, proposals: slot.count, timed: times.values.reduce(0) { $0 + $1.count },
      secondsPerProposal: sum / Double(slot.count),
      multiplyAddsPerProposal: model.sweeps[index].averagePerProposal,
      bytesPerProposal: Double(
        cost.streamedBytes(batch: order.batchSize, candidates: slot.domain.candidates)),
      parts: parts,
      cacheSeconds: cacheSeconds)
  }

  /// Seconds of an evaluation of the test set, including statistics. It times the second of two, since the first also
  /// allocates memory.
  package func timeEvaluation() throws -> Double {
    _ = try engine.evaluate(.test)
    return try Self.seconds { _ = try engine.evaluate(.test) }
  }

  static func seconds(_ work: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try work()
    return (ContinuousClock.now - start) / .seconds(1)
  }
}

extension SpeedMeasurement {
  /// Proposals that cost the same.
  struct Kind: Hashable {
    /// Per image, without replaying changes, which cost little and vary between proposals.
    var multiplyAdds: Int
    var isUpdate = false

    init(_ turn: SweepSchedule.Turn, _ cost: TensorCost, baseline: Proposal.Baseline) {
      let candidates = cost.slot.domain.candidates - (baseline == .computed ? 0 : 1)
      multiplyAdds = candidates * cost.perImage + cost.rest(turn)
      isUpdate = turn.refresh.map { !$0.isFresh } ?? false
    }
  }

  /// Seconds of every kind: the median of its times, without the first if there are more, since the first also
  /// allocates memory. A kind without times gets its seconds from a straight line through the medians.
  static func expected(_ times: [Kind: [Double]], _ kinds: some Sequence<Kind>) -> [Kind: Double] {
    let medians = times.mapValues { times in
      let sorted = (times.count > 1 ? Array(times.dropFirst()) : times).sorted()
      return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }
    let points = medians.map { (x: Double($0.key.multiplyAdds), y: $0.value) }
    let n = Double(max(points.count, 1))
    let (x, y) = (
      points.reduce(0) { $0 + $1.x } / n, points.reduce(0) { $0 + $1.y } / n
    )
    let spread = points.reduce(0) { $0 + ($1.x - x) * ($1.x - x) }
    let slope =
      spread == 0 ? 0 : max(points.reduce(0) { $0 + ($1.x - x) * ($1.y - y) } / spread, 0)
    return Dictionary(
      kinds.map { kind in
        (kind, medians[kind] ?? max(y + slope * (Double(kind.multiplyAdds) - x), 0))
      }, uniquingKeysWith: { first, _ in first })
  }
}

extension Parameters.Slot {
  /// Elements of one lone channel.
  fileprivate func elements(_ cost: TensorCost) -> Int { max(count / cost.lone.channels, 1) }
}
