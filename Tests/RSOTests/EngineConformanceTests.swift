import Foundation
import Testing

@testable import RSO

/// What every engine must pass: the candidate losses, statistics and evaluations of `ReferenceEngine`.
@Suite struct EngineConformanceTests {
  /// 3 · 16 + 5: a block that is not full, and a chunk that is not full either.
  static let batchSize = 53

  @Test(arguments: Sample.networks.indices)
  func candidateLosses(networkIndex: Int) throws {
    let (name, make) = Sample.networks[networkIndex]
    var comparison = try CandidateComparison(
      network: make(), name: name, batchSize: Self.batchSize)
    try comparison.run()
    // A bound that is never neared would not notice a wrong term.
    #expect(
      comparison.largest > 1e-3,
      "\(name): the largest difference is \(comparison.largest) of the bound")
    #expect(comparison.compared >= 3 * comparison.engines.count * comparison.tensors)
    #expect(comparison.largestOfCUDA > 1e-4)
  }

  /// Several elements in a row on one mini-batch: what the engine takes over from the decision before is the
  /// loss that the reference computes again.
  @Test(arguments: Sample.networks.indices)
  func heldElements(networkIndex: Int) throws {
    let (name, make) = Sample.networks[networkIndex]
    var comparison = try CandidateComparison(
      network: make(), name: name, batchSize: 35, hold: 3)
    try comparison.run(elementsPerTensor: 11)
    #expect(comparison.compared > 3 * comparison.engines.count * comparison.tensors)
  }

  /// Rounds of proposals, of three or of a channel: what an engine keeps for a mini-batch takes their decisions in
  /// together.
  @Test(arguments: Sample.networks.indices)
  func rounds(networkIndex: Int) throws {
    let (name, make) = Sample.networks[networkIndex]
    var comparison = try CandidateComparison(
      network: make(), name: name, batchSize: 35,
      round: networkIndex.isMultiple(of: 2) ? .elements(3) : .channel)
    try comparison.run(elementsPerTensor: 11)
    #expect(comparison.compared > 3 * comparison.engines.count * comparison.tensors)
  }

  /// Images of floats, with a value for each channel and a batch that is not full.
  @Test func imagesOfFloats() throws {
    let network = try Sample.networks[2].network()
    func split(_ count: Int, _ shift: Float) throws -> Split {
      let size = network.input.count
      let values = (0..<count * size).map { i in
        shift + sinf(Float(i)) + (i % size % network.classes == i / size % network.classes ? 1 : 0)
      }
      return try Split(
        images: .floats(values), labels: (0..<count).map { Int32($0 % network.classes) },
        shape: network.input)
    }
    let data = try Dataset(name: "floats", train: split(75, 3), test: split(20, 3.5))
    let parameters = Parameters(initialFor: network, seed: 3)
    var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    for (name, made) in try CandidateComparison.engines(
      network: network, data: data, parameters: parameters)
    {
      var engine = made
      for split in [EvaluatedSplit.train, .test] {
        let expected = try reference.evaluate(split)
        let found = try engine.evaluate(split)
        #expect(expected.confusion == found.confusion, "\(name)")
        #expect(abs(expected.loss - found.loss) <= 1e-5 * expected.loss, "\(name)")
      }
      // An engine that subtracted no mean, or divided by 255, would differ here only.
      let moments = try #require(engine.statistics.moments[1])
      let expected = try #require(reference.statistics.moments[1])
      for (a, b) in zip(expected.mean, moments.mean) { #expect(abs(a - b) < 1e-5) }
    }
  }

  /// Loss, every prediction, and the running statistics after them.
  @Test(arguments: Sample.networks.indices)
  func evaluation(networkIndex: Int) throws {
    let (name, make) = Sample.networks[networkIndex]
    let network = try make()
    let train = try Sample.dataset(network.input, classes: network.classes, train: 75).train
    // The test samples are training samples, the last one first, so that one call has all the logits.
    let backwards = (0..<53).map { train.count - 1 - $0 }
    let size = network.input.count
    guard case .bytes(let bytes) = train.images else { return }
    let test = try Split(
      images: backwards.flatMap { bytes[$0 * size..<($0 + 1) * size] },
      labels: backwards.map { train.labels[$0] }, shape: network.input)
    let data = try Dataset(name: "random", train: train, test: test, classes: network.classes)
    let parameters = Parameters(initialFor: network, seed: 3)
    var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    // No batch norm lies above the last layer, so these are made with running statistics.
    try reference.beginSweep(
      of: parameters.slots.count - 1,
      order: SampleOrder((0..<75).map { Int32($0) }, batchSize: 75))
    let logits = try reference.logits(ofBatch: 0)
    var largest = 0.0
    for (engineName, made) in try CandidateComparison.engines(
      network: network, data: data, parameters: parameters)
    {
      var engine = made
      for split in [EvaluatedSplit.train, .test] {
        let expected = try reference.evaluate(split)
        let found = try engine.evaluate(split)
        #expect(expected.confusion == found.confusion, "\(name), \(engineName)")
        let bound = LossBound.absolute(
          network, logits: split == .train ? logits : backwards.map { logits[$0] }, statistics: 75)
        let difference = abs(expected.loss - found.loss)
        largest = max(largest, difference / bound)
        #expect(difference <= bound, "\(name), \(engineName): \(expected.loss), \(found.loss)")
      }
      #expect(reference.statistics.moments.keys.sorted() == engine.statistics.moments.keys.sorted())
      for (node, a) in reference.statistics.moments {
        let b = try #require(engine.statistics.moments[node])
        // Means are small against what they are sums of: the deviation is the measure.
        let ε =
          LossBound.λ * LossBound.roundoff
          * LossBound.terms(network).squareRoot()
        for c in a.mean.indices {
          let deviation = (a.variance[c] + a.mean[c] * a.mean[c]).squareRoot()
          #expect(
            abs(a.mean[c] - b.mean[c]) <= ε * deviation,
            "\(name), \(engineName), \(network.nodes[node].name)")
          #expect(
            abs(a.variance[c] - b.variance[c]) <= 2 * ε * deviation * deviation,
            "\(name), \(engineName), \(network.nodes[node].name)")
        }
      }
    }
    #expect(largest > 1e-4, "\(name): the largest difference is \(largest) of the bound")
  }

  /// A whole sweep of every tensor, decisions and all.
  @Test(arguments: Sample.networks.indices, [2, 3])
  func sameBitsForAnyNumberOfThreads(networkIndex: Int, threads: Int) throws {
    let network = try Sample.networks[networkIndex].network()
    let data = try Sample.dataset(
      network.input, classes: network.classes, train: 3 * Self.batchSize)
    func run(threads: Int) throws -> ([ShortList<Double>], [UInt32]) {
      let parameters = Parameters(initialFor: network, seed: 3)
      let engine = try CPUEngine(
        network: network, data: data, parameters: parameters, threads: threads)
      var losses: [ShortList<Double>] = []
      for (index, slot) in parameters.slots.enumerated() {
        let order = SampleOrder(
          Philox(seed: 5).permutation(
            .sampleOrder, cycle: 0, tensor: index, count: data.train.count),
          batchSize: Self.batchSize)
        try engine.beginSweep(of: index, order: order)
        for (turn, element) in CandidateComparison.elements(of: slot, tensor: index).enumerated() {
          let proposal = CandidateComparison.proposal(
            element, slot, tensor: index, batch: turn % order.batches, engine.parameters)
          losses += try engine.judge([proposal]).map(\.losses)
        }
      }
      return (losses, engine.parameters.values.map(\.bitPattern))
    }
    let (one, many) = (try run(threads: 1), try run(threads: threads))
    #expect(one.0 == many.0)
    #expect(one.1 == many.1)
  }
}
