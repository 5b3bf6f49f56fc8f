import ArgumentParser
import Foundation
import RSO

/// Which network.
struct NetworkOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The paper's network of 6 or of 9 convolution layers, for any data (default: 6).",
      valueName: "n"))
  var layers: Int?

  @Option(
    help: ArgumentHelp(
      "A network as JSON; `rso describe --json` prints an example.", valueName: "file.json"))
  var network: String?

  /// Whether any network was asked for.
  var isGiven: Bool { layers != nil || network != nil }

  /// - Throws: `RSOError` naming the option, or the file and the layer that is wrong.
  func network(for data: Dataset) throws -> Network {
    try network(input: data.train.shape, classes: data.classes)
  }

  func network(input: Shape, classes: Int) throws -> Network {
    guard let file = network else {
      return try .paper(layers: layers ?? 6, input: input, classes: classes)
    }
    guard layers == nil else {
      throw RSOError("--network", "expected it without --layers, found both", hint: "drop one")
    }
    return try Network(json: Data(readFile(URL(fileURLWithPath: file))), name: file)
  }
}
