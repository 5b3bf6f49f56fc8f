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

  init(_ model: Model) {
    (parameters, statistics) = (model.parameters, model.statistics)
    (normalization, images) = (model.normalization, model.images)
  }

  init(_ weights: StateDict) {
    (parameters, statistics) = (weights.parameters, weights.statistics)
    normalization = weights.normalization
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
      guard network.isGiven else {
        throw RSOError(
          from, "expected a model of rso, found weights without their network",
          hint: "describe the network: --network FILE.json")
      }
      let network = try network.network(for: data, paperLayers: paperLayers)
      let weights = try StateDict(tensors, for: network, file: from)
      weights.sayWrappers(from)
      return (network, TrainedStart(weights))
    }
    let model = try Model(tensors, file: from)
    guard network.isGiven else {
      let network = model.network
      guard network.input == data.train.shape, network.classes >= data.classes else {
        throw RSOError(
          from,
          "expected a network for \(data.classes) classes of images of \(data.train.shape), "
            + "found one for \(network.classes) classes of \(network.input)")
      }
      return (network, TrainedStart(model))
    }
    let network = try network.network(for: data, paperLayers: paperLayers)
    if let difference = model.network.difference(from: network) {
      throw RSOError(
        from, "expected \(difference.other) as in the network asked for, found \(difference.own)",
        hint: "leave out --network and --layers to use the model's own network")
    }
    return (network, TrainedStart(model))
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
