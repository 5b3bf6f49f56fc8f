import Testing

@testable import RSOCommand

struct TimeEstimateTests {
  private let start = ContinuousClock.now
  private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }
  private func isNear(_ a: Double?, _ b: Double) -> Bool { abs((a ?? -1) - b) < 1e-6 * b + 1e-6 }

  /// Three sweeps of 100 proposals. The tests let them take 0.1 s and 0.001 s for every unit of work,
  /// and 4 s beside the proposals.
  private let work: [TimeEstimate.Work] = [
    .init(proposals: 100, perProposal: 0, rest: 50),
    .init(proposals: 100, perProposal: 900, rest: 50),
    .init(proposals: 100, perProposal: 1900, rest: 50),
  ]

  /// A sweep that went on where it was stopped says how long a proposal takes, and not how long a sweep does.
  @Test func aPartOfASweep() {
    var estimate = TimeEstimate(work: [.init(proposals: 100, perProposal: 1, rest: 0)])
    estimate.begin(sweep: 0, at: at(0), isWhole: false)
    estimate.judged(60, at: at(1))
    estimate.judged(80, at: at(3))
    #expect(isNear(estimate.sweepLeft, 2))
    estimate.end(at: at(5))
    estimate.begin(sweep: 0, at: at(5))
    estimate.judged(0, at: at(5))
    // 100 proposals of a tenth of a second, here and in another cycle.
    #expect(isNear(estimate.runLeft(cycles: 1), 20))
  }

  @Test func learnsFromWhatItWatched() {
    var estimate = TimeEstimate(work: work)
    #expect(estimate.sweepLeft == nil)
    estimate.begin(sweep: 0, at: at(0))
    #expect(estimate.runLeft(cycles: 1) == nil)
    // 3 s for the cache, then 0.1 s each, then 1 s for the evaluation.
    estimate.judged(20, at: at(5))
    #expect(estimate.sweepLeft == nil)
    estimate.judged(40, at: at(7))
    #expect(isNear(estimate.sweepLeft, 6))
    // What more work takes is not known yet.
    #expect(estimate.runLeft(cycles: 0) == nil)
    estimate.judged(100, at: at(13))
    estimate.end(at: at(14))

    estimate.begin(sweep: 1, at: at(14))
    estimate.judged(20, at: at(14 + 3 + 20))
    #expect(estimate.sweepLeft == nil)
    estimate.judged(60, at: at(14 + 3 + 60))
    #expect(isNear(estimate.sweepLeft, 40))
    // The third on the line through the other two: 2 s each, and 4 s.
    #expect(isNear(estimate.runLeft(cycles: 0), 40 + 204))
    #expect(isNear(estimate.runLeft(cycles: 2), 40 + 204 + 2 * (14 + 104 + 204)))
    estimate.judged(100, at: at(117))
    estimate.end(at: at(118))

    // A sweep that was done before is expected to take as long again.
    estimate.begin(sweep: 0, at: at(118))
    estimate.judged(50, at: at(126))
    #expect(isNear(estimate.sweepLeft, 5))
    #expect(isNear(estimate.runLeft(cycles: 0), 5 + 104 + 204))
  }

  /// A cycle of a fifth of the cost, then whole ones.
  @Test func cyclesOfDifferentCost() {
    var estimate = TimeEstimate(work: Array(work.prefix(1)))
    estimate.begin(sweep: 0, cost: 0.2, at: at(0))
    estimate.judged(20, at: at(1))
    estimate.judged(60, at: at(3))
    // 0.05 s each here, 0.25 s in a whole cycle.
    #expect(isNear(estimate.sweepLeft, 2))
    estimate.judged(100, at: at(5))
    estimate.end(at: at(6))
    estimate.begin(sweep: 0, at: at(6))
    estimate.judged(10, at: at(7))
    #expect(isNear(estimate.sweepLeft, 22.5))
    #expect(isNear(estimate.runLeft(cycles: 2.5), 22.5 + 2.5 * 30))
  }

  @Test func oneTensorTellsOfThoseLikeIt() {
    var estimate = TimeEstimate(work: [
      .init(proposals: 10, perProposal: 100, rest: 0),
      .init(proposals: 10, perProposal: 1000, rest: 0),
      .init(proposals: 10, perProposal: 1001, rest: 0),
    ])
    estimate.begin(sweep: 0, at: at(0))
    estimate.judged(1, at: at(0))
    estimate.judged(2, at: at(1))
    #expect(estimate.runLeft(cycles: 0) == nil)
    var alike = TimeEstimate(work: [
      .init(proposals: 10, perProposal: 100, rest: 0),
      .init(proposals: 10, perProposal: 1000, rest: 0),
    ])
    alike.begin(sweep: 0, at: at(0))
    alike.judged(1, at: at(0))
    alike.judged(2, at: at(1))
    #expect(isNear(alike.runLeft(cycles: 0), 8 + 100))
  }

  @Test func aResumedRunKnowsWhatItTookBefore() {
    var estimate = TimeEstimate(work: work, earlier: [10, 100, 300, 20])
    estimate.begin(sweep: 1, at: at(0))
    estimate.judged(50, at: at(30))
    estimate.judged(60, at: at(40))
    #expect(isNear(estimate.sweepLeft, 40))
    #expect(isNear(estimate.runLeft(cycles: 3), 40 + 300 + 3 * 420))
  }

  @Test(arguments: [
    (0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (90061, "1 d 1:01:01"),
    (Double.infinity, "?"),
  ])
  func durations(seconds: Double, text: String) {
    #expect(duration(seconds) == text)
  }
}
