import Foundation
import Testing

@testable import RSO

struct ContentDigestTests {
  private static let content = SafeTensors(
    tensors: [
      ("w", .init(shape: [2], values: [1, -2])), ("v", .init(shape: [1, 2], values: [3, 0.5])),
    ], metadata: ["c": "d\"e", "a": "b"])

  private static func model() throws -> Model {
    let network = try Network(input: Shape(channels: 1, height: 2, width: 2)) {
      Node.globalMaxPool("pool")
      Node.batchNorm("bn")
      Node.linear("fc", features: 2, bias: true)
    }
    var model = Model(
      network: network, parameters: Parameters(initialFor: network, seed: 1),
      statistics: BatchNormStatistics(), normalization: Normalization(mean: [0.5]))
    model.statistics.moments[1] = .init(mean: [0.25], variance: [2])
    return model
  }

  /// The digest was computed by Python: `zlib.crc32` of the lines `"a":"b"`, `"c":"d\"e"`, `"v":F32[1, 2]`, two floats,
  /// `"w":F32[2]` and two floats.
  @Test func isTheChecksumOfTheContent() throws {
    let digested = try Self.content.withDigest()
    #expect(digested.metadata["content_crc32"] == "crc32:14324bb1")
    let read = try SafeTensors(data: digested.encoded(), name: "f")
    #expect(read.metadata == Self.content.metadata)
    // The order of tensors in the file does not matter.
    var turned = digested
    turned.tensors.reverse()
    #expect(try SafeTensors(data: turned.encoded(), name: "f").tensors.map(\.name) == ["v", "w"])
  }

  /// Every bit of a model file: its length, header, padding and values.
  @Test func everyFlippedBitIsFound() throws {
    let file = try Self.model().safeTensors(file: "m").withDigest().encoded()
    #expect(try Model(SafeTensors(data: file, name: "m"), file: "m").mean == [0.5])
    for index in file.indices {
      for bit in 0..<8 {
        var damaged = file
        damaged[index] ^= 1 << UInt8(bit)
        let error = errorText { _ = try Model(SafeTensors(data: damaged, name: "m"), file: "m") }
        #expect(error?.hasPrefix("m") == true, "bit \(bit) of byte \(index)")
      }
    }
  }

  @Test func damageIsToldWithWhatToDo() throws {
    var digested = try Self.content.withDigest()
    digested["w"]?.values[1] = 2
    let hint =
      "(the file is damaged: take a copy of it, or another model of the run; to change it on purpose, "
      + "remove content_crc32)"
    let error = errorText { _ = try SafeTensors(data: digested.encoded(), name: "f") }
    #expect(error?.hasPrefix("f: expected content of digest crc32:14324bb1, found crc32:") == true)
    #expect(error?.hasSuffix(hint) == true, "\(error ?? "")")
    // A name of the metadata, too.
    digested = try Self.content.withDigest()
    digested.metadata["A"] = digested.metadata.removeValue(forKey: "a")
    #expect(throws: RSOError.self) { try SafeTensors(data: digested.encoded(), name: "f") }
  }

  /// A file of another program has no digest.
  @Test func aFileWithoutDigestIsRead() throws {
    let file = try Self.model().safeTensors(file: "m").encoded()
    #expect(try Model(SafeTensors(data: file, name: "m"), file: "m").mean == [0.5])
  }

  @Test func modelsAndCheckpointsHaveIt() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("m.safetensors")
      try Self.model().write(to: url)
      let text = String(decoding: try readFile(url), as: UTF8.self)
      #expect(text.contains("\"content_crc32\":\"crc32:"))
      // Weights for other programs have nothing of this one.
      try Self.model().writeStateDict(to: url)
      #expect(!String(decoding: try readFile(url), as: UTF8.self).contains("crc32"))
    }
  }
}
