import Foundation
import Testing

@testable import RSO

/// Model files with levels and scales.
struct LevelFileTests {
  private static func model(_ domain: Domain = .ternary, isPerChannel: Bool = false) throws
    -> Model
  {
    let network = try SearchTests.network().settingWeights(to: domain)
    var parameters = Parameters(initialFor: network, seed: 4)
    if isPerChannel {
      // The same levels with another scale in the second of two channels.
      let scale = parameters.scales[0]?.first ?? 1
      parameters.scales[0] = [scale, scale / 8]
      for element in 9..<18 { parameters.values[element] /= 8 }
    }
    var statistics = BatchNormStatistics()
    statistics.moments = [
      1: .init(mean: [0, 1], variance: [1, 2]), 5: .init(mean: [1, 2, 3], variance: [1, 1, 1]),
    ]
    return Model(
      network: network, parameters: parameters, statistics: statistics,
      normalization: Normalization(mean: [0], divisor: 256), images: .bytes)
  }

  @Test func hasLevelsAndScales() throws {
    let model = try Self.model(isPerChannel: true)
    let tensors = try model.safeTensors(file: "m")
    #expect(
      tensors.tensors.map { "\($0.name) \($0.tensor.shape) \($0.tensor.type.rawValue)" } == [
        "conv0.weight [2, 1, 3, 3] I8", "conv0.weight.scale [2] F32",
        "bn0.weight [2] F32", "bn0.bias [2] F32", "bn0.running_mean [2] F32",
        "bn0.running_var [2] F32",
        "conv1.weight [3, 2, 3, 3] I8", "conv1.weight.scale [1] F32",
        "bn1.weight [3] F32", "bn1.bias [3] F32", "bn1.running_mean [3] F32",
        "bn1.running_var [3] F32", "fc.weight [3, 3] I8", "fc.weight.scale [1] F32",
      ])
    #expect(tensors.metadata["format_version"] == "3")
    #expect(tensors["conv0.weight.scale"]?.values == [0.5, 0.0625])
    let levels = try model.parameters.levels(of: 0)
    #expect(tensors["conv0.weight"]?.values == levels.map { Float($0) })
    #expect(Set(levels) == [-1, 0, 1])
  }

  @Test(arguments: DomainTests.discrete, [false, true])
  func keepsTheBits(domain: Domain, isPerChannel: Bool) throws {
    let model = try Self.model(domain, isPerChannel: isPerChannel)
    let bytes = try model.safeTensors(file: "m").withDigest().encoded()
    let read = try Model(SafeTensors(data: bytes, name: "m"), file: "m")
    #expect(read.network == model.network)
    #expect(read.parameters == model.parameters)
    #expect(read.parameters.values.map(\.bitPattern) == model.parameters.values.map(\.bitPattern))
    #expect(try read.safeTensors(file: "m").withDigest().encoded() == bytes)
  }

  /// For other programs all weights are floats, and come back without a loss.
  @Test func exportsFloats() throws {
    let model = try Self.model(isPerChannel: true)
    let tensors = try model.stateDict(file: "m")
    #expect(tensors.tensors.allSatisfy { $0.tensor.type == .float })
    #expect(tensors["conv0.weight.scale"] == nil)
    #expect(tensors["conv0.weight"]?.values == Array(model.parameters.values.prefix(18)))
    let dict = try StateDict(tensors, for: model.network, file: "m")
    #expect(dict.parameters.values == model.parameters.values)
    let (rounded, roundings, factors) = try dict.parameters.rounded(
      to: model.network, scales: .channel)
    #expect(rounded.values == model.parameters.values && factors.isEmpty)
    #expect(roundings.map(\.error) == [0, 0, 0])
  }

  static let damages: [(String, @Sendable (inout SafeTensors) -> Void)] = [
    (
      "m: conv0.weight[3]: expected a level of ternary, −1 to 1, found 2",
      { $0["conv0.weight"]?.values[3] = 2 }
    ),
    (
      "m: conv0.weight.scale[0]: expected a power of two from 2^-64 to 2^64, found 0.0",
      { $0["conv0.weight.scale"]?.values = [0] }
    ),
    (
      "m: fc.weight.scale[0]: expected a power of two from 2^-64 to 2^64, found 0.3",
      { $0["fc.weight.scale"]?.values = [0.3] }
    ),
    (
      "m: fc.weight.scale[0]: expected a power of two from 2^-64 to 2^64, found nan",
      { $0["fc.weight.scale"]?.values = [.nan] }
    ),
    (
      "m: expected a tensor fc.weight.scale of shape [3], found [2]",
      { $0["fc.weight.scale"] = .init(shape: [2], values: [1, 1]) }
    ),
    (
      "m: expected a tensor fc.weight.scale of shape [3], found none",
      { $0["fc.weight.scale"] = nil }
    ),
    (
      "m: expected fc.weight of dtype I8, found F32",
      { $0["fc.weight"]?.type = .float }
    ),
    (
      "m: expected bn0.bias of dtype F32, found I8",
      { $0["bn0.bias"]?.type = .int8 }
    ),
  ]

  @Test(arguments: damages.indices)
  func damagedLevels(index: Int) throws {
    let (expected, damage) = Self.damages[index]
    var tensors = try Self.model().safeTensors(file: "m")
    damage(&tensors)
    #expect(errorText { _ = try Model(tensors, file: "m") } == expected)
  }

  @Test func zeroIsNoBinaryLevel() throws {
    var tensors = try Self.model(.binary).safeTensors(file: "m")
    tensors["fc.weight"]?.values[8] = 0
    #expect(
      errorText { _ = try Model(tensors, file: "m") }
        == "m: fc.weight[8]: expected a level of binary, −1 or 1, found 0")
  }

  @Test func integersInSafeTensors() throws {
    let levels: [Float] = [-128, -1, 0, 127]
    let tensors = SafeTensors(tensors: [
      ("w", .init(shape: [4], values: levels, type: .int8)), ("x", .init(shape: [], values: [1])),
    ])
    let data = try tensors.encoded()
    #expect(data.suffix(8) == Data([0x80, 0xff, 0, 0x7f, 0, 0, 0x80, 0x3f]))
    let read = try SafeTensors(data: data, name: "f")
    #expect(read["w"] == tensors["w"] && read["x"] == tensors["x"])
    for wrong in [Float(128), -129, 0.5, .nan] {
      #expect(
        errorText {
          _ = try SafeTensors(tensors: [
            ("w", .init(shape: [1], values: [wrong], type: .int8))
          ]).encoded()
        } == "w: expected integers from −128 to 127, found \(wrong) at [0]")
    }
  }

  /// A search that is resumed from its file goes on with the same bits.
  @Test func resumes() throws {
    let settings = SearchTests.settings { $0.cycles = 1 }
    func search(_ parameters: Parameters?, _ position: RandomSearch.Position) throws -> RandomSearch
    {
      try RandomSearch(
        network: Self.model().network, data: SearchTests.data(), settings: settings,
        device: .cpu(threads: 1), parameters: parameters, position: position)
    }
    var whole = try search(nil, .init())
    var half: (bytes: Data, position: RandomSearch.Position)?
    var sweeps = 0
    try whole.run { event in
      if case .swept = event { sweeps += 1 }
      return sweeps == 3 ? .stop : .goOn
    }
    half = (try whole.model.safeTensors(file: "m").encoded(), whole.position)
    try whole.run { _ in .goOn }
    let saved = try #require(half)
    let model = try Model(SafeTensors(data: saved.bytes, name: "m"), file: "m")
    var resumed = try search(model.parameters, saved.position)
    try resumed.run { _ in .goOn }
    #expect(resumed.parameters == whole.parameters)
  }
}
