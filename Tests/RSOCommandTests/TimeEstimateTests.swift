import Testing

@testable import RSOCommand

struct TimeEstimateTests {
  private let start = ContinuousClock.now
  private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }
  private func isNear(_ a: Double?, _ b: Double) -> Bool { abs((a ?? -1) - b) < 1e-6 * b + 1e-6 }

  /// Two sweeps of 100 proposals, the second ten times the work; both take 4 s beside the proposals.
  private let work: [TimeEstimate.Work] = [
    .init(proposals: 1000, rest: 50), .init(proposals: 10000, rest: 50),
  ]

  @Test func learnsFromWhatItWatched() {
    var estimate = TimeEstimate(work: work)
    #expect(estimate.sweepLeft(count: 100) == nil)
    estimate.begin(sweep: 0, at: at(0))
    #expect(estimate.runLeft(count: 100, cycles: 1) == nil)
    // 3 s for the cache, then 0.1 s each, then 1 s for the evaluation.
    estimate.judged(20, at: at(5))
    #expect(estimate.sweepLeft(count: 100) == nil)
    estimate.judged(40, at: at(7))
    #expect(isNear(estimate.sweepLeft(count: 100), 6))
    // What the other sweep takes is not known yet.
    #expect(estimate.runLeft(count: 100, cycles: 0) == nil)
    estimate.judged(100, at: at(13))
    estimate.end(count: 100, at: at(14))

    estimate.begin(sweep: 1, at: at(14))
    estimate.judged(20, at: at(14 + 3 + 20))
    // Nothing of its own to go by: 100 s and 4 s by its work, of which a fifth is done.
    #expect(isNear(estimate.sweepLeft(count: 100), 104 * 0.8))
    estimate.judged(60, at: at(14 + 3 + 60))
    #expect(isNear(estimate.sweepLeft(count: 100), 40))
    // Two more cycles: 14 s as measured, and 103 s as this one goes.
    #expect(isNear(estimate.runLeft(count: 100, cycles: 2), 40 + 2 * (14 + 103)))
    estimate.judged(100, at: at(117))
    estimate.end(count: 100, at: at(118))

    // A sweep that was done before is expected to take as long again.
    estimate.begin(sweep: 0, at: at(118))
    estimate.judged(50, at: at(126))
    #expect(isNear(estimate.sweepLeft(count: 100), 7))
    #expect(isNear(estimate.runLeft(count: 100, cycles: 0), 7 + 104))
  }

  @Test func aResumedRunKnowsWhatItTookBefore() {
    var estimate = TimeEstimate(work: work, earlier: [10, 100, 20])
    estimate.begin(sweep: 1, at: at(0))
    estimate.judged(50, at: at(30))
    #expect(isNear(estimate.sweepLeft(count: 100), 50))
    #expect(isNear(estimate.runLeft(count: 100, cycles: 3), 50 + 3 * 120))
  }

  @Test(arguments: [
    (0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (90061, "1 d 1:01:01"),
    (Double.infinity, "?"),
  ])
  func durations(seconds: Double, text: String) {
    #expect(duration(seconds) == text)
  }
}
