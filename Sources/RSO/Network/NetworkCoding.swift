import Foundation

/// JSON: `{"input": {"channels": 1, "height": 28, "width": 28}, "layers": [{"name": "conv0",
/// "type": "conv2d", "channels": 16, "kernel": 3, "padding": 1}, …]}`.
///
/// An unknown key is an error, so that a misspelt option is never ignored.
extension Network: Codable {
  private enum Keys: String, CodingKey { case input, layers }

  /// - Throws: `RSOError` naming the wrong layer, or `DecodingError`.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Keys.self)
    try self.init(
      input: container.decode(Shape.self, forKey: .input),
      nodes: container.decode([Node].self, forKey: .layers))
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
  public init(json: Data, name: String) throws {
    do {
      self = try JSONDecoder().decode(Network.self, from: json)
    } catch let error as RSOError {
      throw RSOError("\(name), layer \(error.subject)", error.problem, hint: error.hint)
    } catch let error as DecodingError {
      throw RSOError(
        name, error.summary, hint: "`rso describe --json` prints an example of a network")
    }
  }

  /// The network as JSON with sorted keys, so that equal networks give equal bytes.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self)
  }
}

extension Network.Node: Codable {
  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// - Throws: `RSOError` for an unknown type or key, or `DecodingError`.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Layer.Key.self)
    name = try container.decode(String.self, forKey: .name)
    let type = try container.decode(String.self, forKey: .type)
    if let own = Layer.keys(of: type) {
      let allowed = Set((own + Layer.Key.common).map(\.rawValue))
      for key in try decoder.container(keyedBy: AnyKey.self).allKeys
      where !allowed.contains(key.stringValue) {
        throw RSOError(
          name, "a \(type) has no '\(key.stringValue)'",
          hint: "it has " + allowed.sorted().joined(separator: ", "))
      }
    }
    guard let layer = try Layer(type, from: container) else {
      throw RSOError(
        name, "unknown type '\(type)'", hint: "known: " + Layer.kinds.joined(separator: ", "))
    }
    self.layer = layer
    input = try container.decodeIfPresent(String.self, forKey: .input)
    initialDeviation = try Self.deviation(container, .initialDeviation, name)
    proposalDeviation = try Self.deviation(container, .proposalDeviation, name)
  }

  private static func deviation(
    _ container: KeyedDecodingContainer<Layer.Key>, _ key: Layer.Key, _ name: String
  ) throws -> Double? {
    guard let value = try container.decodeIfPresent(Double.self, forKey: key) else { return nil }
    guard Float(value) > 0, Float(value).isFinite else {
      throw RSOError(
        name,
        "expected \(key.rawValue) above 0 that a 32-bit float can hold, found \(value)")
    }
    return value
  }

  /// Writes what `init(from:)` reads.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Layer.Key.self)
    try container.encode(name, forKey: .name)
    try container.encode(layer.kind, forKey: .type)
    try container.encodeIfPresent(input, forKey: .input)
    try container.encodeIfPresent(initialDeviation, forKey: .initialDeviation)
    try container.encodeIfPresent(proposalDeviation, forKey: .proposalDeviation)
    try layer.encode(to: &container)
  }
}

extension DecodingError {
  /// What was wrong and where, in one line.
  var summary: String {
    func path(_ context: Context) -> String {
      let path = context.codingPath.map { key in
        key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)"
      }.joined()
      return path.isEmpty ? "the file" : String(path.drop { $0 == "." })
    }
    return switch self {
    case .keyNotFound(let key, let context): "\(path(context)) has no '\(key.stringValue)'"
    case .typeMismatch(let type, let context): "\(path(context)) is not \(type)"
    case .valueNotFound(_, let context): "\(path(context)) is null"
    case .dataCorrupted(let context):
      "\(path(context)) is not valid JSON: \(context.debugDescription)"
    @unknown default: "\(self)"
    }
  }
}
