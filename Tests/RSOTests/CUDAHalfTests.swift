import Testing

@testable import RSO

/// Whole layers in half precision, with the kernels on the CPU, which split and round as a card does.
@Suite struct CUDAHalfTests {
  /// What is done to the weights before the comparison.
  enum Change: String, CaseIterable {
    case nothing, tinyScales, hugeScales, unequalScales, tinyWeights, hugeWeights, largeShift
  }

  private static func network() throws -> Network {
    try .paper(layers: 6, input: Shape(channels: 1, height: 16, width: 16), classes: 10)
  }

  private static func parameters(_ network: Network, _ change: Change) -> Parameters {
    var parameters = Parameters(initialFor: network, seed: 3)
    for slot in parameters.slots {
      let isNorm = network.nodes[slot.node].layer.takesStatistics
      for (number, index) in slot.range.enumerated() {
        let factor: Float =
          switch change {
          case .tinyScales where isNorm: 1e-6
          case .hugeScales where isNorm: 1e4
          case .unequalScales where isNorm: number % 2 == 0 ? 1e-4 : 10
          case .tinyWeights where !isNorm: 1e-5
          case .hugeWeights where !isNorm: 1e4
          default: 1
          }
        parameters.values[index] *= factor
        if change == .largeShift, slot.role == .shift { parameters.values[index] = 300 }
      }
    }
    return parameters
  }

  private struct Judged {
    var decisions: [Decision]
    var kernels: Set<String>
  }

  private static let tensor = "conv1.weight"

  private static func judge(
    _ network: Network, _ parameters: Parameters, _ data: Dataset, _ precision: CUDAPrecision,
    _ proposals: [Proposal], _ order: SampleOrder
  ) throws -> Judged {
    let fake = FakeCUDA()
    let engine = try fake.engine(
      network: network, data: data, parameters: parameters, precision: precision)
    let index = try #require(parameters.slot(named: tensor))
    try engine.beginSweep(of: index, order: order)
    let before = fake.sequence.count
    let decisions = try engine.judge(proposals[...])
    #expect(fake.faults.isEmpty, "\(fake.faults)")
    return Judged(decisions: decisions, kernels: Set(fake.sequence[before...]))
  }

  private static func proposals(
    _ parameters: Parameters, _ order: SampleOrder
  ) throws -> [Proposal] {
    let index = try #require(parameters.slot(named: tensor))
    return (0..<1).map {
      CandidateComparison.proposal(
        $0, parameters.slots[index], tensor: index, batch: $0 % order.batches, parameters)
    }
  }

  /// As exact as single precision, whatever the size of weights and scales.
  @Test(arguments: Change.allCases)
  func halvesAreWithinTheBound(change: Change) throws {
    let network = try Self.network()
    let size = 7
    let data = try Sample.dataset(network.input, classes: 10, train: 2 * size)
    let parameters = Self.parameters(network, change)
    let order = SampleOrder((0..<Int32(2 * size)).map { $0 }, batchSize: size)
    let proposals = try Self.proposals(parameters, order)
    let found = try Self.judge(network, parameters, data, .halves, proposals, order)
    #expect(found.kernels.isSuperset(of: ["matrix7_halves", "matrix7_box_halves"]))
    #expect(!found.kernels.contains("matrix7") && !found.kernels.contains("matrix7_box"))
    var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    try reference.beginSweep(
      of: #require(parameters.slot(named: Self.tensor)), order: order)
    let rounded = try Self.judge(network, parameters, data, .fp16, proposals, order)
    #expect(rounded.kernels.isSuperset(of: ["matrix7_fp16", "matrix7_box_fp16"]))
    let exact = try Self.judge(network, parameters, data, .fp32, proposals, order)
    let bound = LossBound.absolute(network, logits: try reference.logits(ofBatch: 0))
    let expected = try reference.judge(proposals[...])[0]
    /// The largest difference from the reference.
    func error(_ judged: Judged) -> Double {
      zip(expected.losses, judged.decisions[0].losses).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }
    let (halves, one, single) = (error(found), error(rounded), error(exact))
    #expect(halves <= bound, "\(change): \(halves), \(bound)")
    // Factors and values of 11 bits, whose scales are powers of two.
    let logits = try reference.logits(ofBatch: 0)
    #expect(one <= bound + LossBound.rounded(network, logits: logits), "\(change): \(one)")
    guard change == .nothing else { return }
    // The bound is wide: halves are about as exact as single precision, and one product is not.
    #expect(halves < 4 * single + 1e-7 * expected.losses[0], "\(halves), \(single), \(one)")
    #expect(one > 8 * halves && one < 0.05 * expected.losses[0], "\(halves), \(single), \(one)")
  }

  /// Strips of eight places, and images whose edges are everywhere.
  @Test func otherShapes() throws {
    for width in [7, 8, 9] {
      let network = try Network(input: Shape(channels: 1, height: 5, width: width)) {
        Node.conv2d("conv0", channels: 16, kernel: 3, padding: 1)
        Node.batchNorm("bn0")
        Node.relu("relu0")
        Node.conv2d("conv1", channels: 16, kernel: 3, padding: 1)
        Node.batchNorm("bn1")
        Node.conv2d("conv2", channels: 24, kernel: 3, padding: 1)
        Node.globalMaxPool("gmp")
        Node.linear("fc", features: 4)
      }
      let data = try Sample.dataset(network.input, classes: 4, train: 6)
      let parameters = Parameters(initialFor: network, seed: 4)
      let order = SampleOrder((0..<6).map { $0 }, batchSize: 6)
      let index = try #require(parameters.slot(named: "conv0.weight"))
      let proposal = CandidateComparison.proposal(
        0, parameters.slots[index], tensor: index, batch: 0, parameters)
      var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
      try reference.beginSweep(of: index, order: order)
      let bound = LossBound.absolute(network, logits: try reference.logits(ofBatch: 0))
      let fake = FakeCUDA()
      let engine = try fake.engine(
        network: network, data: data, parameters: parameters, precision: .halves)
      try engine.beginSweep(of: index, order: order)
      let (a, b) = (try reference.judge([proposal])[0], try engine.judge([proposal])[0])
      for (x, y) in zip(a.losses, b.losses) { #expect(abs(x - y) <= bound, "\(width): \(x), \(y)") }
      let kernels = Set(fake.sequence).filter { $0.hasPrefix("matrix") }
      #expect(
        kernels.contains(width == 8 ? "matrix8_halves" : "matrix7_halves"), "\(width): \(kernels)")
      #expect(fake.faults.isEmpty, "\(fake.faults)")
    }
  }

  /// Without batch norm in front, half precision might not hold the inputs.
  @Test func unboundedInputsStay() throws {
    let network = try Network(input: Shape(channels: 1, height: 5, width: 7)) {
      Node.conv2d("conv0", channels: 16, kernel: 3, padding: 1)
      Node.relu("relu0")
      Node.conv2d("conv1", channels: 16, kernel: 3, padding: 1)
      Node.relu("relu1")
      Node.conv2d("conv2", channels: 16, kernel: 3, padding: 1)
      Node.globalMaxPool("gmp")
      Node.linear("fc", features: 4)
    }
    let data = try Sample.dataset(network.input, classes: 4, train: 6)
    var parameters = Parameters(initialFor: network, seed: 4)
    func kernels(_ precision: CUDAPrecision) throws -> ([Double], Set<String>) {
      let fake = FakeCUDA()
      let engine = try fake.engine(
        network: network, data: data, parameters: parameters, precision: precision)
      let index = try #require(parameters.slot(named: "conv0.weight"))
      let order = SampleOrder((0..<6).map { $0 }, batchSize: 6)
      try engine.beginSweep(of: index, order: order)
      let before = fake.sequence.count
      let proposal = CandidateComparison.proposal(
        0, parameters.slots[index], tensor: index, batch: 0, parameters)
      return (Array(try engine.judge([proposal])[0].losses), Set(fake.sequence[before...]))
    }
    for change in [Float(1), 1e5] {
      for index in parameters.values.indices { parameters.values[index] *= change }
      let (halves, half) = (try kernels(.halves), try kernels(.fp16))
      #expect(halves.1.contains("matrix7") && !halves.1.contains("matrix7_halves"))
      #expect(half.1.contains("matrix7_tf32") && !half.1.contains("matrix7_fp16"))
      #expect(try halves.0 == kernels(.fp32).0 && half.0 == kernels(.tf32).0)
    }
  }

  @Test func factors() throws {
    let found = try #require(HalfFactors(bound: 3, weights: [0.25, -0.5, 0.1][...]))
    // 3 · 2¹³ is below 2¹⁵, and 0.5 · 2¹⁴ is 2¹³.
    #expect(found.inputs == 0x1p13 && found.weights == 0x1p14 && found.product == 0x1p-27)
    let zero = try #require(HalfFactors(bound: 0, weights: [0, 0][...]))
    #expect(zero.inputs == 1 && zero.weights == 1 && zero.product == 1)
    for bound in [Float.infinity, .nan, 1e-30, 1e30] {
      #expect(HalfFactors(bound: bound, weights: [1][...]) == nil)
    }
    #expect(HalfFactors(bound: 1, weights: [.infinity][...]) == nil)
  }
}
