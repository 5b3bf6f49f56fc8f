import ArgumentParser
import Foundation
import RSO
import RSOFormats

/// A run from its current position to its end, or until it is told to stop.
struct TrainingSession {
  /// What a run prints.
  enum Output { case table, quiet, json }

  /// `nil` if the run is finished.
  private var search: RandomSearch?
  let folder: RunFolder
  /// For TensorBoard; `nil` if the run is finished.
  let events: EventLog?
  /// The folder's path as the user gave it.
  let path: String
  /// The folder to resume: the run's, or the one that holds the runs of several seeds.
  let parent: String
  let output: Output
  var display: ProgressDisplay
  var estimate: TimeEstimate
  let start = ContinuousClock.now

  /// Starts a new run and makes its folder.
  ///
  /// - Parameter isNumbered: whether the folder is a new one, with a number after `path` if that exists.
  /// - Throws: `RSOError`; the folder is then unchanged.
  init(
    beginning search: RandomSearch, _ configuration: RunConfiguration, folder path: String,
    isNumbered: Bool = false, parent: String? = nil, initialModel: URL? = nil, output: Output
  ) throws {
    var search = search
    // A model includes running statistics, which an evaluation computes.
    let (evaluation, untrained) = try search.evaluateUntrained()
    try search.requireFiniteModel(after: nil)
    let path = try isNumbered ? RunFolder.makeNew(path) : path
    let folder: RunFolder
    do {
      folder = try RunFolder(
        creating: URL(fileURLWithPath: path),
        Checkpoint(search.content, configuration: configuration), untrained: untrained,
        initialModel: initialModel)
    } catch {
      if isNumbered { rmdir(path) }
      throw error
    }
    try folder.record(Session(on: search.device, commit: commit))
    let events = try EventLog(
      folder: folder.url, sweeps: search.sweeps.count, position: search.position,
      judgedOn: untrained.split)
    try events.begin(search.content, evaluation, untrained.split)
    self.init(search, folder, events, path, parent, output)
    if output == .json { Console.line(untrained.line) }
    describe(
      search,
      (isTensors ? "start: " : "untrained: \(untrained.split) ")
        + (evaluation.hasClasses ? "accuracy " : "loss ")
        + Self.result(evaluation)
        + Self.words(evaluation.measures))
  }

  /// Resumes a run.
  ///
  /// - Throws: `RSOError` if the event file cannot be written.
  init(
    resuming search: RandomSearch?, _ folder: RunFolder, folder path: String, parent: String? = nil,
    output: Output
  ) throws {
    if let trace = folder.lostTrace {
      Console.note("\(trace.path): the trace was deleted; a new one begins here")
    }
    if let search { try folder.record(Session(on: search.device, commit: commit)) }
    let events = try search.map { search in
      let cycle = folder.earlierMetrics.filter {
        $0.cycle == search.position.cycle && $0.parameter != nil
      }
      return try EventLog(
        folder: folder.url, sweeps: search.sweeps.count, position: search.position,
        judgedOn: search.subject.evaluatedSplit,
        cycleSeconds: cycle.reduce(0) { $0 + $1.seconds + $1.evaluationSeconds })
    }
    var search = search
    if var first = search, first.position == RandomSearch.Position(), let events,
      events.isEmpty || folder.needsUntrained
    {
      // The run was killed after its first checkpoint and before this step.
      let (evaluation, untrained) = try first.evaluateUntrained()
      if folder.needsUntrained {
        try folder.record(untrained: untrained)
        if output == .json { Console.line(untrained.line) }
      }
      if events.isEmpty { try events.begin(first.content, evaluation, untrained.split) }
      search = first
    }
    self.init(search, folder, events, path, parent, output)
    if let search {
      if let earlier = folder.earlierCycles {
        display.line(Self.moreCycles(search.settings, from: earlier, at: search.position.cycle))
      }
      let slot = search.sweeps[search.position.sweep].slot(in: search.parameters)
      describe(
        search,
        "resumed: cycle \(search.position.cycle + 1), \(slot.name)"
          + (search.progress.map { ", after \($0.values.count) of its \(slot.count) values" } ?? "")
      )
    }
  }

  private init(
    _ search: RandomSearch?, _ folder: RunFolder, _ events: EventLog?, _ path: String,
    _ parent: String?, _ output: Output
  ) {
    self.search = search
    self.folder = folder
    self.events = events
    self.path = path
    self.parent = parent ?? path
    self.output = output
    display = ProgressDisplay(quiet: output != .table)
    estimate = TimeEstimate(
      work: search?.expectedWork ?? [],
      earlier: search.map { search in
        folder.earlierMetrics.filter { $0.parameter != nil }.map {
          ($0.seconds + $0.evaluationSeconds)
            / search.settings.cost(ofCycles: $0.cycle..<$0.cycle + 1)
        }
      } ?? [])
  }

  /// Whether there is nothing left to do.
  var isFinished: Bool { search == nil }

  /// - Throws: `RSOError`, or `Stopped`; the folder can be resumed.
  mutating func run() throws {
    guard search != nil else {
      if output != .json {
        Console.line("\(path): this run is finished; there is nothing to resume")
      }
      try summary(isRun: false)
      return
    }
    do {
      while let finished = search?.isFinished, !finished {
        guard try sweep() else { throw Stopped() }
      }
    } catch is Stopped {
      display.clear()
      if Interrupts.isTimeUp, Interrupts.received == nil { try summary(isRun: true) }
      throw Stopped()
    } catch let error as RSOError {
      display.clear()
      Console.error("\(error.inOptions)")
      let advice =
        !error.isDivergence
        ? "go on with: \(resumeCommand)"
        : folder.checkpoint.best == nil
          ? "it has nothing to start another from"
          : "start another with its best "
            + (isTensors
              ? "tensors: rso search --start \(Self.quoted(path + "/best.safetensors"))"
              : "model: rso train --from \(Self.quoted(path))")
      Console.write(
        "rso: the run is saved up to its last finished tensor; \(advice)\n", to: STDERR_FILENO)
      throw ExitCode(1)
    }
    display.clear()
    try summary(isRun: true)
  }

  /// Searches one tensor and writes the results; `false` if told to stop.
  private mutating func sweep() throws -> Bool {
    guard var search else { return false }
    defer { self.search = search }
    let cycle = search.position.cycle
    estimate.begin(
      sweep: search.position.sweep, cost: search.settings.cost(ofCycles: cycle..<cycle + 1),
      at: .now, isWhole: search.progress == nil)
    var report: RandomSearch.SweepReport?
    // One sweep at a time: writing results needs the search, which is busy while it runs.
    self.search = nil
    do {
      try search.run { event in
        switch event {
        case .judged(let judged):
          estimate.judged(judged.done, at: .now)
          try folder.record(judged)
          if display.isDue { display.update(status(judged)) }
          return Interrupts.isStopping ? .stop : .goOn
        case .swept(let swept):
          report = swept
          return .stop
        }
      }
    } catch is Stopped {}
    guard let report else {
      try folder.record(search.progress)
      return false
    }
    estimate.end(at: .now)
    // The checkpoint comes last: resuming cuts off whatever is beyond it.
    let content = search.content
    // A stop now would lose the tensor.
    let test = try StopRequest.with({ false }) { try folder.testBest(report, search) }
    try events?.record(report, content, test: test)
    try folder.record(
      report, content, position: search.position, ruleStates: search.ruleStates,
      test: test.map(Checkpoint.Best.Result.init))
    if output == .json, let line = folder.last?.line, !Console.line(line) {
      Interrupts.request(SIGPIPE)
    }
    display.line(
      row(
        "\(cycle + 1)", report.parameter,
        report.keptShare.map { percent($0, 1) } ?? "\(fixed(report.step, 3)) σ",
        fixed(report.meanLoss, 4), report.evaluation.map(Self.result) ?? "–",
        folder.checkpoint.best.map(words) ?? "–",
        fixed(report.seconds + report.evaluationSeconds, 1) + " s")
        + Self.words(report.evaluation?.measures))
    return search.isFinished || !Interrupts.isStopping
  }
}
