import Foundation

/// The settings of a search. The defaults are the paper's MNIST run.
public struct SearchSettings: Hashable, Codable, Sendable {
  /// Passes over all elements (C). The authors' script calls a cycle an epoch.
  public var cycles = 50
  /// Samples that judge one proposal.
  public var batchSize = 5000
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
    try require(batchSize >= 1, "--batch", "1 or more", batchSize)
    try require(
      batchSize <= samples, "--batch", "at most the \(samples) training samples", batchSize,
      "use --batch \(samples) or less")
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

extension SearchSettings {
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
