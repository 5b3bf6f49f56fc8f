import ArgumentParser
import RSO

/// The settings of a search, each set only if it was given.
struct SearchOptions: ParsableArguments {
  @Option(
    help:
      "Settings for a purpose: quick (MNIST in a minute and a half), good (five minutes) or best (hours). Other options override it."
  )
  var preset: Preset?

  @Option(
    name: [.customLong("cycles"), .customLong("epochs")], parsing: .unconditional,
    help: ArgumentHelp("Passes over all weights (default: 50).", valueName: "n"))
  var cycles: Int?

  @Option(
    name: [
      .customLong("batch"), .customLong("batch-size"), .customLong("sample-batch"),
      .customLong("sample_batch"),
    ],
    parsing: .unconditional,
    help: ArgumentHelp(
      "Samples that judge one proposal (default: 5000, or all training images if there are fewer), or a schedule: "
        + "1000:2,5000 is 1000 for two cycles, then 5000.",
      valueName: "n"))
  var batch: BatchArgument?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Test that many weights in a row, or those of a channel, on the same mini-batch (default: 1).",
      valueName: "n|channel"))
  var hold: SearchSettings.Span?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What becomes of a proposal's losses: best (the paper's), slope, parabola, or margin for discrete weights "
        + "(default: best). They take parameters, as in slope:c=0.5, parabola:reach=2,settle=1..0.2 or margin:m=0..0.5; "
        + "reach, settle and m may change over the cycles.",
      valueName: "rule"))
  var rule: String?

  @OptionGroup var objective: LossOptions

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
      "How proposals shrink over the cycles: linear:0.1, to that fraction of σ; cosine:0.1; or constant (default: "
        + "linear:0.1). A number alone is linear.", valueName: "schedule"))
  var anneal: String?

  @Option(
    name: [.customLong("weight-decay"), .customLong("wd")], parsing: .unconditional,
    help: ArgumentHelp(
      "What a weight loses, as a fraction of itself, when it is tested (default: 0.0001).",
      valueName: "x"))
  var weightDecay: Double?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Decides every random draw (default: 0).", valueName: "n"))
  var seed: UInt64?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Multiplies the width σ of every proposal (default: 1).", valueName: "x"))
  var sigmaScale: Double?

  @Option(help: "The order of tensors in a cycle (default: output-to-input).")
  var tensorOrder: SearchSettings.TensorOrder?

  @Option(help: "The order of elements in a tensor (default: row-major).")
  var elementOrder: SearchSettings.ElementOrder?

  @Option(
    help: "Evaluate after every tensor, or after every cycle, which saves time (default: tensor).")
  var evaluate: SearchSettings.EvaluationInterval?

  @Option(
    help: ArgumentHelp(
      "How often a layer is swept per cycle, 1 where it is not named.", valueName: "conv0=0,fc=2"))
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

  @Option(
    help: ArgumentHelp(
      "What --from does with batch norm's running statistics: renew computes them from the training images; keep "
        + "holds them until a tensor below a batch norm has been searched (default: renew).",
      valueName: "keep|renew"))
  var statistics: SearchSettings.InitialStatistics?

  /// `base`, changed first by the preset and then by every given option.
  ///
  /// - Parameter samples: the number of training images, which caps a batch that no option names; `nil` for no cap.
  /// - Throws: `RSOError` naming the option.
  func settings(
    over base: SearchSettings = SearchSettings(), network: Network, samples: Int? = nil
  ) throws -> SearchSettings {
    var settings = base
    preset?.apply(to: &settings, network: network)
    settings.cycles = cycles ?? settings.cycles
    if let batch {
      (settings.firstBatches, settings.batchSize) = (batch.first, batch.last)
    } else if let samples, samples < settings.batchSize {
      Console.note(
        "batch \(samples) instead of \(settings.batchSize): there are no more training images")
      settings.capBatches(at: samples)
    }
    settings.hold = hold ?? settings.hold
    if let rule { settings.rule = try Rule(rule) }
    settings.loss = try objective.parsed() ?? settings.loss
    settings.metrics = try objective.parsedMetrics() ?? settings.metrics
    if let round { (settings.firstRounds, settings.round) = (round.first, round.last) }
    if let anneal { settings.anneal = try Annealing(anneal) }
    settings.weightDecay = weightDecay ?? settings.weightDecay
    settings.seed = seed ?? settings.seed
    settings.deviationScale = sigmaScale ?? settings.deviationScale
    settings.tensorOrder = tensorOrder ?? settings.tensorOrder
    settings.elementOrder = elementOrder ?? settings.elementOrder
    settings.evaluations = evaluate ?? settings.evaluations
    if let sweeps { settings.sweeps = try Self.counts(sweeps) }
    if !only.isEmpty { settings.only = only }
    if !freeze.isEmpty { settings.freeze = freeze }
    settings.statistics = statistics ?? settings.statistics
    return settings
  }

  /// `conv0=0,fc=2` as a dictionary.
  static func counts(_ text: String) throws -> [String: Int] {
    var counts: [String: Int] = [:]
    for entry in text.split(separator: ",", omittingEmptySubsequences: false) {
      let parts = entry.split(separator: "=", omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty, let count = Int(parts[1]) else {
        throw RSOError(
          "--sweeps", "expected layers and numbers as in conv0=0,fc=2, found '\(entry)'")
      }
      guard counts.updateValue(count, forKey: String(parts[0])) == nil else {
        throw RSOError("--sweeps", "expected each layer once, found '\(parts[0])' again")
      }
    }
    return counts
  }
}

extension SearchSettings {
  /// Makes no mini-batch larger than the training set.
  mutating func capBatches(at samples: Int) {
    batchSize = min(batchSize, samples)
    for step in firstBatches.indices {
      firstBatches[step].size = min(firstBatches[step].size, samples)
    }
  }
}

/// `5000`, or `1000:2,2500:2,5000`: sizes and how many cycles each lasts; the last one lasts to the end.
struct BatchArgument: ExpressibleByArgument {
  var first: [SearchSettings.BatchStep] = []
  var last = 0

  init?(argument: String) {
    guard let schedule = Schedule(argument, { Int($0) }) else { return nil }
    first = schedule.first.map { .init(size: $0.value, cycles: $0.cycles) }
    last = schedule.last
  }
}

/// `1`, or `1:2,channel`: lengths of rounds and how many cycles each lasts; the last one lasts to the end.
struct RoundArgument: ExpressibleByArgument {
  var first: [SearchSettings.RoundStep] = []
  var last: SearchSettings.Span

  init?(argument: String) {
    guard let schedule = Schedule(argument, SearchSettings.Span.init) else { return nil }
    first = schedule.first.map { .init(span: $0.value, cycles: $0.cycles) }
    last = schedule.last
  }
}

/// `a:2,b:1,c`: values that last a number of cycles each, and the value after them.
private struct Schedule<Value> {
  var first: [(value: Value, cycles: Int)] = []
  var last: Value

  init?(_ text: String, _ value: (Substring) -> Value?) {
    var entries = text.split(separator: ",", omittingEmptySubsequences: false)
    guard let last = entries.popLast().flatMap(value) else { return nil }
    self.last = last
    for entry in entries {
      let parts = entry.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, let value = value(parts[0]), let cycles = Int(parts[1]) else {
        return nil
      }
      first.append((value, cycles))
    }
  }
}

extension SearchSettings.Span: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

extension SearchSettings.EvaluationInterval: ExpressibleByArgument {}

extension SearchSettings.InitialStatistics: ExpressibleByArgument {}

extension SearchSettings.TensorOrder: ExpressibleByArgument {
  public init?(argument: String) {
    guard let order = Self.allCases.first(where: { $0.word == argument }) else { return nil }
    self = order
  }

  public static var allValueStrings: [String] { allCases.map(\.word) }

  /// The value in command-line syntax.
  var word: String {
    switch self {
    case .outputToInput: "output-to-input"
    case .inputToOutput: "input-to-output"
    }
  }
}

extension SearchSettings.ElementOrder: ExpressibleByArgument {
  public init?(argument: String) {
    guard let order = Self.allCases.first(where: { $0.word == argument }) else { return nil }
    self = order
  }

  public static var allValueStrings: [String] { allCases.map(\.word) }

  /// The value in command-line syntax.
  var word: String {
    switch self {
    case .rowMajor: "row-major"
    case .shuffled: "shuffled"
    }
  }
}
