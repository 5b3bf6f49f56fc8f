/// A split to evaluate.
public enum EvaluatedSplit: String, CaseIterable, Codable, Sendable {
  /// The images that the search trains on.
  case train
  /// Images kept out of training to choose a model by; see `Dataset.holdingOut(_:)`.
  case validation
  /// Images that only say how good the chosen model is.
  case test
}

/// Loss and accuracy over a split.
public struct Evaluation: Hashable, Codable, Sendable {
  /// Number of samples evaluated.
  public var count: Int
  /// The loss per sample, times the number of samples: by default the sum of the softmax cross entropies.
  public var loss: Double
  /// `confusion[label][predicted]`: number of samples; empty if the samples have no classes.
  public var confusion: [[Int]]
  /// What was asked for besides (`SearchSettings.metrics`), by name; without what is not finite.
  public var measures: [String: Double]? = nil

  /// Whether the samples have classes; if not, `correct` is 0 and `accuracy` NaN.
  public var hasClasses: Bool { !confusion.isEmpty }
  /// Number of samples whose largest logit is the label's.
  public var correct: Int { confusion.indices.reduce(0) { $0 + confusion[$1][$1] } }
  /// Fraction of samples whose largest logit is the label's, 0 to 1.
  public var accuracy: Double { hasClasses ? Double(correct) / Double(count) : .nan }
  /// The loss per sample: by default softmax cross entropy.
  public var meanLoss: Double { loss / Double(count) }

  /// A confusion matrix without samples.
  static func confusion(classes: Int) -> [[Int]] {
    Array(repeating: Array(repeating: 0, count: classes), count: classes)
  }
}

/// Mean and biased variance per channel of every batch norm layer, by node index.
public struct BatchNormStatistics: Hashable, Sendable {
  /// The moments of one layer, per channel.
  public struct Moments: Hashable, Sendable {
    /// `[channels]`
    public var mean: [Double]
    /// `[channels]`, biased: divided by the number of values.
    public var variance: [Double]
    /// Both `[channels]`.
    public init(mean: [Double], variance: [Double]) {
      self.mean = mean
      self.variance = variance
    }
  }
  /// Keyed by the index of the layer in `Network.nodes`.
  public var moments: [Int: Moments] = [:]

  /// The map scale · x + offset that a batch norm is in one channel. Engines compute it in single precision, as one
  /// fused operation.
  package static func map(
    gamma: Float, beta: Float, mean: Double, variance: Double, epsilon: Double
  ) -> (scale: Float, offset: Float) {
    let factor = Double(gamma) / (variance + epsilon).squareRoot()
    return (Float(factor), Float(Double(beta) - mean * factor))
  }
  /// No statistics yet.
  public init() {}
}
