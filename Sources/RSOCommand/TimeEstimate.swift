import RSO

/// Estimates how long the rest of a run takes: every tensor as long as its last sweep or, before its first, as
/// long as its multiply-adds suggest.
///
/// Cycles may have mini-batches of different sizes. All stored times are for a cycle of cost 1; times from other
/// cycles are divided by the cycle's cost.
struct TimeEstimate {
  /// A sweep's proposals and multiply-adds.
  struct Work {
    var proposals: Int
    var perProposal: Double
    /// Multiply-adds of the cache before the proposals and of the evaluation after them.
    var rest: Double
  }

  private let work: [Work]
  /// Total seconds of the last sweep of every tensor.
  private var seconds: [Double?]
  /// Seconds of one proposal, for every tensor that was watched.
  private var perProposal: [Double?]
  /// Seconds spent outside proposals so far, and the multiply-adds they took.
  private var rest = (seconds: 0.0, work: 0.0)
  private var current: Current?

  private struct Current {
    var sweep: Int
    var cost: Double
    var start: ContinuousClock.Instant
    /// Whether none of its proposals was judged before.
    var isWhole: Bool
    /// After the first proposals, which follow the cache; `last` is after the latest ones.
    var first: (time: ContinuousClock.Instant, done: Int)?
    var last: (time: ContinuousClock.Instant, done: Int)?
  }

  /// - Parameters:
  ///   - work: the work of every sweep of a cycle.
  ///   - earlier: seconds of the finished sweeps from the run's start, each divided by its cycle's cost.
  init(work: [Work], earlier: [Double] = []) {
    self.work = work
    seconds = Array(repeating: nil, count: work.count)
    perProposal = seconds
    if !work.isEmpty {
      for (index, value) in earlier.enumerated() { seconds[index % work.count] = value }
    }
  }

  /// - Parameter isWhole: whether the sweep begins, and does not go on where it was stopped.
  mutating func begin(
    sweep: Int, cost: Double = 1, at time: ContinuousClock.Instant, isWhole: Bool = true
  ) {
    current = Current(sweep: sweep, cost: cost, start: time, isWhole: isWhole)
  }

  /// Records that `done` proposals of the sweep have been judged.
  mutating func judged(_ done: Int, at time: ContinuousClock.Instant) {
    guard let current else { return }
    self.current?.last = (time, done)
    guard let first = current.first else {
      self.current?.first = (time, done)
      return
    }
    perProposal[current.sweep] =
      (time - first.time) / .seconds(1) / Double(done - first.done) / current.cost
  }

  /// Records the end of the sweep and of the evaluation after it.
  mutating func end(at time: ContinuousClock.Instant) {
    guard let current else { return }
    defer { self.current = nil }
    // The time of a part says nothing about the whole.
    guard current.isWhole else { return }
    let total = (time - current.start) / .seconds(1) / current.cost
    seconds[current.sweep] = total
    if current.last?.done != current.first?.done, let one = perProposal[current.sweep] {
      rest.seconds += max(total - one * Double(work[current.sweep].proposals), 0)
      rest.work += work[current.sweep].rest
    }
  }

  /// Seconds of a whole sweep; `nil` while there is too little to estimate it from.
  private func expected(_ sweep: Int) -> Double? {
    if let seconds = seconds[sweep] { return seconds }
    guard let one = expectedPerProposal(sweep) else { return nil }
    let perRest = rest.work > 0 ? rest.seconds / rest.work : 0
    return one * Double(work[sweep].proposals) + work[sweep].rest * perRest
  }

  /// Seconds of one proposal: measured, or from the line through the measured tensors with the least and most
  /// work.
  ///
  /// A proposal takes time even if there is hardly anything to compute. A single tensor does not separate that
  /// part from the rest, and does not predict tensors with far more work.
  private func expectedPerProposal(_ sweep: Int) -> Double? {
    if let measured = perProposal[sweep] { return measured }
    let points = zip(work, perProposal).compactMap { work, seconds in
      seconds.map { (work: work.perProposal, seconds: $0) }
    }
    guard let least = points.min(by: { $0.work < $1.work }),
      let most = points.max(by: { $0.work < $1.work })
    else { return nil }
    let wanted = work[sweep].perProposal
    guard most.work >= 2 * least.work, most.seconds > least.seconds else {
      return wanted <= 10 * most.work ? most.seconds * wanted / most.work : nil
    }
    let slope = (most.seconds - least.seconds) / (most.work - least.work)
    return max(least.seconds + slope * (wanted - least.work), 0)
  }

  /// Seconds left for the current sweep's proposals.
  var sweepLeft: Double? {
    guard let current, let done = current.last?.done else { return nil }
    let left = Double(work[current.sweep].proposals - done)
    if left == 0 { return 0 }
    return expectedPerProposal(current.sweep).map { $0 * left * current.cost }
  }

  /// Seconds left for the run.
  ///
  /// - Parameter cycles: the cost of the cycles that follow the current one.
  func runLeft(cycles: Double) -> Double? {
    guard let current, var left = sweepLeft else { return nil }
    for sweep in work.indices {
      let times = cycles + (sweep > current.sweep ? current.cost : 0)
      if times == 0 { continue }
      guard let whole = expected(sweep) else { return nil }
      left += whole * times
    }
    return left
  }
}

extension RandomSearch {
  /// The multiply-adds of every sweep of a cycle.
  var expectedWork: [TimeEstimate.Work] {
    guard case .network(let network, let data) = subject else {
      // A proposal takes as long as any other.
      return sweeps.map {
        .init(proposals: parameters.slots[$0.parameter].count, perProposal: 1, rest: 1)
      }
    }
    let cost = CostModel(network: network, settings: settings, data: data)
    return cost.sweeps.map {
      .init(
        proposals: $0.proposals, perProposal: $0.averagePerProposal,
        rest: Double($0.cache + $0.evaluation))
    }
  }
}
