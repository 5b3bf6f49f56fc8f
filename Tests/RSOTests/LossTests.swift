import Foundation
import Testing

@testable import RSO

/// Losses and metrics by their definitions.
struct LossTests {
  /// Outputs of 60 samples and their labels, as the program that made the expected values has them.
  private static func sample(
    width: Int, rounded: Bool = false
  ) -> (outputs: [Float], labels: [Int32]) {
    var outputs: [Float] = []
    var labels: [Int32] = []
    for i in 0..<60 {
      var row = (0..<width).map { c in
        Float(sin(1.3 * Double(i) + 2.1 * Double(c * c) + 0.37 * Double(i * c)))
      }
      if rounded { row = row.map { ($0 * 4).rounded(.toNearestOrEven) / 4 } }
      let largest = largestIndex(row.map(Double.init))
      let period = width == 2 ? 2 : 3
      labels.append(Int32(i % period == 0 ? largest : (7 * i * i + 3 * i) % width))
      outputs += row
    }
    return (outputs, labels)
  }

  private static func sum(_ loss: SampleLoss, weights: [Float] = []) -> Double {
    let (outputs, labels) = sample(width: 4)
    return (0..<60).reduce(0) { total, i in
      let targets = (0..<4).map { Float(cos(0.7 * Double(i) + Double($0))) }
      return total
        + loss(
          outputs[4 * i..<4 * i + 4].map(Double.init), label: Int(labels[i]),
          targets: (loss == .binaryCrossEntropy ? targets.map { $0 > 0 ? 1 : 0 } : targets)[...],
          weights: weights)
    }
  }

  /// scikit-learn 1.9 on the same numbers: log_loss, hinge_loss, zero_one_loss, mean_squared_error,
  /// mean_absolute_error, mean_pinball_loss; PyTorch 2.9: cross_entropy with weights and smoothing,
  /// binary_cross_entropy_with_logits.
  @Test func lossesOfSamplesAreThoseOfOtherLibraries() throws {
    func near(_ a: Double, _ b: Double) -> Bool { abs(a - b) < 1e-6 * abs(b) }
    #expect(near(Self.sum(.crossEntropy()), 82.99033161442907))
    #expect(
      near(
        Self.sum(.crossEntropy(smoothing: 0.1), weights: [1, 2, 0.5, 0]), 65.21999020822848))
    #expect(near(Self.sum(.hinge), 82.49702622415498))
    #expect(Self.sum(.errors) == 32)
    #expect(near(Self.sum(.squaredError) / 60, 0.9894970127637397))
    #expect(near(Self.sum(.absoluteError) / 60, 0.8001105993942474))
    #expect(near(Self.sum(.quantile(0.9)) / 60, 0.39023525772223366))
    #expect(near(Self.sum(.binaryCrossEntropy) / 60, 0.7531296868872754))
  }

  private func value(_ metric: Metric, _ outputs: [Float], _ width: Int, _ labels: [Int32])
    -> Double
  {
    outputs.withUnsafeBufferPointer { metric.value($0, width: width, labels: labels) }
  }

  /// scikit-learn 1.9: accuracy_score, f1_score, balanced_accuracy_score, cohen_kappa_score, roc_auc_score,
  /// top_k_accuracy_score.
  @Test func metricsAreScikitLearns() throws {
    let (outputs, labels) = Self.sample(width: 4)
    for (metric, expected) in [
      (Metric.accuracy, 0.4666666666666667), (.macroF1, 0.4553020079335869),
      (.balancedAccuracy, 0.6923076923076923), (.kappa, 0.3632385120350109),
      (.auc, 0.721780058177117), (.topK(2), 0.65), (.topK(1), 0.4666666666666667),
    ] {
      let found = value(metric, outputs, 4, labels)
      #expect(abs(found - expected) < 1e-12, "\(metric): \(found)")
    }
    // Two classes, with equal scores.
    let (two, twoLabels) = Self.sample(width: 2, rounded: true)
    #expect(abs(value(.auc, two, 2, twoLabels) - 0.8911620294599019) < 1e-12)
    // Labels of one class, predictions of three.
    let ones = [Int32](repeating: 1, count: 7)
    #expect(abs(value(.macroF1, Array(outputs[..<28]), 4, ones) - 0.14814814814814814) < 1e-12)
    #expect(
      abs(value(.balancedAccuracy, Array(outputs[..<28]), 4, ones) - 0.2857142857142857) < 1e-12)
  }

  @Test func scoresAreRankedAsSortingRanksThem() throws {
    let philox = Philox(seed: 4)
    let scores = (0..<500).map { i -> Float in
      let x = philox.normal(.initialisation, cycle: 0, tensor: 0, element: i)
      // Negative, positive, both zeros, many equal, and very small.
      return i % 5 == 0
        ? Float(x.rounded()) : i % 7 == 0 ? -0.0 : i % 3 == 0 ? Float(x * 1e-39) : Float(x)
    }
    let labels = (0..<500).map { Int32($0 * $0 % 3 == 1 ? 1 : 0) }
    var wins = 0.0
    for a in 0..<500 where labels[a] == 1 {
      for b in 0..<500 where labels[b] == 0 {
        wins += scores[a] > scores[b] ? 1 : scores[a] == scores[b] ? 0.5 : 0
      }
    }
    let positives = Double(labels.count { $0 == 1 })
    let expected = wins / positives / (500 - positives)
    // For two classes, the score is the difference of the outputs.
    #expect(abs(value(.auc, scores.flatMap { [0, $0] }, 2, labels) - expected) < 1e-12)
    let area = areaUnderROCCurve(scores: scores.map(Double.init), labels: labels.map(Int.init))
    #expect(abs((area ?? 0) - expected) < 1e-12)
  }

  @Test func whatIsNotFiniteHasNoValue() throws {
    var (outputs, labels) = Self.sample(width: 4)
    // One class only: nothing to compare, and as a loss no reason to change anything.
    let ones = [Int32](repeating: 1, count: 60)
    #expect(value(.auc, outputs, 4, ones).isNaN)
    outputs.withUnsafeBufferPointer { #expect(Metric.auc.loss($0, width: 4, labels: ones) == 0.5) }
    // All right, or all of one class.
    #expect(value(.kappa, [0, 1, 0, 1], 2, [1, 1]) == 1)
    for bad in [Float.nan, .infinity, -.infinity] {
      outputs[17] = bad
      for metric in [Metric.accuracy, .macroF1, .balancedAccuracy, .kappa, .auc, .topK(2)] {
        #expect(value(metric, outputs, 4, labels).isNaN, "\(metric)")
        outputs.withUnsafeBufferPointer {
          #expect(metric.loss($0, width: 4, labels: labels).isNaN, "\(metric)")
        }
      }
      #expect(SampleLoss.errors([0, Double(bad)], label: 0).isNaN)
    }
    labels = []
  }

  @Test(arguments: [
    "cross-entropy", "hinge", "errors", "squared-error", "quantile=0.9", "binary-cross-entropy",
    "macro-f1", "top-k=5", "macro-f1 + 0.1 cross-entropy", "kappa + 2 hinge + 0.5 auc",
    "cross-entropy:smoothing=0.1,weights=1/2/0", "0.001 cross-entropy:weights=balanced + accuracy",
  ])
  func readsWhatItWrites(text: String) throws {
    let loss = try Loss(text)
    #expect("\(loss)" == text)
    let coded = try JSONDecoder().decode(Loss.self, from: JSONEncoder().encode(loss))
    #expect(coded == loss)
  }

  @Test func readsExponentsAndSpaces() throws {
    #expect(try Loss("1e+3 auc+1e-3  hinge") == Loss("1000 auc + 0.001 hinge"))
    #expect(try Loss("hinge").isSum && Loss("errors").isSum)
    #expect(try !Loss("0.5 hinge").isSum && !Loss("auc").isSum && !Loss("hinge + errors").isSum)
  }

  @Test(arguments: [
    ("f1", "expected cross-entropy, hinge, errors, squared-error"), ("", "expected names"),
    ("hinge +", "expected names"), ("-1 hinge", "a weight above 0, found '-1'"),
    ("nan hinge", "a weight above 0"), ("1 2 hinge", "expected names"),
    ("quantile=1", "Q above 0 and below 1"), ("quantile", "Q above 0 and below 1"),
    ("top-k=0", "K from 1 on"), ("top-k", "K from 1 on"),
    ("cross-entropy:", "smoothing=E"), ("cross-entropy:smoothing=1", "smoothing=E"),
    ("cross-entropy:weights=1/x", "smoothing=E"), ("cross-entropy:weights=0/0", "smoothing=E"),
    ("cross-entropy=1", "expected cross-entropy, hinge"),
  ])
  func whatIsWrong(text: String, problem: String) throws {
    let error = #expect(throws: RSOError.self) { try Loss(text) }
    #expect(error?.problem.contains(problem) ?? false, "\(error?.description ?? "")")
    #expect(error?.subject == "`loss`")
  }

  @Test func whatDoesNotFitTheData() throws {
    let shape = Shape(channels: 1, height: 2, width: 2)
    func data(_ labels: [Int32]) throws -> Dataset {
      let split = try Split(
        images: [UInt8](repeating: 1, count: 4 * labels.count), labels: labels, shape: shape)
      return try Dataset(name: "four", train: split, test: split, classes: 3)
    }
    let three = try data([0, 1, 2, 0, 0, 0])
    func problem(_ text: String, _ data: Dataset) -> String {
      let error = #expect(throws: RSOError.self, "\(text)") {
        _ = try Objective(Loss(text), data: data, classes: 3)
      }
      return error?.description ?? ""
    }
    #expect(problem("squared-error", three).contains("compares outputs with targets"))
    #expect(problem("cross-entropy:weights=1/2", three).contains("expected 3 class weights"))
    #expect(problem("top-k=3", three).contains("K below the 3 classes"))
    #expect(problem("auc", try data([1, 1, 1])).contains("found one class only"))
    // scikit-learn's compute_class_weight('balanced').
    let balanced = try Objective(
      Loss("cross-entropy:weights=balanced"), data: three, classes: 3)
    #expect(balanced.sampleTerms[0].classWeights == [0.5, 2, 2])
  }
}
