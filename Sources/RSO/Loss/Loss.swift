/// How wrong a network's outputs are on a mini-batch: a loss of samples, a metric, or a weighted sum of them.
///
/// A search needs no derivative, so a loss may be flat almost everywhere, as the number of errors and macro-F1 are. It
/// then learns nothing from a proposal that changes no class; docs/losses.md says what helps.
///
///     settings.loss = try Loss("macro-f1 + 0.1 cross-entropy")
public struct Loss: Hashable, Sendable {
  /// The terms of the sum; at least one.
  public var terms: [Term]

  /// One loss or metric, and its weight in a sum.
  public struct Term: Hashable, Sendable {
    /// Above 0.
    public var weight: Double
    /// What it measures.
    public var measure: Measure
    /// - Parameters:
    ///   - measure: what it measures.
    ///   - weight: above 0.
    public init(_ measure: Measure, weight: Double = 1) {
      self.weight = weight
      self.measure = measure
    }
  }

  /// What the paper minimises.
  public static let crossEntropy = Loss(.sample(.crossEntropy()))

  /// A single loss or metric.
  public init(_ measure: Measure) { terms = [Term(measure)] }

  /// What its value is, for readers: a metric alone stands for 1 − its value.
  package var words: String {
    if terms.count == 1, case .metric(let metric) = terms[0].measure { return "1 − \(metric)" }
    return description
  }

  /// Whether no term compares with targets.
  package var ignoresTargets: Bool {
    !terms.contains { if case .sample(let loss) = $0.measure { loss.needsTargets } else { false } }
  }

  /// Whether its value is a sum over the samples of a mini-batch: a single loss of samples, without a weight.
  ///
  /// Otherwise, every loss of samples is a mean per sample, and a metric stands for 1 − its value.
  public var isSum: Bool {
    if case .sample = terms[0].measure { terms.count == 1 && terms[0].weight == 1 } else { false }
  }
}

/// What an evaluation can report: a loss, as a mean per sample, or a metric.
public enum Measure: Hashable, Sendable {
  /// A loss that every sample has.
  case sample(SampleLoss)
  /// A number that only all samples together have, the larger the better.
  case metric(Metric)
}

// MARK: As text

extension Measure: CustomStringConvertible {
  /// As on the command line: `hinge`, `quantile=0.9`, `top-k=5`.
  public var description: String {
    switch self {
    case .sample(let loss): loss.description
    case .metric(let metric): metric.description
    }
  }

  /// The names that `init(_:)` reads, for messages.
  static let names = (SampleLoss.names + Metric.names).joined(separator: ", ")

  /// Reads a name, with its parameters if it has any.
  ///
  /// - Parameters:
  ///   - text: the name.
  ///   - subject: what an error names.
  /// - Throws: `RSOError` listing the names, or saying which parameter is wrong.
  public init(_ text: String, subject: String = "`metrics`") throws {
    if let loss = try SampleLoss(text, subject: subject) {
      self = .sample(loss)
    } else if let metric = try Metric(text, subject: subject) {
      self = .metric(metric)
    } else {
      let name = String(text.prefix { $0 != ":" && $0 != "=" })
      let known = (SampleLoss.names + Metric.names).map { String($0.prefix { $0 != "=" }) }
      throw RSOError(
        subject, "expected \(Self.names), found '\(text)'",
        hint: nearest(to: name, in: known).map { "did you mean '\($0)'?" })
    }
  }
}

extension Loss: CustomStringConvertible {
  /// As on the command line: `cross-entropy`, `macro-f1 + 0.1 cross-entropy`.
  public var description: String {
    terms.map { ($0.weight == 1 ? "" : "\(short($0.weight)) ") + "\($0.measure)" }
      .joined(separator: " + ")
  }

  /// Reads the name of a loss or metric, or a sum such as `macro-f1 + 0.1 cross-entropy`.
  ///
  /// - Throws: `RSOError` listing the names, or saying which parameter is wrong.
  public init(_ text: String) throws {
    terms = try Self.summands(text).map { summand in
      let words = summand.split(separator: " ")
      guard (1...2).contains(words.count), let last = words.last else {
        throw RSOError(
          "`loss`", "expected names with + between them, found '\(text)'",
          hint: "for example: macro-f1 + 0.1 cross-entropy")
      }
      guard words.count == 2 else { return Term(try Measure(String(last), subject: "`loss`")) }
      guard let weight = Double(words[0]), weight > 0, weight.isFinite else {
        throw RSOError("`loss`", "expected a weight above 0, found '\(words[0])' in '\(text)'")
      }
      return Term(try Measure(String(last), subject: "`loss`"), weight: weight)
    }
  }

  /// The text between plus signs, except those of exponents as in 1e+3.
  private static func summands(_ text: String) -> [String] {
    var summands = [""]
    var last = (before: Character(" "), character: Character(" "))
    for character in text {
      let isExponent = "eE".contains(last.character) && last.before.isNumber
      if character == "+", !isExponent {
        summands.append("")
      } else {
        summands[summands.count - 1].append(character)
      }
      last = (last.character, character)
    }
    return summands
  }
}

extension Loss: Codable {
  /// From its text.
  public init(from decoder: any Decoder) throws {
    self = try decoder.decodeText { try Loss($0) }
  }

  /// As its text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Measure: Codable {
  /// From its text.
  public init(from decoder: any Decoder) throws {
    self = try decoder.decodeText { try Measure($0) }
  }

  /// As its text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// The number as text, without a trailing `.0`.
func short(_ x: Double) -> String {
  let text = "\(x)"
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
