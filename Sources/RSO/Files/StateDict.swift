import Foundation

/// A PyTorch `state_dict`, read for a network: weights that come without one. They are floats, whatever domains the
/// network has.
///
/// Tensors have the names and shapes of `conv0.weight`, `bn0.bias`, `bn0.running_mean`, `fc.weight`, …
package struct StateDict: Sendable {
  package let parameters: Parameters
  /// Batch norm's running statistics; `nil` if `missingStatistics` has any.
  package let statistics: BatchNormStatistics?
  /// The names of running statistics that the file lacks.
  package let missingStatistics: [String]
  /// What a file of `Model.writeStateDict(to:)` says about the input; `nil` for another file.
  package let normalization: Normalization?
  /// The parts of names that stand for PyTorch's wrappers and were left out.
  package let wrappers: [String]

  /// - Parameter file: the file's name in errors.
  /// - Throws: `RSOError` naming every tensor that is missing, left over or of another shape, or the first value that
  ///   is NaN or infinite.
  package init(_ tensors: SafeTensors, for network: Network, file: String) throws {
    let network = network.withFloatWeights
    let layout = Model.shapes(of: network)
    let (tensors, wrappers) = Self.unwrapped(tensors, own: Set(layout.map(\.name)))
    self.wrappers = wrappers
    let surplus = tensors.tensors.map(\.name).filter { name in
      !layout.contains { $0.name == name }
    }
    let misshapen = layout.compactMap { own in
      tensors[own.name].flatMap { tensor in
        tensor.shape == own.shape
          ? nil : "\(own.name) of \(tensor.shape) where the network has \(own.shape)"
      }
    }
    func missing(_ isStatistic: Bool) -> [String] {
      layout.filter { $0.isStatistic == isStatistic && tensors[$0.name] == nil }.map(\.name)
    }
    let faults = [("no", missing(false)), ("left over", surplus), ("", misshapen)]
      .filter { !$1.isEmpty }.map { "\($0) \($1.joined(separator: ", "))" }
    guard faults.isEmpty else {
      throw RSOError(
        file,
        "expected the tensors of the network, found "
          + faults.map { $0.trimmingPrefix(" ") }.joined(separator: "; "),
        hint: "the network and the file must have the same names and shapes")
    }
    try Memory.require(
      Parameters.count(of: network), of: Float.self, for: "the weights of \(file)",
      hint: Memory.networkHint)
    missingStatistics = missing(true)
    let (parameters, statistics) = try Model.values(
      of: network, in: tensors, hasLevels: false, file: file)
    self.parameters = parameters
    self.statistics = missingStatistics.isEmpty ? statistics : nil
    // Another program may use these words for something else.
    normalization = try? Normalization(
      metadata: tensors.metadata, channels: network.input.channels, file: file)
  }

  /// - Throws: `RSOError` naming the file.
  package init(contentsOf url: URL, for network: Network) throws {
    try self.init(Self.tensors(at: url), for: network, file: url.path)
  }

  /// The tensors of a file, without counts of batches.
  ///
  /// - Parameter name: the file's name in errors; `nil` for its path.
  package static func tensors(at url: URL, name: String? = nil) throws -> SafeTensors {
    try SafeTensors(data: Data(readFile(url)), name: name ?? url.path, skipping: isCount)
  }

  /// Whether a tensor is an integer count of batches or averages, which is not needed here.
  static func isCount(_ name: String) -> Bool {
    name.hasSuffix("num_batches_tracked") || name == "n_averaged"
  }

  /// The tensors under the names that they have without `DataParallel` and `torch.compile`: those put `module` and
  /// `_orig_mod` in front of the names of what they wrap.
  ///
  /// - Parameter own: names of the network, which stay as they are.
  private static func unwrapped(
    _ tensors: SafeTensors, own: Set<String>
  ) -> (SafeTensors, wrappers: [String]) {
    let wrappers = ["module", "_orig_mod"]
    var result = tensors
    var (taken, found) = (Set(tensors.tensors.map(\.name)), Set<String>())
    for (index, (name, _)) in tensors.tensors.enumerated() where !own.contains(name) {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      let plain = parts.filter { !wrappers.contains($0) }.joined(separator: ".")
      guard own.contains(plain), taken.insert(plain).inserted else { continue }
      result.tensors[index].name = plain
      found.formUnion(parts.filter(wrappers.contains))
    }
    return (result, wrappers.filter(found.contains))
  }
}

extension Parameters {
  /// Reads weights from a safetensors file of another program. Where the network's weights are discrete, they are rounded,
  /// with one scale for each tensor.
  ///
  /// Names and shapes are those of a `state_dict`: `conv0.weight`, `bn0.bias`, `fc.weight`, … Parts of names that are
  /// PyTorch's wrappers, `module` and `_orig_mod`, are left out. Running statistics and `num_batches_tracked` are
  /// allowed and ignored; `Model(stateDict:for:)` keeps the statistics.
  ///
  /// - Throws: `RSOError` naming every tensor that is missing, left over or of another shape, or the first NaN or
  ///   infinite value.
  public init(contentsOf url: URL, for network: Network) throws {
    self = try StateDict(contentsOf: url, for: network).parameters
      .rounded(to: network, scales: .tensor).parameters
  }
}

extension Model {
  /// A model of a network that another program trained: a PyTorch `state_dict` as a safetensors file. Where the network's
  /// weights are discrete, they are rounded, with one scale for each tensor.
  ///
  /// - Parameters:
  ///   - url: the file.
  ///   - network: the network of the weights.
  ///   - normalization: what the network reads, as torchvision's `Normalize` has it; by default what a file of
  ///     `writeStateDict(to:)` says, or else the values as they are.
  ///   - images: the kind of images it takes.
  /// - Throws: `RSOError` naming every tensor that is missing, left over or of another shape, or the first NaN or
  ///   infinite value.
  public init(
    stateDict url: URL, for network: Network, normalization: Normalization? = nil,
    images: Images = .bytes
  ) throws {
    try self.init(
      StateDict(contentsOf: url, for: network), network, normalization, images, file: url.path)
  }

  package init(
    _ stateDict: StateDict, _ network: Network, _ normalization: Normalization?, _ images: Images,
    file: String
  ) throws {
    guard let statistics = stateDict.statistics else {
      throw RSOError(
        file,
        "expected the running statistics of batch norm, found no "
          + stateDict.missingStatistics.joined(separator: ", "),
        hint: "a batch norm with track_running_stats=False has none; a search computes its own")
    }
    let channels = network.input.channels
    let model = Model(
      network: network.withFloatWeights, parameters: stateDict.parameters, statistics: statistics,
      normalization: normalization ?? stateDict.normalization
        ?? Normalization(mean: [Float](repeating: 0, count: channels)),
      images: images)
    self = try model.rounded(to: network).model
  }

  /// Writes only the weights, for other programs: a PyTorch `state_dict` with the parameters and the running
  /// statistics of batch norm, as a safetensors file without anything specific to this program.
  ///
  /// The metadata hold `mean`, a JSON list of what to subtract from every channel of pixels / 255, or of floats, and
  /// `deviation`, what to divide the differences by, if the network was trained so.
  ///
  /// - Throws: `RSOError` naming the file, or the first NaN or infinite value.
  public func writeStateDict(to url: URL) throws {
    try stateDict(file: url.path).write(to: url)
  }

  /// - Parameter file: the file's name in errors.
  package func stateDict(file: String) throws -> SafeTensors {
    var tensors = try safeTensors(file: file, hasLevels: false)
    // PyTorch's own files say `pt`.
    tensors.metadata = try normalization.metadata().merging(["format": "pt"]) { $1 }
    return tensors
  }
}
