import ArgumentParser
import Foundation
import RSO

/// `rso search`
struct Search: RunCommand {
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
        rso search … --seeds 0..4 --run runs/mine            five runs that differ by the seed alone
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

  @OptionGroup(title: "Search") var search: ProposalOptions
  @OptionGroup(title: "Run") var runOptions: RunOptions

  func validate() throws {
    guard runOptions.resume else {
      guard start != nil else {
        throw ValidationError("--start: expected a safetensors file to begin with, found none")
      }
      guard command != nil else {
        throw ValidationError("--command: expected a program that judges, found none")
      }
      return
    }
    try runOptions.requireBeginning([("--start", start), ("--sigma", sigma)])
  }

  func run() throws {
    try runToItsEnd()
  }

  /// What a new run begins from.
  struct Beginning: RunBeginning {
    var name: String
    var parameters: Parameters
    var program: LossProgram.Command
    var configuration: RunConfiguration

    let hasSameStart = true
  }

  static let isOfTensors = true

  var cycles: Int? { search.cycles }

  var singleRunOptions: [(option: String, isGiven: Bool)] { [("--seed", search.seed != nil)] }

  func beginning() throws -> Beginning {
    let file = start ?? ""
    let program = try program(command ?? "", timeout ?? 60)
    try checkOutputs()
    let tensors = try SafeTensors(
      data: Data(readFile(URL(fileURLWithPath: file))), name: file)
    let parameters = try Parameters(tensors, widths: widths(of: tensors), file: file)
    var settings = SearchSettings.tensors
    try search.apply(to: &settings)
    return Beginning(
      name: URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent,
      parameters: parameters, program: program,
      configuration: RunConfiguration(
        .tensors(widths: parameters.widths), settings: settings, program: program, from: file))
  }

  func beginning(_ list: SeedList, _ path: String) throws -> Beginning {
    let file = URL(fileURLWithPath: try list.initialFile(in: path))
    let content = try RandomSearch.Content(contentsOf: file)
    guard case .tensors(let parameters) = content, let own = list.configuration.program else {
      throw RSOError(
        file.path, "expected a search that a command judges, found another run",
        hint: "remove the folder and start again")
    }
    return Beginning(
      name: "", parameters: parameters, program: try program(own.line, timeout ?? own.timeout),
      configuration: list.configuration)
  }

  func begun(
    _ beginning: Beginning, folder: String, isNumbered: Bool, parent: String?
  ) throws -> TrainingSession {
    var configuration = beginning.configuration
    let search = try RandomSearch(
      beginning.parameters, settings: configuration.settings, loss: LossProgram(beginning.program))
    guard !search.isFinished else {
      throw RSOError(
        "--sweeps", "expected a tensor to search, found 0 for every tensor",
        hint: "--only and --freeze count, too")
    }
    configuration.settings = search.settings
    return try TrainingSession(
      beginning: search, configuration, folder: folder, isNumbered: isNumbered, parent: parent,
      output: runOptions.output)
  }

  func resumed(at path: String, parent: String?, cycles: Int?) throws -> TrainingSession {
    var search: RandomSearch?
    let found = try RunFolder(
      resuming: URL(fileURLWithPath: path), cycles: cycles ?? self.cycles
    ) { checkpoint in
      let configuration = checkpoint.configuration
      guard case .tensors(let parameters) = checkpoint.content else {
        throw RSOError.isTraining(path)
      }
      guard let own = configuration.program else {
        throw RSOError(
          path, "expected a run that a command judges, found one that a Swift program judges",
          hint: "go on with it in that program")
      }
      try requireAgreement(with: configuration, done: checkpoint.position.cycle)
      let program = try program(own.line, timeout ?? own.timeout)
      guard !checkpoint.isFinished else { return }
      search = try RandomSearch(
        parameters, settings: configuration.settings, position: checkpoint.position,
        progress: checkpoint.progress, ruleStates: checkpoint.ruleStates, loss: LossProgram(program)
      )
    }
    return try TrainingSession(
      resuming: search, found, folder: path, parent: parent, output: runOptions.output)
  }

  func requireAgreement(with configuration: RunConfiguration, done: Int?) throws {
    var given = configuration.settings
    try search.apply(to: &given)
    try configuration.settings.requireAgreement(of: given, done: done)
    let others = [
      ("--command", configuration.program?.line ?? "none", command),
      ("--trace", configuration.trace ?? "none", runOptions.tracePath(in: runOptions.folder ?? "")),
    ]
    for (option, own, found) in others {
      guard let found, found != own else { continue }
      throw RSOError(option, "the run has \(own), found \(found)", hint: Train.hint)
    }
  }

  private func program(_ line: String, _ timeout: Double) throws -> LossProgram.Command {
    let program = LossProgram.Command(line, timeout: timeout)
    try program.validate(command: "--command", patience: "--timeout")
    return program
  }

  /// - Throws: `RSOError` naming the option, if a file to write is one that the run reads, or writes elsewhere.
  private func checkOutputs() throws {
    var files = OutputFiles()
    files.add(start, "the tensors to begin with")
    if let folder = runOptions.folder {
      for file in RunFolder.files(in: folder) { files.add(file, "a file of the run") }
    }
    try files.write(runOptions.trace, "--trace")
  }

  /// What `--sigma` says of each tensor; nothing for tensors that it does not name.
  private func widths(of tensors: SafeTensors) throws -> [String: Double] {
    guard let sigma else { return [:] }
    if let one = Double(sigma) {
      return Dictionary(tensors.tensors.map { ($0.name, one) }) { first, _ in first }
    }
    return try NamedNumbers("--sigma", "each tensor", "a number, or names", "w=0.5,b=0.1")
      .parsed(sigma) { Double($0) }
  }
}
