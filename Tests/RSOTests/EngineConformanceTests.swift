import Testing

@testable import RSO

/// What every engine must pass: the candidate losses, statistics and evaluations of `ReferenceEngine`.
@Suite struct EngineConformanceTests {
  /// 3 · 16 + 5: a block that is not full, and a chunk that is not full either.
  static let batchSize = 53

  /// Sweeps every tensor with the reference engine and one engine per instruction set; all go on with the
  /// reference's decisions.
  @Test(arguments: Sample.networks.indices)
  func candidateLosses(networkIndex: Int) throws {
    let (name, make) = Sample.networks[networkIndex]
    let network = try make()
    let data = try Sample.dataset(
      network.input, classes: network.classes, train: 3 * Self.batchSize)
    let parameters = Parameters(initialFor: network, seed: 3)
    var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    let engines = try Kernels.available.map {
      try CPUEngine(
        network: network, data: data, parameters: parameters, threads: 2, kernels: $0)
    }
    var largest = 0.0
    var compared = 0
    sweeps: for (index, slot) in parameters.slots.enumerated() {
      let order = SampleOrder(
        Philox(seed: 5).permutation(
          .sampleOrder, cycle: 0, tensor: index, count: data.train.count),
        batchSize: Self.batchSize)
      try reference.beginSweep(of: index, order: order)
      for engine in engines { try engine.beginSweep(of: index, order: order) }
      // The reference pays for every layer of a deep network.
      let elements = Self.elements(
        of: slot, tensor: index, atMost: network.nodes.count > 30 ? 9 : 18)
      for (turn, element) in elements.enumerated() {
        let proposal = Self.proposal(
          element, slot, tensor: index, batch: turn % order.batches, reference.parameters)
        let bound = LossBound.absolute(
          network, logits: reference.logits(ofBatch: proposal.batch), updates: turn)
        let expected = try reference.judge([proposal])[0]
        for (kernels, engine) in zip(Kernels.available, engines) {
          let found = try engine.judge([proposal])[0]
          for (a, b) in zip(expected.losses, found.losses) {
            compared += 1
            largest = max(largest, abs(a - b) / bound)
            #expect(
              abs(a - b) <= bound,
              "\(name), \(kernels.name), \(slot.name)[\(element)], batch \(proposal.batch): \(a), \(b)"
            )
          }
          guard expected.choice != found.choice else { continue }
          // Right only between losses that rounding cannot tell apart: those of a bias before a batch
          // norm are all the same. From there on the engines would differ.
          #expect(
            abs(expected.losses[expected.choice] - expected.losses[found.choice]) <= 2 * bound,
            "\(name), \(kernels.name), \(slot.name)[\(element)]")
          for engine in engines { engine.parameters = reference.parameters }
          continue sweeps
        }
      }
    }
    // A bound that is never neared would not notice a wrong term.
    #expect(largest > 1e-3, "\(name): the largest difference is \(largest) of the bound")
    #expect(compared >= 3 * engines.count * parameters.slots.count)
  }

  /// Elements all over a tensor. In every second tensor in order with gaps, so that the rest moves from
  /// channel to channel and comes back to each mini-batch after changes; in the others at random.
  private static func elements(
    of slot: Parameters.Slot, tensor: Int, atMost most: Int = 18
  ) -> [Int] {
    let count = min(slot.count, most)
    if tensor.isMultiple(of: 2) { return (0..<count).map { $0 * slot.count / count } }
    return Philox(seed: 5).permutation(
      .elementOrder, cycle: 0, tensor: tensor, count: slot.count
    ).prefix(count).map { Int($0) }
  }

  private static func proposal(
    _ element: Int, _ slot: Parameters.Slot, tensor: Int, batch: Int, _ parameters: Parameters
  ) -> Proposal {
    let w = parameters.values[slot.offset + element] * 0.9999
    let normal = Philox(seed: 5).normal(.proposal, cycle: 0, tensor: tensor, element: element)
    let delta = Float(slot.proposalDeviation * normal)
    return Proposal(
      element: element, batch: batch, candidates: [w, w + delta, w - delta], delta: delta)
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
    let test = try Split(
      images: backwards.flatMap { train.images[$0 * size..<($0 + 1) * size] },
      labels: backwards.map { train.labels[$0] }, shape: network.input)
    let data = try Dataset(name: "random", train: train, test: test, classes: network.classes)
    let parameters = Parameters(initialFor: network, seed: 3)
    var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    // No batch norm lies above the last layer, so these are made with running statistics.
    try reference.beginSweep(
      of: parameters.slots.count - 1,
      order: SampleOrder((0..<75).map { Int32($0) }, batchSize: 75))
    let logits = reference.logits(ofBatch: 0)
    var largest = 0.0
    for kernels in Kernels.available {
      let engine = try CPUEngine(
        network: network, data: data, parameters: parameters, threads: 2, kernels: kernels)
      for split in [EvaluatedSplit.train, .test] {
        let expected = try reference.evaluate(split)
        let found = try engine.evaluate(split)
        #expect(expected.confusion == found.confusion, "\(name), \(kernels.name)")
        let bound = LossBound.absolute(
          network, logits: split == .train ? logits : backwards.map { logits[$0] }, statistics: 75)
        let difference = abs(expected.loss - found.loss)
        largest = max(largest, difference / bound)
        #expect(difference <= bound, "\(name), \(kernels.name): \(expected.loss), \(found.loss)")
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
            abs(a.mean[c] - b.mean[c]) <= ε * deviation, "\(name), \(network.nodes[node].name)")
          #expect(
            abs(a.variance[c] - b.variance[c]) <= 2 * ε * deviation * deviation,
            "\(name), \(network.nodes[node].name)")
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
    func run(threads: Int) throws -> ([[Double]], [UInt32]) {
      let parameters = Parameters(initialFor: network, seed: 3)
      let engine = try CPUEngine(
        network: network, data: data, parameters: parameters, threads: threads)
      var losses: [[Double]] = []
      for (index, slot) in parameters.slots.enumerated() {
        let order = SampleOrder(
          Philox(seed: 5).permutation(
            .sampleOrder, cycle: 0, tensor: index, count: data.train.count),
          batchSize: Self.batchSize)
        try engine.beginSweep(of: index, order: order)
        for (turn, element) in Self.elements(of: slot, tensor: index).enumerated() {
          let proposal = Self.proposal(
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
