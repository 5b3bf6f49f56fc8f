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
  private let folder: RunFolder
  /// For TensorBoard; `nil` if the run is finished.
  private let events: EventLog?
  /// The folder's path as the user gave it.
  let path: String
  /// The folder to resume: the run's, or the one that holds the runs of several seeds.
  private let parent: String
  private let output: Output
  private var display: ProgressDisplay
  private var estimate: TimeEstimate
  private let start = ContinuousClock.now

  /// Starts a new run and makes its folder.
  ///
  /// - Parameter isNumbered: whether the folder is a new one, with a number after `path` if that exists.
  /// - Throws: `RSOError`; the folder is then unchanged.
  init(
    beginning search: RandomSearch, _ configuration: RunConfiguration, folder path: String,
    isNumbered: Bool = false, parent: String? = nil, initialModel: URL?, device: Device,
    output: Output
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
        Checkpoint(model: search.model, configuration: configuration), untrained: untrained,
        initialModel: initialModel)
    } catch {
      if isNumbered { rmdir(path) }
      throw error
    }
    try folder.record(Session(on: device, commit: commit))
    let events = try EventLog(
      folder: folder.url, sweeps: search.sweeps.count, position: search.position,
      judgedOn: untrained.split)
    try events.begin(search.model, evaluation, untrained.split)
    self.init(search, folder, events, path, parent, output)
    if output == .json { Console.line(untrained.line) }
    describe(
      search,
      "untrained: \(untrained.split) " + (evaluation.hasClasses ? "accuracy " : "loss ")
        + Self.result(evaluation)
        + Self.words(evaluation.measures))
  }

  /// Resumes a run.
  ///
  /// - Throws: `RSOError` if the event file cannot be written.
  init(
    resuming search: RandomSearch?, _ folder: RunFolder, folder path: String, parent: String? = nil,
    device: Device, output: Output
  ) throws {
    if search != nil { try folder.record(Session(on: device, commit: commit)) }
    let events = try search.map { search in
      let cycle = folder.earlierMetrics.filter {
        $0.cycle == search.position.cycle && $0.parameter != nil
      }
      return try EventLog(
        folder: folder.url, sweeps: search.sweeps.count, position: search.position,
        judgedOn: search.data.evaluatedSplit,
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
      if events.isEmpty { try events.begin(first.model, evaluation, untrained.split) }
      search = first
    }
    self.init(search, folder, events, path, parent, output)
    if let search {
      if let earlier = folder.earlierCycles {
        display.line(Self.moreCycles(search.settings, from: earlier, at: search.position.cycle))
      }
      let sweep = search.sweeps[search.position.sweep]
      describe(
        search,
        "resumed: cycle \(search.position.cycle + 1), "
          + search.parameters.slots[sweep.parameter].name)
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
      throw Stopped()
    } catch let error as RSOError {
      display.clear()
      Console.error("\(error.inOptions)")
      let advice =
        error.isDivergence
        ? "start another with its best model: rso train --from \(Self.quoted(path))"
        : "go on with: \(resumeCommand)"
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
      at: .now)
    var report: RandomSearch.SweepReport?
    // One sweep at a time: writing results needs the search, which is busy while it runs.
    self.search = nil
    try search.run { event in
      switch event {
      case .judged(let judged):
        estimate.judged(judged.done, at: .now)
        try folder.record(judged)
        if display.isDue { display.update(status(judged)) }
        return Interrupts.received == nil ? .goOn : .stop
      case .swept(let swept):
        report = swept
        return .stop
      }
    }
    guard let report else { return false }
    estimate.end(at: .now)
    // The checkpoint comes last: resuming cuts off whatever is beyond it.
    let model = search.model
    let test = try folder.testBest(report, search)
    try events?.record(report, model: model, test: test)
    try folder.record(
      report, model: model, position: search.position, ruleStates: search.ruleStates,
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
    return search.isFinished || Interrupts.received == nil
  }
}

// MARK: - What is said

extension TrainingSession {
  private var resumeCommand: String { Self.resumeCommand(parent) }

  private static func resumeCommand(_ path: String) -> String {
    "rso train --run \(quoted(path)) --resume"
  }

  /// - Parameter path: the folder to go on with; `nil` if there is none yet.
  static func sayStopped(by signal: Int32, _ path: String?) {
    let advice = path.map { "go on with: \(resumeCommand($0))" } ?? "no run has begun"
    Console.write("rso: stopped by \(Interrupts.name(signal)); \(advice)\n", to: STDERR_FILENO)
  }

  /// The text as one word for a shell.
  static func quoted(_ text: String) -> String {
    let plain = text.allSatisfy {
      $0.isASCII && ($0.isLetter || $0.isNumber || "/._-+=:@%".contains($0))
    }
    return plain ? text : "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'"
  }

  /// What more cycles do to a run that had `earlier` and goes on in cycle `next`, counted from 0.
  private static func moreCycles(
    _ settings: SearchSettings, from earlier: Int, at next: Int
  ) -> String {
    let cycles = settings.cycles
    func width(_ cycle: Int, of cycles: Int) -> String {
      percent(settings.anneal.factor(cycle: cycle, of: cycles), 1)
    }
    let text = "cycles: \(cycles) instead of \(earlier); annealing (\(settings.anneal)) "
    if settings.anneal == .constant { return text + "leaves σ as it is" }
    let before = next > 0 ? "\(width(next - 1, of: earlier)) in cycle \(next), now " : ""
    return text + "spans them all, so σ is at " + before
      + "\(width(next, of: cycles)) in cycle \(next + 1) "
      + "and \(width(cycles - 1, of: cycles)) in the last"
  }

  /// The network before training.
  private var untrained: Metrics? {
    (folder.earlierMetrics.first ?? folder.first).flatMap { $0.parameter == nil ? $0 : nil }
  }

  private mutating func describe(_ search: RandomSearch, _ state: String) {
    let (data, settings) = (search.data, search.settings)
    display.line(
      """
      data: \(data.name), \(data.train.count) \(data.train.shape.sampleWords) to train on, \
      \(data.validation.map { "\($0.count) to validate, " } ?? "")\(data.test.count) to test
      network: \(search.network.nodes.count) layers, \(search.parameters.values.count) weights, \
      \(data.classes) \(data.hasLabels ? "classes" : "outputs")
      search: \(settings.cycles) cycles of \(search.sweeps.count) sweeps, batch \(settings.batchWords), \
      seed \(settings.seed)
      run folder: \(path)
      \(state)
      \(row("cycle", "tensor", settings.rule.isChoice ? "kept" : "step", "loss", "\(data.evaluatedSplit)", choosesByLoss ? "best loss" : "best", "time"))
      """)
  }

  private var choosesByLoss: Bool { folder.checkpoint.configuration.choosesByLoss }

  /// What chose the best model: its accuracy, or its loss if that is not the paper's.
  private func words(_ best: Checkpoint.Best) -> String {
    guard choosesByLoss else { return best.accuracy.map { percent($0) } ?? "–" }
    return best.loss.map { fixed($0, 4) } ?? "∞"
  }

  /// The accuracy, or the loss if the samples have no classes.
  private static func result(_ evaluation: Evaluation) -> String {
    evaluation.hasClasses ? percent(evaluation.accuracy) : fixed(evaluation.meanLoss, 4)
  }

  /// Metrics besides loss and accuracy.
  private static func words(_ measures: [String: Double]?) -> String {
    (measures ?? [:]).sorted { $0.key < $1.key }.map { "  \($0) \(fixed($1, 4))" }.joined()
  }

  private func row(
    _ cycle: String, _ tensor: String, _ kept: String, _ loss: String, _ test: String,
    _ best: String, _ time: String
  ) -> String {
    cycle.padded(5, right: true) + "  " + tensor.padded(16)
      + zip([kept, loss, test, best, time], [10, 10, isValidated ? 12 : 10, 10, 10])
      .map { $0.padded($1, right: true) }.joined()
  }

  /// Whether validation images choose the best model.
  private var isValidated: Bool { folder.checkpoint.configuration.data.validation != nil }

  /// The bottom line; a narrow terminal loses the least important parts first.
  private func status(_ judged: RandomSearch.Event.Judged) -> String {
    let settings = folder.checkpoint.configuration.settings
    let cycles = settings.cycles
    func time(_ seconds: Double?) -> String { seconds.map(duration) ?? "?" }
    let left = estimate.sweepLeft
    let all = estimate.runLeft(cycles: settings.cost(ofCycles: judged.cycle + 1..<cycles))
    let head = "\(judged.cycle + 1)/\(cycles) \(judged.parameter) \(judged.done)/\(judged.count)"
    let tail = "  left \(time(left)), run \(time(all))"
    let evaluated = folder.lastEvaluated.flatMap { line -> String? in
      let result = line.accuracy.map { percent($0) } ?? line.loss.map { fixed($0, 4) }
      return result.map { "  \(line.split) \($0)" }
    }
    let kept = judged.keptShare.map { "  kept \(percent($0, 0))" }
    var middle: [String] = [
      evaluated ?? "", "  loss \(fixed(judged.meanLoss, 4))",
      kept ?? "  step \(fixed(judged.step, 2)) σ",
    ]
    while !middle.isEmpty,
      head.count + tail.count + middle.map(\.count).reduce(0, +) >= ProgressDisplay.width
    {
      middle.removeLast()
    }
    return head + middle.reversed().joined() + tail
  }

  /// How the run ended, for programs.
  private struct Answer: Encodable {
    var run: String
    /// Of the last model; `nil` if the run has no validation images.
    var validationAccuracy: Double?
    /// Of the last model; of the best one if validation images have chosen it.
    var testAccuracy: Double?
    /// As `testAccuracy`; `nil` if it is not finite, or before the first finished tensor.
    var testLoss: Double?
    var best: Checkpoint.Best?
    var seconds: Double?
    var memoryBytes: Int?
  }

  private func summary(isRun: Bool) throws {
    let checkpoint = folder.checkpoint
    let test = checkpoint.best?.test
    let last = folder.last.flatMap { $0.parameter == nil ? nil : $0 }
    if output == .json {
      let answer = Answer(
        run: path, validationAccuracy: isValidated ? last?.accuracy : nil,
        testAccuracy: isValidated ? test?.accuracy : last?.accuracy,
        testLoss: isValidated ? test?.loss : last?.loss, best: checkpoint.best,
        seconds: isRun ? (ContinuousClock.now - start) / .seconds(1) : nil,
        memoryBytes: isRun ? peakMemory : nil)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      Console.line(String(decoding: try encoder.encode(answer), as: UTF8.self))
      return
    }
    var lines: [String] = []
    if let last, let accuracy = last.accuracy {
      lines.append("\(last.split) accuracy: \(percent(accuracy))")
    } else if let last, let loss = last.loss {
      lines.append("\(last.split) loss: \(fixed(loss, 4))")
    }
    if let best = checkpoint.best {
      lines.append(
        "best: \(choosesByLoss ? "loss " : "")\(words(best)), after \(best.parameter) of cycle \(best.cycle + 1)"
      )
    }
    if let untrained, let best = checkpoint.best,
      untrained.isBetter(than: best, byLoss: choosesByLoss)
    {
      lines.append(
        "the network that it began with was better: "
          + (choosesByLoss
            ? "loss \(untrained.loss.map { fixed($0, 4) } ?? "–")"
            : untrained.accuracy.map { percent($0) } ?? "–") + ", \(path)/initial.safetensors")
    }
    if let test {
      let loss = test.loss.map { fixed($0, 4) } ?? "not finite"
      lines.append(
        test.accuracy.map { "test accuracy of the best: \(percent($0)), loss \(loss)" }
          ?? "test loss of the best: \(loss)")
    }
    if isRun {
      lines.append("time: \(duration((ContinuousClock.now - start) / .seconds(1)))")
      lines.append("memory: \(fixed(Double(peakMemory) / 1e9, 2)) GB at most")
    }
    // Several seeds are shown together, at their end.
    if parent == path {
      lines.append("evaluate it: rso evaluate \(Self.quoted(path))")
      lines.append("show it: rso report \(Self.quoted(path))")
    }
    Console.line(lines.joined(separator: "\n"))
  }
}

/// The peak memory of this process, in bytes.
private var peakMemory: Int {
  var usage = rusage()
  // 0 is RUSAGE_SELF, whose type differs between systems.
  getrusage(0, &usage)
  #if canImport(Darwin)
    return usage.ru_maxrss
  #else
    return usage.ru_maxrss * 1024
  #endif
}
