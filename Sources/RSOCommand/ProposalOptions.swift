import ArgumentParser
import RSO

/// How a search proposes and decides, whatever it searches: each setting only if it was given.
struct ProposalOptions: ParsableArguments {
  @Option(
    name: [.customLong("cycles"), .customLong("epochs")], parsing: .unconditional,
    help: ArgumentHelp("Passes over all weights (default: 50; 500 for CIFAR-10).", valueName: "n"))
  var cycles: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Test that many weights in a row, or those of a channel, on the same mini-batch or with the same seed (default: 1). "
        + "The rules best, margin and leader then know the loss of the current value, and need two losses in place of three.",
      valueName: "n|channel"))
  var hold: SearchSettings.Span?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What becomes of a proposal's losses: best (the paper's), slope, parabola; leader for binary and ternary weights, "
        + "margin for integers (default: best). They take parameters, as in slope:c=0.5, leader:keep=0.9,m=8..2, "
        + "parabola:reach=2,settle=1..0.2 or margin:m=0..0.5; reach, settle and m may change over the cycles. In the "
        + "first cycle, which may be the only one, they have their first value, and margin:m=0..0.5 is best.",
      valueName: "rule"))
  var rule: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Judge that many weights in a row, or those of a channel, before any of them changes (default: 1), or a "
        + "schedule: 1:2,channel is 1 for two cycles, then a channel.",
      valueName: "n|channel"))
  var round: RoundArgument?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How proposals shrink over the cycles: linear:0.1, to that fraction of σ; cosine:0.1; inverse:0.1; or constant "
        + "(default: linear:0.1). A number alone is linear.", valueName: "schedule"))
  var anneal: String?

  @Option(
    name: [.customLong("weight-decay"), .customLong("wd")], parsing: .unconditional,
    help: ArgumentHelp(
      "What a weight loses, as a fraction of itself, when it is tested (default: 0.0001; rso search: 0).",
      valueName: "x"))
  var weightDecay: Double?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Decides every random draw, also the seeds that a program of rso search gets (default: 0).",
      valueName: "n"))
  var seed: UInt64?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Multiplies the width σ of every proposal (default: 1).", valueName: "x"))
  var sigmaScale: Double?

  @Option(
    help:
      "The order of tensors in a cycle (default: output-to-input; rso search: input-to-output, the order of the file)."
  )
  var tensorOrder: SearchSettings.TensorOrder?

  @Option(help: "The order of elements in a tensor (default: row-major).")
  var elementOrder: SearchSettings.ElementOrder?

  @Option(
    help: "Evaluate after every tensor, or after every cycle, which saves time (default: tensor).")
  var evaluate: SearchSettings.EvaluationInterval?

  @Option(
    help: ArgumentHelp(
      "How often a layer, or a tensor of rso search, is swept per cycle, 1 where it is not named.",
      valueName: "conv0=0,fc=2"))
  var sweeps: String?

  @Option(
    help: ArgumentHelp(
      "Search only parameters whose names match, with * and ?; repeat it for more patterns.",
      valueName: "pattern"))
  var only: [String] = []

  @Option(
    help: ArgumentHelp(
      "Leave the parameters whose names match as they are; repeat it for more patterns.",
      valueName: "pattern"))
  var freeze: [String] = []

  /// Changes settings by every given option.
  ///
  /// - Throws: `RSOError` naming the option.
  func apply(to settings: inout SearchSettings) throws {
    settings.cycles = cycles ?? settings.cycles
    settings.hold = hold ?? settings.hold
    if let rule { settings.rule = try Rule(rule) }
    if let round { (settings.firstRounds, settings.round) = (round.first, round.last) }
    if let anneal { settings.anneal = try Annealing(anneal) }
    settings.weightDecay = weightDecay ?? settings.weightDecay
    settings.seed = seed ?? settings.seed
    settings.deviationScale = sigmaScale ?? settings.deviationScale
    settings.tensorOrder = tensorOrder ?? settings.tensorOrder
    settings.elementOrder = elementOrder ?? settings.elementOrder
    settings.evaluations = evaluate ?? settings.evaluations
    if let sweeps {
      settings.sweeps = try NamedNumbers("--sweeps", "each layer", "layers", "conv0=0,fc=2")
        .parsed(sweeps) { Int($0) }
    }
    if !only.isEmpty { settings.only = only }
    if !freeze.isEmpty { settings.freeze = freeze }
  }
}

/// An option's numbers by name, as in `w=0.5,b=0.1`.
///
/// A name may contain `=` and `,` itself: it ends at the first `=` that has a number, and nothing else, up to the next `,`.
struct NamedNumbers {
  private let option: String
  private let each: String
  private let names: String
  private let example: String

  /// - Parameters:
  ///   - each: what has one number, in words.
  ///   - names: what the names are of.
  init(_ option: String, _ each: String, _ names: String, _ example: String) {
    (self.option, self.each, self.names, self.example) = (option, each, names, example)
  }

  /// - Throws: `RSOError` naming the option.
  func parsed<Number>(_ text: String, _ number: (Substring) -> Number?) throws -> [String: Number] {
    var numbers: [String: Number] = [:]
    var rest = text[...]
    while true {
      guard let found = Self.first(in: rest, number) else {
        throw RSOError(
          option, "expected \(names) and numbers as in \(example), found '\(rest)'")
      }
      guard numbers.updateValue(found.number, forKey: String(found.name)) == nil else {
        throw RSOError(option, "expected \(each) once, found '\(found.name)' again")
      }
      guard found.end < rest.endIndex else { return numbers }
      rest = rest[rest.index(after: found.end)...]
    }
  }

  private static func first<Number>(
    in text: Substring, _ number: (Substring) -> Number?
  ) -> (name: Substring, number: Number, end: Substring.Index)? {
    for sign in text.indices.dropFirst() where text[sign] == "=" {
      let after = text[text.index(after: sign)...]
      let end = after.firstIndex(of: ",") ?? after.endIndex
      if let number = number(after[..<end]) { return (text[..<sign], number, end) }
    }
    return nil
  }
}
