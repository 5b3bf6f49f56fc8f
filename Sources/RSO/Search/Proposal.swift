/// A change of one element to be judged on one mini-batch.
public struct Proposal: Hashable, Sendable {
  /// Row-major index into the swept tensor.
  public var element: Int
  /// The number of the mini-batch in the sweep's order.
  public var batch: Int
  /// The values to choose from; the first is the one that is kept when none is better.
  ///
  /// In the paper `[w, w + Δ, w − Δ]`, with `w` already decayed.
  public var candidates: ShortList<Float>
  /// The Δ that was drawn.
  public var delta: Float
  /// On the mini-batch of the proposal before, with the value as it is for the first candidate: that one's
  /// loss is the one that the decision before ended with. An engine need not compute it again.
  public var isHeld = false
  /// Its decision is applied together with those before it that end no round.
  public var endsRound = true
}

/// What became of a proposal.
public struct Decision: Hashable, Sendable {
  /// Loss of every candidate, summed over the mini-batch; NaN counts as infinite.
  public var losses: ShortList<Double>
  /// The index of the smallest loss, the first of equals.
  public var choice: Int
  /// What the element becomes: in the paper the candidate of that index.
  public var value: Float

  package init(losses: ShortList<Double>, choice: Int, value: Float) {
    self.losses = losses
    self.choice = choice
    self.value = value
  }

  /// - Throws: `RSOError` when the kept value's own loss is no number: nothing can be compared then.
  package init(
    on proposal: Proposal, losses: ShortList<Double>, by rule: inout SweepRule, parameter: String
  ) throws {
    self = rule.decide(proposal, losses)
    try check(parameter, proposal)
  }

  /// - Throws: `RSOError` when the kept value's own loss is no number.
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
  /// Training samples, mini-batch after mini-batch; whole mini-batches only.
  public let samples: [Int32]
  /// Samples in each mini-batch.
  public let batchSize: Int

  /// Mini-batches.
  public var batches: Int { samples.count / batchSize }

  /// - Parameter samples: a permutation; what is left after the last whole mini-batch is dropped.
  public init(_ samples: [Int32], batchSize: Int) {
    self.batchSize = batchSize
    self.samples = Array(samples.prefix(samples.count / batchSize * batchSize))
  }

  /// The samples of one mini-batch.
  public func batch(_ index: Int) -> ArraySlice<Int32> {
    samples[index * batchSize..<(index + 1) * batchSize]
  }
}
