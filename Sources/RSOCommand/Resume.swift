import Foundation
import RSO

/// Options when resuming a run: any that are given must agree with the run's own settings.
extension Train {
  static var hint: String { "leave it out to go on; another value needs a run of its own" }

  func requireAgreement(with configuration: RunConfiguration, done: Int?) throws {
    func require(_ option: String, _ own: String, _ found: String) throws {
      guard own == found else {
        throw RSOError(option, "the run has \(own), found \(found)", hint: Self.hint)
      }
    }
    let (network, data) = (try configuration.network, try configuration.data)
    try requireSettings(of: configuration, done: done)
    let validation = data.validation
    let images = data.trainAndValidation
    try self.data.trainLimit.map { try require("--train-limit", "\(images)", "\($0)") }
    try self.data.validation.map {
      try require(
        "--validation", validation.map { "\($0)" } ?? "none", "\($0.count(of: images))")
    }
    try self.data.testLimit.map { try require("--test-limit", "\(data.test)", "\($0)") }
    try self.network.normalize.map {
      let own = data.normalize
      try require("--normalize", own?.rawValue ?? "that of the model it began with", $0.rawValue)
    }
    if self.network.isGiven,
      let difference = try self.network.network(input: network.input, classes: network.classes)
        .difference(from: network)
    {
      try require(
        self.network.network == nil ? "--layers" : "--network", difference.other, difference.own)
    }
    if !self.network.isGiven,
      let difference = try self.network.settingWeights(network).difference(from: network)
    {
      try require("--weights", difference.other, difference.own)
    }
    if !self.network.isGiven,
      let difference = try self.network.settingActivations(network).difference(from: network)
    {
      try require("--activations", difference.other, difference.own)
    }
    try lossCommand.map { try require("--loss-command", configuration.program?.line ?? "none", $0) }
    try runOptions.tracePath(in: runOptions.folder ?? "").map {
      try require("--trace", configuration.trace ?? "none", $0)
    }
  }

  /// The settings that options name must be the run's; so must those that a preset sets and no option names.
  private func requireSettings(of configuration: RunConfiguration, done: Int?) throws {
    let settings = configuration.settings
    func found(_ options: SearchOptions) throws -> SearchSettings {
      var found = try options.settings(over: settings, network: configuration.network)
      found.scales = scales ?? found.scales
      // As when a preset begins a run.
      if options.batch == nil { try found.capBatches(at: configuration.data.train) }
      return found
    }
    var named = search
    named.preset = nil
    try settings.requireAgreement(of: found(named), done: done)
    guard let preset = search.preset else { return }
    for (own, found) in try zip(settings.words, found(search).words) where own.value != found.value
    {
      throw RSOError(
        "--preset",
        "\(preset.rawValue) has \(found.option) \(found.value), and the run has \(own.value)",
        hint: Self.hint)
    }
  }
}

extension Train {
  func beginning(_ list: SeedList, _ path: String) throws -> Beginning {
    let start =
      try list.startsFromModel
      ? TrainedStart(Model(contentsOf: URL(fileURLWithPath: list.initialFile(in: path)))) : nil
    let data = try data.dataset(of: list.configuration)
    let method = try list.configuration.data.normalize
    let used = try start?.adapted(data) ?? data
    return Beginning(
      device: try device.resolved(), data: try method.map(used.normalized(by:)) ?? used,
      configuration: list.configuration, start: start)
  }
}

extension DataOptions {
  /// The run's data, from their original place or from where the options say.
  ///
  /// - Throws: `RSOError` if they are not the data that the run was started with.
  func dataset(of configuration: RunConfiguration) throws -> Dataset {
    let own = try configuration.data
    var options = completed(by: own)
    options.trainLimit = own.trainAndValidation
    options.validation = own.validation.flatMap { ValidationArgument(argument: "\($0)") }
    options.testLimit = own.test
    let dataset = try options.dataset()
    let found = try DataDescription(dataset, directory: options.directory)
    guard found.digest == own.digest else {
      let subject = data != nil ? "--data" : dataDir != nil ? "--data-dir" : nil
      throw RSOError(
        subject ?? own.directory ?? own.name,
        "the run has the data \(own.words), found \(found.words)",
        hint: subject == nil ? "were the files changed since the run was started?" : Train.hint)
    }
    return dataset
  }

  /// The data of the options.
  ///
  /// - Parameter isOfModel: whether the place is that of a model's run, which may have moved.
  /// - Throws: `RSOError` naming the wrong option or file, or the folder of the run's data that is not there.
  func dataset(ofModel isOfModel: Bool) throws -> Dataset {
    if isOfModel, let folder = dataDir, !FileManager.default.fileExists(atPath: folder) {
      throw RSOError(
        folder, "the data that the model was trained on are not there",
        hint: "say where they are: --data-dir DIR, or --data NAME")
    }
    return try dataset()
  }

  /// The options, with the place of a run's data if they name none.
  func completed(by own: DataDescription?) -> DataOptions {
    var options = self
    guard !options.isGiven, let own else { return options }
    if own.directory == nil { options.data = own.name } else { options.dataDir = own.directory }
    if let held = own.validation, options.validation == nil {
      options.trainLimit = options.trainLimit ?? own.trainAndValidation
      options.validation = ValidationArgument(argument: "\(held)")
    }
    return options
  }
}

extension SearchSettings {
  /// - Parameters:
  ///   - given: the settings with what the options of a run that goes on name.
  ///   - done: the number of cycles that the run has finished; `nil` for several runs.
  /// - Throws: `RSOError` naming the first option that differs, the run's value and the given value.
  func requireAgreement(of given: SearchSettings, done: Int?) throws {
    for (own, found) in zip(words, given.words) where own.value != found.value {
      guard own.option == "--cycles" else {
        throw RSOError(
          own.option, "the run has \(own.value), found \(found.value)", hint: Train.hint)
      }
      throw RSOError(
        "--cycles",
        "the run has \(own.value)" + (done.map { ", of which \($0) are done" } ?? "")
          + ", found \(found.value)",
        hint:
          "leave it out to go on, or give more cycles than \(own.value); a run does not get shorter"
      )
    }
  }

  /// Every setting, with its option.
  fileprivate var words: [(option: String, value: String)] {
    let sweeps = sweeps.filter { $0.value != 1 }.sorted { $0.key < $1.key }
      .map { "\($0)=\($1)" }.joined(separator: ",")
    return [
      ("--cycles", "\(cycles)"), ("--batch", batchWords), ("--anneal", "\(anneal)"),
      ("--weight-decay", "\(weightDecay)"), ("--seed", "\(seed)"),
      ("--sigma-scale", "\(deviationScale)"), ("--tensor-order", tensorOrder.word),
      ("--element-order", elementOrder.word), ("--hold", "\(hold)"),
      ("--loss", "\(loss)"),
      (
        "--metric",
        metrics.isEmpty ? "none" : metrics.map { "\($0)" }.joined(separator: " --metric ")
      ),
      ("--rule", "\(rule)"), ("--round", roundWords), ("--evaluate", evaluations.rawValue),
      ("--sweeps", sweeps.isEmpty ? "1 for every layer" : sweeps),
      ("--only", only?.joined(separator: " --only ") ?? "every parameter"),
      ("--freeze", freeze?.joined(separator: " --freeze ") ?? "no parameter"),
      ("--statistics", statistics.rawValue), ("--scales", scales.rawValue),
    ]
  }
}

extension Network {
  /// The first difference between two networks, in words; `nil` if they are equal.
  func difference(from other: Network) -> (own: String, other: String)? {
    if self == other { return nil }
    if input != other.input { return ("images of \(input)", "images of \(other.input)") }
    if let (own, other) = zip(nodes, other.nodes).first(where: { $0 != $1 }) {
      // As in a network's file.
      func words(_ node: Node) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(node)).map { String(decoding: $0, as: UTF8.self) } ?? node.name
      }
      return (words(own), words(other))
    }
    return ("\(nodes.count) layers", "\(other.nodes.count) layers")
  }
}
