import ArgumentParser
import Foundation
import RSO

/// The network to use.
struct NetworkOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The paper's network of 6 or of 9 convolution layers, for any images (default: 9 for CIFAR-10, else 6; for a table, "
        + "two linear layers).",
      valueName: "n"))
  var layers: Int?

  @Option(
    help: ArgumentHelp(
      "A network as JSON (`rso describe --json` prints an example), or mnist or cifar10 for the paper's.",
      valueName: "file.json"), completion: .file(extensions: ["json"]))
  var network: String?

  @Option(
    help: ArgumentHelp(
      "What the network reads: none takes values as they are; mean subtracts each channel's mean; standard also divides "
        + "by its standard deviation; pixels divides bytes by 255, integers by 256 (default: mean for images, standard for "
        + "tables, integers for bytes that discrete weights read).",
      valueName: "none|mean|standard|pixels|integers"))
  var normalize: Normalization.Method?

  @Option(
    help: ArgumentHelp(
      "The values that weights may have: float, binary, ternary, or int2 to int8; or those of the weights whose names "
        + "match, with * and ?, as in 'fc*=int8'. Repeat it for more; the last one that matches holds.",
      valueName: "[pattern=]domain"))
  var weights: [String] = []

  @Option(
    help: ArgumentHelp(
      "Quantise activations: every ReLU becomes 2^bits levels, 1 to 8 bits; or those whose names match, as in 'relu5=2'. "
        + "rso train --from fits batch norms and weights to the levels. Repeat it for more; the last one that matches holds.",
      valueName: "[pattern=]bits"))
  var activations: [String] = []

  /// The data with the input's normalization that was asked for, or else the one that suits the network.
  func normalized(_ data: Dataset, for network: Network) throws -> Dataset {
    let method =
      normalize
      ?? Normalization.Method.standard(for: network, reading: data.train.images)
    return try method.map(data.normalized(by:)) ?? data
  }

  /// The network with the weights that were asked for.
  ///
  /// - Throws: `RSOError` if a pattern matches no weights, or there is no such domain.
  func settingWeights(_ network: Network) throws -> Network {
    try weights.reduce(network) { network, text in
      guard let sign = text.lastIndex(of: "=") else {
        return try network.settingWeights(to: Domain(text))
      }
      return try network.settingWeights(
        to: Domain(text[text.index(after: sign)...]), matching: String(text[..<sign]))
    }
  }

  /// The network with the activations that were asked for.
  ///
  /// - Throws: `RSOError` if a pattern matches no ReLU, or there are no such levels.
  func settingActivations(_ network: Network) throws -> Network {
    try activations.reduce(network) { network, text in
      let parts = text.split(separator: "=", omittingEmptySubsequences: false)
      guard let bits = parts.last.flatMap({ Int($0) }), 1...8 ~= bits, parts.count <= 2 else {
        throw RSOError(
          "--activations", "expected 1 to 8 bits, alone or as in relu5=2, found '\(text)'",
          hint: "--activations 4 quantises every ReLU to 16 levels")
      }
      return try network.quantizingActivations(
        to: bits, matching: parts.count == 2 ? String(parts[0]) : "*")
    }
  }

  /// The network with the weights and activations that were asked for.
  func setting(_ network: Network) throws -> Network {
    try settingActivations(settingWeights(network))
  }

  /// Whether any network was requested.
  var isGiven: Bool { layers != nil || network != nil }

  /// The data set of the paper's network named by `--network`.
  var paperData: String? { network.flatMap { Self.paperLayers[$0] != nil ? $0 : nil } }

  private static let paperLayers = ["mnist": 6, "cifar10": 9]

  /// - Parameter paperLayers: the layers of the paper's network for `data`.
  /// - Throws: `RSOError` naming the option, or the file and the wrong layer.
  func network(for data: Dataset, paperLayers: Int) throws -> Network {
    try network(input: data.train.shape, classes: data.classes, paperLayers: paperLayers)
  }

  func network(input: Shape, classes: Int, paperLayers: Int = 6) throws -> Network {
    try setting(plainNetwork(input: input, classes: classes, paperLayers: paperLayers))
  }

  /// The network as the other options name it.
  func plainNetwork(input: Shape, classes: Int, paperLayers: Int) throws -> Network {
    guard let file = network else {
      if layers == nil, input.isTable {
        return try .table(features: input.channels, classes: classes)
      }
      return try .paper(layers: layers ?? paperLayers, input: input, classes: classes)
    }
    guard layers == nil else {
      throw RSOError("--network", "expected it without --layers, found both", hint: "drop one")
    }
    if let layers = Self.paperLayers[file] {
      return try .paper(layers: layers, input: input, classes: classes)
    }
    return try Self.network(file)
  }

  /// A network as `--network` names it, if there are no data: the paper's for its own data, or a file's.
  static func network(_ file: String) throws -> Network {
    if let layers = paperLayers[file], let data = KnownData.named(file) {
      return try .paper(layers: layers, input: data.shape, classes: data.classes)
    }
    return try Network(json: Data(readFile(URL(fileURLWithPath: file))), name: file)
  }
}

extension Normalization.Method: ExpressibleByArgument {}

extension ScaleChoice: ExpressibleByArgument {}
