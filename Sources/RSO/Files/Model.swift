import Foundation

/// A trained network as a value: everything needed to use it.
///
/// Its file is safetensors: the tensors of a PyTorch `state_dict` (`conv0.weight`, `bn0.weight`, `bn0.bias`,
/// `bn0.running_mean`, `bn0.running_var`, …), and metadata with the network as JSON.
public struct Model: Sendable {
  /// The layers.
  public var network: Network
  /// The weights, for the slots of `network`.
  public var parameters: Parameters
  /// The running statistics of batch norm for these parameters.
  public var statistics: BatchNormStatistics
  /// The mean to subtract from every channel of pixels / 255, or of float images.
  public var mean: [Float]
  /// The kind of images it was trained on; `nil` if that is unknown, as for a file of an earlier version.
  public var images: Images?

  /// A model of matching parts; nothing is checked.
  ///
  /// - Parameters:
  ///   - mean: `[channels]` of the images.
  ///   - images: the kind of images it takes; others are then refused.
  public init(
    network: Network, parameters: Parameters, statistics: BatchNormStatistics, mean: [Float],
    images: Images? = nil
  ) {
    self.network = network
    self.parameters = parameters
    self.statistics = statistics
    self.mean = mean
    self.images = images
  }

  /// Loss and accuracy over a split, with the model's own statistics and mean.
  ///
  /// - Parameters:
  ///   - loss: what `Evaluation.loss` is.
  ///   - own: a loss of one's own in its place.
  ///   - metrics: what else to compute.
  /// - Throws: `RSOError` if the shape or classes of the data are not the network's, or its images are bytes where
  ///   the model was trained on floats of another scale, or the other way round; or a loss does not fit the data.
  /// - Complexity: one forward pass over the split.
  public func evaluate(
    on data: Dataset, _ split: EvaluatedSplit = .test, loss: Loss = .crossEntropy,
    own: (any BatchLoss)? = nil, metrics: [Measure] = [], device: Device = .cpu()
  ) throws -> Evaluation {
    var data = try images.map { try data.adapted(to: $0).data } ?? data
    data.mean = mean
    let objective = try Objective(
      loss, own: own, reported: metrics, data: data, classes: network.classes)
    var engine = try device.engine(
      network: network, data: data, parameters: parameters, objective: objective)
    return try engine.evaluate(split, with: statistics)
  }
}

// MARK: - Writing

extension Model {
  /// The keys of the metadata in every model file; a checkpoint has more.
  enum Key {
    static let format = "format"
    static let version = "format_version"
    static let network = "network"
    static let mean = "mean"
    static let classes = "classes"
    static let images = "images"
  }

  static let format = "rso-model"
  static let version = "1"

  /// Replaces the file at `url` as a whole.
  ///
  /// - Throws: `RSOError` naming the file, or the first value that is NaN or infinite.
  public func write(to url: URL) throws {
    try safeTensors(file: url.path).write(to: url)
  }

  /// The model as named tensors. Parameters keep their bits; running statistics become 32-bit floats.
  ///
  /// - Parameter file: the file's name in errors.
  package func safeTensors(file: String) throws -> SafeTensors {
    var result = try SafeTensors(
      tensors: Self.layout(of: network, parameters.slots).map { name, shape, source in
        let values: [Float] =
          switch source {
          case .parameter(let slot): Array(parameters.values[parameters.slots[slot].range])
          case .mean(let node): statistics.moments[node]?.mean.map { Float($0) } ?? []
          case .variance(let node): statistics.moments[node]?.variance.map { Float($0) } ?? []
          }
        return (name, SafeTensors.Tensor(shape: shape, values: values))
      },
      metadata: [
        Key.format: Self.format, Key.version: Self.version, Key.network: compactJSON(network),
        // JSON has doubles, and a double's shortest decimal form reads back as the same float.
        Key.mean: compactJSON(mean.map { Double($0) }), Key.classes: "\(network.classes)",
      ])
    result.metadata[Key.images] = try images.map(compactJSON)
    try result.checkFinite(file)
    return result
  }

  /// The names of the parameters and of the running statistics.
  package var tensorNames: [String] { Self.layout(of: network, parameters.slots).map(\.name) }

  /// The part of the model that a tensor of the file belongs to.
  private enum Source {
    /// The slot's index.
    case parameter(Int)
    /// Running statistics, by the index of the layer.
    case mean(Int)
    case variance(Int)
  }

  /// The tensors of the file, in the order of a `state_dict`.
  private static func layout(
    of network: Network, _ slots: [Parameters.Slot]
  ) -> [(name: String, shape: [Int], source: Source)] {
    var result: [(String, [Int], Source)] = []
    for (index, slot) in slots.enumerated() {
      result.append((slot.name, slot.shape, .parameter(index)))
      // The shift is the last tensor of a batch norm.
      if slot.role == .shift {
        let name = network.nodes[slot.node].name
        result.append(("\(name).running_mean", slot.shape, .mean(slot.node)))
        result.append(("\(name).running_var", slot.shape, .variance(slot.node)))
      }
    }
    return result
  }
}

// MARK: - Reading

extension Model {
  /// Reads a model, a checkpoint, or the best model of a run's folder.
  ///
  /// - Throws: `RSOError` naming the file and what is wrong with it: not safetensors, not written by this program,
  ///   or a tensor that is missing, surplus, of another shape, NaN or infinite.
  public init(contentsOf url: URL) throws {
    let url = try Self.file(at: url)
    try self.init(SafeTensors(data: Data(readFile(url)), name: url.path), file: url.path)
  }

  /// Whether tensors claim to be a model of this program rather than weights from elsewhere.
  package static func isClaimed(by tensors: SafeTensors) -> Bool {
    tensors.metadata[Key.format] == format
  }

  package init(_ tensors: SafeTensors, file: String) throws {
    let metadata = tensors.metadata
    guard metadata[Key.format] == Self.format else {
      throw RSOError(
        file,
        "expected a model of rso ('\(Key.format)' is '\(Self.format)' in its metadata), "
          + "found \(metadata[Key.format].map { "'\($0)'" } ?? "no '\(Key.format)'")",
        hint: "was it written by another program?")
    }
    guard metadata[Key.version] == Self.version else {
      throw RSOError(
        file, "expected format version \(Self.version), found \(metadata[Key.version] ?? "none")",
        hint: "was it written by a later rso?")
    }
    let network = try Network(
      json: Data(metadata[Key.network, default: ""].utf8), name: "\(file), network")
    let mean: [Double] = try decodeJSON(metadata[Key.mean], Key.mean, file)
    guard mean.count == network.input.channels, mean.allSatisfy({ Float($0).isFinite }) else {
      throw RSOError(
        file,
        "expected a mean of \(network.input.channels) channels, as 32-bit floats, found \(mean)")
    }
    guard metadata[Key.classes] == "\(network.classes)" else {
      throw RSOError(
        file,
        "expected \(network.classes) classes as its network has, "
          + "found \(metadata[Key.classes] ?? "none")")
    }

    let layout = Self.layout(of: network, Parameters.slots(of: network))
    let names = Set(layout.map(\.name))
    if let surplus = tensors.tensors.first(where: { !names.contains($0.name) }) {
      throw RSOError(file, "found a tensor '\(surplus.name)' that its network does not have")
    }
    for (name, shape, _) in layout where tensors[name]?.shape != shape {
      throw RSOError(
        file,
        "expected a tensor \(name) of shape \(shape), "
          + "found \(tensors[name].map { "\($0.shape)" } ?? "none")")
    }
    // Only now: a network may claim more weights than the file has.
    var parameters = Parameters(zerosFor: network)
    var statistics = BatchNormStatistics()
    for (name, _, source) in layout {
      let values = tensors[name]?.values ?? []
      switch source {
      case .parameter(let slot):
        parameters.values.replaceSubrange(parameters.slots[slot].range, with: values)
      case .mean(let node):
        statistics.moments[node] = .init(mean: values.map { Double($0) }, variance: [])
      case .variance(let node):
        if let index = values.firstIndex(where: { $0 < 0 }) {
          throw RSOError(
            file, "expected variances of 0 or more, found \(values[index]) at \(name)[\(index)]")
        }
        statistics.moments[node]?.variance = values.map { Double($0) }
      }
    }
    try tensors.checkFinite(file)
    self.init(
      network: network, parameters: parameters, statistics: statistics,
      mean: mean.map { Float($0) },
      images: try metadata[Key.images] == nil
        ? nil : decodeJSON(metadata[Key.images], Key.images, file))
  }
}

/// One line of JSON with sorted keys, so that equal values give equal bytes.
func compactJSON(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// Decodes one entry of a file's metadata.
///
/// - Throws: `RSOError` naming the file and the entry.
func decodeJSON<Value: Decodable>(
  _ text: String?, _ key: String, _ file: String
) throws -> Value {
  guard let text else { throw RSOError(file, "expected '\(key)' in its metadata, found none") }
  do {
    return try JSONDecoder().decode(Value.self, from: Data(text.utf8))
  } catch let error as DecodingError {
    throw RSOError("\(file), \(key)", error.summary)
  } catch let error as RSOError {
    throw RSOError("\(file), \(key), \(error.subject)", error.problem, hint: error.hint)
  }
}
