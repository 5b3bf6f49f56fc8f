/// A search that runs alongside the code that watches it.
///
///     let training = Training(try RandomSearch(network: network, data: data, settings: settings))
///     for try await event in training.events() {
///       if case .swept(let report) = event { print(report.parameter, report.meanLoss) }
///     }
///     try await training.model.write(to: file)
///
/// It searches while the events are being read. When the task that reads them is cancelled or leaves the loop, the
/// search stops after the current run of proposals. The weights found so far stay, and `events()` continues from there.
///
/// It answers requests between two tensors, so `model` may be read while events arrive.
public actor Training {
  private var search: RandomSearch
  private var isRunning = false

  /// - Parameter search: the search to take over; it continues from its position.
  public init(_ search: sending RandomSearch) {
    self.search = search
  }

  /// The events of the search, from its position to its end.
  ///
  /// The stream throws what the search throws. A second stream waits until the first has ended.
  public nonisolated func events() -> AsyncThrowingStream<RandomSearch.Event, any Error> {
    AsyncThrowingStream { continuation in
      let task = Task {
        do {
          try await self.run { continuation.yield($0) }
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  /// Searches until every cycle is done or the task is cancelled.
  private func run(_ tell: @Sendable (RandomSearch.Event) -> Void) async throws {
    while isRunning { await Task.yield() }
    isRunning = true
    defer { isRunning = false }
    while !search.isFinished, !Task.isCancelled {
      // One tensor at a time; between two tensors the actor can answer other calls.
      try search.run { event in
        tell(event)
        if case .swept = event { return .stop }
        return Task.isCancelled ? .stop : .goOn
      }
      await Task.yield()
    }
  }

  /// The network with its current weights and the running statistics of the last evaluation.
  ///
  /// - Throws: `RSOError` if the search has no network.
  public var model: Model { get throws { try search.model } }

  /// The current weights.
  public var parameters: Parameters { search.parameters }

  /// The next sweep.
  public var position: RandomSearch.Position { search.position }

  /// Whether every cycle is done.
  public var isFinished: Bool { search.isFinished }

  /// Loss and accuracy over a split, with running statistics recomputed for the current weights.
  public func evaluate(_ split: EvaluatedSplit = .test) throws -> Evaluation {
    try search.evaluate(split)
  }
}
