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

/// The area under the ROC curve, from the ranks of the scores: the share of pairs of a positive and a negative sample
/// in which the positive one has the larger score; equal scores count half.
enum AreaUnderCurve {
  /// - Parameters:
  ///   - outputs: `[samples][width]`
  /// - Returns: for two classes, the area of the second; else the mean over the classes that occur, by the
  ///   probabilities of a softmax. NaN if the labels are of one class only.
  static func value(
    _ outputs: UnsafeBufferPointer<Float>, width: Int, labels: [Int32]
  ) -> Double {
    var scores = [Float](repeating: 0, count: labels.count)
    if width == 2 {
      for sample in labels.indices {
        scores[sample] = outputs[2 * sample + 1] - outputs[2 * sample]
      }
      return area(scores, labels: labels, positive: 1)
    }
    // The logarithm of a probability orders samples as the probability does.
    let normalisers = labels.indices.map { sample in
      let row = outputs[sample * width..<(sample + 1) * width]
      let largest = row.reduce(-.infinity, max)
      return largest + log(row.reduce(Float(0)) { $0 + exp($1 - largest) })
    }
    var (sum, count) = (0.0, 0)
    for c in 0..<width where labels.contains(Int32(c)) {
      for sample in labels.indices {
        scores[sample] = outputs[sample * width + c] - normalisers[sample]
      }
      sum += area(scores, labels: labels, positive: Int32(c))
      count += 1
    }
    return sum / Double(count)
  }

  /// - Returns: NaN if there are no positive or no negative samples.
  static func area(_ scores: [Float], labels: [Int32], positive: Int32) -> Double {
    let order = sorted(scores)
    // The sum of the ranks of the positive samples, doubled; equal scores share the mean of their ranks.
    var (ranks, positives, start) = (0, 0, 0)
    while start < order.count {
      var (end, own) = (start, 0)
      let score = scores[Int(order[start])]
      while end < order.count, scores[Int(order[end])] == score {
        own += labels[Int(order[end])] == positive ? 1 : 0
        end += 1
      }
      ranks += own * (start + end + 1)
      positives += own
      start = end
    }
    let negatives = labels.count - positives
    let pairs = Double(positives) * Double(negatives)
    return (Double(ranks) / 2 - Double(positives) * Double(positives + 1) / 2) / pairs
  }

  /// The indices in ascending order of the scores. Sorts by digits of 11 bits: several times as fast as comparing.
  private static func sorted(_ scores: [Float]) -> [UInt32] {
    // As integers in the order of the floats; −0 equals 0.
    let keys = scores.map { score in
      let bits = (score + 0).bitPattern
      return bits & 0x8000_0000 == 0 ? bits | 0x8000_0000 : ~bits
    }
    var order = (0..<UInt32(scores.count)).map { $0 }
    var next = order
    for shift in [UInt32(0), 11, 22] {
      var starts = [Int](repeating: 0, count: 2049)
      for key in keys { starts[Int(key >> shift & 2047) + 1] += 1 }
      for digit in 1...2048 { starts[digit] += starts[digit - 1] }
      for index in order {
        let digit = Int(keys[Int(index)] >> shift & 2047)
        next[starts[digit]] = index
        starts[digit] += 1
      }
      swap(&order, &next)
    }
    return order
  }
}
