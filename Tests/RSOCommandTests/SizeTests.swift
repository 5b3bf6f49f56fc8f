import Foundation
import RSO
import Testing

/// Sizes from files and options that no machine can have: one line of error, and the program does not end by itself.
struct SizeTests {
  private static func network(_ first: String, channels: String = "16") -> String {
    """
    {"input": {"channels": 1, "height": 8, "width": 8}, "layers": [
      \(first),
      {"name": "c2", "type": "conv2d", "channels": \(channels), "kernel": 3, "padding": 1},
      {"name": "g", "type": "globalMaxPool"},
      {"name": "fc", "type": "linear", "features": 3}]}
    """
  }

  private static func conv(_ channels: String) -> String {
    #"{"name": "c", "type": "conv2d", "channels": \#(channels), "kernel": 3, "padding": 1}"#
  }

  /// Networks, and the place and the start of the error after the file's name.
  static let networks: [(text: String, place: String, problem: String)] = [
    (
      network(conv("9223372036854775807")),
      "line 2, column 3",
      ", layer c: expected a network of at most 100000000 values for one image, found more up to"
    ),
    (
      network(#"{"name": "c", "type": "globalMaxPool"}"#).replacingOccurrences(
        of: "\"features\": 3", with: "\"features\": 9223372036854775807"),
      "line 5, column 3",
      ", layer fc: expected a network of at most 100000000 values for one image, found more up to"
    ),
    (
      network(conv("100000"), channels: "100000"),
      "line 3, column 3",
      ", layer c2: expected a network of at most 100000000 weights, found 90000"
    ),
    (
      network(conv("1000000"), channels: "1000000"),
      "line 3, column 3",
      ", layer c2: expected a network of at most 100000000 values for one image, found 128000064 up"
    ),
    (
      network(conv("3000"), channels: "3000").replacingOccurrences(
        of: "\"height\": 8, \"width\": 8", with: "\"height\": 64, \"width\": 64"),
      "line 3, column 3",
      ", layer c2: expected a network of at most 10000000000 multiply-adds for one image, found"
    ),
    (
      network(
        #"{"name": "c", "type": "averagePool", "kernel": 3, "padding": 9223372036854775807}"#),
      "line 2, column 3",
      ", layer c: expected a kernel and a stride of 1 to 64 and a padding of 0 to the kernel, found"
    ),
    (
      network(
        #"{"name": "c", "type": "maxPool", "kernel": 9223372036854775807, "padding": 1}"#),
      "line 2, column 3",
      ", layer c: expected a kernel and a stride of 1 to 64"
    ),
    (
      network(conv("1")).replacingOccurrences(
        of: "\"height\": 8, \"width\": 8",
        with: "\"height\": 9223372036854775807, \"width\": 9223372036854775807"),
      "line 1, column 2",
      ", input: expected a network of at most 100000000 values for one image, found more"
    ),
    (
      network(conv("1")).replacingOccurrences(
        of: "\"height\": 8", with: "\"height\": -9223372036854775808"),
      "line 1, column 2",
      ", input: expected a shape of at least 1×1×1, found 1×-9223372036854775808×8"
    ),
  ]

  @Test(arguments: networks.indices)
  func networksAreBounded(index: Int) throws {
    let (text, line, problem) = Self.networks[index]
    try Workplace.with { place in
      try Data(text.utf8).write(to: place.file("big.json"))
      let result = try place.run([
        "describe", "--network", "big.json", "--data-dir", "digits", "--batch", "30", "--no-time",
      ])
      #expect(result.code == 1 && result.signal == nil && result.output == "")
      #expect(
        result.errors.hasPrefix("rso: error: big.json, \(line)\(problem)"), "\(result.errors)")

      // The same as a model's network.
      try place.writeModel("m") { $0.metadata["network"] = text }
      let predicted = try place.run(["predict", "m", "digits/t10k-images-idx3-ubyte"])
      #expect(predicted.code == 1 && predicted.signal == nil && predicted.output == "")
      #expect(predicted.errors.contains("/m, network\(problem)"), "\(predicted.errors)")
    }
  }

  /// Within the bounds, but without its weights in the file: refused before there is memory for them.
  @Test func weightsMustBeInTheFile() throws {
    try Workplace.with { place in
      try place.writeModel("m") {
        $0.metadata["network"] = Self.network(Self.conv("30000"), channels: "300")
      }
      let result = try place.run(["predict", "m", "digits/t10k-images-idx3-ubyte"])
      #expect(result.code == 1 && result.signal == nil)
      #expect(
        result.errors.contains("found a tensor 'conv0.weight' that its network does not have"))
    }
  }

  /// More elements than there are is all of them.
  @Test(arguments: ["--hold", "--round"])
  func spansAreBounded(option: String) throws {
    try Workplace.with { place in
      func train(_ value: String, _ run: String) throws -> [Float] {
        let result = try place.train([
          "--cycles", "1", "--run", run, option, value, "--trace", "\(run).jsonl",
        ])
        #expect(result.code == 0 && result.signal == nil, "\(result.errors)")
        return try place.tensors("\(run)/checkpoint.safetensors").tensors.flatMap(\.tensor.values)
      }
      // No tensor has more than 108 elements.
      #expect(try train("9223372036854775807", "most") == train("108", "all"))
      let described = try place.run([
        "describe", "--network", "net.json", "--data-dir", "digits", "--batch", "30", "--time",
        option, "9223372036854775807",
      ])
      #expect(described.code == 0 && described.signal == nil, "\(described.errors)")
    }
  }
}
