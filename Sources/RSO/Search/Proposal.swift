/// A proposed change of one element, judged on one mini-batch.
public struct Proposal: Hashable, Sendable {
  /// Row-major index into the swept tensor.
  public var element: Int
  /// The number of the mini-batch in the sweep's order.
  public var batch: Int
  /// The values to choose from; the first is kept when none is better.
  ///
  /// In the paper `[w, w + Δ, w − Δ]`, with `w` already decayed.
  public var candidates: ShortList<Float>
  /// The Δ drawn for it.
  public var delta: Float
  /// Where the loss of the first candidate comes from.
  public var baseline = Baseline.computed
  /// Whether it ends a round. Its decision is then applied, together with those of the round's earlier proposals.
  public var endsRound = true

  /// Where the loss of the current value comes from.
  public enum Baseline: Hashable, Sendable {
    /// The engine computes it, as in the paper.
    case computed
    /// The previous decision gives it: the proposal shares the previous one's mini-batch, and its first candidate is
    /// the undecayed value. An engine need not compute it again.
    case known
    /// The rule does not need it. The engine need not compute it, and passes NaN to the rule.
    case unused
  }

  /// The number of losses to compute.
  package var evaluations: Int { candidates.count - (baseline == .computed ? 0 : 1) }
}

/// The decision on a proposal.
public struct Decision: Hashable, Sendable {
  /// The loss of every candidate, summed over the mini-batch; NaN counts as infinite. The first is NaN if the rule did
  /// not need it (`Proposal.Baseline.unused`).
  public var losses: ShortList<Double>
  /// The index of the smallest loss, the first of equals; 0 if `Rule.margin` finds it not worth a change.
  public var choice: Int
  /// The element's new value; in the paper, the candidate at `choice`.
  public var value: Float

  package init(losses: ShortList<Double>, choice: Int, value: Float) {
    self.losses = losses
    self.choice = choice
    self.value = value
  }

  /// - Throws: `RSOError` if the loss of the first candidate is NaN: then there is nothing to compare with.
  package init(
    on proposal: Proposal, losses: ShortList<Double>, by rule: inout SweepRule, parameter: String
  ) throws {
    self = rule.decide(proposal, losses)
    try check(parameter, proposal)
  }

  /// The problem of an element whose value has no loss.
  static let hasNoLoss = "the loss of the value it has is NaN before any change"

  /// - Throws: `RSOError` if the loss of the first candidate is NaN.
  func check(_ parameter: String, _ proposal: Proposal) throws {
    guard !losses[0].isNaN || proposal.baseline == .unused else {
      throw RSOError(
        "\(parameter)[\(proposal.element)]",
        Self.hasNoLoss,
        hint: "the weights or the data hold infinities or NaN; start from a sound model")
    }
  }
}

/// The training samples of a sweep, cut into mini-batches.
public struct SampleOrder: Hashable, Sendable {
  /// Training samples, mini-batch by mini-batch; whole mini-batches only.
  public let samples: [Int32]
  /// The number of samples in each mini-batch.
  public let batchSize: Int

  /// The number of mini-batches.
  public var batches: Int { samples.count / batchSize }

  /// - Parameters:
  ///   - samples: a permutation; samples after the last whole mini-batch are dropped.
  ///   - batchSize: the number of samples in each mini-batch.
  public init(_ samples: [Int32], batchSize: Int) {
    self.batchSize = batchSize
    self.samples = Array(samples.prefix(samples.count / batchSize * batchSize))
  }

  /// The samples of one mini-batch.
  public func batch(_ index: Int) -> ArraySlice<Int32> {
    samples[index * batchSize..<(index + 1) * batchSize]
  }
}
