import Foundation
import Testing

@testable import RSO

/// Weights that another program trained.
struct StateDictTests {
  private static func network() throws -> Network {
    try Network(input: Shape(channels: 1, height: 4, width: 4)) {
      Node.conv2d("conv", channels: 2, kernel: 3, bias: true)
      Node.batchNorm("bn")
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 3)
    }
  }

  /// What PyTorch's `save_file(model.state_dict(), …)` writes for that network.
  private static let stateDict: SafeTensors = {
    func tensor(_ shape: [Int], _ first: Float) -> SafeTensors.Tensor {
      let count = shape.reduce(1, *)
      return .init(shape: shape, values: (0..<count).map { first + Float($0) / 8 })
    }
    return SafeTensors(
      tensors: [
        ("bn.bias", tensor([2], 1)), ("bn.running_mean", tensor([2], 2)),
        ("bn.running_var", tensor([2], 3)), ("bn.weight", tensor([2], 4)),
        ("conv.bias", tensor([2], 5)), ("conv.weight", tensor([2, 1, 3, 3], 6)),
        ("fc.weight", tensor([3, 2], 7)),
      ], metadata: ["format": "pt"])
  }()

  /// The same file with a counter of batches, which is a 64-bit integer, in front of the values.
  private static func withCounter() throws -> Data {
    let data = try stateDict.encoded()
    let length = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    var header = try #require(
      JSONSerialization.jsonObject(with: data.dropFirst(8).prefix(length)) as? [String: Any])
    for (name, value) in header where name != "__metadata__" {
      var entry = try #require(value as? [String: Any])
      entry["data_offsets"] = try #require(entry["data_offsets"] as? [Int]).map { $0 + 8 }
      header[name] = entry
    }
    header["bn.num_batches_tracked"] =
      ["dtype": "I64", "shape": [Int](), "data_offsets": [0, 8]] as [String: Any]
    let json = try JSONSerialization.data(withJSONObject: header)
    var result = Data()
    withUnsafeBytes(of: UInt64(json.count).littleEndian) { result.append(contentsOf: $0) }
    return result + json + Data([7, 0, 0, 0, 0, 0, 0, 0]) + data.dropFirst(8 + length)
  }

  @Test func takesWhatTheNetworkHas() throws {
    try withTemporaryFolder { folder in
      let network = try Self.network()
      let file = folder.appendingPathComponent("w.safetensors")
      for data in [try Self.stateDict.encoded(), try Self.withCounter()] {
        try data.write(to: file)
        let parameters = try Parameters(contentsOf: file, for: network)
        #expect(parameters.slots == Parameters(zerosFor: network).slots)
        for slot in parameters.slots {
          #expect(Array(parameters.values[slot.range]) == Self.stateDict[slot.name]?.values)
        }
      }
      // Where no tensor may be left out, that counter is an error as any other type is.
      #expect(
        errorText { _ = try SafeTensors(contentsOf: file) }?
          .contains("expected bn.num_batches_tracked of dtype F32, found I64") == true)
    }
  }

  /// Names as `DataParallel` and `torch.compile` make them, around the whole network or around parts of it.
  @Test func wrappersAreLeftOut() throws {
    let network = try Self.network()
    for (prefix, wrappers) in [
      ("module.", ["module"]), ("_orig_mod.", ["_orig_mod"]),
      ("module._orig_mod.", ["module", "_orig_mod"]),
      ("_orig_mod.module.", ["module", "_orig_mod"]),
    ] {
      var tensors = Self.stateDict
      for index in tensors.tensors.indices {
        tensors.tensors[index].name = prefix + tensors.tensors[index].name
      }
      let read = try StateDict(tensors, for: network, file: "w")
      #expect(read.wrappers == wrappers)
      #expect(
        read.parameters == (try StateDict(Self.stateDict, for: network, file: "w").parameters))
      #expect(read.statistics?.moments[1]?.variance == [3, 3.125])
    }
    // A part of the network, as `torch.compile` of one module gives.
    let named = try Network(input: Shape(channels: 1, height: 2, width: 2)) {
      Node.flatten("flat")
      Node.linear("module.fc", features: 3)
      Node.linear("head.fc", features: 2)
    }
    let part = SafeTensors(tensors: [
      ("head._orig_mod.fc.weight", .init(shape: [2, 3], values: [1, 2, 3, 4, 5, 6])),
      ("module.fc.weight", .init(shape: [3, 4], values: [Float](repeating: 7, count: 12))),
    ])
    let read = try StateDict(part, for: named, file: "w")
    #expect(read.wrappers == ["_orig_mod"])
    #expect(read.parameters.values == [Float](repeating: 7, count: 12) + [1, 2, 3, 4, 5, 6])
    // Twice the same name is no wrapper.
    var twice = Self.stateDict
    twice["module.fc.weight"] = twice["fc.weight"]
    #expect(
      errorText { _ = try StateDict(twice, for: network, file: "w") }?
        .contains("left over module.fc.weight") == true)
  }

  @Test func statisticsAreRead() throws {
    let network = try Self.network()
    let read = try StateDict(Self.stateDict, for: network, file: "w")
    #expect(
      read.statistics?.moments == [1: .init(mean: [2, 2.125], variance: [3, 3.125])])
    #expect(read.missingStatistics == [] && read.wrappers == [] && read.normalization == nil)
    var tensors = Self.stateDict
    tensors["bn.running_var"] = nil
    let partial = try StateDict(tensors, for: network, file: "w")
    #expect(partial.statistics == nil && partial.missingStatistics == ["bn.running_var"])
    try withTemporaryFolder { folder in
      let file = folder.appendingPathComponent("w.safetensors")
      try Self.withCounter().write(to: file)
      let model = try Model(
        stateDict: file, for: network,
        normalization: Normalization(mean: [0.1307], deviation: [0.3081]))
      #expect(model.statistics == read.statistics && model.parameters == read.parameters)
      #expect(model.normalization.deviation == [0.3081] && model.images == .bytes)
      try tensors.write(to: file)
      #expect(
        errorText { _ = try Model(stateDict: file, for: network) }
          == "\(file.path): expected the running statistics of batch norm, found no bn.running_var "
          + "(a batch norm with track_running_stats=False has none; a search computes its own)")
    }
    tensors = Self.stateDict
    tensors["bn.running_var"]?.values[1] = -1
    #expect(
      errorText { _ = try StateDict(tensors, for: network, file: "w") }
        == "w: expected variances of 0 or more, found -1.0 at bn.running_var[1]")
    tensors["bn.running_var"]?.shape = [1, 2]
    #expect(
      errorText { _ = try StateDict(tensors, for: network, file: "w") }?
        .contains("found bn.running_var of [1, 2] where the network has [2]") == true)
  }

  static let faults: [(String, @Sendable (inout SafeTensors) -> Void)] = [
    (
      "no conv.bias, fc.weight; left over fc2.weight, other.running_mean",
      {
        $0["fc2.weight"] = $0["fc.weight"]
        $0["other.running_mean"] = $0["bn.bias"]
        $0["fc.weight"] = nil
        $0["conv.bias"] = nil
      }
    ),
    (
      "conv.weight of [2, 9] where the network has [2, 1, 3, 3], "
        + "fc.weight of [2, 3] where the network has [3, 2]",
      {
        $0["fc.weight"]?.shape = [2, 3]
        $0["conv.weight"]?.shape = [2, 9]
      }
    ),
  ]

  @Test(arguments: faults.indices)
  func namesAllThatDoesNotFit(index: Int) throws {
    let (fault, change) = Self.faults[index]
    var tensors = Self.stateDict
    change(&tensors)
    let network = try Self.network()
    #expect(
      errorText { _ = try StateDict(tensors, for: network, file: "w") }
        == "w: expected the tensors of the network, found \(fault) "
        + "(the network and the file must have the same names and shapes)")
  }

  @Test func refusesWhatIsNoNumber() throws {
    var tensors = Self.stateDict
    tensors["bn.bias"]?.values[1] = .nan
    let network = try Self.network()
    #expect(
      errorText { _ = try StateDict(tensors, for: network, file: "w") }
        == "w: expected finite values, found nan at bn.bias[1]")
  }
}
