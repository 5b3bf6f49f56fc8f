/// The settings of a search. The defaults are the paper's MNIST run.
public struct SearchSettings: Hashable, Codable, Sendable {
  /// Passes over all elements (C). The authors' script calls a cycle an epoch.
  public var cycles = 50
  /// Samples that judge one proposal.
  public var batchSize = 5000
  /// Mini-batches of another size in the first cycles, one step after another. Not in the paper.
  public var firstBatches: [BatchStep] = []
  /// How many elements in a row are tested on the same mini-batch. Not in the paper, where every proposal
  /// has the next one.
  public var hold = Hold.elements(1)
  /// What becomes of the candidates' losses.
  public var rule = Rule.best
  /// How many proposals in a row are judged from the same weights and decided together. Not in the paper, where a
  /// decision is applied before the next proposal is judged.
  public var round = Span.elements(1)
  /// Rounds of another length in the first cycles, one step after another. Not in the paper.
  public var firstRounds: [RoundStep] = []
  /// The fraction α of σ that proposals have shrunk to at the end.
  public var anneal = 0.1
  /// What every element loses, as a fraction of itself, when it is tested.
  public var weightDecay = 1e-4
  /// Decides every draw.
  public var seed: UInt64 = 0
  /// Multiplies every σ.
  public var deviationScale = 1.0
  /// In which order a cycle goes through the layers.
  public var tensorOrder = TensorOrder.outputToInput
  /// In which order a sweep goes through its tensor.
  public var elementOrder = ElementOrder.rowMajor
  /// How often a layer is swept per cycle, by the layer's name; 1 for those not named. A batch norm
  /// goes with the convolution or linear layer below it. Not in the paper.
  public var sweeps: [String: Int] = [:]
  /// Shell patterns of the names of the parameters to search, as in `bn*` or `fc.weight`; `nil`: all.
  /// The others keep their bits. What is drawn for a parameter does not depend on it. Not in the paper.
  public var only: [String]?

  /// Some cycles with mini-batches of one size.
  public struct BatchStep: Hashable, Codable, Sendable {
    /// Samples that judge one proposal.
    public var size: Int
    /// The cycles that have it.
    public var cycles: Int
    /// Both from 1 on.
    public init(size: Int, cycles: Int) {
      self.size = size
      self.cycles = cycles
    }
  }

  /// Orders of layers within a cycle.
  public enum TensorOrder: String, CaseIterable, Codable, Sendable {
    /// The paper's: what is next to the loss comes first.
    case outputToInput
    /// What is next to the images comes first. Not in the paper.
    case inputToOutput
  }

  /// Orders of elements within a sweep.
  public enum ElementOrder: String, CaseIterable, Codable, Sendable {
    /// The paper's: the output channel outermost, then input channel, row, column.
    case rowMajor
    /// Another random order for every sweep.
    case shuffled
  }

  /// The paper's MNIST run.
  public init() {}

  /// Standard deviation of the proposals of a tensor of width `σ` in a cycle counted from 0.
  public func deviation(of σ: Double, cycle: Int) -> Double {
    let left = Double(cycles - cycle) / Double(cycles)
    return deviationScale * σ * (anneal + (1 - anneal) * left)
  }

  /// Samples that judge one proposal in a cycle counted from 0.
  public func batchSize(inCycle cycle: Int) -> Int {
    var first = 0
    for step in firstBatches {
      first += step.cycles
      if cycle < first { return step.size }
    }
    return batchSize
  }

  /// What some cycles cost, in cycles with mini-batches of `batchSize`: cost goes with the samples.
  ///
  /// - Parameter range: cycles counted from 0.
  package func cost(ofCycles range: Range<Int>) -> Double {
    range.reduce(0) { $0 + Double(batchSize(inCycle: $1)) / Double(batchSize) }
  }

  /// The sizes of mini-batches as on the command line: `5000`, or `1000:2,5000`.
  public var batchWords: String {
    (firstBatches.map { "\($0.size):\($0.cycles)" } + ["\(batchSize)"]).joined(separator: ",")
  }
}

extension SearchSettings {
  /// As they are written. Files from before an option was there mean its default.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    cycles = try container.decode(Int.self, forKey: .cycles)
    batchSize = try container.decode(Int.self, forKey: .batchSize)
    anneal = try container.decode(Double.self, forKey: .anneal)
    weightDecay = try container.decode(Double.self, forKey: .weightDecay)
    seed = try container.decode(UInt64.self, forKey: .seed)
    deviationScale = try container.decode(Double.self, forKey: .deviationScale)
    tensorOrder = try container.decode(TensorOrder.self, forKey: .tensorOrder)
    elementOrder = try container.decode(ElementOrder.self, forKey: .elementOrder)
    sweeps = try container.decode([String: Int].self, forKey: .sweeps)
    only = try container.decodeIfPresent([String].self, forKey: .only)
    firstBatches =
      try container.decodeIfPresent([BatchStep].self, forKey: .firstBatches) ?? firstBatches
    hold = try container.decodeIfPresent(Hold.self, forKey: .hold) ?? hold
    rule = try container.decodeIfPresent(Rule.self, forKey: .rule) ?? rule
    round = try container.decodeIfPresent(Span.self, forKey: .round) ?? round
    firstRounds =
      try container.decodeIfPresent([RoundStep].self, forKey: .firstRounds) ?? firstRounds
  }
}
