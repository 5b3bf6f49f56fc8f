extension RandomSearch {
  /// What a search tells while it runs.
  public enum Event: Sendable {
    /// A run of proposals was judged.
    case judged(Judged)
    /// A tensor is done and the test set was evaluated.
    case swept(SweepReport)

    /// What came of a run of proposals, and the sweep so far.
    public struct Judged: Sendable {
      /// From 0.
      public var cycle: Int
      /// Index into `RandomSearch.sweeps`.
      public var sweep: Int
      /// The swept tensor's name.
      public var parameter: String
      /// Those of the run, in order.
      public var proposals: ArraySlice<Proposal>
      /// One for each proposal.
      public var decisions: [Decision]
      /// Elements of the tensor tested so far, and in all.
      public var done: Int
      public var count: Int
      /// So far in this sweep: share of the proposals that changed the element beyond its decay.
      public var keptShare: Double
      /// So far in this sweep: smallest loss of each proposal per sample.
      public var meanLoss: Double
    }
  }

  /// What an observer answers.
  public enum Answer: Sendable { case goOn, stop }

  /// One finished tensor.
  public struct SweepReport: Hashable, Sendable {
    /// From 0.
    public var cycle: Int
    /// Index into `RandomSearch.sweeps`.
    public var sweep: Int
    /// The swept tensor's name.
    public var parameter: String
    /// Share of the proposals that changed the element beyond its decay.
    public var keptShare: Double
    /// Smallest loss of each proposal per sample, on the mini-batches they were tested on.
    public var meanLoss: Double
    /// On the test set, after the sweep.
    public var test: Evaluation
    /// Seconds of the search, the cache included.
    public var seconds: Double
    /// Seconds of that evaluation, running statistics included.
    public var evaluationSeconds: Double
  }
}
