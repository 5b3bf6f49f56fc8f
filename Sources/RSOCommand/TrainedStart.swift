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
  /// What rounding has done to the weights, and the floats before it; `nil` if they were not rounded.
  private(set) var rounding: (roundings: [Rounding], network: Network, parameters: Parameters)?

  init(_ model: Model) {
    (parameters, statistics) = (model.parameters, model.statistics)
    (normalization, images) = (model.normalization, model.images)
  }

  init(_ weights: StateDict) {
    (parameters, statistics) = (weights.parameters, weights.statistics)
    normalization = weights.normalization
  }

  /// The same start with the weights rounded to the domains of a network, if they are others.
  ///
  /// - Parameter own: the network with the domains that the weights have.
  func rounded(
    from own: Network, to network: Network, scales: ScaleChoice
  ) throws -> TrainedStart {
    guard own != network else { return self }
    var start = self
    let rounded = try parameters.rounded(to: network, scales: scales)
    start.parameters = rounded.parameters
    start.statistics?.scale(by: rounded.factors, in: network)
    start.rounding = (rounded.roundings, own, parameters)
    return start
  }

  /// Says what rounding has cost: the error of every tensor, and loss and accuracy before and after. Both use statistics
  /// of batch norm computed anew.
  func sayCost(
    _ file: String, _ configuration: RunConfiguration, on data: Dataset, _ device: Device
  ) throws {
    guard let rounding, !rounding.roundings.isEmpty else { return }
    let errors = rounding.roundings.map {
      "\($0.parameter) to \($0.domain) \(fixed(100 * $0.error, 1)) %"
    }
    Console.note("\(file): rounded, with an error of \(errors.joined(separator: ", "))")
    func result(_ network: Network, _ parameters: Parameters) throws -> String {
      // How the search goes on has no part in it, and may not suit a network of floats.
      var settings = SearchSettings()
      (settings.loss, settings.batchSize) = (
        configuration.settings.loss, configuration.settings.batchSize
      )
      var search = try RandomSearch(
        network: network, data: data, settings: settings, device: device, parameters: parameters)
      let found = try search.evaluate(data.evaluatedSplit)
      return "loss \(fixed(found.meanLoss, 4))"
        + (found.hasClasses ? ", accuracy \(percent(found.accuracy, 2))" : "")
    }
    Console.note(
      "\(data.evaluatedSplit.rawValue) \(try result(rounding.network, rounding.parameters)) before; "
        + "\(try result(configuration.network, parameters)) after")
  }

  /// The data as the network was trained on them.
  ///
  /// - Throws: `RSOError` if the images are of another kind.
  func adapted(_ data: Dataset) throws -> Dataset {
    var data = data
    if let images {
      let adapted = try data.adapted(to: images)
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
      let network = try network.network(for: data, paperLayers: paperLayers)
      let weights = try StateDict(tensors, for: network, file: from)
      weights.sayWrappers(from)
      return (network, try start(TrainedStart(weights), network.withFloatWeights, network))
    }
    let model = try Model(tensors, file: from)
    var trained = TrainedStart(model)
    trained.loss = try Checkpoint.settings(in: tensors, file: from)?.loss
    trained.program = try Checkpoint.program(in: tensors, file: from)
    guard network.isGiven else {
      let network = try network.settingWeights(model.network)
      guard network.input == data.train.shape, network.classes >= data.classes else {
        throw RSOError(
          from,
          "expected a network for \(data.classes) classes of images of \(data.train.shape), "
            + "found one for \(network.classes) classes of \(network.input)")
      }
      return (network, try start(trained, model.network, network))
    }
    let network = try network.network(for: data, paperLayers: paperLayers)
    if let difference = model.network.withFloatWeights.difference(from: network.withFloatWeights) {
      throw RSOError(
        from, "expected \(difference.other) as in the network asked for, found \(difference.own)",
        hint: "leave out --network and --layers to use the model's own network")
    }
    return (network, try start(trained, model.network, network))
  }

  /// Trained weights with the domains of the network asked for, rounded as `--scales` says.
  private func start(
    _ start: TrainedStart, _ own: Network, _ network: Network
  ) throws -> TrainedStart {
    try start.rounded(from: own, to: network, scales: scales ?? .tensor)
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
