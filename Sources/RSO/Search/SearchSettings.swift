/// The settings of a search. The defaults are the paper's MNIST run.
public struct SearchSettings: Hashable, Codable, Sendable {
  /// Passes over all elements (C). The authors' script calls a cycle an epoch.
  public var cycles = 50
  /// Samples that judge one proposal.
  public var batchSize = 5000
  /// Mini-batches of another size in the first cycles, one step after another. Not in the paper.
  public var firstBatches: [BatchStep] = []
  /// How many elements in a row are tested on the same mini-batch. Not in the paper, where every proposal moves on
  /// to the next one.
  public var hold = Hold.elements(1)
  /// What a candidate is judged by. Not in the paper, where it is cross entropy.
  public var loss = Loss.crossEntropy
  /// What an evaluation reports besides loss and accuracy.
  public var metrics: [Measure] = []
  /// How the candidates' losses decide the new value.
  public var rule = Rule.best
  /// How many proposals in a row are judged from the same weights and applied together. Not in the paper, where
  /// each decision is applied before the next proposal is judged.
  public var round = Span.elements(1)
  /// Rounds of another length in the first cycles, one step after another. Not in the paper.
  public var firstRounds: [RoundStep] = []
  /// How proposals shrink over the cycles; a number is the fraction of σ to which they shrink linearly.
  public var anneal = Annealing.linear(0.1)
  /// The fraction of itself that every element loses when it is tested.
  public var weightDecay = 1e-4
  /// The seed; it determines every draw.
  public var seed: UInt64 = 0
  /// Multiplies every σ.
  public var deviationScale = 1.0
  /// The order in which a cycle goes through the layers.
  public var tensorOrder = TensorOrder.outputToInput
  /// The order in which a sweep goes through its tensor.
  public var elementOrder = ElementOrder.rowMajor
  /// How often a layer is swept per cycle, by the layer's name; 1 for layers not named. A batch norm is swept with
  /// the convolution or linear layer below it. Not in the paper.
  public var sweeps: [String: Int] = [:]
  /// Shell patterns for the names of the parameters to search, such as `bn*` or `fc.weight`; `nil` for all. The
  /// others keep their bits. The draws for a parameter do not depend on the patterns. Not in the paper.
  public var only: [String]?
  /// Shell patterns for the names of parameters to leave as they are, also of those that `only` names; `nil` for none.
  /// Not in the paper.
  public var freeze: [String]?
  /// The running statistics of batch norm that a search of trained weights begins with. Not in the paper.
  public var statistics = InitialStatistics.renew

  /// Whether the scales of discrete tensors are searched, too: one for each tensor, or one for each output channel. A
  /// tensor that has a scale for each channel keeps them in either case. Not in the paper, whose weights are floats.
  public var scales = ScaleChoice.fixed

  /// When the weights are evaluated. The paper's script does it after every tensor.
  public var evaluations = EvaluationInterval.tensor

  /// When the weights are evaluated.
  public enum EvaluationInterval: String, CaseIterable, Codable, Sendable {
    /// After every tensor.
    case tensor
    /// After the last tensor of a cycle. Saves time where mini-batches are small. Not in the paper.
    case cycle
  }

  /// What becomes of running statistics that come with the initial weights.
  public enum InitialStatistics: String, CaseIterable, Codable, Sendable {
    /// They are computed anew, from the first training samples.
    case renew
    /// They hold until a tensor below a batch norm has been searched. From then on they are computed anew.
    case keep
  }

  /// A number of cycles with mini-batches of one size.
  public struct BatchStep: Hashable, Codable, Sendable {
    /// Samples that judge one proposal.
    public var size: Int
    /// The number of cycles with this size.
    public var cycles: Int
    /// A step; both numbers are at least 1.
    public init(size: Int, cycles: Int) {
      self.size = size
      self.cycles = cycles
    }
  }

  /// Orders of layers within a cycle.
  public enum TensorOrder: String, CaseIterable, Codable, Sendable {
    /// The paper's order: the layer nearest the loss comes first.
    case outputToInput
    /// The layer nearest the images comes first. Not in the paper.
    case inputToOutput
  }

  /// Orders of elements within a sweep.
  public enum ElementOrder: String, CaseIterable, Codable, Sendable {
    /// The paper's order: output channel outermost, then input channel, row, column.
    case rowMajor
    /// A new random order for every sweep.
    case shuffled
  }

  /// The paper's MNIST run.
  public init() {}

  /// For a search without a network: the paper's, with one seed for each proposal, the tensors in their order, and no
  /// decay, because 0 need not be what values decay to.
  public static var tensors: SearchSettings {
    var settings = SearchSettings()
    (settings.batchSize, settings.weightDecay, settings.tensorOrder) = (1, 0, .inputToOutput)
    return settings
  }

  /// Standard deviation of proposals for a tensor of width `σ`, in a cycle counted from 0.
  public func deviation(of σ: Double, cycle: Int) -> Double {
    deviationScale * σ * anneal.factor(cycle: cycle, of: cycles)
  }

  /// Samples that judge one proposal, in a cycle counted from 0.
  public func batchSize(inCycle cycle: Int) -> Int {
    var first = 0
    for step in firstBatches {
      first += step.cycles
      if cycle < first { return step.size }
    }
    return batchSize
  }

  /// The cost of a range of cycles, in cycles with mini-batches of `batchSize`: cost is proportional to the samples.
  ///
  /// - Parameter range: cycles counted from 0.
  package func cost(ofCycles range: Range<Int>) -> Double {
    range.reduce(0) { $0 + Double(batchSize(inCycle: $1)) / Double(batchSize) }
  }

  /// The mini-batch sizes in command-line syntax: `5000`, or `1000:2,5000`.
  public var batchWords: String {
    (firstBatches.map { "\($0.size):\($0.cycles)" } + ["\(batchSize)"]).joined(separator: ",")
  }
}

extension SearchSettings {
  /// Reads encoded settings. Options missing from older files have their defaults.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    cycles = try container.decode(Int.self, forKey: .cycles)
    batchSize = try container.decode(Int.self, forKey: .batchSize)
    anneal = try container.decode(Annealing.self, forKey: .anneal)
    weightDecay = try container.decode(Double.self, forKey: .weightDecay)
    seed = try container.decode(UInt64.self, forKey: .seed)
    deviationScale = try container.decode(Double.self, forKey: .deviationScale)
    tensorOrder = try container.decode(TensorOrder.self, forKey: .tensorOrder)
    elementOrder = try container.decode(ElementOrder.self, forKey: .elementOrder)
    sweeps = try container.decode([String: Int].self, forKey: .sweeps)
    only = try container.decodeIfPresent([String].self, forKey: .only)
    freeze = try container.decodeIfPresent([String].self, forKey: .freeze)
    statistics =
      try container.decodeIfPresent(InitialStatistics.self, forKey: .statistics) ?? statistics
    scales = try container.decodeIfPresent(ScaleChoice.self, forKey: .scales) ?? scales
    firstBatches =
      try container.decodeIfPresent([BatchStep].self, forKey: .firstBatches) ?? firstBatches
    hold = try container.decodeIfPresent(Hold.self, forKey: .hold) ?? hold
    rule = try container.decodeIfPresent(Rule.self, forKey: .rule) ?? rule
    loss = try container.decodeIfPresent(Loss.self, forKey: .loss) ?? loss
    metrics = try container.decodeIfPresent([Measure].self, forKey: .metrics) ?? metrics
    evaluations =
      try container.decodeIfPresent(EvaluationInterval.self, forKey: .evaluations) ?? evaluations
    round = try container.decodeIfPresent(Span.self, forKey: .round) ?? round
    firstRounds =
      try container.decodeIfPresent([RoundStep].self, forKey: .firstRounds) ?? firstRounds
  }
}
