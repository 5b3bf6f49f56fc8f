import ArgumentParser
import RSO

/// The settings of a search without a network, each set only if it was given. Their names are those of `SearchOptions`.
struct VectorSearchOptions: ParsableArguments {
  @Option(
    name: [.customLong("cycles"), .customLong("epochs")], parsing: .unconditional,
    help: ArgumentHelp("Passes over all values (default: 50).", valueName: "n"))
  var cycles: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Test that many values in a row, or those of a row of a tensor (channel), with the same seed (default: 1). The rule "
        + "best then knows the loss of the current value, and asks for two losses in place of three.",
      valueName: "n|channel"))
  var hold: SearchSettings.Span?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What becomes of a proposal's losses: best (the paper's), slope or parabola (default: best). They take parameters, "
        + "as in slope:c=0.5 or parabola:reach=2,settle=1..0.2; reach and settle may change over the cycles.",
      valueName: "rule"))
  var rule: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Judge that many values in a row, or those of a row of a tensor (channel), before any of them changes (default: 1), "
        + "or a schedule: 1:2,channel is 1 for two cycles, then a channel.",
      valueName: "n|channel"))
  var round: RoundArgument?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How proposals shrink over the cycles: linear:0.1, to that fraction of σ; cosine:0.1; or constant (default: "
        + "linear:0.1). A number alone is linear.", valueName: "schedule"))
  var anneal: String?

  @Option(
    name: [.customLong("weight-decay"), .customLong("wd")], parsing: .unconditional,
    help: ArgumentHelp(
      "What a value loses, as a fraction of itself, when it is tested (default: 0).",
      valueName: "x"))
  var weightDecay: Double?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Decides every random draw, also the seeds that the program gets (default: 0).",
      valueName: "n"))
  var seed: UInt64?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Multiplies the width σ of every proposal (default: 1).", valueName: "x"))
  var sigmaScale: Double?

  @Option(
    help: ArgumentHelp(
      "The order of tensors in a cycle: input-to-output is that of the file, output-to-input the reverse (default: "
        + "input-to-output)."))
  var tensorOrder: SearchSettings.TensorOrder?

  @Option(help: "The order of elements in a tensor (default: row-major).")
  var elementOrder: SearchSettings.ElementOrder?

  @Option(
    help: "Evaluate after every tensor, or after every cycle, which saves time (default: tensor).")
  var evaluate: SearchSettings.EvaluationInterval?

  @Option(
    help: ArgumentHelp(
      "How often a tensor is swept per cycle, 1 where it is not named.", valueName: "w=0,b=2"))
  var sweeps: String?

  @Option(
    help: ArgumentHelp(
      "Search only tensors whose names match, with * and ?; repeat it for more patterns.",
      valueName: "pattern"))
  var only: [String] = []

  @Option(
    help: ArgumentHelp(
      "Leave the tensors whose names match as they are; repeat it for more patterns.",
      valueName: "pattern"))
  var freeze: [String] = []

  /// `base`, changed by every given option.
  ///
  /// - Throws: `RSOError` naming the option.
  func settings(over base: SearchSettings) throws -> SearchSettings {
    var settings = base
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
    if let sweeps { settings.sweeps = try SearchOptions.counts(sweeps) }
    if !only.isEmpty { settings.only = only }
    if !freeze.isEmpty { settings.freeze = freeze }
    return settings
  }
}
