/// A search that goes on beside the code that watches it.
///
///     let training = Training(try RandomSearch(network: network, data: data, settings: settings))
///     for try await event in training.events() {
///       if case .swept(let report) = event { print(report.parameter, report.test.accuracy) }
///     }
///     try await training.model.write(to: file)
///
/// It searches while someone reads the events. When the task that reads them is cancelled, or leaves the loop, the search
/// stops after the proposals at hand; the weights found so far stay, and `events()` goes on from there.
///
/// Between two tensors it answers what it is asked, so `model` may be read while events come in.
public actor Training {
  private var search: RandomSearch
  private var isRunning = false

  /// - Parameter search: is handed over; where it stands is where it goes on.
  public init(_ search: sending RandomSearch) {
    self.search = search
  }

  /// What the search tells, from where it stands to its end.
  ///
  /// The stream throws what the search throws. A second stream waits until the first is left.
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

  /// Searches until every cycle is done, or the task is cancelled.
  private func run(_ tell: @Sendable (RandomSearch.Event) -> Void) async throws {
    while isRunning { await Task.yield() }
    isRunning = true
    defer { isRunning = false }
    while !search.isFinished, !Task.isCancelled {
      // One tensor at a time, and room between them for those who ask.
      try search.run { event in
        tell(event)
        if case .swept = event { return .stop }
        return Task.isCancelled ? .stop : .goOn
      }
      await Task.yield()
    }
  }

  /// The network with the weights as they are now, and the running statistics of the last evaluation.
  public var model: Model { search.model }

  /// What is swept next.
  public var position: RandomSearch.Position { search.position }

  /// Whether every cycle is done.
  public var isFinished: Bool { search.isFinished }

  /// Loss and accuracy over a split, with running statistics renewed for the weights as they are now.
  public func evaluate(_ split: EvaluatedSplit = .test) throws -> Evaluation {
    try search.evaluate(split)
  }
}
