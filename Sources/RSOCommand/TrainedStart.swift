import Foundation
import RSO

/// Trained weights that a run starts from, and what belongs to them.
struct TrainedStart {
  var parameters: Parameters
  /// Batch norm's running statistics; `nil` if there are none.
  var statistics: BatchNormStatistics?
  /// What the network reads; `nil` if that is unknown.
  var normalization: Normalization?
  /// The kind of images it takes; `nil` if that is unknown.
  var images: Model.Images?
  /// What judged the model in its run; `nil` if it does not say.
  var loss: Loss?
  var program: LossProgram.Command?
  /// The network whose weights these are.
  private(set) var network: Network
  /// Whether they were rounded.
  private(set) var isRounded = false

  init(_ model: Model) {
    network = model.network
    (parameters, statistics) = (model.parameters, model.statistics)
    (normalization, images) = (model.normalization, model.images)
  }

  /// - Parameter network: what the weights were trained in.
  init(_ weights: StateDict, _ network: Network) {
    self.network = network
    (parameters, statistics) = (weights.parameters, weights.statistics)
    normalization = weights.normalization
  }

  /// The same start for a network with other activations or domains: ReLUs calibrated, then weights rounded. Says what that
  /// has cost: the error of every layer, and loss and accuracy before and after, with the statistics that the run begins with.
  ///
  /// - Parameters:
  ///   - file: what messages call the start.
  ///   - scales: how many scales a discrete tensor has.
  ///   - data: what the network reads.
  func fitted(
    to configuration: RunConfiguration, _ file: String, scales: ScaleChoice, on data: Dataset,
    _ device: Device
  ) throws -> TrainedStart {
    let asked = try configuration.network
    guard asked != network else { return self }
    func evaluated(_ start: TrainedStart) throws -> (model: Model, result: String) {
      // How the search goes on has no part in it, and may not suit a network of floats.
      var settings = SearchSettings()
      settings.loss = configuration.settings.loss
      settings.batchSize = configuration.settings.batchSize
      settings.statistics = configuration.settings.statistics
      var search = try RandomSearch(
        network: start.network, data: data, settings: settings, device: device,
        parameters: start.parameters, statistics: start.statistics)
      let found = try search.evaluate(data.evaluatedSplit)
      let result =
        "loss \(fixed(found.meanLoss, 4))"
        + (found.hasClasses ? ", accuracy \(percent(found.accuracy, 2))" : "")
      return (try search.model, result)
    }
    let before = try evaluated(self)
    var start = self
    let quantized = network.takingLevels(of: asked)
    if quantized != network {
      let found = try before.model.calibration(
        to: quantized, on: data.train.images,
        renewsStatistics: configuration.settings.statistics == .renew)
      (start.network, start.parameters) = (quantized, found.model.parameters)
      start.statistics?.scale(by: found.factors, in: quantized)
      let ranges = found.calibrations.map {
        "\($0.layer) to \($0.bits) bit\($0.bits == 1 ? "" : "s") from 0 to \(fixed($0.range, 2)) (error \(fixed(100 * $0.error, 1)) %)"
      }
      Console.note("\(file): activations quantised: \(ranges.joined(separator: ", "))")
    }
    let rounded = try start.parameters.rounded(to: asked, scales: scales)
    (start.network, start.parameters) = (asked, rounded.parameters)
    start.statistics?.scale(by: rounded.factors, in: asked)
    if !rounded.roundings.isEmpty {
      start.isRounded = true
      let errors = rounded.roundings.map {
        "\($0.parameter) to \($0.domain) \(fixed(100 * $0.error, 1)) %"
      }
      Console.note("\(file): rounded, with an error of \(errors.joined(separator: ", "))")
    }
    // Networks may differ in widths of proposals alone.
    guard quantized != network || start.isRounded else { return start }
    Console.note(
      "\(data.evaluatedSplit.rawValue) \(before.result) before; \(try evaluated(start).result) after"
    )
    return start
  }

  /// The data as the network was trained on them.
  ///
  /// - Throws: `RSOError` if the images are of another kind.
  func adapted(_ data: Dataset) throws -> Dataset {
    var data = data
    if let images {
      let adapted = try data.adapted(to: images, divisor: normalization?.divisor ?? 255)
      if let note = adapted.note { Console.note("\(data.name): \(note)") }
      data = adapted.data
    }
    return normalization.map(data.normalized) ?? data
  }
}

extension Train {
  /// The network, and the initial weights; `nil` to draw them from the seed.
  func start(
    on data: Dataset, paperLayers: Int
  ) throws -> (network: Network, start: TrainedStart?) {
    guard let given = from else {
      return (try network.network(for: data, paperLayers: paperLayers), nil)
    }
    let file = try Model.file(at: URL(fileURLWithPath: given))
    // As given, unless it is a folder.
    let from = file.path == URL(fileURLWithPath: given).path ? given : file.path
    let tensors = try StateDict.tensors(at: URL(fileURLWithPath: from), name: from)
    guard Model.isClaimed(by: tensors) else {
      // Its tensors may be a network's, if one is given.
      guard network.isGiven || !RandomSearch.Content.isSearch(tensors) else {
        throw RSOError(
          from, "expected a trained network, found the tensors of a search without one",
          hint:
            "search on from them: rso search --start \(TrainingSession.quoted(from)) --command …")
      }
      guard network.isGiven else {
        throw RSOError(
          from, "expected a model of rso, found weights without their network",
          hint: "describe the network: --network FILE.json")
      }
      let asked = try network.network(for: data, paperLayers: paperLayers)
      let own = try network.plainNetwork(
        input: asked.input, classes: asked.classes, paperLayers: paperLayers
      ).withFloatWeights
      let weights = try StateDict(tensors, for: own, file: from)
      weights.sayWrappers(from)
      let levels = own.nodes.first {
        if case .activation(.quantize) = $0.layer { true } else { false }
      }
      if let level = levels {
        Console.note(
          "\(from): the levels of \(level.name) are taken as trained; to fit weights of ReLUs to levels, name a network with ReLU, "
            + "and --activations")
      }
      return (asked, TrainedStart(weights, own))
    }
    let model = try Model(tensors, file: from)
    var trained = TrainedStart(model)
    trained.loss = try Checkpoint.settings(in: tensors, file: from)?.loss
    trained.program = try Checkpoint.program(in: tensors, file: from)
    guard network.isGiven else {
      let network = try network.setting(model.network)
      guard network.input == data.train.shape, network.classes >= data.classes else {
        throw RSOError(
          from,
          "expected a network for \(data.classes) classes of images of \(data.train.shape), "
            + "found one for \(network.classes) classes of \(network.input)")
      }
      return (network, trained)
    }
    let network = try network.network(for: data, paperLayers: paperLayers)
    if let difference = model.network.withFloatWeights.takingLevels(of: network)
      .difference(from: network.withFloatWeights)
    {
      throw RSOError(
        from, "expected \(difference.other) as in the network asked for, found \(difference.own)",
        hint: "leave out --network and --layers to use the model's own network")
    }
    return (network, trained)
  }
}

extension StateDict {
  /// Says which parts of names were left out.
  func sayWrappers(_ file: String) {
    guard !wrappers.isEmpty else { return }
    Console.note(
      "\(file): names of tensors without \(wrappers.map { "'\($0).'" }.joined(separator: " and "))")
  }
}
