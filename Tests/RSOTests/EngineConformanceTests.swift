import Testing

@testable import RSO

/// What every engine must pass: candidate losses, statistics and evaluations of `ReferenceEngine`.
@Suite struct EngineConformanceTests {
  /// Sweeps every tensor with both engines, judging elements all over it, and compares every candidate's
  /// loss; both go on with the reference's decisions.
  @Test(arguments: Sample.networks.indices, Kernels.available.indices)
  func candidateLosses(networkIndex: Int, kernelIndex: Int) throws {
    let (name, make) = Sample.networks[networkIndex]
    let kernels = Kernels.available[kernelIndex]
    let network = try make()
    // 53 = 3 · 16 + 5 samples: a block that is not full.
    let batchSize = 53
    let data = try Sample.dataset(network.input, classes: network.classes, train: 4 * batchSize)
    let parameters = Parameters(initialFor: network, seed: 3)
    var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    let engine = try CPUEngine(
      network: network, data: data, parameters: parameters, threads: 2, kernels: kernels)
    let philox = Philox(seed: 5)
    for (index, slot) in parameters.slots.enumerated() {
      let order = SampleOrder(
        philox.permutation(.sampleOrder, cycle: 0, tensor: index, count: data.train.count),
        batchSize: batchSize)
      try reference.beginSweep(of: index, order: order)
      try engine.beginSweep(of: index, order: order)
      // In order, with gaps, so that the rest moves from channel to channel and comes back to each
      // mini-batch after changes; then some out of order.
      let step = max(1, slot.count / 40)
      let shuffled = philox.permutation(.elementOrder, cycle: 0, tensor: index, count: slot.count)
      let elements =
        index.isMultiple(of: 2)
        ? Array(stride(from: 0, to: slot.count, by: step)) : shuffled.prefix(40).map { Int($0) }
      for (turn, element) in elements.enumerated() {
        let w = reference.parameters.values[slot.offset + element] * 0.9999
        let delta = Float(
          slot.proposalDeviation
            * philox.normal(.proposal, cycle: 0, tensor: index, element: element))
        let proposal = Proposal(
          element: element, batch: turn % order.batches, candidates: [w, w + delta, w - delta],
          delta: delta)
        let expected = try reference.judge([proposal])[0]
        let found = try engine.judge([proposal])[0]
        for (a, b) in zip(expected.losses, found.losses) {
          #expect(
            abs(a - b) <= 1e-5 * abs(a),
            "\(name), \(kernels.name), \(slot.name)[\(element)], batch \(proposal.batch): \(a) and \(b)"
          )
        }
        if expected.choice != found.choice { return }
      }
    }
  }
}
