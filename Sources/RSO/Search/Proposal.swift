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
  /// Whether it shares the previous proposal's mini-batch, with the undecayed value as its first candidate. The
  /// previous decision then already gives that candidate's loss, and an engine need not compute it again.
  public var isHeld = false
  /// Whether it ends a round. Its decision is then applied, together with those of the round's earlier proposals.
  public var endsRound = true
}

/// The decision on a proposal.
public struct Decision: Hashable, Sendable {
  /// The loss of every candidate, summed over the mini-batch; NaN counts as infinite.
  public var losses: ShortList<Double>
  /// The index of the smallest loss; the first of equals.
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

  /// - Throws: `RSOError` if the loss of the first candidate is NaN.
  func check(_ parameter: String, _ proposal: Proposal) throws {
    guard !losses[0].isNaN else {
      throw RSOError(
        "\(parameter)[\(proposal.element)]",
        "the loss of the value it has is NaN before any change",
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

  /// - Parameter samples: a permutation; samples after the last whole mini-batch are dropped.
  public init(_ samples: [Int32], batchSize: Int) {
    self.batchSize = batchSize
    self.samples = Array(samples.prefix(samples.count / batchSize * batchSize))
  }

  /// The samples of one mini-batch.
  public func batch(_ index: Int) -> ArraySlice<Int32> {
    samples[index * batchSize..<(index + 1) * batchSize]
  }
}
