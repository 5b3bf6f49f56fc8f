import Foundation
import Testing

@testable import RSO

/// `docs/network.schema.json` says what the reader of networks does. That the schema itself is well-formed and takes the
/// examples is checked by `.ci/run`, with a validator.
struct NetworkSchemaTests {
  private struct Schema: Decodable {
    struct Kind: Decodable {
      struct Property: Decodable {
        var const: String?
        var `enum`: [String]?
      }
      var properties: [String: Property]?
      var required: [String]?
    }
    var kinds: [String: Kind]
    enum CodingKeys: String, CodingKey { case kinds = "$defs" }
  }

  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// A value for every key that a layer may have.
  private static let values = [
    "channels": "4", "features": "4", "kernel": "1", "stride": "1", "padding": "0", "bias": "true",
    "epsilon": "0.1", "of": "\"input\"", "initialDeviation": "1", "proposalDeviation": "1",
    "input": "\"input\"", "slope": "0.1", "bits": "4", "signed": "true",
    "weights": "\"ternary\"",
  ]

  /// What the reader says of a network whose first layer has these keys; `nil`: it is read.
  private func error(type: String, keys: some Sequence<String>) -> String? {
    let fields = keys.filter { !["name", "type"].contains($0) }
      .map { ", \"\($0)\": \(Self.values[$0] ?? "0")" }.joined()
    let json = """
      {"input": {"channels": 2, "height": 1, "width": 1}, "layers": [
        {"name": "a", "type": "\(type)"\(fields)},
        {"name": "b", "type": "linear", "features": 2}]}
      """
    return errorText { _ = try Network(json: Data(json.utf8), name: "f") }
  }

  @Test func hasTheKindsAndKeysOfTheReader() throws {
    let file = Self.root.appendingPathComponent("docs/network.schema.json")
    let schema = try JSONDecoder().decode(Schema.self, from: Data(contentsOf: file))
    var types: [String] = []
    for (name, kind) in schema.kinds {
      guard let properties = kind.properties, let type = properties["type"] else { continue }
      let named = type.enum ?? [type.const ?? ""]
      types += named
      let required = try #require(kind.required)
      for type in named {
        #expect(error(type: type, keys: properties.keys) == nil, "\(type): all keys")
        #expect(error(type: type, keys: required) == nil, "\(type): required keys")
        for key in required where key != "name" && key != "type" {
          #expect(error(type: type, keys: required.filter { $0 != key }) != nil, "\(type): \(key)")
        }
        for key in Self.values.keys where properties[key] == nil {
          #expect(
            error(type: type, keys: required + [key])?.contains("has no '\(key)'") == true,
            "\(name) \(type): \(key)")
        }
      }
    }
    // The reader lists its own when it meets another.
    let known = try #require(error(type: "another", keys: []))
    let listed = known.components(separatedBy: "known: ")[1].dropLast().components(
      separatedBy: ", ")
    #expect(types.sorted() == listed.sorted())
  }

  /// For 30 features in two classes, as of scikit-learn's `load_breast_cancer`.
  @Test func theExampleOfATable() throws {
    let file = Self.root.appendingPathComponent("Examples/table.json")
    let network = try Network(json: Data(contentsOf: file), name: file.path)
    #expect(network.input == Shape(channels: 30) && network.classes == 2)
  }

  @Test(arguments: ["perceptron", "separable", "shortcuts", "small", "ternary"])
  func examplesAreNetworks(name: String) throws {
    let file = Self.root.appendingPathComponent("Examples/\(name).json")
    let network = try Network(json: Data(contentsOf: file), name: file.path)
    #expect(network.input == Shape(channels: 1, height: 28, width: 28))
    #expect(network.classes == 10)
    #expect(
      network.nodes.count { $0.layer.kind == "add" }
        == ["perceptron": 0, "separable": 0, "shortcuts": 3, "small": 1, "ternary": 0][name])
  }
}
