extension RandomSearch {
  /// What a search tells while it runs.
  public enum Event: Sendable {
    /// A run of proposals was judged.
    case judged(Judged)
    /// A tensor is done and the test set was evaluated.
    case swept(SweepReport)

    public struct Judged: Sendable {
      public var cycle: Int
      /// Index into `RandomSearch.sweeps`.
      public var sweep: Int
      public var parameter: String
      public var proposals: ArraySlice<Proposal>
      public var decisions: [Decision]
      /// Elements of the tensor tested so far, and in all.
      public var done: Int
      public var count: Int
      /// So far in this sweep: share of the proposals that changed the element by ±Δ.
      public var keptShare: Double
      /// So far in this sweep: loss of the chosen candidates per sample.
      public var meanLoss: Double
    }
  }

  /// What an observer answers.
  public enum Answer: Sendable { case goOn, stop }

  /// One finished tensor.
  public struct SweepReport: Hashable, Sendable {
    public var cycle: Int
    /// Index into `RandomSearch.sweeps`.
    public var sweep: Int
    public var parameter: String
    /// Share of the proposals that changed the element by ±Δ.
    public var keptShare: Double
    /// Loss of the chosen candidates per sample, on the mini-batches they were tested on.
    public var meanLoss: Double
    public var test: Evaluation
    /// Seconds of the search, the cache included.
    public var seconds: Double
    public var evaluationSeconds: Double
  }
}
