import Foundation

extension RandomSearch {
  /// What an unfinished sweep has decided so far: with the weights before the sweep, enough to go on within it.
  ///
  /// A search that goes on takes these decisions as made, without judging anything again, and ends with the same bits.
  public struct SweepProgress: Hashable, Sendable {
    /// The decided values, in the order of the sweep's proposals.
    public private(set) var values: [Float] = []
    /// How many of them differ from the first candidate.
    public private(set) var changed = 0
    /// The number of losses computed.
    public private(set) var evaluations = 0
    /// The sum of the smallest losses.
    public private(set) var loss = 0.0
    /// The sum of the squared distances from the first candidates.
    private(set) var squares = 0.0
    /// The loss of the last value, if that was a candidate.
    private(set) var lastLoss: Double?
    /// What the rule has learnt about the tensor; `nil`: nothing.
    private(set) var ruleState: RuleState?
    /// Seconds of searching, including the cache.
    public internal(set) var seconds = 0.0

    /// Nothing was decided yet.
    init() {}

    /// Adds the decisions on a run of proposals.
    mutating func add(
      _ decisions: [Decision], on proposals: ArraySlice<Proposal>, learnt: RuleState?
    ) {
      ruleState = learnt
      for (proposal, decision) in zip(proposals, decisions) {
        let way = Double(decision.value) - Double(proposal.candidates[0])
        values.append(decision.value)
        squares += way * way
        changed += way == 0 ? 0 : 1
        evaluations += proposal.evaluations
        loss += decision.losses[decision.choice]
        lastLoss =
          decision.value == proposal.candidates[decision.choice]
          ? decision.losses[decision.choice] : nil
      }
    }

    /// The root mean square of the distances.
    var step: Double { (squares / Double(values.count)).squareRoot() }

    /// - Parameter count: the elements of the tensor.
    /// - Returns: what is wrong with it, if anything.
    func problem(ofElements count: Int) -> String? {
      guard (1...max(count, 1)).contains(values.count) else {
        return "expected 1 to \(count) values, found \(values.count)"
      }
      guard let value = values.first(where: { !$0.isFinite }) else { return nil }
      return "expected finite values, found \(value)"
    }
  }
}

extension RandomSearch.SweepProgress: Codable {
  private enum CodingKeys: String, CodingKey {
    case values, changed, evaluations, loss, squares, lastLoss, ruleState, seconds
  }

  /// Reads what `encode(to:)` wrote.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    func number(_ key: CodingKeys) throws -> Double? {
      guard let text = try container.decodeIfPresent(String.self, forKey: key) else { return nil }
      guard let number = Double(text) else {
        throw DecodingError.dataCorruptedError(
          forKey: key, in: container, debugDescription: "expected a number, found '\(text)'")
      }
      return number
    }
    values = try container.decodeFloats(forKey: .values)
    changed = try container.decode(Int.self, forKey: .changed)
    evaluations = try container.decode(Int.self, forKey: .evaluations)
    loss = try number(.loss) ?? 0
    squares = try number(.squares) ?? 0
    lastLoss = try number(.lastLoss)
    ruleState = try container.decodeIfPresent(RuleState.self, forKey: .ruleState)
    seconds = try container.decode(Double.self, forKey: .seconds)
  }

  /// Writes values in base 64, and sums as text: they may be infinite, which JSON's numbers are not.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(floats: values, forKey: .values)
    try container.encode(changed, forKey: .changed)
    try container.encode(evaluations, forKey: .evaluations)
    try container.encode("\(loss)", forKey: .loss)
    try container.encode("\(squares)", forKey: .squares)
    try container.encodeIfPresent(lastLoss.map { "\($0)" }, forKey: .lastLoss)
    try container.encodeIfPresent(ruleState, forKey: .ruleState)
    try container.encode(seconds, forKey: .seconds)
  }
}
