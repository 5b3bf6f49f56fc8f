import Foundation
import RSO
import Testing

/// `rso import`. That PyTorch evaluates the same network alike is checked by `.ci/pytorch_check.py`.
struct ImportTests {
  /// The weights of a network that has been searched, as PyTorch would write them, and the model itself.
  private static func write(_ place: Workplace) throws -> Model {
    try place.writeModel("own") { _ in }
    var tensors = try place.tensors("own")
    tensors.metadata = ["format": "pt"]
    for index in tensors.tensors.indices {
      tensors.tensors[index].name = "module." + tensors.tensors[index].name
    }
    try tensors.write(to: place.file("w.safetensors"))
    return try Model(contentsOf: place.file("own"))
  }

  private static let options = ["import", "w.safetensors", "--network", "net.json", "-o", "m"]

  @Test func makesAModel() throws {
    try Workplace.with { place in
      let own = try Self.write(place)
      let result = try place.run(Self.options + ["--mean", "0.1307", "--std", "0.3081"])
      #expect(result.code == 0)
      #expect(
        result.errors == "rso: note: w.safetensors: names of tensors without 'module.'\n"
          + "rso: note: net.json: bn0 has an epsilon of 0.001, the standard here; PyTorch's is 1e-5: "
          + "\"epsilon\": 1e-5\n")
      #expect(
        result.output
          == "m: 7 parameters and the running statistics of 2 batch norms; the network takes "
          + "(pixels / 255 − 0.1307) / 0.3081 and gives 3 classes\n")
      let model = try Model(contentsOf: place.file("m"))
      #expect(model.parameters == own.parameters && model.statistics == own.statistics)
      #expect(model.normalization == Normalization(mean: [0.1307], deviation: [0.3081]))
      #expect(model.images == .bytes)
      let evaluated = try place.run(["evaluate", "m", "--data-dir", "digits", "--json"])
      #expect(evaluated.code == 0 && evaluated.errors == "")
      let exported = try place.run(["export", "m", "--onnx", "m.onnx", "--safetensors", "again"])
      #expect(exported.output.contains("the network takes (pixels / 255 − 0.1307) / 0.3081\n"))
      // The exported weights bring them along.
      let again = ["import", "again", "--network", "net.json", "-o", "m2"]
      #expect(try place.run(again).code == 0)
      #expect(try Data(contentsOf: place.file("m2")) == Data(contentsOf: place.file("m")))
      // Without them, the values are as they are.
      #expect(try place.run(Self.options + ["--quiet"]).output == "")
      #expect(try Model(contentsOf: place.file("m")).normalization == Normalization(mean: [0]))
      #expect(
        try place.run(Self.options + ["--floats", "--std", "2"]).output.contains(
          "the network takes floats / 2.0 and gives"))
      #expect(try Model(contentsOf: place.file("m")).images == .floats(nil))
    }
  }

  @Test func thePapersNetworks() throws {
    try Workplace.with { place in
      let network = try Network.mnist()
      let parameters = Parameters(initialFor: network, seed: 1)
      var tensors = SafeTensors()
      for slot in parameters.slots {
        tensors[slot.name] = .init(shape: slot.shape, values: Array(parameters.values[slot.range]))
        guard slot.role == .shift else { continue }
        let name = network.nodes[slot.node].name
        tensors["\(name).running_mean"] = .init(
          shape: [16], values: [Float](repeating: 0, count: 16))
        tensors["\(name).running_var"] = .init(
          shape: [16], values: [Float](repeating: 1, count: 16))
      }
      try tensors.write(to: place.file("w"))
      let result = try place.run(["import", "w", "--network", "mnist", "-o", "m"])
      #expect(result.code == 0 && result.output.contains("takes pixels / 255 and gives 10 classes"))
    }
  }

  static let cases: [BadInputTests.Case] = [
    .init(arguments: [], code: 64, errors: ["Missing expected argument '--network <file.json>'"]),
    .init(
      arguments: ["--network", "net.json", "-o", "w.safetensors"], code: 64,
      errors: ["--output: expected a file of its own, found the weights (w.safetensors)"]),
    .init(
      arguments: ["--network", "net.json", "-o", "m", "--mean", "0.1,0.2"], code: 64,
      errors: ["--mean: expected 1 numbers, one for each channel, found 2"]),
    .init(
      arguments: ["--network", "net.json", "-o", "m", "--std", "0"], code: 64,
      errors: ["--std: expected numbers above 0, found 0"]),
    .init(
      arguments: ["--network", "net.json", "-o", "m", "--mean", "1e99"], code: 64,
      errors: ["--mean: expected finite numbers, found 1e99"]),
    .init(
      arguments: ["--network", "net.json", "-o", "m", "--mean", "a"], code: 64,
      errors: ["The value 'a' is invalid for '--mean"]),
    .init(
      arguments: ["--network", "none.json", "-o", "m"], code: 1,
      errors: ["none.json: cannot be read"]),
    .init(
      arguments: ["--network", "net.json", "-o", "m"], code: 1,
      errors: [
        "w.safetensors: expected the running statistics of batch norm, found no bn0.running_mean, "
          + "bn1.running_var"
      ]
    ) {
      try $0.writeModel("w.safetensors") {
        $0.metadata = [:]
        $0["bn0.running_mean"] = nil
        $0["bn1.running_var"] = nil
      }
    },
    .init(
      arguments: ["--network", "net.json", "-o", "m"], code: 1,
      errors: ["w.safetensors: expected weights without their network, found a model of rso"]
    ) { try $0.writeModel("w.safetensors") { _ in } },
    .init(
      arguments: ["--network", "net.json", "-o", "m"], code: 1,
      errors: ["w.safetensors: expected a header", "a file of torch.save?"]
    ) { try Data("PK\u{3}\u{4}and a long archive".utf8).write(to: $0.file("w.safetensors")) },
  ]

  @Test(arguments: cases)
  func refuses(_ test: BadInputTests.Case) throws {
    try Workplace.with { place in
      _ = try Self.write(place)
      try test.prepare(place)
      let before = try place.files()
      let result = try place.run(["import", "w.safetensors"] + test.arguments)
      #expect(result.code == test.code && result.output == "")
      for text in test.errors { #expect(result.errors.contains(text), "\(result.errors)") }
      #expect(try place.files() == before)
    }
  }

  /// Commands that need a model say how to make one of a state_dict, also of one with counts or halves in it.
  @Test(arguments: [["evaluate"], ["predict"], ["export", "--onnx", "x"]])
  func commandsNameIt(command: [String]) throws {
    try Workplace.with { place in
      _ = try Self.write(place)
      let halves =
        #"{"a.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"#
        + #""a.weight":{"dtype":"F16","shape":[4],"data_offsets":[8,16]}}"#
      var file = withUnsafeBytes(of: UInt64(halves.utf8.count).littleEndian) { Data($0) }
      file += Data(halves.utf8) + Data(count: 16)
      try file.write(to: place.file("half.safetensors"))
      for name in ["w.safetensors", "half.safetensors"] {
        let image = command == ["predict"] ? ["digits/t10k-images-idx3-ubyte"] : []
        let result = try place.run(command + [name] + image)
        #expect(result.code == 1 && result.output == "")
        #expect(
          result.errors.contains(
            "(make a model of weights from elsewhere: rso import \(name) --network net.json "
              + "-o model.safetensors)"), "\(result.errors)")
      }
    }
  }
}
