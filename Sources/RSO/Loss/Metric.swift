import Foundation

/// A number that only all samples together have, from labels and predicted classes or scores; the larger the better.
///
/// As a loss, a metric stands for 1 − its value. docs/losses.md has the formulas, which are scikit-learn's.
public enum Metric: Hashable, Sendable {
  /// The share of samples whose largest output is the label's.
  case accuracy
  /// The mean of the F1 scores of the classes that occur among labels or predictions.
  case macroF1
  /// The mean of the recalls of the classes that occur among labels.
  case balancedAccuracy
  /// Cohen's kappa with quadratic weights, for classes in an order; 1 if all labels and predictions are one class.
  case kappa
  /// The area under the ROC curve: of the second class for two classes, else the mean of each class against the rest.
  case auc
  /// The share of samples whose label is among the `k` largest outputs.
  case topK(Int)
}

extension Metric: CustomStringConvertible {
  static let names = ["accuracy", "macro-f1", "balanced-accuracy", "kappa", "auc", "top-k=K"]

  /// As on the command line: `macro-f1`, `top-k=5`.
  public var description: String {
    switch self {
    case .accuracy: "accuracy"
    case .macroF1: "macro-f1"
    case .balancedAccuracy: "balanced-accuracy"
    case .kappa: "kappa"
    case .auc: "auc"
    case .topK(let k): "top-k=\(k)"
    }
  }

  /// - Returns: `nil` if the name is not that of a metric.
  init?(_ text: String, subject: String) throws {
    switch text {
    case "accuracy": self = .accuracy
    case "macro-f1": self = .macroF1
    case "balanced-accuracy": self = .balancedAccuracy
    case "kappa": self = .kappa
    case "auc": self = .auc
    default:
      guard text.prefix(while: { $0 != "=" && $0 != ":" }) == "top-k" else { return nil }
      guard let k = Int(text.dropFirst("top-k=".count)), k >= 1 else {
        throw RSOError(subject, "expected top-k=K with K from 1 on, found '\(text)'")
      }
      self = .topK(k)
    }
  }
}

// MARK: Values

extension Metric {
  /// The metric of one candidate's outputs.
  ///
  /// - Parameters:
  ///   - outputs: `[samples][width]`
  ///   - labels: `[samples]`, each below `width`.
  /// - Returns: NaN if an output is not finite, or for `auc` if the labels are of one class only.
  /// - Complexity: O(samples · width)
  func value(
    _ outputs: UnsafeBufferPointer<Float>, width: Int, labels: [Int32]
  ) -> Double {
    guard Self.areFinite(outputs) else { return .nan }
    switch self {
    case .accuracy: return Self.topK(1, outputs, width, labels)
    case .topK(let k): return Self.topK(k, outputs, width, labels)
    case .macroF1, .balancedAccuracy, .kappa:
      return value(confusion: Self.confusion(outputs, width, labels), width: width)
    case .auc: return AreaUnderCurve.value(outputs, width: width, labels: labels)
    }
  }

  /// What stands for the metric in a loss: 1 − its value.
  ///
  /// A mini-batch of one class has no area under a curve. Then `auc` counts as 0.5, as if the outputs said nothing.
  func loss(
    _ outputs: UnsafeBufferPointer<Float>, width: Int, labels: [Int32]
  ) -> Double {
    let value = value(outputs, width: width, labels: labels)
    return value.isNaN && self == .auc && Self.areFinite(outputs) ? 0.5 : 1 - value
  }

  private static func areFinite(_ outputs: UnsafeBufferPointer<Float>) -> Bool {
    let exponent = Float.infinity.bitPattern
    return outputs.reduce(true) { $0 && $1.bitPattern & exponent != exponent }
  }

  /// A metric of predicted classes.
  ///
  /// - Parameter confusion: `[label][predicted]`, the number of samples.
  private func value(confusion: [Int], width: Int) -> Double {
    let classes = 0..<width
    let samples = classes.map { label in classes.reduce(0) { $0 + confusion[label * width + $1] } }
    let predicted = classes.map { c in classes.reduce(0) { $0 + confusion[$1 * width + c] } }
    func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
    switch self {
    case .macroF1:
      return mean(
        classes.filter { samples[$0] + predicted[$0] > 0 }.map {
          2 * Double(confusion[$0 * width + $0]) / Double(samples[$0] + predicted[$0])
        })
    case .balancedAccuracy:
      return mean(
        classes.filter { samples[$0] > 0 }.map {
          Double(confusion[$0 * width + $0]) / Double(samples[$0])
        })
    default:
      let count = Double(samples.reduce(0, +))
      var (observed, expected) = (0.0, 0.0)
      for label in classes {
        for c in classes {
          let distance = Double((label - c) * (label - c))
          observed += distance * Double(confusion[label * width + c])
          expected += distance * Double(samples[label]) * Double(predicted[c]) / count
        }
      }
      return observed == 0 ? 1 : 1 - observed / expected
    }
  }

  /// `[label][predicted]`: the number of samples. The predicted class is the first of the largest outputs.
  private static func confusion(
    _ outputs: UnsafeBufferPointer<Float>, _ width: Int, _ labels: [Int32]
  ) -> [Int] {
    var counts = [Int](repeating: 0, count: width * width)
    for (sample, label) in labels.enumerated() {
      let start = sample * width
      var best = 0
      for c in 1..<max(width, 1) where outputs[start + c] > outputs[start + best] { best = c }
      counts[Int(label) * width + best] += 1
    }
    return counts
  }

  private static func topK(
    _ k: Int, _ outputs: UnsafeBufferPointer<Float>, _ width: Int, _ labels: [Int32]
  ) -> Double {
    var right = 0
    for (sample, label) in labels.enumerated() {
      let (start, label) = (sample * width, Int(label))
      let own = outputs[start + label]
      var above = 0
      for c in 0..<width {
        let other = outputs[start + c]
        above += other > own || other == own && c < label ? 1 : 0
      }
      right += above < k ? 1 : 0
    }
    return Double(right) / Double(labels.count)
  }
}
