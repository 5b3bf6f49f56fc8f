import Foundation
import Testing

@testable import RSO

@Suite struct SearchSettingsTests {
  static func names(_ settings: SearchSettings, _ network: Network) -> [String] {
    let parameters = Parameters(zerosFor: network)
    return settings.sweeps(of: parameters, in: network).map { parameters.slots[$0.parameter].name }
  }

  /// The defaults are the paper's MNIST run.
  @Test func defaults() {
    let settings = SearchSettings()
    #expect(settings.cycles == 50)
    #expect(settings.batchSize == 5000)
    #expect(settings.anneal == 0.1)
    #expect(settings.weightDecay == 1e-4)
    #expect(settings.deviationScale == 1)
    #expect(settings.tensorOrder == .outputToInput)
    #expect(settings.elementOrder == .rowMajor)
    #expect(settings.sweeps.isEmpty)
  }

  // MARK: The order of tensors

  /// "The fully connected layer first; then for each block from the last to the first: convolution, β,
  /// γ."
  @Test func sixBlocks() throws {
    var expected = ["fc.weight"]
    for block in (0..<6).reversed() {
      expected += ["conv\(block).weight", "bn\(block).bias", "bn\(block).weight"]
    }
    #expect(Self.names(SearchSettings(), try .mnist()) == expected)
  }

  /// "And where the block has a shortcut convolution: shortcut convolution, its β, its γ."
  @Test func nineBlocks() throws {
    var expected = ["fc.weight"]
    for block in (0..<9).reversed() {
      expected += ["conv\(block).weight", "bn\(block).bias", "bn\(block).weight"]
      if block == 4 {
        expected += ["shortcut4.weight", "shortcut_bn4.bias", "shortcut_bn4.weight"]
      }
    }
    #expect(Self.names(SearchSettings(), try SweepPlanTests.nineBlocks()) == expected)
  }

  @Test func inputToOutput() throws {
    var settings = SearchSettings()
    settings.tensorOrder = .inputToOutput
    let names = Self.names(settings, try .mnist())
    #expect(
      names.prefix(4) == ["conv0.weight", "bn0.bias", "bn0.weight", "conv1.weight"])
    #expect(names.last == "fc.weight")
    #expect(Set(names) == Set(Self.names(SearchSettings(), try .mnist())))
  }

  static func small() throws -> Network {
    try Network(input: Shape(channels: 2, height: 4, width: 4)) {
      Node.batchNorm("bn_images")
      Node.conv2d("conv", channels: 3, kernel: 3, bias: true)
      Node.batchNorm("bn")
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 2, bias: true)
    }
  }

  /// Biases come after their weights and before β and γ; a batch norm on the images comes last.
  @Test func biasesAndBatchNormOnTheImages() throws {
    #expect(
      Self.names(SearchSettings(), try Self.small()) == [
        "fc.weight", "fc.bias", "conv.weight", "conv.bias", "bn.bias", "bn.weight",
        "bn_images.bias", "bn_images.weight",
      ])
  }

  /// Layers named in `sweeps`: the first round is a cycle as ever, without those named 0; later rounds
  /// hold those that have some left. All tensors of a group share the first one's order of samples.
  @Test func sweepsPerLayer() throws {
    let network = try Self.small()
    var settings = SearchSettings()
    settings.sweeps = ["fc": 3, "conv": 0]
    #expect(
      Self.names(settings, network) == [
        "fc.weight", "fc.bias", "bn_images.bias", "bn_images.weight", "fc.weight", "fc.bias",
        "fc.weight", "fc.bias",
      ])
    let parameters = Parameters(zerosFor: network)
    let sweeps = settings.sweeps(of: parameters, in: network)
    #expect(sweeps.map(\.repetition) == [0, 0, 0, 0, 1, 1, 2, 2])
    #expect(
      sweeps.map { parameters.slots[$0.group].name } == [
        "fc.weight", "fc.weight", "bn_images.bias", "bn_images.bias", "fc.weight", "fc.weight",
        "fc.weight", "fc.weight",
      ])
    // Rounds and tensors have numbers of their own in every draw.
    #expect(Set(sweeps.map { $0.key($0.parameter) }).count == sweeps.count)
    settings.sweeps = ["fc": 0, "conv": 0]
    #expect(Self.names(settings, network) == ["bn_images.bias", "bn_images.weight"])
  }

  /// Patterns restrict the tensors; what is left keeps its draws: the group that keys the order of samples, and
  /// the round.
  @Test func onlySomeTensors() throws {
    let network = try Self.small()
    let parameters = Parameters(zerosFor: network)
    var settings = SearchSettings()
    settings.sweeps = ["fc": 2]
    let all = settings.sweeps(of: parameters, in: network)
    for (only, names) in [
      (["bn*"], ["bn.bias", "bn.weight", "bn_images.bias", "bn_images.weight"]),
      (["bn.*", "fc.weight"], ["fc.weight", "bn.bias", "bn.weight", "fc.weight"]),
      (["??.[!w]*"], ["fc.bias", "bn.bias", "fc.bias"]),
      (["*"], all.map { parameters.slots[$0.parameter].name }),
    ] {
      settings.only = only
      #expect(Self.names(settings, network) == names)
      let found = settings.sweeps(of: parameters, in: network)
      #expect(found == all.filter { names.contains(parameters.slots[$0.parameter].name) })
    }
    for (only, freeze, names) in [
      (nil, ["bn*"], ["fc.weight", "fc.bias", "conv.weight", "conv.bias", "fc.weight", "fc.bias"]),
      (["*.bias"], ["bn*", "conv.*"], ["fc.bias", "fc.bias"]),
      (["bn*"], ["*.bias"], ["bn.weight", "bn_images.weight"]),
    ] as [([String]?, [String], [String])] {
      (settings.only, settings.freeze) = (only, freeze)
      #expect(Self.names(settings, network) == names)
      let found = settings.sweeps(of: parameters, in: network)
      #expect(found == all.filter { names.contains(parameters.slots[$0.parameter].name) })
    }
  }

  /// Files of runs from before there were patterns are read, and runs without any write the same bytes.
  @Test func patternsAreOptionalInJSON() throws {
    var settings = SearchSettings()
    let old = try compactJSON(settings)
    #expect(!old.contains("only") && !old.contains("freeze"))
    #expect(try decodeJSON(old, "settings", "m") == settings)
    settings.only = ["bn*"]
    settings.freeze = ["fc.*", "*.bias"]
    settings.statistics = .keep
    #expect(try decodeJSON(compactJSON(settings), "settings", "m") == settings)
  }

  // MARK: Annealing

  /// σ · (α + (1 − α) · (C − e) / C)
  @Test func annealing() {
    var settings = SearchSettings()
    #expect(settings.deviation(of: 2, cycle: 0) == 2)
    #expect(abs(settings.deviation(of: 2, cycle: 25) - 1.1) < 1e-12)
    #expect(abs(settings.deviation(of: 2, cycle: 49) - 2 * 0.118) < 1e-12)
    settings.cycles = 4
    settings.anneal = 0.5
    settings.deviationScale = 3
    for (cycle, share) in [(0, 1), (1, 0.875), (2, 0.75), (3, 0.625)] {
      #expect(settings.deviation(of: 0.25, cycle: cycle) == 0.75 * share)
    }
    settings.anneal = .linear(1)
    #expect(settings.deviation(of: 0.25, cycle: 3) == 0.75)
    settings.anneal = .linear(0)
    #expect(settings.deviation(of: 0.25, cycle: 3) == 0.1875)
  }

  // MARK: Mini-batches

  @Test func batchesOfCycles() {
    var settings = SearchSettings()
    #expect(settings.batchWords == "5000")
    #expect(settings.batchSize(inCycle: 7) == 5000)
    settings.firstBatches = [.init(size: 1000, cycles: 2), .init(size: 2500, cycles: 1)]
    #expect((0..<5).map { settings.batchSize(inCycle: $0) } == [1000, 1000, 2500, 5000, 5000])
    #expect(settings.batchWords == "1000:2,2500:1,5000")
    #expect(abs(settings.cost(ofCycles: 1..<5) - (0.2 + 0.5 + 1 + 1)) < 1e-12)
  }

  /// Settings keep their meaning in a file.
  @Test(arguments: [SearchSettings.Hold.elements(9), .channel])
  func coding(hold: SearchSettings.Hold) throws {
    var settings = SearchSettings()
    settings.hold = hold
    settings.firstBatches = [.init(size: 1000, cycles: 2)]
    settings.rule = .parabola(reach: .init(1, 3))
    (settings.round, settings.firstRounds) = (hold, [.init(span: .elements(2), cycles: 3)])
    let json = try JSONEncoder().encode(settings)
    #expect(try JSONDecoder().decode(SearchSettings.self, from: json) == settings)
    let text = String(decoding: json, as: UTF8.self)
    #expect(text.contains(hold == .channel ? "\"hold\":\"channel\"" : "\"hold\":9"))
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(SearchSettings.Hold.self, from: Data("\"row\"".utf8))
    }
  }

  /// A run from before an option was there goes on without it.
  @Test func filesFromBefore() throws {
    var settings = SearchSettings()
    settings.cycles = 7
    settings.only = ["fc*"]
    let written = try JSONSerialization.jsonObject(with: JSONEncoder().encode(settings))
    var object = try #require(written as? [String: Any])
    for key in ["firstBatches", "hold", "rule", "round", "firstRounds"] {
      #expect(object.removeValue(forKey: key) != nil)
    }
    let json = try JSONSerialization.data(withJSONObject: object)
    #expect(try JSONDecoder().decode(SearchSettings.self, from: json) == settings)
    object["cycles"] = nil
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(
        SearchSettings.self, from: JSONSerialization.data(withJSONObject: object))
    }
  }

  // MARK: Errors

  /// Settings that are wrong on 100 samples, and the words that say so.
  static let wrong: [(set: @Sendable (inout SearchSettings) -> Void, error: String)] = [
    ({ $0.cycles = 0 }, "`cycles`: expected 1 to 1,000,000, found 0"),
    ({ $0.cycles = -3 }, "`cycles`: expected 1 to 1,000,000, found -3"),
    ({ $0.cycles = 1_000_001 }, "`cycles`: expected 1 to 1,000,000, found 1000001"),
    ({ $0.batchSize = 0 }, "`batchSize`: expected 1 or more, found 0"),
    ({ $0.batchSize = -1 }, "`batchSize`: expected 1 or more, found -1"),
    (
      { $0.batchSize = 101 },
      "`batchSize`: expected at most the 100 training samples, found 101 (use `batchSize` 100 or less)"
    ),
    (
      { $0.firstBatches = [.init(size: 10, cycles: 1), .init(size: 101, cycles: 1)] },
      "`batchSize`: expected at most the 100 training samples, found 101 (use `batchSize` 100 or less)"
    ),
    ({ $0.firstBatches = [.init(size: 0, cycles: 1)] }, "`batchSize`: expected 1 or more, found 0"),
    (
      { $0.firstBatches = [.init(size: 10, cycles: 0)] },
      "`batchSize` 10: expected 1 to 1,000,000 cycles, found 0"
    ),
    ({ $0.hold = .elements(0) }, "`hold`: expected 1 or more elements, or channel, found 0"),
    ({ $0.round = .elements(0) }, "`round`: expected 1 or more elements, or channel, found 0"),
    (
      { $0.firstRounds = [.init(span: .elements(-1), cycles: 1)] },
      "`round`: expected 1 or more elements, or channel, found -1"
    ),
    (
      { $0.firstRounds = [.init(span: .channel, cycles: 0)] },
      "`round` channel: expected 1 to 1,000,000 cycles, found 0"
    ),
    (
      { $0.rule = .slope(c: 0) },
      "`rule`: expected best, leader:keep=K,m=M with K in [0, 1], margin:m=M with M in [0, 100], slope:c=C with C in (0, 100], or "
        + "parabola:reach=R,settle=S with R above 0 and S in (0, 1], found 'slope:c=0' (M, R and S may change over the cycles, as in settle=1..0.2)"
    ),
    (
      { $0.rule = .leader() },
      "`rule`: expected another one: no weights are discrete, found leader:keep=0.9 "
        + "(set them: `weights`; floats alone follow slope)"
    ),
    ({ $0.anneal = -0.1 }, "`anneal`: expected a fraction from 0 to 1, found -0.1"),
    ({ $0.anneal = 1.5 }, "`anneal`: expected a fraction from 0 to 1, found 1.5"),
    ({ $0.anneal = .linear(.nan) }, "`anneal`: expected a fraction from 0 to 1, found nan"),
    ({ $0.weightDecay = -1 }, "`weightDecay`: expected 0 or more and less than 1, found -1.0"),
    ({ $0.weightDecay = 1 }, "`weightDecay`: expected 0 or more and less than 1, found 1.0"),
    ({ $0.weightDecay = .nan }, "`weightDecay`: expected 0 or more and less than 1, found nan"),
    ({ $0.deviationScale = 0 }, "`deviationScale`: expected a number above 0, found 0.0"),
    ({ $0.deviationScale = -2 }, "`deviationScale`: expected a number above 0, found -2.0"),
    ({ $0.deviationScale = .infinity }, "`deviationScale`: expected a number above 0, found inf"),
    ({ $0.deviationScale = .nan }, "`deviationScale`: expected a number above 0, found nan"),
    (
      { $0.sweeps = ["conv9": 1] },
      "`sweeps`: expected the name of a convolution or linear layer, found 'conv9' "
        + "(there are conv, fc)"
    ),
    // A batch norm goes with its convolution.
    (
      { $0.sweeps = ["bn": 1] },
      "`sweeps`: expected the name of a convolution or linear layer, found 'bn' "
        + "(there are conv, fc)"
    ),
    ({ $0.only = [] }, "`only`: expected a pattern or more, found none"),
    (
      { $0.only = ["fc.*", "bn"] },
      "`only`: expected a pattern of the names of parameters, found 'bn', which matches none "
        + "(there are bn_images.weight, bn_images.bias, conv.weight, conv.bias, bn.weight, bn.bias, "
        + "fc.weight, fc.bias)"
    ),
    (
      { $0.freeze = ["fc.*", "bn"] },
      "`freeze`: expected a pattern of the names of parameters, found 'bn', which matches none "
        + "(there are bn_images.weight, bn_images.bias, conv.weight, conv.bias, bn.weight, bn.bias, "
        + "fc.weight, fc.bias)"
    ),
    ({ $0.freeze = [] }, "`freeze`: expected a pattern or more, found none"),
    (
      { $0.freeze = ["*"] },
      "`freeze`: expected a parameter left to search, found none: the patterns match all"
    ),
    (
      { ($0.only, $0.freeze) = (["fc.*", "bn.*"], ["*.weight", "fc.bias", "bn.bias"]) },
      "`freeze`: expected a parameter left to search, found none: the patterns match all that "
        + "`only` fc.* `only` bn.* names"
    ),
    ({ $0.sweeps = ["fc": -1] }, "`sweeps` fc: expected 0 to 1000 times, found -1"),
    ({ $0.sweeps = ["fc": 1001] }, "`sweeps` fc: expected 0 to 1000 times, found 1001"),
  ]

  @Test(arguments: wrong.indices)
  func error(index: Int) throws {
    let network = try Self.small()
    var settings = SearchSettings()
    settings.batchSize = 10
    try settings.validate(samples: 100, network: network)
    Self.wrong[index].set(&settings)
    let error = try #require(throws: RSOError.self) {
      try settings.validate(samples: 100, network: network)
    }
    // Every error says what to do, whether the words above repeat that or not.
    let hint = try #require(error.hint)
    let expected = Self.wrong[index].error
    #expect(error.description == (expected.hasSuffix(")") ? expected : "\(expected) (\(hint))"))
    // A search does not begin with it either.
    let data = try Sample.dataset(network.input, classes: 2, train: 100)
    #expect(throws: error) {
      try RandomSearch(network: network, data: data, settings: settings, device: .reference)
    }
  }

  /// The ends of every range are allowed.
  @Test func extremes() throws {
    let network = try Self.small()
    var settings = SearchSettings()
    settings.cycles = 1
    settings.batchSize = 100
    settings.anneal = .linear(0)
    settings.weightDecay = 0
    settings.deviationScale = 1e-300
    settings.sweeps = ["fc": 0, "conv": 1000]
    try settings.validate(samples: 100, network: network)
    settings.cycles = 1_000_000
    settings.batchSize = 1
    settings.anneal = .linear(1)
    settings.weightDecay = 0.999_999
    settings.deviationScale = 1e300
    try settings.validate(samples: 100, network: network)
  }

  /// Data that do not fit the network, and engines that cannot be.
  @Test func deviceErrors() throws {
    let network = try Self.small()
    func text(_ shape: Shape, classes: Int, _ device: Device = .reference) throws -> String? {
      let data = try Sample.dataset(shape, classes: classes, train: 10)
      var settings = SearchSettings()
      settings.batchSize = 5
      let error = #expect(throws: RSOError.self) {
        try RandomSearch(network: network, data: data, settings: settings, device: device)
      }
      return error?.description
    }
    #expect(
      try text(Shape(channels: 2, height: 4, width: 5), classes: 2)
        == "network: expects images of 2×4×4, found 2×4×5 in random")
    #expect(
      try text(network.input, classes: 3) == "network: gives 2 classes, found 3 in random")
    #expect(
      try text(network.input, classes: 2, .cpu(threads: 0))
        == "`threads`: expected 1 to 1024, found 0")
    #expect(
      try text(network.input, classes: 2, .cpu(threads: 1025))
        == "`threads`: expected 1 to 1024, found 1025")
  }
}
