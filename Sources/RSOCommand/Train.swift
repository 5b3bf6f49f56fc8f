import ArgumentParser
import Foundation
import RSO
import RSOFormats

/// `rso train`
struct Train: RunCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a network.",
    discussion: """
      Without options it is the paper's MNIST run: 50 cycles, 5000 samples for every proposal. The \
      options of the authors' script are understood too.

        rso train --preset quick                      MNIST in minutes
        rso train --cycles 5 --run runs/five          five cycles, in a folder of your choice
        rso train --validation 5000                   choose the best model without the test images
        rso train --run runs/five --resume            go on after it was stopped
        rso train --run runs/five --resume --cycles 9 go on after its end, to nine cycles
        rso train --run runs/five --resume --minutes 10
                                                      go on for ten minutes and save
        rso train --seeds 0..4 --run runs/five        five runs that differ by the seed alone
        rso train --data C10 --layers 9 --epochs 500  the paper's CIFAR-10 run (rso data fetch cifar10)
        rso train --data-dir digits --layers 9        your own images, the paper's larger network
        rso train --network net.json --batch 1000     your own network
        rso train --data-dir patients                 a table: train_images.npy is [N, F]
        rso train --rule slope --batch 1000           steps in proportion to the slope of the loss
        rso train --loss 'macro-f1 + cross-entropy' --metric kappa
                                                      another loss, and a metric to watch
        rso train --loss-command 'python3 my_loss.py' a loss of your own, in any language
        rso train --from runs/five/best.safetensors   start from a trained network
        rso train --from model.safetensors --only 'bn*' --only fc.weight
                                                      change some tensors and no others
        rso train --from model.safetensors --weights ternary --activations 4
                                                      quantise a trained network, then repair it
        rso train --from model.safetensors --freeze 'conv*' --statistics keep
                                                      change all but some, and keep batch norm's statistics

      Control-C stops within two seconds, saves and says how to go on; a second one ends it at once. The run folder holds \
      checkpoint.safetensors, best.safetensors, metrics.jsonl (a line for the untrained network and every finished tensor), \
      config.json and an event file for `tensorboard --logdir`.
      """)

  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Network") var network: NetworkOptions
  @OptionGroup(title: "Search") var search: SearchOptions
  @OptionGroup(title: "Device") var device: DeviceOptions

  @OptionGroup(title: "Run") var runOptions: RunOptions

  @Option(
    help: ArgumentHelp(
      "The scales of discrete weights: fixed from the initial deviation; or one for each tensor or channel, which every "
        + "cycle may double or halve where no batch norm follows. --from rounds with such scales, too (default: weights "
        + "that are drawn have fixed ones, --from rounds with the best one for each tensor, and none is searched).",
      valueName: "fixed|tensor|channel"))
  var scales: ScaleChoice?

  @Option(
    help: ArgumentHelp(
      "Start from the weights of a model or of a run's best model, with the mean and deviation of its input, or with "
        + "--network from those of a PyTorch state_dict.",
      valueName: "file"), completion: .file())
  var from: String?

  @Option(
    help: ArgumentHelp("Write the model before training, too.", valueName: "file"),
    completion: .file())
  var saveInitial: String?

  @Option(
    help: ArgumentHelp(
      "Judge by the answers of a program of your own, which reads the outputs of all candidates (docs/losses.md).",
      valueName: "command"))
  var lossCommand: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Seconds to wait for an answer of --loss-command (default: 60).", valueName: "s"))
  var lossTimeout: Double?

  func validate() throws {
    guard lossCommand == nil || search.objective.loss == nil else {
      throw ValidationError("--loss-command: expected it without --loss, whose place it takes")
    }
    guard lossTimeout == nil || lossCommand != nil || runOptions.resume else {
      throw ValidationError("--loss-timeout: expected it with --loss-command")
    }
    try runOptions.requireBeginning([("--from", from), ("--save-initial", saveInitial)])
  }

  func run() throws {
    try runToItsEnd()
  }

  /// What a new run begins from.
  struct Beginning: RunBeginning {
    var device: Device
    var data: Dataset
    var configuration: RunConfiguration
    /// The initial weights; `nil` to draw them from the seed.
    var start: TrainedStart?

    var name: String { data.name }
    var hasSameStart: Bool { start != nil }
  }

  static let isOfTensors = false

  var cycles: Int? { search.proposals.cycles }

  var singleRunOptions: [(option: String, isGiven: Bool)] {
    [("--seed", search.proposals.seed != nil), ("--save-initial", saveInitial != nil)]
  }

  func begun(
    _ beginning: Beginning, folder: String, isNumbered: Bool, parent: String?
  ) throws -> TrainingSession {
    let configuration = beginning.configuration
    let search = try RandomSearch(
      network: try configuration.network, data: beginning.data, settings: configuration.settings,
      device: beginning.device, parameters: beginning.start?.parameters,
      statistics: beginning.start?.statistics,
      loss: configuration.program.map { try LossProgram($0) })
    guard !search.isFinished else {
      throw RSOError(
        "--sweeps", "expected a layer to sweep, found 0 for every layer",
        hint: configuration.settings.only == nil && configuration.settings.freeze == nil
          ? nil : "--only and --freeze count, too")
    }
    return try TrainingSession(
      beginning: search, configuration, folder: folder, isNumbered: isNumbered, parent: parent,
      initialModel: saveInitial.map { URL(fileURLWithPath: $0) }, output: runOptions.output)
  }

  /// What the options ask for, without a trace.
  func beginning() throws -> Beginning {
    let device = try device.resolved()
    try checkOutputs()
    let paper = self.data.paper(self.network)
    let data = try data.dataset(self.network)
    for doubt in [Model.Images(data.train.images).doubt, data.validationDoubt].compactMap({ $0 }) {
      Console.note("\(data.name): \(doubt)")
    }
    let (network, start) = try start(on: data, paperLayers: paper.layers)
    var settings = try search.settings(
      over: paper.settings, network: network, samples: data.train.count)
    settings.scales = scales ?? settings.scales
    if settings.scales != .fixed, !network.normalizedScales.isEmpty {
      Console.note(
        "--scales: not those of \(network.normalizedScales.joined(separator: ", ")); the batch norm behind them takes "
          + "any factor out again")
    }
    if start == nil, let step = network.stepBeforeMaximum {
      Console.note(
        "\(step): in nearly every image, its global maximum is its highest level, so a new network gives all images the "
          + "same outputs; put the pool before the last batch norm, or take a global average")
    }
    if search.objective.loss == nil, lossCommand == nil {
      takeLoss(of: start, into: &settings)
    }
    if !data.hasLabels, settings.loss == .crossEntropy, search.objective.loss == nil,
      lossCommand == nil
    {
      settings.loss = Loss(.sample(.squaredError))
      Console.note("loss squared-error: \(data.name) has targets instead of classes")
    }
    if settings.loss.ignoresTargets, data.train.targetCount > 0, lossCommand == nil {
      Console.note(
        "\(data.name): \(settings.loss) reads labels, not the targets beside them; --loss squared-error, for example, "
          + "reads the targets")
    }
    if let doubt = data.targetDoubt { Console.note("\(data.name): \(doubt)") }
    if let start, self.network.normalize != nil, start.normalization != nil {
      Console.note("--normalize: in place of the mean and deviation that the model has")
    } else if let start, start.normalization == nil, self.network.normalize == nil {
      Console.note(
        "\(from ?? ""): it does not say what the network reads; it reads values less the mean of the training images. "
          + "If it was trained on others, import it first: rso import --mean … --std …")
    }
    let used = try normalized(data, for: network, from: start)
    // The data as they are in the files.
    var description = try DataDescription(data, directory: self.data.directory)
    description.normalize = used.method
    var configuration = RunConfiguration(
      data: description, network: network, settings: settings,
      program: lossCommand.map { LossProgram.Command($0, timeout: lossTimeout ?? 60) }, from: from)
    let fitted = try start?.fitted(
      to: configuration, from ?? "", scales: scales ?? .tensor, on: used, device)
    if fitted?.isRounded == true { configuration.rounding = scales ?? .tensor }
    return Beginning(device: device, data: used, configuration: configuration, start: fitted)
  }

  /// A run that begins with the model of another goes on with that one's loss, if it is not cross entropy.
  private func takeLoss(of start: TrainedStart?, into settings: inout SearchSettings) {
    let file = from ?? ""
    if let program = start?.program {
      Console.note(
        "\(file): a program judged it, '\(program.line)'; this run minimises \(settings.loss.words), unless "
          + "--loss-command names a program")
    } else if let loss = start?.loss, loss != settings.loss {
      settings.loss = loss
      Console.note("loss \(loss), as in the run of \(file); --loss chooses another")
    }
  }

  /// The data as the network reads them: as `--normalize` says, or else as a trained model that says so was trained.
  private func normalized(
    _ data: Dataset, for network: Network, from start: TrainedStart?
  ) throws -> Dataset {
    let data = try start?.adapted(data) ?? data
    if start?.normalization != nil, self.network.normalize == nil { return data }
    return try self.network.normalized(data, for: network)
  }

  /// - Throws: `RSOError` naming the option, if a file to write is one that the run reads, or writes elsewhere.
  private func checkOutputs() throws {
    var files = OutputFiles()
    files.add(network.network, "the network")
    files.add(from, "the model to start from")
    files.add(folder: data.dataDir, "one of the data's files")
    if let folder = runOptions.folder {
      for file in RunFolder.files(in: folder) { files.add(file, "a file of the run") }
    }
    try files.write(saveInitial, "--save-initial")
    try files.write(runOptions.trace, "--trace")
  }

  func resumed(at folder: String, parent: String?, cycles: Int?) throws -> TrainingSession {
    let device = try device.resolved()
    var search: RandomSearch?
    let found = try RunFolder(
      resuming: URL(fileURLWithPath: folder), cycles: cycles ?? self.cycles
    ) { checkpoint in
      let configuration = checkpoint.configuration
      if case .tensors = configuration.subject {
        throw RSOError.isSearch(folder)
      }
      try requireAgreement(with: configuration, done: checkpoint.position.cycle)
      // Reporting on a finished run needs no data.
      guard !checkpoint.isFinished || data.isGiven else { return }
      let found = try data.dataset(of: configuration)
      guard !checkpoint.isFinished else { return }
      let model = try checkpoint.model
      let data = try TrainedStart(model).adapted(found)
      search = try RandomSearch(
        network: model.network, data: data, settings: configuration.settings,
        device: device, parameters: model.parameters, position: checkpoint.position,
        progress: checkpoint.progress, ruleStates: checkpoint.ruleStates,
        statistics: model.statistics,
        loss: configuration.program.map {
          try LossProgram(.init($0.line, timeout: lossTimeout ?? $0.timeout))
        })
    }
    return try TrainingSession(
      resuming: search, found, folder: folder, parent: parent, output: runOptions.output)
  }
}
