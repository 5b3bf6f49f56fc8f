/// A line of `metrics.jsonl`: one finished tensor.
package struct Metrics: Hashable, Codable, Sendable {
  package var cycle: Int
  package var parameter: String
  package var keptShare: Double
  /// `nil` where it is infinite or NaN, which JSON cannot say.
  package var meanLoss: Double?
  package var testLoss: Double?
  package var testAccuracy: Double
  package var bestAccuracy: Double
  /// Of the search and of the evaluation; the only figures that differ between two equal runs.
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

  /// JSON, with the keys in the order that people read them in.
  package var line: String {
    """
    {"cycle":\(cycle),"parameter":"\(parameter)","keptShare":\(keptShare),\
    "meanLoss":\(json(meanLoss)),"testLoss":\(json(testLoss)),"testAccuracy":\(testAccuracy),\
    "bestAccuracy":\(bestAccuracy),"seconds":\(seconds),"evaluationSeconds":\(evaluationSeconds)}
    """
  }
}

/// The lines of a trace: one proposal and what became of it, for a check by an independent program.
package enum Trace {
  /// JSON. `losses` are sums over the mini-batch in the order of `candidates`, which begin with the
  /// decayed weight; a loss that is infinite or was NaN is `null`. All floats have full precision.
  package static func line(
    _ proposal: Proposal, _ decision: Decision, cycle: Int, parameter: String
  ) -> String {
    let candidates = proposal.candidates.map { json(Double($0)) }.joined(separator: ",")
    let losses = decision.losses.map { json($0) }.joined(separator: ",")
    return """
      {"cycle":\(cycle),"parameter":"\(parameter)","index":\(proposal.element),\
      "batch":\(proposal.batch),"delta":\(json(Double(proposal.delta))),\
      "candidates":[\(candidates)],"losses":[\(losses)],"choice":\(decision.choice)}
      """
  }
}

/// A number in JSON; the shortest form that reads back as the same.
private func json(_ value: Double?) -> String {
  value.map { $0.isFinite ? "\($0)" : "null" } ?? "null"
}
