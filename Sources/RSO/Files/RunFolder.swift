import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The folder of a run:
///
/// | file | what it holds |
/// |---|---|
/// | `checkpoint.safetensors` | the latest model, and everything needed to continue |
/// | `best.safetensors` | the best model so far, the first of equals: by accuracy, or by a loss that is not cross entropy |
/// | `initial.safetensors` | the model before training |
/// | `metrics.jsonl` | one line for the untrained network and one for every finished tensor |
/// | `config.json` | the configuration, for people and other programs to read |
/// | `sessions.jsonl` | one line for every program that began or resumed the run |
///
/// After every tensor, and when a sweep is cut short, the checkpoint is written last, and resuming cuts off whatever the
/// other files hold beyond it. So a stopped run goes on where it was, and one killed at any moment after its last
/// finished tensor, or where it was stopped last.
///
///     var search = try RandomSearch(network: .mnist(), data: data, settings: SearchSettings())
///     let folder = try RunFolder(beginning: &search, at: url)
///     try search.run(in: folder)
///
/// After a stop, `RunFolder(resuming: url).search(on: data)` is the search that goes on. `rso` reads and resumes these
/// folders, too.
public final class RunFolder {
  /// The folder.
  public let url: URL
  /// The latest model, and everything needed to continue from it.
  public private(set) var checkpoint: Checkpoint
  /// The metrics of the untrained network and of tensors finished before this program started.
  package let earlierMetrics: [Metrics]
  /// The last line of metrics; `nil` before the first.
  package private(set) var last: Metrics? {
    didSet { if last?.isEvaluated ?? false { lastEvaluated = last } }
  }
  /// The first line of metrics that this program wrote; `nil` if an earlier one did.
  package private(set) var first: Metrics?
  /// The last line of metrics with an evaluation.
  package private(set) var lastEvaluated: Metrics?
  /// The number of cycles that the run had before it was given more; `nil` if it was not.
  package let earlierCycles: Int?
  /// The trace if its file was deleted since the run stopped; a new one begins with this session.
  package let lostTrace: URL?
  private let metrics: AppendingFile
  private let trace: AppendingFile?
  private let lock: FolderLock

  enum Name {
    static let checkpoint = "checkpoint.safetensors"
    static let initial = "initial.safetensors"
    static let best = "best.safetensors"
    static let metrics = "metrics.jsonl"
    static let configuration = "config.json"
    static let sessions = "sessions.jsonl"
    static let events = eventsName
  }

  /// TensorBoard's history of the run; it looks for `tfevents` in the name.
  package static let eventsName = "events.out.tfevents.rso"

  /// The paths of the files that every run has.
  package static func files(in folder: String) -> [String] { names.map { "\(folder)/\($0)" } }

  private static let names = [
    Name.checkpoint, Name.initial, Name.best, Name.metrics, Name.configuration, Name.sessions,
    Name.events,
  ]

  package var checkpointURL: URL { url.appendingPathComponent(Name.checkpoint) }
  package var bestURL: URL { url.appendingPathComponent(Name.best) }
  private var metricsURL: URL { url.appendingPathComponent(Name.metrics) }
  private var configurationURL: URL { url.appendingPathComponent(Name.configuration) }

  /// Makes the folder of a new run, with a checkpoint of its start.
  ///
  /// - Parameters:
  ///   - untrained: the first line of metrics; `nil` to leave it to `record(untrained:)`.
  ///   - initialModel: where else to write the model before training, if anywhere.
  /// - Throws: `RSOError` if the folder is not empty, another program uses it, or it cannot be written; what was
  ///   created is then gone.
  package init(
    creating url: URL, _ checkpoint: Checkpoint, untrained: Metrics? = nil, initialModel: URL? = nil
  ) throws {
    self.url = url
    self.checkpoint = checkpoint
    earlierMetrics = []
    earlierCycles = nil
    lostTrace = nil
    (first, last, lastEvaluated) = (untrained, untrained, untrained)
    func file(_ name: String) -> URL { url.appendingPathComponent(name) }
    let made = try makeFolder(url)
    var written: [URL] = []
    // Whoever has no lock must not remove the folder of a program that has it.
    var isLocked = false
    do {
      lock = try FolderLock(url)
      isLocked = true
      try Self.requireEmpty(url)
      // The checkpoint comes first: a folder with other files and no checkpoint could neither resume nor start a run.
      written.append(file(Name.checkpoint))
      try checkpoint.write(to: file(Name.checkpoint))
      written.append(file(Name.initial))
      try checkpoint.content.write(to: file(Name.initial))
      written.append(file(Name.configuration))
      try Self.write(checkpoint.configuration, to: file(Name.configuration))
      written.append(file(Name.metrics))
      metrics = try AppendingFile(file(Name.metrics))
      if let untrained { try metrics.append(untrained.line) }
      try metrics.synchronize()
      trace = try checkpoint.configuration.trace.map {
        let file = Self.file($0, of: url)
        if !FileManager.default.fileExists(atPath: file.path) { written.append(file) }
        return try AppendingFile(file, keeping: 0)
      }
      try initialModel.map { try checkpoint.content.write(to: $0) }
    } catch {
      for file in written { unlink(file.path) }
      if isLocked { for folder in made.reversed() { rmdir(folder.path) } }
      throw error
    }
  }

  /// Opens the folder of a stopped run, where it was stopped, or at its last finished tensor if it was killed.
  ///
  /// - Parameters:
  ///   - url: the folder.
  ///   - cycles: how many cycles the run has from now on, if that is more than it had. The run may be finished.
  ///   - check: called before anything is changed, with the cycles that the run will have.
  /// - Throws: `RSOError` if there is no run, another program uses it, or a file is damaged; also what `check` throws.
  public init(
    resuming url: URL, cycles: Int? = nil, check: (Checkpoint) throws -> Void = { _ in }
  ) throws {
    self.url = url
    func file(_ name: String) -> URL { url.appendingPathComponent(name) }
    guard FileManager.default.fileExists(atPath: file(Name.checkpoint).path) else {
      throw RSOError(
        url.path, "expected a run to resume, found no \(Name.checkpoint)",
        hint: "check the path, or leave out --resume to start a run")
    }
    lock = try FolderLock(url)
    var checkpoint = try Checkpoint(contentsOf: file(Name.checkpoint))
    try Self.checkConfiguration(file(Name.configuration), checkpoint.configuration)

    let settings = checkpoint.configuration.settings
    let sweeps = checkpoint.sweeps
    var (lines, bytes) = try Self.readMetrics(
      file(Name.metrics),
      count: checkpoint.position.cycle * sweeps.count + checkpoint.position.sweep,
      begin: checkpoint.content.network == nil ? "rso search --start" : "rso train --from")
    let before = settings.cycles
    earlierCycles = cycles ?? 0 > before ? before : nil
    if let cycles, cycles > before {
      checkpoint.configuration.settings.cycles = cycles
      // It was the result at the end, and the end has moved.
      checkpoint.best?.test = nil
    }
    // So was the line with that result.
    let hasEarlierResult = !checkpoint.isFinished && lines.contains { $0.test != nil }
    if hasEarlierResult { for index in lines.indices { lines[index].test = nil } }
    earlierMetrics = lines
    (last, lastEvaluated) = (lines.last, lines.last(where: \.isEvaluated))
    let traceURL = checkpoint.configuration.trace.map { Self.file($0, of: url) }
    // A run may also have been killed before it had one.
    let hasTrace = checkpoint.traceBytes > 0
    lostTrace = traceURL.flatMap {
      hasTrace && !FileManager.default.fileExists(atPath: $0.path) ? $0 : nil
    }
    if lostTrace != nil { checkpoint.traceBytes = 0 }
    self.checkpoint = checkpoint
    try check(checkpoint)
    try Self.removeTemporaries(url)
    // The checkpoint must not count on a trace that is gone, should this program be killed after the new one is there.
    if lostTrace != nil, earlierCycles == nil { try checkpoint.write(to: file(Name.checkpoint)) }
    if earlierCycles != nil {
      // A program killed in between leaves no configuration, which the next one writes again.
      unlink(file(Name.configuration).path)
      try checkpoint.write(to: file(Name.checkpoint))
    }
    // A program killed after its first checkpoint leaves no model of the start, which is still in the checkpoint.
    if checkpoint.position == RandomSearch.Position(),
      !FileManager.default.fileExists(atPath: file(Name.initial).path)
    {
      try checkpoint.content.write(to: file(Name.initial))
    }
    if !FileManager.default.fileExists(atPath: file(Name.configuration).path) {
      try Self.write(checkpoint.configuration, to: file(Name.configuration))
    }
    if hasEarlierResult {
      let text = Data(lines.map { $0.line + "\n" }.joined().utf8)
      try AtomicFile.write(text, to: file(Name.metrics))
      bytes = text.count
    }
    metrics = try AppendingFile(file(Name.metrics), keeping: bytes)
    trace = try traceURL.map { try AppendingFile($0, keeping: checkpoint.traceBytes) }
  }

  /// Whether the metrics have no line for the untrained network yet: the run was killed before it was written.
  package var needsUntrained: Bool { checkpoint.position == RandomSearch.Position() && last == nil }

  /// Writes the first line of metrics.
  package func record(untrained: Metrics) throws {
    (first, last, lastEvaluated) = (untrained, untrained, untrained)
    try metrics.append(untrained.line)
    try metrics.synchronize()
  }

  /// Whether a model is the best so far: of the smallest loss, or of the largest accuracy if the loss is the paper's.
  package func isBest(_ evaluation: Evaluation) -> Bool {
    guard let best = checkpoint.best else { return true }
    guard checkpoint.configuration.choosesByLoss else {
      return evaluation.accuracy > best.accuracy ?? 0
    }
    return best.loss.map { evaluation.meanLoss < $0 } ?? evaluation.meanLoss.isFinite
  }

  /// Writes a run of proposals to the trace, if there is one.
  package func record(_ judged: RandomSearch.Event.Judged) throws {
    guard let trace else { return }
    for (proposal, decision) in zip(judged.proposals, judged.decisions) {
      try trace.append(
        Trace.line(proposal, decision, cycle: judged.cycle, parameter: judged.parameter))
    }
  }

  /// Writes everything that a finished tensor changes; the run can then resume after that tensor.
  ///
  /// - Parameter test: the best model on the test images, at the end of a run with validation images.
  /// - Throws: `RSOError` if a file cannot be written; the run can then resume before the tensor.
  package func record(
    _ report: RandomSearch.SweepReport, _ content: RandomSearch.Content,
    position: RandomSearch.Position,
    ruleStates: [String: RuleState] = [:], test: Checkpoint.Best.Result? = nil
  ) throws {
    let isBest = report.evaluation.map(isBest) ?? false
    if isBest, let evaluation = report.evaluation {
      checkpoint.best = .init(
        accuracy: evaluation.hasClasses ? evaluation.accuracy : nil,
        loss: evaluation.meanLoss.isFinite ? evaluation.meanLoss : nil, cycle: report.cycle,
        parameter: report.parameter,
        split: report.split == .test ? nil : report.split)
    }
    checkpoint.best?.test = test
    checkpoint.content = content
    (checkpoint.position, checkpoint.progress) = (position, nil)
    checkpoint.ruleStates = ruleStates
    checkpoint.traceBytes = trace?.length ?? 0
    try trace?.synchronize()
    // A run of a version that wrote no totals goes on without them.
    let earlier = last == nil ? Metrics.Totals() : last?.totals
    let line = Metrics(
      report, bestAccuracy: checkpoint.best?.accuracy, after: earlier, test: test)
    last = line
    try metrics.append(line.line)
    try metrics.synchronize()
    if isBest { try checkpoint.write(to: bestURL, isBest: true) }
    try checkpoint.write(to: checkpointURL)
  }

  /// Writes what a sweep that was cut short has decided; the run can then resume within it.
  package func record(_ progress: RandomSearch.SweepProgress?) throws {
    guard progress != checkpoint.progress else { return }
    checkpoint.progress = progress
    checkpoint.traceBytes = trace?.length ?? 0
    try trace?.synchronize()
    try checkpoint.write(to: checkpointURL)
  }
}

// MARK: - What is in the folder

extension RunFolder {
  /// Whether a name is that of a temporary file that a killed program left behind.
  private static func isTemporary(_ name: String) -> Bool {
    name.hasSuffix(".tmp") && names.contains { name.hasPrefix(".\($0).") }
  }

  /// The path under which a run records a file: relative if the file is in the run's folder, so that the run can move.
  package static func path(of file: URL, in folder: URL) -> String {
    let prefix = folder.standardizedFileURL.path + "/"
    let path = file.standardizedFileURL.path
    return path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : path
  }

  private static func file(_ path: String, of folder: URL) -> URL {
    path.hasPrefix("/") ? URL(fileURLWithPath: path) : folder.appendingPathComponent(path)
  }

  private static func names(in url: URL) throws -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: url.path).sorted()
    } catch {
      throw RSOError(url.path, "cannot be read: \(error.localizedDescription)")
    }
  }

  private static func requireEmpty(_ url: URL) throws {
    let names = try names(in: url).filter { !isTemporary($0) }
    if names.contains(Name.checkpoint) {
      throw RSOError(
        url.path, "expected an empty folder, found a run",
        hint: "go on with it: --resume; or start in another folder: --run DIR")
    }
    if let name = names.first {
      throw RSOError(
        url.path, "expected an empty folder, found \(name)", hint: "use another folder: --run DIR")
    }
    try removeTemporaries(url)
  }

  private static func removeTemporaries(_ url: URL) throws {
    for name in try names(in: url) where isTemporary(name) {
      unlink(url.appendingPathComponent(name).path)
    }
  }

  private static func write(_ configuration: RunConfiguration, to url: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try AtomicFile.write(encoder.encode(configuration) + Data("\n".utf8), to: url)
  }

  /// The file is only a record: an edit would have no effect, and must not seem to have one.
  private static func checkConfiguration(_ url: URL, _ expected: RunConfiguration) throws {
    guard FileManager.default.fileExists(atPath: url.path) else { return }
    let found: RunConfiguration = try JSONDocument(readFile(url), name: url.path).decode()
    guard found == expected else {
      throw RSOError(
        url.path, "expected the configuration that \(Name.checkpoint) holds, found another",
        hint: "undo the change or delete the file; other settings need a run of their own")
    }
  }

  /// The lines up to a number of finished tensors, and the number of bytes they take.
  ///
  /// - Parameter begin: the command that begins another run with a file of this one.
  private static func readMetrics(
    _ url: URL, count: Int, begin: String
  ) throws -> ([Metrics], bytes: Int) {
    if count == 0, !FileManager.default.fileExists(atPath: url.path) { return ([], 0) }
    guard FileManager.default.fileExists(atPath: url.path) else {
      let checkpoint = url.deletingLastPathComponent().appendingPathComponent(Name.checkpoint)
      throw RSOError(
        url.path, "expected the metrics of \(count) tensors, found no such file",
        hint:
          "the weights are there: start another run from them, \(begin) \(checkpoint.path)")
    }
    let found = try Metrics.read(readFile(url), count: count, file: url.path)
    guard let metrics = found.metrics else {
      throw RSOError(
        url.path, "expected lines of at least \(count) tensors, found \(found.tensors)",
        hint: "was it changed since the checkpoint was written?")
    }
    return (metrics, found.bytes)
  }
}
