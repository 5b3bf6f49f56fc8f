import Foundation

extension RunFolder {
  /// Whether a folder holds a run.
  public static func isRun(_ url: URL) -> Bool {
    FileManager.default.fileExists(atPath: url.appendingPathComponent(Name.checkpoint).path)
  }

  /// Makes the folder of a new run, with a checkpoint of its start, and evaluates the untrained network.
  ///
  /// - Parameters:
  ///   - search: a search at its beginning.
  ///   - url: a new or empty folder.
  ///   - dataDirectory: where `rso` finds the data, if they are not built in.
  /// - Throws: `RSOError` if the search has begun, the folder is not empty, another program uses it, or it cannot be
  ///   written; what was created is then gone.
  /// - Complexity: one evaluation.
  public convenience init(
    beginning search: inout RandomSearch, at url: URL, dataDirectory: URL? = nil
  ) throws {
    guard search.position == RandomSearch.Position() else {
      throw RSOError(
        "search",
        "expected one that has not begun, found one in cycle \(search.position.cycle + 1)",
        hint: "make the folder first, then run the search in it")
    }
    let untrained = try search.evaluateUntrained().metrics
    let content = search.content
    let subject: RunConfiguration.Subject =
      switch search.subject {
      case .network(let network, let data):
        .network(network, try DataDescription(data, directory: dataDirectory?.path))
      case .tensors: .tensors(widths: content.parameters.widths)
      }
    let configuration = RunConfiguration(subject, settings: search.settings)
    try self.init(
      creating: url, Checkpoint(content, configuration: configuration), untrained: untrained)
    try record(Session(on: search.device))
  }

  /// The search that continues the run where it was stopped, or after its last finished tensor if it was killed.
  ///
  /// - Parameters:
  ///   - data: the data that the run was started with.
  ///   - device: what to compute on; the bits are the same for any number of threads.
  ///   - loss: the loss of one's own that it was started with, if any.
  /// - Throws: `RSOError` if they are other data, or the device cannot be used.
  public func search(
    on data: Dataset, device: Device = .cpu(), loss: (any BatchLoss)? = nil
  ) throws -> RandomSearch {
    let (own, found) = (try checkpoint.configuration.data, try DataDescription(data))
    let model = try checkpoint.model
    guard own.digest == found.digest else {
      throw RSOError(
        data.name, "the run has the data \(own.words), found \(found.words)",
        hint: "give the data that the run was started with, limits and validation images included")
    }
    var search = try RandomSearch(
      network: model.network, data: data,
      settings: checkpoint.configuration.settings, device: device,
      parameters: model.parameters, position: checkpoint.position,
      progress: checkpoint.progress, ruleStates: checkpoint.ruleStates,
      statistics: model.statistics,
      loss: loss ?? checkpoint.configuration.program.map { try LossProgram($0) })
    try goOn(with: &search)
    return search
  }

  /// The search without a network that continues the run where it was stopped, or after its last finished tensor if it
  /// was killed.
  ///
  /// - Parameter loss: the loss that it was started with.
  /// - Throws: `RSOError` if the run has a network.
  public func search(by loss: any VectorLoss) throws -> RandomSearch {
    guard case .tensors(let parameters) = checkpoint.content else {
      throw RSOError(
        url.path, "expected a search without a network, found the run of a network",
        hint: "go on with it: rso train --run DIR --resume, or search(on: data)")
    }
    var search = try RandomSearch(
      parameters, settings: checkpoint.configuration.settings, position: checkpoint.position,
      progress: checkpoint.progress, ruleStates: checkpoint.ruleStates, loss: loss)
    try goOn(with: &search)
    return search
  }

  /// The same with a function as the loss; `RandomSearch` says what it is given.
  public func search(
    by loss: @escaping (_ vector: [Float], _ seed: UInt32) throws -> Double
  ) throws -> RandomSearch {
    try search(by: FunctionLoss(function: loss))
  }

  private func goOn(with search: inout RandomSearch) throws {
    try record(Session(on: search.device))
    // The run was killed after its first checkpoint.
    if needsUntrained { try record(untrained: search.evaluateUntrained().metrics) }
  }

  /// Writes everything that a finished tensor changes. At the end of a run with validation images, it first evaluates
  /// the best model on the test images.
  fileprivate func record(
    _ report: RandomSearch.SweepReport, of search: RandomSearch
  ) throws {
    try record(
      report, search.content, position: search.position, ruleStates: search.ruleStates,
      test: testBest(report, search).map(Checkpoint.Best.Result.init))
  }

  /// Evaluates the best model on the test images, which have had no part in the run until now; `nil` unless a run with
  /// validation images has ended.
  ///
  /// - Parameter report: the last tensor, which is not recorded yet.
  package func testBest(
    _ report: RandomSearch.SweepReport, _ search: RandomSearch
  ) throws -> Evaluation? {
    guard search.isFinished, report.split == .validation, case .model(let model) = search.content,
      let device = search.device
    else { return nil }
    // As it reads back: a file holds 32-bit statistics.
    let best =
      report.evaluation.map(isBest) ?? false
      ? try Model(model.safeTensors(file: bestURL.path), file: bestURL.path)
      : try Model(contentsOf: bestURL)
    return try best.evaluate(
      on: search.data, .test, loss: search.settings.loss, own: search.ownLoss,
      metrics: search.settings.metrics, device: device)
  }

  /// - Throws: `RSOError` unless the search is where the run is.
  fileprivate func requireAgreement(with search: RandomSearch) throws {
    guard search.position == checkpoint.position, search.progress == checkpoint.progress,
      search.settings == checkpoint.configuration.settings,
      search.progress != nil || search.parameters == checkpoint.content.parameters
    else {
      throw RSOError(
        url.path, "expected the search of this run, found one with other settings or weights",
        hint: "a search that ran elsewhere meanwhile goes on as RunFolder(resuming:).search(on:)")
    }
  }
}

extension RandomSearch {
  /// Searches until every cycle is done or `observe` returns `.stop`, and writes every finished tensor to a folder, and
  /// what a stop leaves of another.
  ///
  /// A program that is killed at any moment can go on after the last finished tensor, and ends with the same bits:
  ///
  ///     let folder = try RunFolder(resuming: url)
  ///     var search = try folder.search(on: data)
  ///     try search.run(in: folder)
  ///
  /// - Parameters:
  ///   - folder: the run's, at the same position.
  ///   - observe: learns of a finished tensor once it is written.
  /// - Throws: `RSOError` if the folder is that of another search or cannot be written; also what `observe` throws.
  public mutating func run(
    in folder: RunFolder, _ observe: (Event) throws -> Answer = { _ in .goOn }
  ) throws {
    try folder.requireAgreement(with: self)
    while !isFinished {
      var finished: SweepReport?
      // One tensor at a time: writing it needs the search, which is busy while it runs.
      try run { event in
        switch event {
        case .judged(let judged):
          try folder.record(judged)
          return try observe(event)
        case .swept(let report):
          finished = report
          return .stop
        }
      }
      guard let finished else { return try folder.record(progress) }
      try folder.record(finished, of: self)
      if try observe(.swept(finished)) == .stop { return }
    }
  }

  /// The untrained network's evaluation, which also gives its model running statistics, and its line of metrics.
  package mutating func evaluateUntrained() throws -> (evaluation: Evaluation, metrics: Metrics) {
    let start = ContinuousClock.now
    let split = subject.evaluatedSplit
    let evaluation = try evaluate(split)
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    return (evaluation, Metrics(untrained: evaluation, split, seconds: seconds))
  }
}
