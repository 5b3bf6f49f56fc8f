import Foundation

/// Weights without their network, as in a PyTorch `state_dict`.
extension Parameters {
  /// Reads weights from a safetensors file of another program.
  ///
  /// Names and shapes are those of a `state_dict`: `conv0.weight`, `bn0.bias`, `fc.weight`, … Running statistics
  /// and `num_batches_tracked` are allowed and ignored: a search computes its own statistics.
  ///
  /// - Throws: `RSOError` naming every tensor that is missing, left over or of another shape, or the first NaN or
  ///   infinite value.
  public init(contentsOf url: URL, for network: Network) throws {
    let tensors = try SafeTensors(
      data: Data(readFile(url)), name: url.path, skipping: Self.isNoWeight)
    try self.init(stateDict: tensors, for: network, file: url.path)
  }

  /// - Parameter file: the file's name in errors.
  package init(stateDict tensors: SafeTensors, for network: Network, file: String) throws {
    let slots = Self.slots(of: network)
    let own = Set(slots.map(\.name))
    let statistics = Set(
      slots.filter { $0.role == .shift }.flatMap { slot in
        ["mean", "var"].map { "\(network.nodes[slot.node].name).running_\($0)" }
      })
    let missing = slots.filter { tensors[$0.name] == nil }.map(\.name)
    let surplus = tensors.tensors.map(\.name).filter {
      !own.contains($0) && !statistics.contains($0)
    }
    let misshapen = slots.compactMap { slot in
      tensors[slot.name].flatMap { tensor in
        tensor.shape == slot.shape
          ? nil : "\(slot.name) of \(tensor.shape) where the network has \(slot.shape)"
      }
    }
    let faults = [("no", missing), ("left over", surplus), ("", misshapen)]
      .filter { !$1.isEmpty }.map { "\($0) \($1.joined(separator: ", "))" }
    guard faults.isEmpty else {
      throw RSOError(
        file,
        "expected the tensors of the network, found "
          + faults.map { $0.trimmingPrefix(" ") }.joined(separator: "; "),
        hint: "the network and the file must have the same names and shapes")
    }
    try tensors.checkFinite(file)
    self.init(zerosFor: network)
    for slot in slots {
      values.replaceSubrange(slot.range, with: tensors[slot.name]?.values ?? [])
    }
  }

  /// Whether a tensor of a `state_dict` is an integer count of batches, which is not needed here.
  package static func isNoWeight(_ name: String) -> Bool {
    name.hasSuffix(".num_batches_tracked")
  }
}

extension Model {
  /// Writes only the weights, for other programs: a PyTorch `state_dict` with the parameters and the running
  /// statistics of batch norm, as a safetensors file without anything specific to this program.
  ///
  /// The metadata hold `mean`, a JSON list of what to subtract from every channel of pixels / 255, or of floats.
  ///
  /// - Throws: `RSOError` naming the file, or the first NaN or infinite value.
  public func writeStateDict(to url: URL) throws {
    try stateDict(file: url.path).write(to: url)
  }

  /// - Parameter file: the file's name in errors.
  package func stateDict(file: String) throws -> SafeTensors {
    var tensors = try safeTensors(file: file)
    // PyTorch's own files say `pt`.
    tensors.metadata = [
      "format": "pt", Key.mean: try compactJSON(mean.map { Double($0) }),
    ]
    return tensors
  }
}
