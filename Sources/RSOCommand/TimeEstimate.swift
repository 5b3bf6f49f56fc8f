/// How long the rest of a run takes: as long as each tensor took when it was last swept, and where it
/// has not been yet, what its multiply-adds let expect.
struct TimeEstimate {
  /// Multiply-adds of a sweep.
  struct Work {
    var proposals: Double
    /// Of the cache before them and of the evaluation after them.
    var rest: Double
  }

  private let work: [Work]
  /// Seconds of the last sweep of every tensor, all included.
  private var seconds: [Double?]
  /// Seconds of what was watched so far, and its multiply-adds.
  private var proposals = (seconds: 0.0, work: 0.0)
  private var rest = (seconds: 0.0, work: 0.0)
  private var current: Current?

  private struct Current {
    var sweep: Int
    var start: ContinuousClock.Instant
    /// After the first proposals, and after the last so far.
    var first: (time: ContinuousClock.Instant, done: Int)?
    var last: (time: ContinuousClock.Instant, done: Int)?
  }

  /// - Parameters:
  ///   - work: of every sweep of a cycle.
  ///   - earlier: seconds of the sweeps that are done, from the run's first.
  init(work: [Work], earlier: [Double] = []) {
    self.work = work
    seconds = Array(repeating: nil, count: work.count)
    if !work.isEmpty {
      for (index, value) in earlier.enumerated() { seconds[index % work.count] = value }
    }
  }

  mutating func begin(sweep: Int, at time: ContinuousClock.Instant) {
    current = Current(sweep: sweep, start: time)
  }

  /// `done` proposals of the sweep are judged.
  mutating func judged(_ done: Int, at time: ContinuousClock.Instant) {
    if current?.first == nil { current?.first = (time, done) }
    current?.last = (time, done)
  }

  /// The sweep of `count` proposals and the evaluation after it are done.
  mutating func end(count: Int, at time: ContinuousClock.Instant) {
    guard let current else { return }
    let total = (time - current.start) / .seconds(1)
    seconds[current.sweep] = total
    if let perProposal = perProposal(current) {
      let judging = min(perProposal * Double(count), total)
      proposals.seconds += judging
      proposals.work += work[current.sweep].proposals
      rest.seconds += total - judging
      rest.work += work[current.sweep].rest
    }
    self.current = nil
  }

  /// Seconds of one proposal of the current sweep, once there were enough to tell: the first come after
  /// the cache.
  private func perProposal(_ current: Current) -> Double? {
    guard let (start, before) = current.first, let (end, done) = current.last, done > before else {
      return nil
    }
    return (end - start) / .seconds(1) / Double(done - before)
  }

  /// Seconds of a whole sweep; `nil` while there is nothing to tell it from.
  private func expected(_ sweep: Int) -> Double? {
    if let seconds = seconds[sweep] { return seconds }
    guard proposals.work > 0 else { return nil }
    let perRest = rest.work > 0 ? rest.seconds / rest.work : 0
    return work[sweep].proposals * proposals.seconds / proposals.work + work[sweep].rest * perRest
  }

  /// Seconds left of the current sweep.
  ///
  /// - Parameter count: its proposals.
  func sweepLeft(count: Int) -> Double? {
    guard let current, let done = current.last?.done else { return nil }
    if let perProposal = perProposal(current) { return perProposal * Double(count - done) }
    return expected(current.sweep).map { $0 * Double(count - done) / Double(count) }
  }

  /// Seconds left of the run.
  ///
  /// - Parameters:
  ///   - count: proposals of the current sweep.
  ///   - cycles: whole cycles that follow the current one.
  func runLeft(count: Int, cycles: Int) -> Double? {
    guard let current, var left = sweepLeft(count: count) else { return nil }
    for sweep in work.indices {
      let times = cycles + (sweep > current.sweep ? 1 : 0)
      if times == 0 { continue }
      // The current one, before it has ever been finished: as it goes.
      let whole = sweep == current.sweep ? seconds[sweep] ?? asItGoes(count) : expected(sweep)
      guard let whole else { return nil }
      left += whole * Double(times)
    }
    return left
  }

  private func asItGoes(_ count: Int) -> Double? {
    guard let current, let perProposal = perProposal(current), let first = current.first else {
      return nil
    }
    let before = (first.time - current.start) / .seconds(1) - perProposal * Double(first.done)
    return perProposal * Double(count) + max(before, 0)
  }
}
