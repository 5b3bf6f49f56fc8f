import ArgumentParser
import Foundation
import RSO

/// `rso search`
struct Search: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Search tensors that a program of your own judges.",
    discussion: """
      The same search as rso train, without a network and without data: every value of the tensors in --start is tried at \
      w, w + Δ and w − Δ, and the program says how good each is. It may be a simulator or drive a device. It reads the \
      candidates from its standard input and answers one loss for each (docs/search.md).

        rso search --start x.safetensors --command './simulator'
        rso search --start x.safetensors --command 'python3 mine.py' --cycles 20 --run runs/mine
        rso search --run runs/mine --resume                  go on after it was stopped
        rso search --run runs/mine --resume --cycles 40      go on after its end
        rso search --run runs/mine --resume --minutes 10     go on for ten minutes and save
        rso search … --sigma gains=0.5,offset=0.01           how wide the proposals are, by tensor
        rso search … --hold channel                          a seed for a row; two losses for most proposals
        rso search … --rule slope --anneal constant          steps in proportion to the slope
        rso report runs/mine                                 learning curves

      Each proposal has a seed, the same for its candidates, so noise does not decide between them. An evaluation is the \
      loss with seed 0, once after every tensor (--evaluate cycle: once a cycle); it chooses best.safetensors, which has \
      the tensors of --start. Control-C stops within two seconds and says how to go on. The run folder is that of rso train.
      """)

  @Option(
    help: ArgumentHelp(
      "The tensors to begin with: named 32-bit floats, in a safetensors file.", valueName: "file"),
    completion: .file(extensions: ["safetensors"]))
  var start: String?

  @Option(
    help: ArgumentHelp(
      "The program that judges, as a command line of the shell. It is started once.",
      valueName: "command"))
  var command: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Seconds to wait for an answer (default: 60).", valueName: "s"))
  var timeout: Double?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The width σ of proposals before annealing: one for all tensors, or w=0.5,b=0.1 (default: the standard deviation "
        + "of a tensor's values, 0.1 if they are all equal).", valueName: "x|w=x,…"))
  var sigma: String?

  @OptionGroup(title: "Search") var search: VectorSearchOptions

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp(
      "The run folder, new or empty (default: runs/ and the start's name and the time).",
      valueName: "dir"), completion: .directory)
  var folder: String?

  @Flag(
    help:
      "Go on with the run in --run, where it was stopped (after a kill, at its last finished tensor); with more --cycles, also after its end."
  )
  var resume = false

  @OptionGroup var limit: TimeLimit

  @Option(
    help: ArgumentHelp("Write a line of JSON for every proposal.", valueName: "file"),
    completion: .file())
  var trace: String?

  @Flag(name: .shortAndLong, help: "Say only how it ended.")
  var quiet = false

  @Flag(
    help: "Print a line of JSON for every finished tensor, as in metrics.jsonl, and one at the end."
  )
  var json = false

  private var output: TrainingSession.Output { json ? .json : quiet ? .quiet : .table }

  func validate() throws {
    guard !(json && quiet) else { throw ValidationError("--json: expected it without --quiet") }
    guard resume else {
      guard start != nil else {
        throw ValidationError("--start: expected a safetensors file to begin with, found none")
      }
      guard command != nil else {
        throw ValidationError("--command: expected a program that judges, found none")
      }
      return
    }
    guard folder != nil else {
      throw ValidationError("--resume: expected --run DIR, the folder of the run to go on with")
    }
    for (option, value) in [("--start", start), ("--sigma", sigma)] where value != nil {
      throw ValidationError(
        "\(option): a run that goes on has begun already; leave \(option) out")
    }
  }

  func run() throws {
    Interrupts.install()
    limit.begin()
    // The folder to go on with; `nil` until there is one.
    var path = resume ? folder : nil
    try Interrupts.stopping {
      var session = try resume ? resumed(at: folder ?? "") : begun()
      path = session.path
      try session.run()
    } stopped: { signal in
      TrainingSession.sayStopped(by: signal, path, isTensors: true)
    } timeUp: {
      try limit.sayStopped(path, isTensors: true, output: output)
    }
  }

  /// A session of a new run.
  private func begun() throws -> TrainingSession {
    let file = start ?? ""
    let program = try program(command ?? "", timeout ?? 60)
    try checkOutputs()
    let tensors = try SafeTensors(
      data: Data(readFile(URL(fileURLWithPath: file))), name: file)
    let parameters = try Parameters(tensors, widths: widths(of: tensors), file: file)
    let search = try RandomSearch(
      parameters, settings: search.settings(over: .tensors), loss: LossProgram(program))
    guard !search.isFinished else {
      throw RSOError(
        "--sweeps", "expected a tensor to search, found 0 for every tensor",
        hint: "--only and --freeze count, too")
    }
    let name = URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
    let path = folder ?? Train.defaultFolder(name)
    return try TrainingSession(
      beginning: search,
      RunConfiguration(
        .tensors(widths: parameters.widths), settings: search.settings,
        trace: trace.map { tracePath($0, path) }, program: program),
      folder: path, isNumbered: folder == nil, output: output)
  }

  /// A session that resumes the run in a folder.
  private func resumed(at path: String) throws -> TrainingSession {
    var search: RandomSearch?
    let run = try RunFolder(resuming: URL(fileURLWithPath: path), cycles: self.search.cycles) {
      checkpoint in
      let configuration = checkpoint.configuration
      guard case .tensors(let parameters) = checkpoint.content else {
        throw RSOError(
          path, "expected a search without a network, found the run of a network",
          hint: "go on with it: rso train --run \(TrainingSession.quoted(path)) --resume")
      }
      guard let own = configuration.program else {
        throw RSOError(
          path, "expected a run that a command judges, found one that a Swift program judges",
          hint: "go on with it in that program")
      }
      try requireAgreement(with: configuration, own, path, done: checkpoint.position.cycle)
      let program = try program(own.line, timeout ?? own.timeout)
      guard !checkpoint.isFinished else { return }
      search = try RandomSearch(
        parameters, settings: configuration.settings, position: checkpoint.position,
        progress: checkpoint.progress, ruleStates: checkpoint.ruleStates, loss: LossProgram(program)
      )
    }
    if let trace = run.lostTrace {
      Console.note("\(trace.path): the trace was deleted; a new one begins here")
    }
    return try TrainingSession(resuming: search, run, folder: path, output: output)
  }

  /// Options of a run that goes on must agree with its own.
  private func requireAgreement(
    with configuration: RunConfiguration, _ program: LossProgram.Command, _ path: String, done: Int
  ) throws {
    let own = configuration.settings
    try own.requireAgreement(of: search.settings(over: own), done: done)
    let given = [
      ("--command", program.line, command),
      ("--trace", configuration.trace ?? "none", trace.map { tracePath($0, path) }),
    ]
    for (option, own, found) in given {
      guard let found, found != own else { continue }
      throw RSOError(option, "the run has \(own), found \(found)", hint: Train.hint)
    }
  }

  private func program(_ line: String, _ timeout: Double) throws -> LossProgram.Command {
    let program = LossProgram.Command(line, timeout: timeout)
    try program.validate(command: "--command", patience: "--timeout")
    return program
  }

  private func tracePath(_ path: String, _ folder: String) -> String {
    RunFolder.path(of: URL(fileURLWithPath: path), in: URL(fileURLWithPath: folder))
  }

  /// - Throws: `RSOError` naming the option, if a file to write is one that the run reads, or writes elsewhere.
  private func checkOutputs() throws {
    var files = OutputFiles()
    files.add(start, "the tensors to begin with")
    if let folder {
      for file in RunFolder.files(in: folder) { files.add(file, "a file of the run") }
    }
    try files.write(trace, "--trace")
  }

  /// What `--sigma` says of each tensor; nothing for tensors that it does not name.
  private func widths(of tensors: SafeTensors) throws -> [String: Double] {
    guard let sigma else { return [:] }
    if let one = Double(sigma) {
      return Dictionary(tensors.tensors.map { ($0.name, one) }) { first, _ in first }
    }
    var widths: [String: Double] = [:]
    for entry in sigma.split(separator: ",", omittingEmptySubsequences: false) {
      let parts = entry.split(separator: "=", omittingEmptySubsequences: false)
      guard parts.count == 2, let width = Double(parts[1]) else {
        throw RSOError(
          "--sigma", "expected a number, or names and numbers as in w=0.5,b=0.1, found '\(entry)'")
      }
      guard widths.updateValue(width, forKey: String(parts[0])) == nil else {
        throw RSOError("--sigma", "expected each tensor once, found '\(parts[0])' again")
      }
    }
    return widths
  }
}
