/// How well a classifier tells each class from the others, by its confusion matrix.
///
///     let scores = try model.evaluate(on: data).scores
///     print(scores.macroF1, scores.classes[3].recall ?? 0)
///
/// The definitions and the averages are those of scikit-learn's `precision_recall_fscore_support`.
public struct ClassScores: Hashable, Sendable {
  /// One entry for every class, in order.
  public let classes: [Class]

  /// One class against all others.
  public struct Class: Hashable, Sendable {
    /// From 0.
    public let label: Int
    /// Number of samples of this class.
    public let samples: Int
    /// Number of samples that were taken for this class, rightly or not.
    public let predicted: Int
    /// Number of samples of this class that were taken for it.
    public let correct: Int

    /// The share of the samples taken for this class that are of it; `nil` if there are none.
    public var precision: Double? { predicted == 0 ? nil : Double(correct) / Double(predicted) }
    /// The share of the samples of this class that were taken for it; `nil` if there are none.
    public var recall: Double? { samples == 0 ? nil : Double(correct) / Double(samples) }
    /// The harmonic mean of precision and recall; `nil` if the class has no samples and none were taken for it.
    public var f1: Double? {
      samples + predicted == 0 ? nil : 2 * Double(correct) / Double(samples + predicted)
    }
  }

  /// - Parameter confusion: `[label][predicted]`, the number of samples; as many columns as rows.
  public init(confusion: [[Int]]) {
    classes = confusion.indices.map { label in
      Class(
        label: label, samples: confusion[label].reduce(0, +),
        predicted: confusion.reduce(0) { $0 + $1[label] }, correct: confusion[label][label])
    }
  }

  /// The mean precision of the classes; of a class that no sample was taken for, it is 0.
  ///
  /// Here and in the other averages, a class without samples that no sample was taken for does not count. The average
  /// of no class is 0.
  public var macroPrecision: Double { average(\.precision) }
  /// The mean recall of the classes; of a class without samples, it is 0.
  public var macroRecall: Double { average(\.recall) }
  /// The mean F1 of the classes.
  public var macroF1: Double { average(\.f1) }

  private func average(_ score: (Class) -> Double?) -> Double {
    let present = classes.filter { $0.f1 != nil }
    guard !present.isEmpty else { return 0 }
    return present.reduce(0) { $0 + (score($1) ?? 0) } / Double(present.count)
  }
}

extension Evaluation {
  /// Precision, recall and F1 of every class, and their averages.
  public var scores: ClassScores { ClassScores(confusion: confusion) }
}

/// The area under the ROC curve: the chance that a sample of class 1 has a higher score than one of class 0, where
/// equal scores count one half.
///
/// It is the Mann–Whitney statistic, from the ranks of the scores, and scikit-learn's `roc_auc_score`.
///
/// - Parameters:
///   - scores: the higher, the more likely class 1; only their order matters. Infinite scores are in order, too.
///   - labels: 0 or 1 for each score.
/// - Returns: 0 to 1; `nil` if one of the classes has no samples, a score is NaN, or there is not a label for each score.
/// - Complexity: O(n log n)
public func areaUnderROCCurve(scores: [Double], labels: [Int]) -> Double? {
  let (negatives, positives) = (labels.count { $0 == 0 }, labels.count { $0 == 1 })
  guard scores.count == labels.count, negatives + positives == labels.count,
    negatives > 0, positives > 0, !scores.contains(where: \.isNaN)
  else { return nil }
  var (last, rank) = (Double?.none, UInt64(0))
  let order = scores.indices.sorted { scores[$0] < scores[$1] }
  return AreaUnderCurve.area(
    sorted: order.map { index in
      if scores[index] != last { (last, rank) = (scores[index], rank + 1) }
      return 2 * rank + UInt64(labels[index])
    })
}

extension Model {
  /// The area under the ROC curve of a network of two classes; `nil` for more, or if a class has no samples.
  ///
  /// The score of a sample is the second logit less the first, which orders samples as the probability of class 1 does.
  ///
  /// - Parameters:
  ///   - data: images of the network's input shape, in two classes.
  ///   - split: the part of them to judge the model by.
  ///   - threads: `nil` for one per core.
  /// - Throws: `RSOError` as `predict` does, or if there are no validation images.
  /// - Complexity: one forward pass over the split, on the CPU: evaluations keep counts, not scores.
  public func areaUnderROCCurve(
    on data: Dataset, _ split: EvaluatedSplit = .test, threads: Int? = nil
  ) throws -> Double? {
    guard network.classes == 2, data.hasLabels else { return nil }
    let samples = try data.samples(split)
    // In single precision, as the metric `auc` has it.
    let scores = try predict(samples.images, threads: threads).map {
      Double($0.logits[1] - $0.logits[0])
    }
    return RSO.areaUnderROCCurve(scores: scores, labels: samples.labels.map(Int.init))
  }
}
