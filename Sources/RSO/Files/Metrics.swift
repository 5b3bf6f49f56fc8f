/// A line of `metrics.jsonl`: one finished tensor.
package struct Metrics: Hashable, Codable, Sendable {
  package var cycle: Int
  package var parameter: String
  package var keptShare: Double
  /// `nil` if it is infinite or NaN, which JSON cannot express.
  package var meanLoss: Double?
  package var testLoss: Double?
  package var testAccuracy: Double
  package var bestAccuracy: Double
  /// Seconds of the search, and below those of the evaluation; only they differ between two equal runs.
  package var seconds: Double
  package var evaluationSeconds: Double

  package init(_ report: RandomSearch.SweepReport, bestAccuracy: Double) {
    cycle = report.cycle
    parameter = report.parameter
    keptShare = report.keptShare
    meanLoss = report.meanLoss.isFinite ? report.meanLoss : nil
    testLoss = report.test.meanLoss.isFinite ? report.test.meanLoss : nil
    testAccuracy = report.test.accuracy
    self.bestAccuracy = bestAccuracy
    seconds = (report.seconds * 1000).rounded() / 1000
    evaluationSeconds = (report.evaluationSeconds * 1000).rounded() / 1000
  }

  /// The metrics as JSON, with the keys in reading order.
  package var line: String {
    """
    {"cycle":\(cycle),"parameter":"\(parameter)","keptShare":\(keptShare),\
    "meanLoss":\(json(meanLoss)),"testLoss":\(json(testLoss)),"testAccuracy":\(testAccuracy),\
    "bestAccuracy":\(bestAccuracy),"seconds":\(seconds),"evaluationSeconds":\(evaluationSeconds)}
    """
  }
}

/// A number in JSON, in the shortest form that reads back the same; `null` unless it is finite.
func json(_ value: Double?) -> String {
  value.map { $0.isFinite ? "\($0)" : "null" } ?? "null"
}
