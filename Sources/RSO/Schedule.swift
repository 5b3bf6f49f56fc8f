import Foundation

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

  /// Elements in a row that share a mini-batch.
  ///
  /// From the second on, the loss of the value as it is is known from the decision before, and two candidates
  /// are left to compute. That loss belongs to the value undecayed: a held element decays only when it changes.
  public enum Hold: Hashable, Sendable {
    /// That many.
    case elements(Int)
    /// As many as an output channel of the tensor has.
    case channel
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

  /// - Throws: `RSOError` naming the option, in the command line's words.
  public func validate(samples: Int, network: Network) throws {
    func require(
      _ holds: Bool, _ option: String, _ expected: String, _ found: Any, _ hint: String? = nil
    ) throws {
      guard holds else {
        throw RSOError(option, "expected \(expected), found \(found)", hint: hint)
      }
    }
    try require((1...1_000_000).contains(cycles), "--cycles", "1 to 1,000,000", cycles)
    for size in firstBatches.map(\.size) + [batchSize] {
      try require(size >= 1, "--batch", "1 or more", size)
      try require(
        size <= samples, "--batch", "at most the \(samples) training samples", size,
        "use --batch \(samples) or less")
    }
    for step in firstBatches {
      try require(
        (1...1_000_000).contains(step.cycles), "--batch \(step.size)", "1 to 1,000,000 cycles",
        step.cycles)
    }
    if case .elements(let count) = hold {
      try require(count >= 1, "--hold", "1 or more elements, or channel", count)
    }
    try require((0...1).contains(anneal), "--anneal", "a fraction from 0 to 1", anneal)
    try require(
      weightDecay >= 0 && weightDecay < 1, "--weight-decay", "0 or more and less than 1",
      weightDecay)
    try require(
      deviationScale > 0 && deviationScale.isFinite, "--sigma-scale", "a number above 0",
      deviationScale)
    let slots = Parameters(zerosFor: network).slots
    if let only {
      try require(!only.isEmpty, "--only", "a pattern or more", "none")
      for pattern in only {
        try require(
          slots.contains { matches($0.name, pattern) }, "--only",
          "a pattern of the names of parameters", "'\(pattern)', which matches none",
          "there are " + slots.map(\.name).joined(separator: ", "))
      }
    }
    let names = slots.compactMap { slot in
      SweepPlan.group(of: slot.node, in: network).map { network.nodes[$0].name }
    }
    for (name, count) in sweeps {
      try require(
        names.contains(name), "--sweeps", "the name of a convolution or linear layer", "'\(name)'",
        "there are " + Set(names).sorted().joined(separator: ", "))
      try require((0...1000).contains(count), "--sweeps \(name)", "0 to 1000 times", count)
    }
  }
}

/// Whether a shell pattern (`*`, `?`, `[…]`) matches the whole of a name.
private func matches(_ name: String, _ pattern: String) -> Bool { fnmatch(pattern, name, 0) == 0 }

/// One tensor swept once within a cycle.
public struct Sweep: Hashable, Sendable {
  /// The slot of the swept tensor.
  public var parameter: Int
  /// The slot whose number keys the order of the samples: the first of the group.
  public var group: Int
  /// Counts the sweeps of this tensor within a cycle, from 0.
  public var round: Int

  /// Keeps the draws of rounds apart: the number that stands for `slot` in them.
  func key(_ slot: Int) -> Int { slot | round << 20 }
}

/// Which mini-batch judges the elements of a sweep, one after another.
package struct Turns {
  /// Elements in a row on one mini-batch.
  let hold: Int
  /// Mini-batches of the order.
  var batches: Int

  /// - Parameter slot: of the swept tensor.
  package init(_ hold: SearchSettings.Hold, of slot: Parameters.Slot, batches: Int) {
    switch hold {
    case .elements(let count): self.hold = count
    // A linear or convolution layer's weights are [out][in]…, everything else has one value per channel.
    case .channel: self.hold = max(slot.count / slot.shape[0], 1)
    }
    self.batches = batches
  }

  /// The mini-batch of a turn counted from 0.
  package func batch(_ turn: Int) -> Int { turn / hold % batches }
  /// Whether a turn stays on the mini-batch of the one before.
  package func isHeld(_ turn: Int) -> Bool { turn % hold != 0 }
}

extension SearchSettings.Hold: CustomStringConvertible {
  /// As on the command line.
  public var description: String {
    switch self {
    case .elements(let count): "\(count)"
    case .channel: "channel"
    }
  }
}

extension SearchSettings.Hold: Codable {
  /// A number of elements, or `"channel"`.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let count = try? container.decode(Int.self) {
      self = .elements(count)
    } else if try container.decode(String.self) == "channel" {
      self = .channel
    } else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "expected a number or \"channel\"")
    }
  }

  /// As it is read.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .elements(let count): try container.encode(count)
    case .channel: try container.encode("channel")
    }
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
  }

  /// The sweeps of one cycle, in order.
  ///
  /// Groups go from the output to the input; in a group the weights come first, then bias, then β and
  /// γ of batch norm, all on the data that was cached for the weights.
  public func sweeps(of parameters: Parameters, in network: Network) -> [Sweep] {
    let order: [Parameters.Role] = [.weight, .bias, .shift, .scale]
    let slots = parameters.slots
    let groups = slots.map { SweepPlan.group(of: $0.node, in: network) ?? $0.node }
    var nodes = Array(Set(groups)).sorted(by: >)
    if tensorOrder == .inputToOutput { nodes.reverse() }
    let counts = nodes.map { sweeps[network.nodes[$0].name] ?? 1 }
    var result: [Sweep] = []
    for round in 0..<(counts.max() ?? 0) {
      for (node, count) in zip(nodes, counts) where round < count {
        let members = slots.indices.filter { groups[$0] == node }.sorted {
          (slots[$0].node, order.firstIndex(of: slots[$0].role) ?? 0)
            < (slots[$1].node, order.firstIndex(of: slots[$1].role) ?? 0)
        }
        result += members.filter { searches(slots[$0]) }
          .map { Sweep(parameter: $0, group: members[0], round: round) }
      }
    }
    return result
  }

  private func searches(_ slot: Parameters.Slot) -> Bool {
    only.map { $0.contains { matches(slot.name, $0) } } ?? true
  }
}
