import Foundation

/// How the width σ of proposals shrinks from the first cycle to the last.
public enum Annealing: Hashable, Sendable {
  /// In equal steps, to a fraction of σ. This is the paper's, with 0.1.
  case linear(Double)
  /// Along half a cosine, to a fraction of σ: slowly at the beginning and the end. Not in the paper.
  case cosine(Double)
  /// As one over the number of cycles, to a fraction of σ above 0: fast at the beginning. Not in the paper.
  case inverse(Double)
  /// Not at all. Not in the paper.
  case constant

  /// What is left of σ in a cycle counted from 0. The fraction would be reached in the cycle after the last.
  public func factor(cycle: Int, of cycles: Int) -> Double {
    let left = Double(cycles - cycle) / Double(cycles)
    switch self {
    case .linear(let α): return α + (1 - α) * left
    case .cosine(let α): return α + (1 - α) * (1 - cos(.pi * left)) / 2
    case .inverse(let α): return α / (α + (1 - α) * (1 - left))
    case .constant: return 1
    }
  }

  /// - Throws: `RSOError` unless the fraction is from 0 to 1, and above 0 if the schedule is `inverse`.
  func validate() throws {
    switch self {
    case .inverse(let α) where α == 0:
      throw RSOError(
        "`anneal`", "expected a fraction above 0, found \(self)",
        hint: "one over the number of cycles never is 0; linear:0 ends there")
    case .linear(let α), .cosine(let α), .inverse(let α):
      guard (0...1).contains(α) else {
        throw RSOError(
          "`anneal`", "expected a fraction from 0 to 1, found \(α)",
          hint:
            "it is what is left of σ at the end: 0.1 leaves a tenth, and constant leaves σ as it is"
        )
      }
    case .constant: break
    }
  }
}

extension Annealing: ExpressibleByFloatLiteral {
  /// Linear, to a fraction of σ.
  public init(floatLiteral value: Double) { self = .linear(value) }
}

extension Annealing: CustomStringConvertible {
  /// As on the command line: `linear:0.1`, `cosine:0.1`, `inverse:0.1`, `constant`.
  public var description: String {
    switch self {
    case .linear(let α): "linear:\(α)"
    case .cosine(let α): "cosine:\(α)"
    case .inverse(let α): "inverse:\(α)"
    case .constant: "constant"
    }
  }

  /// Reads `0.1`, `linear:0.1`, `cosine:0.1`, `inverse:0.1` or `constant`. A schedule without its number ends at 0.1.
  ///
  /// - Throws: `RSOError` listing the schedules.
  public init(_ text: String) throws {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let number = parts.count == 2 ? Double(parts[1]) : 0.1
    switch (parts[0], number) {
    case ("linear", let number?): self = .linear(number)
    case ("cosine", let number?): self = .cosine(number)
    case ("inverse", let number?): self = .inverse(number)
    case ("constant", _) where parts.count == 1: self = .constant
    default:
      guard parts.count == 1, let number = Double(text) else {
        throw RSOError(
          "`anneal`",
          "expected 0.1, linear:0.1, cosine:0.1, inverse:0.1 or constant, found '\(text)'",
          hint: "the number is the fraction of σ that is left at the end")
      }
      self = .linear(number)
    }
    try validate()
  }
}

extension Annealing: Codable {
  /// From a number, which is a linear schedule's fraction, or from text.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let number = try? container.decode(Double.self) {
      self = .linear(number)
      return
    }
    self = try decoder.decodeText(Annealing.init)
  }

  /// A linear schedule as its number, as versions that knew no other wrote it; others as text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if case .linear(let α) = self {
      try container.encode(α)
    } else {
      try container.encode(description)
    }
  }
}
