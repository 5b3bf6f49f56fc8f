extension RandomSearch {
  /// Progress events of a search.
  public enum Event: Sendable {
    /// A run of proposals was judged.
    case judged(Judged)
    /// A tensor was finished and the weights evaluated.
    case swept(SweepReport)

    /// The decisions on a run of proposals, and the state of the sweep so far.
    public struct Judged: Sendable {
      /// From 0.
      public var cycle: Int
      /// Index into `RandomSearch.sweeps`.
      public var sweep: Int
      /// The swept tensor's name.
      public var parameter: String
      /// The run's proposals, in order.
      public var proposals: ArraySlice<Proposal>
      /// One decision for each proposal.
      public var decisions: [Decision]
      /// How many elements of the tensor have been tested so far, out of `count`.
      public var done: Int
      public var count: Int
      /// So far in this sweep: the share of proposals that changed the element beyond its decay; `nil` for a rule that
      /// changes every element.
      public var keptShare: Double?
      /// So far in this sweep: how far the elements moved beyond their decay, as a root mean square, in σ.
      public var step: Double
      /// So far in this sweep: the mean smallest loss of a proposal, per sample.
      public var meanLoss: Double
    }
  }

  /// An observer's answer.
  public enum Answer: Sendable { case goOn, stop }

  /// One finished tensor.
  public struct SweepReport: Hashable, Sendable {
    /// From 0.
    public var cycle: Int
    /// Index into `RandomSearch.sweeps`.
    public var sweep: Int
    /// The swept tensor's name.
    public var parameter: String
    /// Share of the proposals that changed the element beyond its decay; `nil` for a rule that changes every element.
    public var keptShare: Double?
    /// How far the elements moved beyond their decay: the root mean square, in `deviation`.
    public var step: Double
    /// The mean smallest loss of a proposal, per sample, on the mini-batches the proposals were tested on.
    public var meanLoss: Double
    /// Samples in each mini-batch.
    public var batchSize: Int
    /// The standard deviation σ of the proposals.
    public var deviation: Double
    /// The number of proposals.
    public var proposals: Int
    /// The number of losses computed; `Proposal.Baseline` says which losses are not.
    public var evaluations: Int
    /// The split that `evaluation` is on: validation if the data have one, else test.
    public var split: EvaluatedSplit
    /// Loss and accuracy after the sweep; `nil` if `SearchSettings.evaluations` leaves it out.
    public var evaluation: Evaluation?
    /// Seconds of the search, including the cache.
    public var seconds: Double
    /// Seconds of the evaluation, including running statistics.
    public var evaluationSeconds: Double
  }
}
