import Foundation

/// JSON: `{"input": {"channels": 1, "height": 28, "width": 28}, "layers": [{"name": "conv0",
/// "type": "conv2d", "channels": 16, "kernel": 3, "padding": 1}, …]}`.
///
/// An unknown key is an error, so that a misspelt option is never ignored.
extension Network: Codable {
  private enum Keys: String, CodingKey { case input, layers }

  /// What `rso describe --json` writes beside a network, and what editors look for a schema by.
  private static let otherKeys = ["$schema", "outputs", "data", "settings", "cycle"]

  /// - Throws: `DecodingError`; its underlying error, if there is one, is an `RSOError` naming the wrong layer.
  public init(from decoder: any Decoder) throws {
    try decoder.requireKnownKeys(["input", "layers"] + Self.otherKeys, "", "a network")
    let container = try decoder.container(keyedBy: Keys.self)
    let input = try container.decode(Shape.self, forKey: .input)
    let nodes = try container.decode([Node].self, forKey: .layers)
    do {
      try self.init(input: input, nodes: nodes)
    } catch let error as RSOError {
      let path = decoder.codingPath
      // Two layers of one name: the second is wrong.
      if let index = nodes.lastIndex(where: { $0.name == error.subject }) {
        throw DecodingError.wrong(
          path + [Keys.layers, AnyKey(intValue: index)], "layer \(error.subject)", error.problem,
          hint: error.hint)
      }
      throw DecodingError.wrong(
        path + [error.subject == Keys.input.rawValue ? Keys.input : Keys.layers], error.subject,
        error.problem, hint: error.hint)
    }
  }

  /// Writes what `init(from:)` reads.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    try container.encode(input, forKey: .input)
    try container.encode(nodes, forKey: .layers)
  }

  /// Reads a network from JSON.
  ///
  /// - Parameters:
  ///   - json: the text, as docs/network.schema.json describes it.
  ///   - name: what errors call it, usually the file's path.
  /// - Throws: `RSOError` with the line and column of what is wrong.
  public init(json: Data, name: String) throws {
    self = try JSONDocument(json, name: name).decode(help: Self.help)
  }

  private static var help: JSONDocument.Help {
    let input = #"{"channels": 1, "height": 28, "width": 28}"#
    let layer = #"{"name": "fc", "type": "linear", "features": 10}"#
    return JSONDocument.Help(
      examples: [
        "": #"{"input": {…}, "layers": […]}"#, "input": input, "layers": "[\(layer)]",
        "layers[]": layer, "layers[].padding": "1, which keeps the size where the kernel is 3",
      ],
      hint: "`rso describe --json` prints an example of a network")
  }

  /// The network as JSON with sorted keys, so that equal networks give equal bytes.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self)
  }
}

extension Shape {
  /// - Throws: `DecodingError`, also for an unknown key.
  public init(from decoder: any Decoder) throws {
    try decoder.requireKnownKeys(["channels", "height", "width"], "", "a shape")
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      channels: try container.decode(Int.self, forKey: .channels),
      height: try container.decode(Int.self, forKey: .height),
      width: try container.decode(Int.self, forKey: .width))
  }
}

extension Network.Node: Codable {
  /// - Throws: `DecodingError`; its underlying error, if there is one, is an `RSOError` naming the layer.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Layer.Key.self)
    name = try container.decode(String.self, forKey: .name)
    let path = decoder.codingPath
    guard Self.isName(name) else {
      throw DecodingError.wrong(path + [Layer.Key.name], "", Self.expectedName(name))
    }
    let subject = "layer \(name)"
    let type = try container.decode(String.self, forKey: .type)
    if let own = Layer.keys(of: type) {
      let known = (Layer.Key.common + own).map(\.rawValue)
      try decoder.requireKnownKeys(known, subject, "a \(type)") {
        Layer.advice(onKey: $0, known: known)
      }
    }
    guard let layer = try Layer(type, from: container) else {
      let near = nearest(to: type, in: Layer.kinds).map { "did you mean '\($0)'? " } ?? ""
      throw DecodingError.wrong(
        path + [Layer.Key.type], subject, "unknown type '\(type)'",
        hint: Layer.advice(onType: type)
          ?? near + "known: " + Layer.kinds.joined(separator: ", "))
    }
    self.layer = layer
    input = try container.decodeIfPresent(String.self, forKey: .input)
    func deviation(_ key: Layer.Key) throws -> Double? {
      guard let value = try container.decodeIfPresent(Double.self, forKey: key) else { return nil }
      guard Float(value) > 0, Float(value).isFinite else {
        throw DecodingError.wrong(
          path + [key], subject,
          "expected \(key.rawValue) above 0 that a 32-bit float can hold, found \(value)")
      }
      return value
    }
    initialDeviation = try deviation(.initialDeviation)
    proposalDeviation = try deviation(.proposalDeviation)
    do {
      weights =
        try container.decodeIfPresent(String.self, forKey: .weights).map(Domain.init) ?? .float
    } catch let error as RSOError {
      throw DecodingError.wrong(
        path + [Layer.Key.weights], subject, error.problem, hint: error.hint)
    }
  }

  /// Writes what `init(from:)` reads.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Layer.Key.self)
    try container.encode(name, forKey: .name)
    try container.encode(layer.kind, forKey: .type)
    try container.encodeIfPresent(input, forKey: .input)
    try container.encodeIfPresent(initialDeviation, forKey: .initialDeviation)
    try container.encodeIfPresent(proposalDeviation, forKey: .proposalDeviation)
    // Networks of floats have the same bytes as before there were other weights.
    if weights.isDiscrete { try container.encode(weights, forKey: .weights) }
    try layer.encode(to: &container)
  }
}
