import Foundation
import Testing

@testable import RSO

struct ModelTests {
  /// A searched model with a bias and batch norm.
  private static func model() throws -> (model: Model, data: Dataset) {
    let network = try Network(input: Shape(channels: 2, height: 5, width: 4)) {
      Node.conv2d("conv0", channels: 3, kernel: 3, padding: 1, bias: true)
      Node.batchNorm("bn0")
      Node.relu("relu0")
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 4)
    }
    let data = try Sample.dataset(network.input, classes: 4, train: 40)
    var settings = SearchSettings()
    (settings.cycles, settings.batchSize) = (1, 20)
    var search = try RandomSearch(
      network: network, data: data, settings: settings, device: .reference)
    try search.run { _ in .goOn }
    return (try search.model, data)
  }

  @Test func readsBackWhatItWrote() throws {
    try withTemporaryFolder { folder in
      let (model, data) = try Self.model()
      let file = folder.appendingPathComponent("m.safetensors")
      try model.write(to: file)
      let read = try Model(contentsOf: file)
      #expect(read.network == model.network)
      #expect(read.parameters.values.map(\.bitPattern) == model.parameters.values.map(\.bitPattern))
      #expect(read.mean.map(\.bitPattern) == model.mean.map(\.bitPattern))
      let moments = try #require(model.statistics.moments[1])
      #expect(
        read.statistics.moments == [
          1: .init(
            mean: moments.mean.map { Double(Float($0)) },
            variance: moments.variance.map { Double(Float($0)) })
        ])
      let (a, b) = try (
        model.evaluate(on: data, device: .reference), read.evaluate(on: data, device: .reference)
      )
      #expect(abs(a.loss - b.loss) < 1e-5 * a.loss)
      // The same model gives the same bytes.
      let bytes = try readFile(file)
      try read.write(to: file)
      #expect(try readFile(file) == bytes)
    }
  }

  @Test func isAStateDict() throws {
    let tensors = try Self.model().model.safeTensors(file: "m")
    #expect(
      tensors.tensors.map { "\($0.name) \($0.tensor.shape)" } == [
        "conv0.weight [3, 2, 3, 3]", "conv0.bias [3]", "bn0.weight [3]", "bn0.bias [3]",
        "bn0.running_mean [3]", "bn0.running_var [3]", "fc.weight [4, 3]",
      ])
    #expect(
      Set(tensors.metadata.keys) == [
        "format", "format_version", "network", "mean", "classes", "images",
      ])
  }

  private static let importHint =
    "(make a model of weights from elsewhere: rso import m --network net.json -o model.safetensors)"

  static let damages: [(String, @Sendable (inout SafeTensors) -> Void)] = [
    (
      "m: expected a model of rso ('format' is 'rso-model' in its metadata), found no 'format' "
        + importHint, { $0.metadata = [:] }
    ),
    (
      "m: expected a model of rso ('format' is 'rso-model' in its metadata), found 'pt' "
        + importHint, { $0.metadata["format"] = "pt" }
    ),
    (
      "m: expected format version 1 to 3, found 4 (was it written by a later rso?)",
      { $0.metadata["format_version"] = "4" }
    ),
    ("m: expected 'mean' in its metadata, found none", { $0.metadata["mean"] = nil }),
    (
      "m: expected a mean of 2 channels, as 32-bit floats, found [0.5]",
      { $0.metadata["mean"] = "[0.5]" }
    ),
    (
      "m: expected a mean of 2 channels, as 32-bit floats, found [0.5, 1e+300]",
      { $0.metadata["mean"] = "[0.5, 1e300]" }
    ),
    (
      "m: expected a deviation above 0 of 2 channels, as 32-bit floats, found [0.5, 0.0]",
      { $0.metadata["deviation"] = "[0.5, 0]" }
    ),
    (
      "m: expected 4 classes as its network has, found 5", { $0.metadata["classes"] = "5" }
    ),
    ("m: expected a tensor fc.weight of shape [4, 3], found none", { $0["fc.weight"] = nil }),
    (
      "m: expected a tensor fc.weight of shape [4, 3], found [3, 4]",
      { $0["fc.weight"]?.shape = [3, 4] }
    ),
    (
      "m: expected a tensor bn0.running_var of shape [3], found none",
      { $0["bn0.running_var"] = nil }
    ),
    (
      "m: found a tensor 'fc.bias' that its network does not have",
      { $0["fc.bias"] = .init(shape: [4], values: [0, 0, 0, 0]) }
    ),
    (
      "m: expected finite values, found nan at conv0.bias[2]",
      { $0["conv0.bias"]?.values[2] = .nan }
    ),
    (
      "m: expected finite values, found -inf at bn0.running_mean[0]",
      { $0["bn0.running_mean"]?.values[0] = -.infinity }
    ),
    (
      "m: expected variances of 0 or more, found -1.0 at bn0.running_var[1]",
      { $0["bn0.running_var"]?.values[1] = -1 }
    ),
  ]

  @Test(arguments: damages.indices)
  func saysWhatIsWrong(index: Int) throws {
    let (error, damage) = Self.damages[index]
    var tensors = try Self.model().model.safeTensors(file: "m")
    #expect(errorText { _ = try Model(tensors, file: "m") } == nil)
    damage(&tensors)
    #expect(errorText { _ = try Model(tensors, file: "m") } == error)
  }

  @Test func theNetworkInTheMetadataIsChecked() throws {
    var tensors = try Self.model().model.safeTensors(file: "m")
    let network = try #require(tensors.metadata["network"])
    tensors.metadata["network"] = network.replacingOccurrences(of: "\"relu\"", with: "\"elu\"")
    #expect(
      errorText { _ = try Model(tensors, file: "m") }?
        .hasPrefix("m, network, layer relu0: unknown type 'elu'") == true)
    tensors.metadata["network"] = nil
    #expect(errorText { _ = try Model(tensors, file: "m") }?.hasPrefix("m, network: ") == true)
  }

  @Test func doesNotWriteWhatItWouldNotRead() throws {
    try withTemporaryFolder { folder in
      var model = try Self.model().model
      model.parameters.values[0] = .nan
      let file = folder.appendingPathComponent("m.safetensors")
      #expect(
        errorText { try model.write(to: file) }
          == "\(file.path): expected finite values, found nan at conv0.weight[0]")
      #expect(!FileManager.default.fileExists(atPath: file.path))
    }
  }
}
