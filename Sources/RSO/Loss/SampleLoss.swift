import CRSO
import Foundation

/// A loss that every sample has; a mini-batch has their sum. docs/losses.md has the formulas.
public enum SampleLoss: Hashable, Sendable {
  /// Softmax cross entropy. With smoothing ε, the target is 1 − ε at the label and ε / classes everywhere.
  case crossEntropy(smoothing: Double = 0, weights: ClassWeights = .equal)
  /// Crammer and Singer's hinge: how far the label's logit is from 1 above the largest other one.
  case hinge
  /// The mean over the outputs of (output − target)².
  case squaredError
  /// The mean over the outputs of |output − target|.
  case absoluteError
  /// The pinball loss of a quantile q in (0, 1), a mean over the outputs: q (target − output) where the output is too
  /// small, else (1 − q) (output − target).
  case quantile(Double)
  /// The mean over the outputs of the cross entropy of a sigmoid, for several labels at once.
  case binaryCrossEntropy
  /// 1 if the class is wrong. Flat: most proposals change no class.
  case errors

  /// How much the samples of each class count.
  public enum ClassWeights: Hashable, Sendable {
    /// All classes count 1.
    case equal
    /// N / (classes · samples of the class), over the training samples, as scikit-learn's `balanced`.
    case balanced
    /// A weight for each class, 0 or more.
    case list([Double])
  }

  /// Whether it compares the outputs with targets; the others need a label.
  var needsTargets: Bool {
    switch self {
    case .crossEntropy, .hinge, .errors: false
    case .squaredError, .absoluteError, .quantile, .binaryCrossEntropy: true
    }
  }

  /// The largest change of a sample's loss, as a multiple of the length of the change of its logits.
  ///
  /// - Parameters:
  ///   - outputs: number of logits.
  ///   - distance: the largest |output − target|.
  func slope(outputs: Int, distance: Double, largestWeight: Double) -> Double {
    switch self {
    case .crossEntropy: 2.0.squareRoot() * largestWeight
    case .hinge: 2.0.squareRoot()
    case .squaredError: 2 * distance / Double(outputs).squareRoot()
    case .absoluteError, .quantile, .binaryCrossEntropy: 1 / Double(outputs).squareRoot()
    case .errors: .infinity
    }
  }
}

// MARK: The definition

extension SampleLoss {
  /// The loss of one sample.
  ///
  /// - Parameters:
  ///   - logits: `[outputs]`
  ///   - label: the class; not read by losses of targets.
  ///   - targets: `[outputs]`, for losses of targets.
  ///   - weights: `[classes]`; empty: all 1.
  func callAsFunction(
    _ logits: [Double], label: Int, targets: ArraySlice<Float> = [], weights: [Float] = []
  ) -> Double {
    func meanOverOutputs(_ term: (Double, Double) -> Double) -> Double {
      zip(logits, targets).reduce(0) { $0 + term($1.0, Double($1.1)) } / Double(logits.count)
    }
    guard logits.allSatisfy(\.isFinite) else { return .nan }
    switch self {
    case .crossEntropy(let smoothing, _):
      let largest = logits.reduce(-.infinity, Double.maximum)
      let normaliser = largest + log(logits.reduce(0) { $0 + exp($1 - largest) })
      func weight(_ c: Int) -> Double { weights.isEmpty ? 1 : Double(weights[c]) }
      let own = weight(label) * (normaliser - logits[label])
      if smoothing == 0 { return own }
      let all = logits.indices.reduce(0) { $0 + weight($1) * (normaliser - logits[$1]) }
      return (1 - smoothing) * own + smoothing * all / Double(logits.count)
    case .hinge:
      let others = logits.indices.filter { $0 != label }.map { logits[$0] }
      return max(0, 1 + others.reduce(-.infinity, Double.maximum) - logits[label])
    case .squaredError: return meanOverOutputs { ($0 - $1) * ($0 - $1) }
    case .absoluteError: return meanOverOutputs { abs($0 - $1) }
    case .quantile(let q): return meanOverOutputs { max(q * ($1 - $0), (1 - q) * ($0 - $1)) }
    case .binaryCrossEntropy:
      return meanOverOutputs { max($0, 0) - $0 * $1 + log(1 + exp(-abs($0))) }
    case .errors: return largestIndex(logits) == label ? 0 : 1
    }
  }

  /// For the kernels.
  ///
  /// - Parameter weights: `[classes]`, or `nil` for 1; must outlive the result.
  func kernel(weights: UnsafePointer<Float>?) -> rso_loss {
    var loss = rso_loss()
    loss.class_weights = weights
    switch self {
    case .crossEntropy(let smoothing, _):
      loss.kind = rso_cross_entropy
      loss.parameter = Float(smoothing)
    case .hinge: loss.kind = rso_hinge
    case .squaredError: loss.kind = rso_squared_error
    case .absoluteError: loss.kind = rso_absolute_error
    case .quantile(let q):
      loss.kind = rso_quantile
      loss.parameter = Float(q)
    case .binaryCrossEntropy: loss.kind = rso_binary_cross_entropy
    case .errors: loss.kind = rso_errors
    }
    return loss
  }
}

/// The index of the largest value, the first of equals.
func largestIndex(_ values: [Double]) -> Int {
  values.indices.reduce(0) { values[$1] > values[$0] ? $1 : $0 }
}

// MARK: As text

extension SampleLoss: CustomStringConvertible {
  static let names = [
    "cross-entropy", "hinge", "errors", "squared-error", "absolute-error", "quantile=Q",
    "binary-cross-entropy",
  ]

  /// As on the command line: `hinge`, `quantile=0.9`, `cross-entropy:smoothing=0.1,weights=balanced`.
  public var description: String {
    switch self {
    case .crossEntropy(let smoothing, let weights):
      let options =
        (smoothing == 0 ? [] : ["smoothing=\(short(smoothing))"])
        + (weights == .equal ? [] : ["weights=\(weights)"])
      return "cross-entropy" + (options.isEmpty ? "" : ":" + options.joined(separator: ","))
    case .hinge: return "hinge"
    case .squaredError: return "squared-error"
    case .absoluteError: return "absolute-error"
    case .quantile(let q): return "quantile=\(short(q))"
    case .binaryCrossEntropy: return "binary-cross-entropy"
    case .errors: return "errors"
    }
  }

  /// - Returns: `nil` if the name is not that of a loss of samples.
  init?(_ text: String, subject: String) throws {
    switch text {
    case "hinge": self = .hinge
    case "squared-error": self = .squaredError
    case "absolute-error": self = .absoluteError
    case "binary-cross-entropy": self = .binaryCrossEntropy
    case "errors": self = .errors
    default:
      let name = text.prefix { $0 != ":" && $0 != "=" }
      let rest = text.dropFirst(name.count)
      if name == "quantile" {
        guard let q = Double(rest.dropFirst()), q > 0, q < 1 else {
          throw RSOError(
            subject, "expected quantile=Q with Q above 0 and below 1, found '\(text)'")
        }
        self = .quantile(q)
      } else if name == "cross-entropy", rest.first != "=" {
        self = try Self.crossEntropy(rest.dropFirst(), text, subject)
      } else {
        return nil
      }
    }
  }

  private static func crossEntropy(
    _ options: Substring, _ text: String, _ subject: String
  ) throws -> SampleLoss {
    var (smoothing, weights) = (0.0, ClassWeights.equal)
    guard !options.isEmpty else {
      guard text == "cross-entropy" else { throw error(text, subject) }
      return .crossEntropy()
    }
    for option in options.split(separator: ",", omittingEmptySubsequences: false) {
      let pair = option.split(separator: "=", omittingEmptySubsequences: false)
      guard pair.count == 2 else { throw error(text, subject) }
      switch pair[0] {
      case "smoothing":
        guard let value = Double(pair[1]), value >= 0, value < 1 else {
          throw error(text, subject)
        }
        smoothing = value
      case "weights":
        if pair[1] == "balanced" {
          weights = .balanced
        } else {
          let list = pair[1].split(separator: "/", omittingEmptySubsequences: false).map {
            Double($0) ?? .nan
          }
          guard list.allSatisfy({ $0 >= 0 && $0.isFinite }), list.contains(where: { $0 > 0 })
          else { throw error(text, subject) }
          weights = .list(list)
        }
      default: throw error(text, subject)
      }
    }
    return .crossEntropy(smoothing: smoothing, weights: weights)
  }

  private static func error(_ text: String, _ subject: String) -> RSOError {
    RSOError(
      subject,
      "expected cross-entropy, with smoothing=E from 0 to below 1 and weights=balanced or a weight of 0 or more for each "
        + "class, found '\(text)'",
      hint: "for example: cross-entropy:smoothing=0.1,weights=1/1/2.5")
  }
}

extension SampleLoss.ClassWeights: CustomStringConvertible {
  /// As on the command line: `balanced`, or `1/2/0.5`.
  public var description: String {
    switch self {
    case .equal: "equal"
    case .balanced: "balanced"
    case .list(let weights): weights.map(short).joined(separator: "/")
    }
  }
}
