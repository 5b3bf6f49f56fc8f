import ArgumentParser
import Foundation
import RSO

/// `rso evaluate`
struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Evaluate a trained network.",
    discussion: """
      It prints loss and accuracy, precision, recall and F1 of every class with their averages, and the \
      confusion matrix; for two classes also the area under the ROC curve. The model's file is enough: it holds the \
      network, the statistics of batch norm and what it does to its input, and a run's model the place of its data. \
      A checkpoint is a model, too.

        rso evaluate runs/five                        the best model of a run
        rso evaluate runs/five/checkpoint.safetensors the last one
        rso evaluate model.safetensors --split train
        rso evaluate runs/five --split validation     those that chose it
        rso evaluate runs/five --csv > classes.csv
        rso evaluate runs/five --metric auc --metric kappa
        rso evaluate model.safetensors --data-dir digits --json
      """)

  @Argument(
    help: "A model that rso has written, or the folder of a run, whose best model it then is.",
    completion: .file())
  var model: String

  @OptionGroup(title: "Data") var data: EvaluatedDataOptions
  @OptionGroup(title: "Device") var device: DeviceOptions

  @Option(
    help:
      "The images to evaluate (default: test). Validation images are those that the run kept out of training."
  )
  var split: EvaluatedSplit?

  @OptionGroup(title: "Loss") var objective: LossOptions

  @OptionGroup var classNames: ClassNameOptions

  @Flag(help: "Print JSON: everything that the tables say, unrounded.")
  var json = false

  @Flag(
    help:
      "Print comma-separated values, unrounded: a row for every class, and with --metric one for all of them."
  )
  var csv = false

  func validate() throws {
    guard !(json && csv) else { throw ValidationError("--json: expected it without --csv") }
  }

  func run() throws {
    let device = try device.resolved()
    let file = try Model.file(at: URL(fileURLWithPath: model))
    let tensors = try Model.tensors(at: file)
    let trained = try Model(tensors, file: file.path)
    let names = try classNames.names(for: trained.network)
    let split = split ?? .test
    let dataset = try data.dataset(
      for: trained, split, Checkpoint.data(in: tensors, file: file.path))
    let settings = try Checkpoint.settings(in: tensors, file: file.path)
    let standard = dataset.hasLabels ? Loss.crossEntropy : Loss(.sample(.squaredError))
    let loss = try objective.parsed() ?? settings?.loss ?? standard
    let found = try trained.evaluate(
      on: dataset, split, loss: loss,
      metrics: objective.parsedMetrics() ?? settings?.metrics ?? [],
      device: device)
    let area = try trained.areaUnderROCCurve(on: dataset, split, threads: self.device.threads)
    if tensors.metadata["program"] != nil, objective.loss == nil {
      Console.note(
        "the loss is \(loss.words); the run was judged by a program, which is not asked here")
    }
    let result = EvaluationResult(
      model: model, data: dataset.name, split: split, found, loss: loss, area: area,
      names: classNames.classNames == nil ? nil : names)
    guard found.hasClasses || !csv else {
      throw RSOError(
        "--csv", "expected classes, found targets only in \(dataset.name)", hint: "use --json")
    }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      Console.line(String(decoding: try encoder.encode(result), as: UTF8.self))
    } else {
      Console.line((csv ? result.csv(names) : result.tables(names)).joined(separator: "\n"))
    }
  }
}

/// The images to evaluate on.
struct EvaluatedDataOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Evaluate on a data set known by name, as `rso data list` shows them (default: the data of the model's run, else "
        + "mnist).", valueName: "name"), completion: .list(KnownData.all.map(\.name)))
  var data: String?

  @Option(
    help: ArgumentHelp(
      "Evaluate on a folder of images, such as the run's data after they have moved (default: the folder of the "
        + "model's run, if it had one).", valueName: "dir"), completion: .directory)
  var dataDir: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Leave out all training images after the first n, for --split train and validation (default: as the run did).",
      valueName: "n"))
  var trainLimit: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Evaluate on only the first n test images (default: all, whatever the run used).",
      valueName: "n"))
  var testLimit: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How many of the last training images, or which share of them, are the validation images (default: as many as "
        + "the run kept out of training, unless --data or --data-dir names data).",
      valueName: "n|share"))
  var validation: ValidationArgument?

  /// Whether any data were requested.
  var isGiven: Bool { data != nil || dataDir != nil }

  func options() throws -> DataOptions {
    var options = try DataOptions.parse([])
    (options.data, options.dataDir) = (data, dataDir)
    (options.trainLimit, options.testLimit) = (trainLimit, testLimit)
    options.validation = validation
    return options
  }

  /// The data that the options name, or those that the model was trained on, with images as it takes them.
  ///
  /// Other data than it was trained on are no error, but said.
  func dataset(
    for trained: Model, _ split: EvaluatedSplit, _ own: DataDescription?
  ) throws -> Dataset {
    let options = try self.options().completed(by: own)
    var dataset = try options.dataset(ofModel: !isGiven)
    if let own {
      let agrees = try own.agrees(with: dataset)
      // Fewer images than the run had cannot tell; then the place does.
      let isSamePlace =
        own.directory == options.directory && (own.directory != nil || own.name == dataset.name)
      if agrees == false {
        Console.note("\(dataset.name): other data than the model was trained on, \(own.words)")
      } else if agrees ?? isSamePlace, let note = own.doubt(about: split, of: dataset) {
        Console.note("\(dataset.name): \(note)")
      }
    }
    if let images = trained.images {
      let adapted = try dataset.adapted(to: images)
      if let note = adapted.note { Console.note("\(dataset.name): \(note)") }
      dataset = adapted.data
    }
    guard split != .validation || dataset.validation != nil else {
      throw RSOError(
        "--split",
        "expected train or test: "
          + (own == nil
            ? "the model does not say which images validated it" : "the run kept none out")
          + ", found validation",
        hint: "--validation N takes the last N training images")
    }
    return dataset
  }
}

extension EvaluatedSplit: ExpressibleByArgument {
  public static var allValueStrings: [String] { allCases.map(\.rawValue) }
}
