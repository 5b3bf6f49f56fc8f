import RSO

/// How long the rest of a run takes: as long as each tensor took when it was last swept, and where it
/// has not been yet, what its multiply-adds let expect.
struct TimeEstimate {
  /// Multiply-adds of all proposals of a sweep, per sample; only their ratios matter.
  private let work: [Double]
  /// Seconds of the last sweep and the evaluation after it.
  private var seconds: [Double?]
  /// Of sweeps that were watched: seconds of the proposals alone, and their work.
  private var judged = (seconds: 0.0, work: 0.0)
  /// Of the sweeps that were watched: seconds before the first proposal, and after the last.
  private var overhead = (seconds: 0.0, sweeps: 0.0)
  private var current: Current?

  private struct Current {
    var sweep: Int
    var start: ContinuousClock.Instant
    /// When the first run of proposals was done, and how many those were.
    var first: (time: ContinuousClock.Instant, done: Int)?
    var last: (time: ContinuousClock.Instant, done: Int)?
  }

  /// - Parameter earlier: the seconds of sweeps done before, from the run's first.
  init(work: [Double], earlier: [Double] = []) {
    self.work = work
    seconds = Array(repeating: nil, count: work.count)
    for (index, value) in earlier.enumerated() { seconds[index % work.count] = value }
  }

  mutating func begin(sweep: Int, at time: ContinuousClock.Instant) {
    current = Current(sweep: sweep, start: time)
  }

  mutating func judged(_ done: Int, at time: ContinuousClock.Instant) {
    if current?.first == nil { current?.first = (time, done) }
    current?.last = (time, done)
  }

  mutating func end(count: Int, at time: ContinuousClock.Instant) {
    guard let current else { return }
    let total = (time - current.start) / .seconds(1)
    seconds[current.sweep] = total
    if let perProposal = perProposal(current) {
      judged.seconds += perProposal * Double(count)
      judged.work += work[current.sweep]
      overhead.seconds += max(total - perProposal * Double(count), 0)
      overhead.sweeps += 1
    }
    self.current = nil
  }

  /// Seconds of one proposal of the current sweep, once there were enough to tell.
  private func perProposal(_ current: Current) -> Double? {
    guard let (start, before) = current.first, let (end, done) = current.last, done > before else {
      return nil
    }
    return (end - start) / .seconds(1) / Double(done - before)
  }

  /// Seconds of a whole sweep; `nil` while there is nothing to tell it from.
  private func expected(_ sweep: Int) -> Double? {
    if let seconds = seconds[sweep] { return seconds }
    guard judged.work > 0 else { return nil }
    return work[sweep] * judged.seconds / judged.work + overhead.seconds / overhead.sweeps
  }

  /// Seconds left of the current sweep.
  func sweepLeft(count: Int) -> Double? {
    guard let current, let done = current.last?.done else { return nil }
    if let perProposal = perProposal(current) { return perProposal * Double(count - done) }
    return expected(current.sweep).map { $0 * Double(count - done) / Double(count) }
  }

  /// Seconds left of the run.
  ///
  /// - Parameter cycles: whole cycles that follow the current one.
  func runLeft(count: Int, cycles: Int) -> Double? {
    guard let current, var left = sweepLeft(count: count) else { return nil }
    for sweep in work.indices {
      guard let expected = expected(sweep) else { return nil }
      left += expected * Double(cycles + (sweep > current.sweep ? 1 : 0))
    }
    return left
  }
}
