extension Network {
  /// The network with `quantize` in place of the activations that a pattern names: of ReLU, or of `quantize` with other bits.
  ///
  /// - Parameters:
  ///   - bits: 1 to 8. The levels are those from 0 to 1.
  ///   - pattern: a shell pattern for the names of layers, such as `relu*`. Other activations stay as they are.
  /// - Throws: `RSOError` if the pattern names no ReLU, or there are no such levels.
  public func quantizingActivations(
    to bits: Int, matching pattern: String = "*"
  ) throws -> Network {
    let candidates = nodes.indices.filter { nodes[$0].layer.isQuantizable }
    let matching = candidates.filter { SearchSettings.matches(nodes[$0].name, pattern) }
    guard !matching.isEmpty else {
      throw RSOError(
        "`activations`",
        "expected a pattern of the names of ReLUs, found '\(pattern)', which matches none",
        hint: candidates.isEmpty
          ? "the network has none"
          : "there are " + candidates.map { nodes[$0].name }.joined(separator: ", "))
    }
    var result = nodes
    for index in matching { result[index].layer = .activation(.quantize(bits: bits)) }
    return try Network(input: input, nodes: result)
  }

  /// The network with the `quantize` layers that another one has where this one has ReLU or other bits under the same name.
  package func takingLevels(of other: Network) -> Network {
    var nodes = nodes
    for (index, node) in other.nodes.prefix(nodes.count).enumerated()
    where node.name == self.nodes[index].name && node.layer.isQuantizable
      && nodes[index].layer.isQuantizable
    {
      if case .activation(.quantize) = node.layer { nodes[index].layer = node.layer }
    }
    return (try? Network(input: input, nodes: nodes)) ?? self
  }

  /// The batch norm in front of a layer, directly or behind pooling; `nil` if there is none, or another layer reads what is
  /// between them.
  func norm(before node: Int) -> Int? {
    var value = inputs[node][0]
    while value > 0, inputs.joined().count(where: { $0 == value }) == 1 {
      switch nodes[value - 1].layer {
      case .batchNorm: return value - 1
      case .averagePool, .maxPool, .globalMaxPool, .globalAveragePool, .flatten:
        value = inputs[value - 1][0]
      case .conv2d, .depthwiseConv2d, .linear, .activation, .add: return nil
      }
    }
    return nil
  }

  /// The layers with weights that read a node, directly or behind pooling; `nil` if there are none, or others read it as well.
  func weightedLayers(behind node: Int) -> [Int]? {
    var found: [Int] = []
    for reader in inputs.indices where inputs[reader].contains(node + 1) {
      switch nodes[reader].layer {
      case .conv2d, .depthwiseConv2d, .linear: found.append(reader)
      case .averagePool, .maxPool, .globalMaxPool, .globalAveragePool, .flatten:
        guard let further = weightedLayers(behind: reader) else { return nil }
        found += further
      case .batchNorm, .activation, .add: return nil
      }
    }
    return found.isEmpty ? nil : found
  }
}

extension Network {
  /// The batch norm in front of an activation and the layers with weights behind it, which levels are fitted by.
  ///
  /// - Throws: `RSOError` naming the activation, and others whose levels can be fitted.
  func surroundings(ofLevels node: Int) throws -> (norm: Int, readers: [Int]) {
    guard let norm = norm(before: node) else {
      throw RSOError(
        nodes[node].name,
        "expected a batch norm in front of it that nothing else reads, to fit its levels; found none",
        hint: hintOfLevels)
    }
    guard let readers = weightedLayers(behind: node) else {
      let found = inputs.indices.filter { inputs[$0].contains(node + 1) }.map { nodes[$0].name }
      throw RSOError(
        nodes[node].name,
        "expected layers with weights behind it, and no others, to fit its levels; found "
          + (found.isEmpty ? "none" : found.joined(separator: ", ")),
        hint: hintOfLevels)
    }
    return (norm, readers)
  }

  /// Which activations' levels can be fitted.
  var hintOfLevels: String {
    let names = nodes.indices.filter {
      nodes[$0].layer.isQuantizable && norm(before: $0) != nil && weightedLayers(behind: $0) != nil
    }.map { nodes[$0].name }
    return names.isEmpty
      ? "those of no layer here can be fitted"
      : "those that can be: \(names.joined(separator: ", ")), as in --activations '\(names[0])=4'"
  }
}

extension Layer {
  /// Whether `quantize` with levels from 0 to 1 may take its place.
  fileprivate var isQuantizable: Bool {
    switch self {
    case .activation(.relu), .activation(.quantize(_, signed: false)): true
    default: false
    }
  }
}
