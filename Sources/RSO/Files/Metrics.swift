/// A line of `metrics.jsonl`: the untrained network, or one finished tensor.
package struct Metrics: Hashable, Sendable {
  package var cycle: Int
  /// `nil` for the untrained network.
  package var parameter: String?
  /// `nil` for the untrained network, and for a rule that changes every element.
  package var keptShare: Double?
  /// `nil` for the untrained network, and if it is infinite or NaN, which JSON cannot express.
  package var meanLoss: Double?
  /// The split that judges the weights: validation if the run has validation images, else test.
  package var split: EvaluatedSplit
  /// On `split`, per sample; `nil` if it is not finite.
  package var loss: Double?
  /// On `split`; `nil` if the weights were not evaluated after this tensor, or the samples have no classes.
  package var accuracy: Double?
  /// The best accuracy on `split` so far; `nil` for the untrained network.
  package var bestAccuracy: Double?
  /// Samples in each mini-batch; `nil` for the untrained network, and in runs of versions that did not write it.
  package var batch: Int?
  /// The standard deviation of proposals; `nil` as `batch` is.
  package var sigma: Double?
  /// How far the elements moved beyond their decay, as a root mean square, in `sigma`; `nil` as `batch` is.
  package var step: Double?
  /// What the run has done so far; `nil` in runs of versions that did not write it.
  package var totals: Totals?
  /// Seconds of the search, and below those of the evaluation; only times differ between two equal runs.
  package var seconds: Double
  package var evaluationSeconds: Double
  /// What the evaluation reported besides, by name; `nil` if nothing was asked for.
  package var measures: [String: Double]?
  /// The best model on the test images; only in the last line of a finished run with validation images.
  package var test: Checkpoint.Best.Result?

  /// What a run has done from its start to the end of a tensor.
  package struct Totals: Hashable, Sendable {
    package var proposals = 0
    /// Losses computed.
    package var evaluations = 0
    /// Of all searches and evaluations; time between sessions does not count.
    package var seconds = 0.0
    package init() {}
  }

  /// The untrained network.
  package init(untrained evaluation: Evaluation, _ split: EvaluatedSplit, seconds: Double) {
    cycle = 0
    self.split = split
    loss = evaluation.meanLoss.isFinite ? evaluation.meanLoss : nil
    accuracy = evaluation.hasClasses ? evaluation.accuracy : nil
    measures = evaluation.measures
    self.seconds = 0
    evaluationSeconds = milliseconds(seconds)
    totals = Totals()
    totals?.seconds = evaluationSeconds
  }

  /// A finished tensor.
  ///
  /// - Parameter earlier: what the run had done before; `nil` if that is not known.
  package init(
    _ report: RandomSearch.SweepReport, bestAccuracy: Double?, after earlier: Totals?,
    test: Checkpoint.Best.Result? = nil
  ) {
    cycle = report.cycle
    parameter = report.parameter
    keptShare = report.keptShare
    meanLoss = report.meanLoss.isFinite ? report.meanLoss : nil
    split = report.split
    loss = report.evaluation.flatMap { $0.meanLoss.isFinite ? $0.meanLoss : nil }
    accuracy = report.evaluation.flatMap { $0.hasClasses ? $0.accuracy : nil }
    measures = report.evaluation?.measures
    self.bestAccuracy = bestAccuracy
    batch = report.batchSize
    sigma = report.deviation
    step = report.step.isFinite ? report.step : nil
    seconds = milliseconds(report.seconds)
    evaluationSeconds = milliseconds(report.evaluationSeconds)
    totals = earlier
    totals?.proposals += report.proposals
    totals?.evaluations += report.evaluations
    totals?.seconds = milliseconds((earlier?.seconds ?? 0) + seconds + evaluationSeconds)
    self.test = test
  }

  /// Whether these weights are better than the best model.
  package func isBetter(than best: Checkpoint.Best, byLoss: Bool) -> Bool {
    byLoss
      ? loss ?? .infinity < best.loss ?? .infinity : accuracy ?? 0 > best.accuracy ?? 0
  }

  /// Whether the weights were evaluated.
  package var isEvaluated: Bool { loss != nil || accuracy != nil }

  /// The metrics as JSON, with the keys in reading order.
  package var line: String {
    let name = parameter.map(quoted) ?? "null"
    let measures = measures.map { measures in
      let pairs = measures.sorted { $0.key < $1.key }.map { "\(quoted($0)):\(json($1))" }
      return ",\"metrics\":{\(pairs.joined(separator: ","))}"
    }
    let test =
      test.map { ",\"testLoss\":\(json($0.loss)),\"testAccuracy\":\(json($0.accuracy))" } ?? ""
    return """
      {"cycle":\(cycle),"parameter":\(name),"keptShare":\(json(keptShare)),\
      "meanLoss":\(json(meanLoss)),"\(split)Loss":\(json(loss)),"\(split)Accuracy":\(json(accuracy)),\
      "bestAccuracy":\(json(bestAccuracy)),"seconds":\(seconds),\
      "evaluationSeconds":\(evaluationSeconds),"batch":\(number(batch)),"sigma":\(json(sigma)),"step":\(json(step)),\
      "proposals":\(number(totals?.proposals)),"evaluations":\(number(totals?.evaluations)),\
      "totalSeconds":\(json(totals?.seconds))\(measures ?? "")\(test)}
      """
  }
}

extension Metrics: Decodable {
  private enum Key: String, CodingKey {
    case cycle, parameter, keptShare, meanLoss, bestAccuracy, batch, sigma, step
    case proposals, evaluations
    case seconds, evaluationSeconds, totalSeconds, metrics
    case validationLoss, validationAccuracy, testLoss, testAccuracy
  }

  package init(from decoder: any Decoder) throws {
    let line = try decoder.container(keyedBy: Key.self)
    cycle = try line.decode(Int.self, forKey: .cycle)
    parameter = try line.decode(String?.self, forKey: .parameter)
    keptShare = try line.decodeIfPresent(Double.self, forKey: .keptShare)
    meanLoss = try line.decodeIfPresent(Double.self, forKey: .meanLoss)
    bestAccuracy = try line.decodeIfPresent(Double.self, forKey: .bestAccuracy)
    if line.contains(.validationAccuracy) {
      split = .validation
      loss = try line.decodeIfPresent(Double.self, forKey: .validationLoss)
      accuracy = try line.decodeIfPresent(Double.self, forKey: .validationAccuracy)
      if line.contains(.testAccuracy) {
        test = .init(
          accuracy: try line.decodeIfPresent(Double.self, forKey: .testAccuracy),
          loss: try line.decodeIfPresent(Double.self, forKey: .testLoss))
      }
    } else {
      split = .test
      loss = try line.decodeIfPresent(Double.self, forKey: .testLoss)
      accuracy = try line.decode(Double?.self, forKey: .testAccuracy)
    }
    measures = try line.decodeIfPresent([String: Double].self, forKey: .metrics)
    batch = try line.decodeIfPresent(Int.self, forKey: .batch)
    sigma = try line.decodeIfPresent(Double.self, forKey: .sigma)
    step = try line.decodeIfPresent(Double.self, forKey: .step)
    seconds = try line.decode(Double.self, forKey: .seconds)
    evaluationSeconds = try line.decode(Double.self, forKey: .evaluationSeconds)
    if let proposals = try line.decodeIfPresent(Int.self, forKey: .proposals) {
      var totals = Totals()
      totals.proposals = proposals
      totals.evaluations = try line.decode(Int.self, forKey: .evaluations)
      totals.seconds = try line.decode(Double.self, forKey: .totalSeconds)
      self.totals = totals
    }
  }
}

extension Metrics {
  /// Whether its numbers can be those of a run; sums of them then do not overflow.
  private var isPlausible: Bool {
    0..<1_000_000 ~= cycle && 0..<1e12 ~= seconds && 0..<1e12 ~= evaluationSeconds
      && totals.map {
        0..<1 << 60 ~= $0.proposals && 0..<1 << 60 ~= $0.evaluations && 0..<1e12 ~= $0.seconds
      } ?? true
  }

  /// The lines of a file up to a number of finished tensors, and the bytes they take. A line for the untrained network
  /// comes first, except in runs of versions that did not write it.
  ///
  /// - Parameters:
  ///   - count: the number of finished tensors.
  ///   - file: the file's name in errors.
  /// - Returns: `nil` for the metrics if there are fewer lines, with the number of finished tensors found.
  static func read(
    _ bytes: [UInt8], count: Int, file: String
  ) throws -> (metrics: [Metrics]?, tensors: Int, bytes: Int) {
    var metrics: [Metrics] = []
    var (tensors, start) = (0, 0)
    while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
      if tensors == count, start > 0 { break }
      let line: Metrics = try JSONDocument(
        bytes[start..<end], name: file, line: metrics.count + 1
      ).decode()
      guard line.isPlausible else {
        throw RSOError(
          "\(file), line \(metrics.count + 1)",
          "expected a cycle, counts and seconds of 0 or more, found \(line.line)")
      }
      guard line.parameter != nil || metrics.isEmpty else {
        throw RSOError(
          "\(file), line \(metrics.count + 1)",
          "expected a finished tensor, found the untrained network")
      }
      if line.parameter != nil {
        if tensors == count { break }
        tensors += 1
      }
      metrics.append(line)
      start = end + 1
    }
    return (tensors == count ? metrics : nil, tensors, start)
  }
}

/// Seconds, to the millisecond.
private func milliseconds(_ seconds: Double) -> Double { (seconds * 1000).rounded() / 1000 }

private func number(_ value: Int?) -> String { value.map { "\($0)" } ?? "null" }

/// A number in JSON, in the shortest form that reads back the same; `null` unless it is finite.
func json(_ value: Double?) -> String {
  value.map { $0.isFinite ? "\($0)" : "null" } ?? "null"
}
