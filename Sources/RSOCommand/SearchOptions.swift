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

  @OptionGroup var proposals: ProposalOptions

  @OptionGroup var objective: LossOptions

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
    try proposals.apply(to: &settings)
    if let batch {
      (settings.firstBatches, settings.batchSize) = (batch.first, batch.last)
    } else if let samples, samples < settings.batchSize {
      Console.note(
        "batch \(samples) instead of \(settings.batchSize): there are no more training images")
      settings.capBatches(at: samples)
    }
    settings.loss = try objective.parsed() ?? settings.loss
    settings.metrics = try objective.parsedMetrics() ?? settings.metrics
    settings.statistics = statistics ?? settings.statistics
    return settings
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
