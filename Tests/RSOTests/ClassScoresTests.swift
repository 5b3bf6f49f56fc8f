import Testing

@testable import RSO

/// The numbers are those of scikit-learn 1.9.1: `precision_recall_fscore_support` with `zero_division=0`, for each class
/// and with `average="macro"`, and `roc_auc_score`.
struct ClassScoresTests {
  private static func isClose(_ found: Double?, _ expected: Double) -> Bool {
    abs((found ?? 0) - expected) < 1e-15
  }

  @Test func everyClassAndTheirAverages() {
    let scores = ClassScores(
      confusion: [[50, 3, 0, 2], [5, 30, 0, 1], [0, 0, 0, 0], [4, 0, 0, 9]])
    #expect(scores.classes.map(\.label) == [0, 1, 2, 3])
    #expect(scores.classes.map(\.samples) == [55, 36, 0, 13])
    #expect(scores.classes.map(\.predicted) == [59, 33, 0, 12])
    #expect(scores.classes.map(\.correct) == [50, 30, 0, 9])
    let expected = [
      (0.847457627118644, 0.9090909090909091, 0.8771929824561403),
      (0.9090909090909091, 0.8333333333333334, 0.8695652173913043), (0, 0, 0),
      (0.75, 0.6923076923076923, 0.72),
    ]
    for (found, expected) in zip(scores.classes, expected) {
      #expect(Self.isClose(found.precision, expected.0) && Self.isClose(found.recall, expected.1))
      #expect(Self.isClose(found.f1, expected.2))
    }
    // The third class neither has samples nor is seen: it has no figures and does not count.
    let third = scores.classes[2]
    #expect(third.precision == nil && third.recall == nil && third.f1 == nil)
    #expect(Self.isClose(scores.macroPrecision, 0.8355161787365177))
    #expect(Self.isClose(scores.macroRecall, 0.8115773115773116))
    #expect(Self.isClose(scores.macroF1, 0.8222527332824816))
  }

  /// A class that nothing is taken for counts as 0 in the averages.
  @Test func aClassThatNobodySees() {
    let evaluation = Evaluation(count: 8, loss: 1, confusion: [[3, 1, 0], [2, 0, 0], [1, 1, 0]])
    let scores = evaluation.scores
    #expect(scores.classes.map(\.precision) == [0.5, 0, nil])
    #expect(scores.classes.map(\.recall) == [0.75, 0, 0])
    #expect(scores.classes.map(\.f1) == [0.6, 0, 0])
    #expect(Self.isClose(scores.macroPrecision, 0.16666666666666666))
    #expect(Self.isClose(scores.macroRecall, 0.25))
    #expect(Self.isClose(scores.macroF1, 0.19999999999999998))
    #expect(ClassScores(confusion: []).macroF1 == 0)
  }

  @Test func areas() {
    let scores = [0.1, 0.4, 0.35, 0.8, 0.4, 0.4, 0.9, 0.2, 0.7, 0.4, -1, 0.55]
    let labels = [0, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1]
    #expect(areaUnderROCCurve(scores: scores, labels: labels) == 0.7777777777777778)
    // Only the order matters, and the other way round it is the rest.
    #expect(
      areaUnderROCCurve(scores: scores.map { $0 == 0.9 ? .infinity : $0 * 8 - 3 }, labels: labels)
        == 0.7777777777777778)
    let turned = areaUnderROCCurve(scores: scores.map { -$0 }, labels: labels)
    #expect(Self.isClose(turned, 1 - 0.7777777777777778))
    #expect(areaUnderROCCurve(scores: [1, 1, 1], labels: [0, 1, 1]) == 0.5)
    #expect(areaUnderROCCurve(scores: [0, 1], labels: [0, 1]) == 1)
    for (scores, labels) in [
      ([0.5, 0.6], [1, 1]), ([], []), ([0.5, .nan], [0, 1]), ([0.5], [0, 1]),
      ([0.5, 1, 2], [0, 1, 2]),
    ] { #expect(areaUnderROCCurve(scores: scores, labels: labels) == nil) }
  }

  /// By counting pairs, on a model's own logits; a network of more classes has no curve.
  @Test func aModel() throws {
    let shape = Shape(channels: 1, height: 6, width: 6)
    for classes in [2, 3] {
      let data = try Sample.dataset(shape, classes: classes, train: 40, test: 60, seed: 3)
      let network = try Network(input: shape) {
        Node.flatten("flat")
        Node.linear("fc", features: classes)
      }
      let model = Model(
        network: network, parameters: Parameters(initialFor: network, seed: 9),
        statistics: BatchNormStatistics(), normalization: data.normalization)
      let area = try model.areaUnderROCCurve(on: data, .test, threads: 1)
      guard classes == 2 else {
        #expect(area == nil)
        continue
      }
      let scores = try model.predict(data.test.images).map { $0.logits[1] - $0.logits[0] }
      var (pairs, right) = (0.0, 0.0)
      for (one, label) in zip(scores, data.test.labels) where label == 1 {
        for (other, label) in zip(scores, data.test.labels) where label == 0 {
          pairs += 1
          right += one > other ? 1 : one == other ? 0.5 : 0
        }
      }
      #expect(pairs > 100 && abs((area ?? 0) - right / pairs) < 1e-12)
    }
  }
}
