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
  /// What it reads instead of the values of images: pixels / 255, or floats.
  public var normalization: Normalization
  /// The kind of images it was trained on; `nil` if that is unknown, as for a file of an earlier version.
  public var images: Images?
  /// Whether its outputs tell classes; if not, they are numbers of their own, as in regression.
  public var hasClasses = true

  /// A model of matching parts; nothing is checked.
  ///
  /// - Parameters:
  ///   - network: the layers.
  ///   - parameters: the weights, for the slots of `network`.
  ///   - statistics: the running statistics of its batch norms.
  ///   - normalization: what it reads instead of the values of images.
  ///   - images: the kind of images it takes; others are then refused.
  public init(
    network: Network, parameters: Parameters, statistics: BatchNormStatistics,
    normalization: Normalization, images: Images? = nil
  ) {
    self.network = network
    self.parameters = parameters
    self.statistics = statistics
    self.normalization = normalization
    self.images = images
  }

  /// `[channels]`, the mean of `normalization`.
  public var mean: [Float] { normalization.mean }

  /// Loss and accuracy over a split, with the model's own statistics and normalization.
  ///
  /// - Parameters:
  ///   - data: images of the network's input shape, with its classes.
  ///   - split: the part of them to judge the model by.
  ///   - loss: what `Evaluation.loss` is; by default cross entropy or, of targets without classes, squared error.
  ///   - own: a loss of one's own in its place.
  ///   - metrics: what else to compute.
  ///   - device: what to compute on.
  /// - Throws: `RSOError` if the shape or classes of the data are not the network's, or its images are bytes where
  ///   the model was trained on floats of another scale, or the other way round; or a loss does not fit the data.
  /// - Complexity: one forward pass over the split.
  public func evaluate(
    on data: Dataset, _ split: EvaluatedSplit = .test, loss: Loss? = nil,
    own: (any BatchLoss)? = nil, metrics: [Measure] = [], device: Device = .cpu()
  ) throws -> Evaluation {
    var data =
      try images.map { try data.adapted(to: $0, divisor: normalization.divisor).data } ?? data
    data.normalization = normalization
    let standard = data.hasLabels ? Loss.crossEntropy : Loss(.sample(.squaredError))
    let objective = try Objective(
      loss ?? standard, own: own, reported: metrics, data: data, classes: network.classes)
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
    static let deviation = "deviation"
    static let divisor = "divisor"
    static let classes = "classes"
    static let images = "images"
    static let outputs = "outputs"
  }

  static let format = "rso-model"
  /// What `outputs` says of a model without classes.
  private static let values = "values"
  /// A file says 2 if it has a deviation, which readers of version 1 would overlook, and 3 if it has levels or another
  /// divisor.
  static let versions = ["1", "2", "3"]

  private var version: String {
    if network.hasDiscreteWeights || normalization.divisor != 255 { return Self.versions[2] }
    return Self.versions[normalization.divides ? 1 : 0]
  }

  /// Replaces the file at `url` as a whole.
  ///
  /// - Throws: `RSOError` naming the file, or the first value that is NaN or infinite.
  public func write(to url: URL) throws {
    try safeTensors(file: url.path).withDigest().write(to: url)
  }

  /// The model as named tensors. Parameters keep their bits; running statistics become 32-bit floats.
  ///
  /// - Parameters:
  ///   - file: the file's name in errors.
  ///   - hasLevels: whether discrete tensors are their levels, with the scales beside them; if not, they are floats.
  package func safeTensors(file: String, hasLevels: Bool = true) throws -> SafeTensors {
    try Memory.require(
      parameters.values.count, of: Float.self, for: "a copy of the weights",
      hint: Memory.networkHint)
    var result = try SafeTensors(
      tensors: Self.layout(of: network, parameters.slots, hasLevels: hasLevels).map { entry in
        var (shape, values) = (entry.shape, [Float]())
        switch entry.source {
        case .levels(let slot): values = try parameters.levels(of: slot).map { Float($0) }
        case .scales(let slot):
          values = parameters.scales[slot] ?? []
          shape = [values.count]
        case .parameter(let slot): values = Array(parameters.values[parameters.slots[slot].range])
        case .mean(let node): values = statistics.moments[node]?.mean.map { Float($0) } ?? []
        case .variance(let node):
          values = statistics.moments[node]?.variance.map { Float($0) } ?? []
        }
        return (entry.name, SafeTensors.Tensor(shape: shape, values: values, type: entry.type))
      },
      metadata: [
        Key.format: Self.format, Key.version: version,
        Key.network: compactJSON(network), Key.classes: "\(network.classes)",
      ].merging(normalization.metadata()) { own, _ in own })
    if !hasClasses { result.metadata[Key.outputs] = Self.values }
    result.metadata[Key.images] = try images.map(compactJSON)
    try result.checkFinite(file)
    return result
  }

  /// The names of the parameters and of the running statistics.
  package var tensorNames: [String] { Self.layout(of: network, parameters.slots).map(\.name) }

  /// The tensors of a network's file if all of them are floats, and which of them are running statistics.
  static func shapes(
    of network: Network
  ) -> [(name: String, shape: [Int], isStatistic: Bool)] {
    layout(of: network, Parameters.slots(of: network), hasLevels: false).map { entry in
      let isStatistic = if case .parameter = entry.source { false } else { true }
      return (entry.name, entry.shape, isStatistic)
    }
  }

  /// The part of the model that a tensor of the file belongs to.
  private enum Source {
    /// The slot's index.
    case parameter(Int)
    /// Of a discrete tensor, by the slot's index.
    case levels(Int)
    case scales(Int)
    /// Running statistics, by the index of the layer.
    case mean(Int)
    case variance(Int)
  }

  /// A tensor of the file.
  private struct Entry {
    var name: String
    var shape: [Int]
    var source: Source

    init(_ name: String, _ shape: [Int], _ source: Source) {
      (self.name, self.shape, self.source) = (name, shape, source)
    }

    var type: SafeTensors.ElementType { if case .levels = source { .int8 } else { .float } }

    /// Whether a tensor of the file has the right shape. There is one scale, or one for each output channel.
    func fits(_ shape: [Int]?) -> Bool {
      if case .scales = source, shape == [1] { return true }
      return shape == self.shape
    }
  }

  /// The tensors of the file, in the order of a `state_dict`.
  private static func layout(
    of network: Network, _ slots: [Parameters.Slot], hasLevels: Bool = true
  ) -> [Entry] {
    var result: [Entry] = []
    for (index, slot) in slots.enumerated() {
      if slot.domain.isDiscrete && hasLevels {
        result.append(Entry(slot.name, slot.shape, .levels(index)))
        result.append(Entry("\(slot.name).scale", [slot.shape[0]], .scales(index)))
      } else {
        result.append(Entry(slot.name, slot.shape, .parameter(index)))
      }
      // The shift is the last tensor of a batch norm.
      if slot.role == .shift {
        let name = network.nodes[slot.node].name
        result.append(Entry("\(name).running_mean", slot.shape, .mean(slot.node)))
        result.append(Entry("\(name).running_var", slot.shape, .variance(slot.node)))
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
    try self.init(Self.tensors(at: url), file: url.path)
  }

  /// The content of a model's file.
  ///
  /// - Throws: `RSOError` naming the file; about one that is no model, before anything is said of its tensors.
  package static func tensors(at url: URL) throws -> SafeTensors {
    let data = try Data(readFile(url))
    try requireModel(SafeTensors.metadata(of: data, name: url.path), file: url.path)
    return try SafeTensors(data: data, name: url.path)
  }

  private static func requireModel(_ metadata: [String: String], file: String) throws {
    guard metadata[Key.format] != format else { return }
    if metadata[Key.format] == RandomSearch.Content.format { throw RSOError.hasNoNetwork(file) }
    let name = URL(fileURLWithPath: file).lastPathComponent
    throw RSOError(
      file,
      "expected a model of rso ('\(Key.format)' is '\(format)' in its metadata), "
        + "found \(metadata[Key.format].map { "'\($0)'" } ?? "no '\(Key.format)'")",
      hint: "make a model of weights from elsewhere: rso import \(name) --network net.json "
        + "-o model.safetensors")
  }

  /// Whether tensors claim to be a model of this program rather than weights from elsewhere.
  package static func isClaimed(by tensors: SafeTensors) -> Bool {
    tensors.metadata[Key.format] == format
  }

  package init(_ tensors: SafeTensors, file: String) throws {
    let metadata = tensors.metadata
    try Self.requireModel(metadata, file: file)
    guard let version = metadata[Key.version], Self.versions.contains(version) else {
      throw RSOError(
        file,
        "expected format version 1 to \(Self.versions.count), "
          + "found \(metadata[Key.version] ?? "none")",
        hint: "was it written by a later rso?")
    }
    let network: Network = try decodeJSON(
      metadata[Key.network, default: ""], Key.network, file)
    let normalization = try Normalization(
      metadata: metadata, channels: network.input.channels, file: file)
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
    for entry in layout where !entry.fits(tensors[entry.name]?.shape) {
      throw RSOError(
        file,
        "expected a tensor \(entry.name) of shape \(entry.shape), "
          + "found \(tensors[entry.name].map { "\($0.shape)" } ?? "none")")
    }
    let (parameters, statistics) = try Self.values(
      of: network, in: tensors, hasLevels: true, file: file)
    self.init(
      network: network, parameters: parameters, statistics: statistics,
      normalization: normalization,
      images: try metadata[Key.images] == nil
        ? nil : decodeJSON(metadata[Key.images], Key.images, file))
    if let outputs = metadata[Key.outputs] {
      guard outputs == Self.values else {
        throw RSOError(file, "\(Key.outputs): expected '\(Self.values)', found '\(outputs)'")
      }
      hasClasses = false
    }
  }

  /// The weights and running statistics of a network, from tensors that have the right shapes; zeros for any that is
  /// not there.
  ///
  /// - Parameter hasLevels: whether discrete tensors are levels with scales beside them.
  /// - Throws: `RSOError` naming the first value that is NaN or infinite, no level or no scale, or the first negative
  ///   variance, or a tensor of another type.
  static func values(
    of network: Network, in tensors: SafeTensors, hasLevels: Bool, file: String
  ) throws -> (Parameters, BatchNormStatistics) {
    // Only now: a network may claim more weights than the file has.
    try Memory.require(
      Parameters.count(of: network), of: Float.self, for: "the weights of \(file)",
      hint: Memory.networkHint)
    var parameters = Parameters(zerosFor: network)
    var statistics = BatchNormStatistics()
    for entry in layout(of: network, parameters.slots, hasLevels: hasLevels) {
      guard let tensor = tensors[entry.name] else { continue }
      guard tensor.type == entry.type else {
        throw RSOError(
          file,
          "expected \(entry.name) of dtype \(entry.type.rawValue), found \(tensor.type.rawValue)")
      }
      let (name, values) = (entry.name, tensor.values)
      switch entry.source {
      case .levels(let slot):
        try parameters.set(
          slot, levels: values, scales: tensors["\(name).scale"]?.values ?? [], file: file)
      case .scales: break
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
    return (parameters, statistics)
  }
}

extension Normalization {
  private typealias Key = Model.Key

  /// The entries of a file's metadata; without a deviation if nothing is divided.
  func metadata() throws -> [String: String] {
    // JSON has doubles, and a double's shortest decimal form reads back as the same float.
    var metadata = [Key.mean: try compactJSON(mean.map { Double($0) })]
    if divides { metadata[Key.deviation] = try compactJSON(deviation.map { Double($0) }) }
    if divisor != 255 { metadata[Key.divisor] = try compactJSON(Double(divisor)) }
    return metadata
  }

  /// Reads what `metadata()` writes.
  init(metadata: [String: String], channels: Int, file: String) throws {
    try self.init(
      mean: decodeJSON(metadata[Key.mean], Key.mean, file),
      deviation: metadata[Key.deviation] == nil
        ? nil : decodeJSON(metadata[Key.deviation], Key.deviation, file),
      divisor: metadata[Key.divisor] == nil
        ? 255 : decodeJSON(metadata[Key.divisor], Key.divisor, file),
      channels: channels, name: file)
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
  return try JSONDocument(text.utf8, name: "\(file), \(key)", line: nil).decode()
}
