import Dispatch
import Synchronization

/// Compares the candidate losses of `CPUEngine` with those of `ReferenceEngine`, before a benchmark
/// believes it.
package struct EngineComparison: Hashable, Sendable {
  /// Losses compared.
  package var losses = 0
  /// The largest difference, as a fraction of the loss, and where it was.
  package var largest = 0.0
  package var place = ""

  /// Single precision rounds by 6e-8; a loss is what a hundred or so such roundings in a row leave, and
  /// batch norm on few samples enlarges them.
  package static let bound = 1e-5

  /// Judges some proposals of every tensor on both engines: the first of a mini-batch, another of the same
  /// channel, and one of the next channel.
  ///
  /// - Parameter samples: of the training set, from the first; half of them are the mini-batch that is used, by default
  ///     one block of 16 and one sample more.
  /// - Throws: `RSOError` naming the first element whose losses differ by more than `bound`.
  /// - Complexity: O(tensors · samples) forward passes of the reference engine.
  package init(network: Network, data: Dataset, seed: UInt64, samples: Int = 34, threads: Int)
    throws
  {
    let train = data.train.prefix(samples)
    let part = try Dataset(
      name: data.name, train: train, test: data.test.prefix(1), classes: data.classes)
    let parameters = Parameters(initialFor: network, seed: seed)
    let batch = max(train.count / 2, 1)
    let results = Mutex<[Int: Result<EngineComparison, any Error>]>([:])
    Workers(threads: threads).run(parameters.slots.count) { tensor, _ in
      let result = Result {
        var reference: any Engine = ReferenceEngine(
          network: network, data: part, parameters: parameters)
        var engine: any Engine = try CPUEngine(
          network: network, data: part, parameters: parameters, threads: 1)
        return try Self(
          &engine, with: &reference, tensor: tensor, batch: batch, count: train.count, seed: seed)
      }
      results.withLock { $0[tensor] = result }
    }
    for (_, result) in results.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
      let found = try result.get()
      losses += found.losses
      if found.largest > largest || place.isEmpty {
        (largest, place) = (found.largest, found.place)
      }
    }
    guard largest <= Self.bound else {
      throw RSOError(
        place,
        "expected losses within \(Self.bound) of the reference engine's, "
          + "found a difference of \(Float(largest))",
        hint: "the engine is wrong on this machine; nothing was timed")
    }
  }

  /// Compares one tensor; both engines go on with the reference's decisions.
  init(
    _ engine: inout any Engine, with reference: inout any Engine, tensor: Int, batch: Int,
    count: Int, seed: UInt64
  ) throws {
    let philox = Philox(seed: seed)
    let slot = reference.parameters.slots[tensor]
    let order = SampleOrder(
      philox.permutation(.sampleOrder, cycle: 0, tensor: tensor, count: count), batchSize: batch)
    try engine.beginSweep(of: tensor, order: order)
    try reference.beginSweep(of: tensor, order: order)
    let channel = slot.elementsPerChannel
    // Each element once, as in a sweep.
    var elements: [Int] = []
    for element in [0, 1, channel] where element < slot.count && !elements.contains(element) {
      elements.append(element)
    }
    for element in elements {
      let w = reference.parameters.values[slot.offset + element]
      let delta = Float(
        slot.proposalDeviation
          * philox.normal(.proposal, cycle: 0, tensor: tensor, element: element))
      let proposal = Proposal(
        element: element, batch: 0, candidates: [w, w + delta, w - delta], delta: delta)
      let expected = try reference.judge([proposal])[0]
      let found = try engine.judge([proposal])[0]
      for (a, b) in zip(expected.losses, found.losses) {
        let difference = a == b ? 0 : abs(a - b) / abs(a)
        losses += 1
        // NaN and infinity are differences too.
        if !(difference <= largest) || place.isEmpty {
          largest = difference.isNaN ? .infinity : difference
          place = "\(slot.name)[\(element)]"
        }
      }
      // Two candidates closer than rounding: from here on the engines have different weights.
      if expected.choice != found.choice { break }
    }
  }
}
