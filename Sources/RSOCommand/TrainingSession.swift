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
  private let path: String
  private let output: Output
  private var display: ProgressDisplay
  private var estimate: TimeEstimate
  private let start = ContinuousClock.now

  /// Starts a new run and makes its folder.
  ///
  /// - Throws: `RSOError`; the folder is then unchanged.
  init(
    beginning search: RandomSearch, _ configuration: RunConfiguration, folder path: String,
    initialModel: URL?, output: Output
  ) throws {
    var search = search
    // A model includes running statistics, which an evaluation computes.
    let test = try search.evaluate()
    let folder = try RunFolder(
      creating: URL(fileURLWithPath: path),
      Checkpoint(model: search.model, configuration: configuration), initialModel: initialModel)
    let events = try EventLog(
      folder: folder.url, settings: search.settings, sweeps: search.sweeps.count,
      position: search.position)
    try events.begin(search.model, test: test)
    self.init(search, folder, events, path, output)
    describe(search, "untrained: test accuracy \(percent(test.accuracy))")
  }

  /// Resumes a run.
  ///
  /// - Throws: `RSOError` if the event file cannot be written.
  init(
    resuming search: RandomSearch?, _ folder: RunFolder, folder path: String, output: Output
  ) throws {
    let events = try search.map { search in
      let cycle = folder.earlierMetrics.filter { $0.cycle == search.position.cycle }
      return try EventLog(
        folder: folder.url, settings: search.settings, sweeps: search.sweeps.count,
        position: search.position,
        cycleSeconds: cycle.reduce(0) { $0 + $1.seconds + $1.evaluationSeconds })
    }
    var search = search
    if search?.position == RandomSearch.Position(), let events, events.isEmpty,
      let test = try search?.evaluate(), let model = search?.model
    {
      // The run was killed after its first checkpoint and before this step.
      try events.begin(model, test: test)
    }
    self.init(search, folder, events, path, output)
    if let search {
      let sweep = search.sweeps[search.position.sweep]
      describe(
        search,
        "resumed: cycle \(search.position.cycle + 1), "
          + search.parameters.slots[sweep.parameter].name)
    }
  }

  private init(
    _ search: RandomSearch?, _ folder: RunFolder, _ events: EventLog?, _ path: String,
    _ output: Output
  ) {
    self.search = search
    self.folder = folder
    self.events = events
    self.path = path
    self.output = output
    display = ProgressDisplay(quiet: output != .table)
    estimate = TimeEstimate(
      work: search?.expectedWork ?? [],
      earlier: search.map { search in
        folder.earlierMetrics.map {
          ($0.seconds + $0.evaluationSeconds)
            / search.settings.cost(ofCycles: $0.cycle..<$0.cycle + 1)
        }
      } ?? [])
  }

  /// - Throws: `RSOError`, or the `ExitCode` of the signal that stopped it; the folder can be resumed.
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
        guard try sweep() else {
          display.clear()
          let signal = Interrupts.received ?? SIGTERM
          Console.write(
            "rso: stopped by \(Interrupts.name(signal)); go on with: \(resumeCommand)\n",
            to: STDERR_FILENO)
          throw ExitCode(128 + signal)
        }
      }
    } catch let error as RSOError {
      display.clear()
      Console.error("\(error.inOptions)")
      Console.write(
        "rso: the run is saved up to its last finished tensor; go on with: \(resumeCommand)\n",
        to: STDERR_FILENO)
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
    try events?.record(report, model: model)
    try folder.record(
      report, model: model, position: search.position, ruleStates: search.ruleStates)
    if output == .json, let line = folder.lastLine, !Console.line(line) {
      Interrupts.request(SIGPIPE)
    }
    display.line(
      row(
        "\(cycle + 1)", report.parameter, percent(report.keptShare, 1),
        fixed(report.meanLoss, 4), percent(report.test.accuracy),
        percent(folder.checkpoint.best?.accuracy ?? 0),
        fixed(report.seconds + report.evaluationSeconds, 1) + " s"))
    return search.isFinished || Interrupts.received == nil
  }
}

// MARK: - What is said

extension TrainingSession {
  private var resumeCommand: String { "rso train --run \(quoted(path)) --resume" }

  /// The text as one word for a shell.
  private func quoted(_ text: String) -> String {
    let plain = text.allSatisfy {
      $0.isASCII && ($0.isLetter || $0.isNumber || "/._-+=:@%".contains($0))
    }
    return plain ? text : "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'"
  }

  private mutating func describe(_ search: RandomSearch, _ state: String) {
    let (data, settings) = (search.data, search.settings)
    display.line(
      """
      data: \(data.name), \(data.train.count) images of \(data.train.shape) to train on, \
      \(data.test.count) to test
      network: \(search.network.nodes.count) layers, \(search.parameters.values.count) weights, \
      \(data.classes) classes
      search: \(settings.cycles) cycles of \(search.sweeps.count) sweeps, batch \(settings.batchWords), \
      seed \(settings.seed)
      run folder: \(path)
      \(state)
      \(row("cycle", "tensor", "kept", "loss", "test", "best", "time"))
      """)
  }

  private func row(
    _ cycle: String, _ tensor: String, _ kept: String, _ loss: String, _ test: String,
    _ best: String, _ time: String
  ) -> String {
    cycle.padded(5, right: true) + "  " + tensor.padded(16)
      + [kept, loss, test, best, time].map { $0.padded(10, right: true) }.joined()
  }

  /// The bottom line; a narrow terminal loses the least important parts first.
  private func status(_ judged: RandomSearch.Event.Judged) -> String {
    let settings = folder.checkpoint.configuration.settings
    let cycles = settings.cycles
    func time(_ seconds: Double?) -> String { seconds.map(duration) ?? "?" }
    let left = estimate.sweepLeft
    let all = estimate.runLeft(cycles: settings.cost(ofCycles: judged.cycle + 1..<cycles))
    let head = "\(judged.cycle + 1)/\(cycles) \(judged.parameter) \(judged.done)/\(judged.count)"
    let tail = "  left \(time(left)), run \(time(all))"
    var middle = [
      folder.lastAccuracy.map { "  test \(percent($0))" } ?? "",
      "  loss \(fixed(judged.meanLoss, 4))", "  kept \(percent(judged.keptShare, 0))",
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
    var testAccuracy: Double?
    var best: Checkpoint.Best?
    var seconds: Double?
    var memoryBytes: Int?
  }

  private func summary(isRun: Bool) throws {
    let checkpoint = folder.checkpoint
    if output == .json {
      let answer = Answer(
        run: path, testAccuracy: folder.lastAccuracy, best: checkpoint.best,
        seconds: isRun ? (ContinuousClock.now - start) / .seconds(1) : nil,
        memoryBytes: isRun ? peakMemory : nil)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      Console.line(String(decoding: try encoder.encode(answer), as: UTF8.self))
      return
    }
    var lines: [String] = []
    if let accuracy = folder.lastAccuracy { lines.append("test accuracy: \(percent(accuracy))") }
    if let best = checkpoint.best {
      lines.append(
        "best: \(percent(best.accuracy)), after \(best.parameter) of cycle \(best.cycle + 1)")
    }
    if isRun {
      lines.append("time: \(duration((ContinuousClock.now - start) / .seconds(1)))")
      lines.append("memory: \(fixed(Double(peakMemory) / 1e9, 2)) GB at most")
    }
    let source = checkpoint.configuration.data
    let data =
      source.directory.map { " --data-dir \(quoted($0))" }
      ?? (source.name == "mnist" ? "" : " --data \(quoted(source.name))")
    let model = "\(path)/best.safetensors"
    lines.append("evaluate it: rso evaluate \(quoted(model))\(data)")
    lines.append("show it: rso report \(quoted(path))")
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

extension RandomSearch {
  /// The multiply-adds of every sweep of a cycle.
  fileprivate var expectedWork: [TimeEstimate.Work] {
    let cost = CostModel(
      network: network, settings: settings, train: data.train.count, test: data.test.count,
      pixelSize: data.train.images.size)
    return cost.sweeps.map {
      .init(
        proposals: $0.proposals, perProposal: $0.averagePerProposal,
        rest: Double($0.cache + $0.evaluation))
    }
  }
}
