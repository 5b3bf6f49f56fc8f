/// What an engine minimises on a data set, and what it reports besides.
///
/// An engine computes the losses of samples itself and sums them; the rest it leaves to `values(of:_:)`, which needs
/// the network's outputs.
package struct Objective: Sendable {
  /// A loss of samples that takes part in the sum.
  struct SampleTerm: Hashable, Sendable {
    var weight: Double
    var loss: SampleLoss
    /// `[classes]`; empty: all 1.
    var classWeights: [Float]
  }

  /// What the paper minimises.
  package static let crossEntropy = Objective()

  let sampleTerms: [SampleTerm]
  private let metrics: [(weight: Double, metric: Metric)]
  /// In place of all terms.
  private let own: (any BatchLoss)?
  /// Whether `values(of:_:)` are the sums; otherwise each loss of samples is a mean.
  let isSum: Bool
  /// What an evaluation reports besides the loss.
  let reported: [Measure]

  private init() {
    sampleTerms = [SampleTerm(weight: 1, loss: .crossEntropy(), classWeights: [])]
    (metrics, own, isSum, reported) = ([], nil, true, [])
  }

  /// - Parameters:
  ///   - own: the loss to use in place of `loss`.
  ///   - reported: what an evaluation reports besides the loss.
  ///   - classes: the number of outputs of the network.
  /// - Throws: `RSOError` if a loss or metric does not fit the data.
  package init(
    _ loss: Loss, own: (any BatchLoss)? = nil, reported: [Measure] = [], data: Dataset, classes: Int
  ) throws {
    for term in loss.terms where own == nil {
      try Self.check(term.measure, "`loss`", data, classes: classes)
    }
    for measure in reported { try Self.check(measure, "`metrics`", data, classes: classes) }
    self.own = own
    self.reported = reported
    guard own == nil else {
      (sampleTerms, metrics, isSum) = ([], [], false)
      return
    }
    isSum = loss.isSum
    sampleTerms = loss.terms.compactMap { term in
      guard case .sample(let loss) = term.measure else { return nil }
      return SampleTerm(
        weight: term.weight, loss: loss,
        classWeights: loss.classWeights(data.train, classes: classes))
    }
    metrics = loss.terms.compactMap { term in
      guard case .metric(let metric) = term.measure else { return nil }
      return (term.weight, metric)
    }
  }

  private static func check(
    _ measure: Measure, _ subject: String, _ data: Dataset, classes: Int
  ) throws {
    let needsTargets = if case .sample(let loss) = measure { loss.needsTargets } else { false }
    guard needsTargets || data.hasLabels else {
      throw RSOError(
        subject, "'\(measure)' needs classes, found targets only in \(data.name)",
        hint: "for targets: squared-error, absolute-error, quantile=Q or binary-cross-entropy")
    }
    guard needsTargets || classes >= 2 else {
      throw RSOError(
        subject, "'\(measure)' needs two classes or more, found a network with one output")
    }
    guard !needsTargets || data.train.targetCount == classes else {
      throw data.train.targetCount == 0
        ? RSOError(
          subject, "'\(measure)' compares outputs with targets, found labels only in \(data.name)",
          hint: "for classes: cross-entropy, hinge, errors, or a metric")
        : RSOError(
          subject,
          "expected a network with \(data.train.targetCount) outputs, one for each target, "
            + "found \(classes)")
    }
    switch measure {
    case .sample(.binaryCrossEntropy):
      for split in [data.train, data.validation, data.test].compactMap({ $0 }) {
        guard let bad = split.targets.first(where: { !(0...1 ~= $0) }) else { continue }
        throw RSOError(
          subject, "binary-cross-entropy compares with targets from 0 to 1, found \(bad)")
      }
    case .sample(let loss):
      if case .crossEntropy(_, .list(let weights)) = loss, weights.count != classes {
        throw RSOError(
          subject, "expected \(classes) class weights, one for each class, found \(weights.count)")
      }
    case .metric(.topK(let k)):
      guard k < classes else {
        throw RSOError(
          subject, "expected top-k=K with K below the \(classes) classes, found \(k)",
          hint: "all samples have their label among the \(classes) largest outputs")
      }
    case .metric(.auc):
      guard let first = data.train.labels.first, data.train.labels.contains(where: { $0 != first })
      else {
        throw RSOError(
          subject, "auc compares classes, found one class only in \(data.train.names.labels)")
      }
    case .metric: break
    }
  }

  /// Whether it is the paper's, which every engine computes.
  var isCrossEntropy: Bool {
    own == nil && isSum && sampleTerms == Self.crossEntropy.sampleTerms && reported.isEmpty
  }

  /// Whether `values(of:_:)` needs outputs.
  var needsOutputs: Bool { own != nil || !metrics.isEmpty }

  /// The losses of all candidates.
  ///
  /// - Parameters:
  ///   - sums: for each candidate, the sum over samples of the weighted losses of `sampleTerms`; empty without them.
  ///   - outputs: those of the candidates, if `needsOutputs`.
  ///   - samples: the size of the mini-batch.
  ///   - workers: threads that compute metrics, each those of a candidate.
  func values(
    of sums: ShortList<Double>, candidates: Int, samples: Int, workers: Workers? = nil,
    _ outputs: @autoclosure () throws -> Outputs
  ) throws -> ShortList<Double> {
    if isSum { return sums }
    var losses = ShortList<Double>()
    for candidate in 0..<candidates {
      losses.append(sums.isEmpty ? 0 : sums[candidate] / Double(samples))
    }
    guard needsOutputs else { return losses }
    let outputs = try outputs()
    if let own {
      let found = try own.losses(of: outputs)
      guard found.count == outputs.candidates else {
        throw RSOError(
          "loss",
          "expected \(outputs.candidates) numbers, one for each candidate, "
            + "found \(found.count)")
      }
      return ShortList(found)
    }
    let size = outputs.samples.count * outputs.width
    var found = Array(losses)
    outputs.values.withUnsafeBufferPointer { values in
      found.withUnsafeMutableBufferPointer { found in
        let found = found
        func add(_ candidate: Int, _ thread: Int) {
          let rows = UnsafeBufferPointer(
            rebasing: values[candidate * size..<(candidate + 1) * size])
          for (weight, metric) in metrics {
            found[candidate] +=
              weight * metric.loss(rows, width: outputs.width, labels: outputs.labels)
          }
        }
        if let workers {
          workers.run(candidates, add)
        } else {
          for candidate in 0..<candidates { add(candidate, 0) }
        }
      }
    }
    return ShortList(found)
  }

  /// The evaluation of a split.
  ///
  /// - Parameters:
  ///   - sum: the sum over samples of the weighted losses of `sampleTerms`; empty without them.
  ///   - outputs: those of one candidate for all samples of the split.
  func evaluation(sum: ShortList<Double>, _ outputs: Outputs) throws -> Evaluation {
    let count = outputs.samples.count
    let loss = try values(of: sum, candidates: 1, samples: count, outputs)[0]
    var confusion = Evaluation.confusion(classes: outputs.width)
    if outputs.labels.isEmpty { confusion = [] }
    for (sample, label) in outputs.labels.enumerated() {
      let row = outputs[0, sample]
      let predicted = row.indices.reduce(row.startIndex) { row[$1] > row[$0] ? $1 : $0 }
      confusion[Int(label)][predicted - row.startIndex] += 1
    }
    return Evaluation(
      count: count, loss: isSum ? loss : loss * Double(count), confusion: confusion,
      measures: reported.isEmpty ? nil : measures(of: outputs))
  }

  /// What an evaluation reports besides the loss: by name, without what is not finite.
  func measures(of outputs: Outputs) -> [String: Double] {
    var found: [String: Double] = [:]
    for measure in reported {
      let value: Double
      switch measure {
      case .metric(let metric):
        value = outputs.values.withUnsafeBufferPointer {
          metric.value($0, width: outputs.width, labels: outputs.labels)
        }
      case .sample(let loss):
        let weights = sampleTerms.first { $0.loss == loss }?.classWeights ?? []
        let sum = outputs.samples.indices.reduce(0) {
          $0 + outputs.value(of: loss, candidate: 0, sample: $1, weights: weights)
        }
        value = sum / Double(outputs.samples.count)
      }
      if value.isFinite { found["\(measure)"] = value }
    }
    return found
  }
}

extension SampleLoss {
  /// `[classes]`; empty if all classes count 1.
  func classWeights(_ train: Split, classes: Int) -> [Float] {
    guard case .crossEntropy(_, let weights) = self else { return [] }
    switch weights {
    case .equal: return []
    case .list(let weights): return weights.map(Float.init)
    case .balanced:
      var counts = [Int](repeating: 0, count: classes)
      for label in train.labels { counts[Int(label)] += 1 }
      // A class without samples has no part in any loss.
      let occurring = Double(counts.count { $0 > 0 })
      return counts.map { $0 == 0 ? 0 : Float(Double(train.count) / (occurring * Double($0))) }
    }
  }
}
