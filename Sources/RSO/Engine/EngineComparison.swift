import Dispatch
import Foundation
import Synchronization

/// Compares an engine's candidate losses with those of `ReferenceEngine`, before a benchmark trusts the engine.
package struct EngineComparison: Hashable, Sendable {
  /// Number of losses compared.
  package var losses = 0
  /// Number of losses that differ because rounding moved a value to another level of a hard step, and the first place.
  private(set) var moved = 0
  private var movedPlace = ""
  /// The largest other difference, as a fraction of the loss.
  package var largest = 0.0
  /// The largest other difference, as a fraction of what rounding allows (`LossBound`; on a card, in its precision), and its
  /// element.
  package var largestOfBound = 0.0
  package var place = ""

  private static let hint = "the engine is wrong on this machine; nothing was timed"

  /// What was found, for a line of output.
  package var summary: String {
    let precision = String(format: "%.1e", largest)
    return "\(losses - moved) losses are the reference engine's, to \(precision) of the loss"
      + (moved == 0 ? "" : "; \(moved) more differ, where rounding decides a step")
  }

  /// Judges a few proposals of every tensor on both engines: the first of a mini-batch, a round of two others of the same
  /// channel, and one of the next channel.
  ///
  /// - Parameters:
  ///   - samples: number of training samples, from the first. The mini-batch is half of them, by default one block of
  ///     16 and one more sample.
  ///   - device: the device of the engine to compare.
  ///   - loss: by what the engine to compare computes cross entropy, if not by itself: it then hands out its outputs.
  ///   - threads: number of threads that compare, each with its own engine.
  /// - Throws: `RSOError` naming the first element whose losses differ by more than rounding allows, or
  ///   if more than a quarter of all losses differ where sums are exact and hard steps follow.
  /// - Complexity: O(tensors · samples) forward passes of the reference engine.
  package init(
    network: Network, data: Dataset, seed: UInt64, samples: Int = 34,
    device: Device = .cpu(threads: 1), loss: (any BatchLoss)? = nil, threads: Int
  ) throws {
    let train = data.train.prefix(samples)
    let part = try Dataset(
      name: data.name, train: train, test: data.test.prefix(1), classes: data.classes
    ).normalized(data.normalization)
    let parameters = Parameters(initialFor: network, seed: seed)
    let objective = try Objective(
      .crossEntropy, own: loss, data: part, classes: network.classes)
    let isRounded = if case .cuda(_, let precision) = device { !precision.isExact } else { false }
    try self.init(
      network: network, data: part, parameters: parameters, seed: seed, isRounded: isRounded,
      threads: threads
    ) {
      try device.engine(
        network: network, data: part, parameters: parameters, objective: objective)
    }
  }

  /// Compares the engines that a closure makes with the reference engine, one for each tensor.
  ///
  /// - Parameter isRounded: they round numbers to 11 bits.
  init(
    network: Network, data: Dataset, parameters: Parameters, seed: UInt64, isRounded: Bool = false,
    threads: Int, make: @Sendable () throws -> any Engine
  ) throws {
    let count = data.train.count
    let batch = max(count / 2, 1)
    let results = Mutex<[Int: Result<EngineComparison, any Error>]>([:])
    try Workers(threads: threads).run(parameters.slots.count) { tensor, _ in
      let result = Result {
        var reference = ReferenceEngine(
          network: network, data: data, parameters: parameters)
        var engine = try make()
        return try Self(
          &engine, with: &reference, of: network, tensor: tensor, batch: batch, count: count,
          seed: seed, isRounded: isRounded)
      }
      results.withLock { $0[tensor] = result }
    }
    for (_, result) in results.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
      let found = try result.get()
      losses += found.losses
      moved += found.moved
      if movedPlace.isEmpty { movedPlace = found.movedPlace }
      largest = max(largest, found.largest)
      if found.largestOfBound > largestOfBound || place.isEmpty {
        (largestOfBound, place) = (found.largestOfBound, found.place)
      }
    }
    guard largestOfBound <= 1 else {
      throw RSOError(
        place,
        "expected losses of the reference engine's but for rounding, "
          + "found a difference of \(Float(largestOfBound)) times what rounding explains",
        hint: Self.hint)
    }
    // Sums that round decide many steps, and say nothing of the engine.
    guard moved <= losses / 4 || !network.hasExactSums(of: data) else {
      throw RSOError(
        movedPlace,
        "expected losses of the reference engine's, but for a few where rounding decides a step, "
          + "found \(moved) of \(losses) that differ", hint: Self.hint)
    }
  }

  /// Compares one tensor. The elements are judged in turn while both engines make the same decisions.
  ///
  /// - Parameter isRounded: the engine rounds numbers to 11 bits.
  init(
    _ engine: inout any Engine, with reference: inout ReferenceEngine, of network: Network,
    tensor: Int, batch: Int, count: Int, seed: UInt64, isRounded: Bool = false
  ) throws {
    let philox = Philox(seed: seed)
    let slot = reference.parameters.slots[tensor]
    let order = SampleOrder(
      philox.permutation(.sampleOrder, cycle: 0, tensor: tensor, count: count), batchSize: batch)
    try engine.beginSweep(of: tensor, order: order)
    try reference.beginSweep(of: tensor, order: order)
    let channel = slot.elementsPerChannel
    // Each element once, as in a sweep; two are a round, which an engine may judge together.
    var judged: [Int] = []
    for round in [[0], [1, 2], [channel]] {
      let elements = round.filter { $0 < slot.count && !judged.contains($0) }
      guard !elements.isEmpty else { continue }
      let proposals = elements.map { element in
        let w = reference.parameters.values[slot.offset + element]
        let delta = Float(
          slot.proposalDeviation
            * philox.normal(.proposal, cycle: 0, tensor: tensor, element: element))
        return Proposal(
          element: element, batch: 0,
          candidates: slot.domain.isDiscrete
            ? reference.parameters.levelCandidates(
              of: element, in: tensor, delta: Double(delta))
            : [w, w + delta, w - delta], delta: delta, endsRound: element == elements.last)
      }
      let logits = try reference.logits(ofBatch: 0)
      let bound =
        LossBound.absolute(network, logits: logits, updates: judged.count)
        + (isRounded ? LossBound.rounded(network, logits: logits) : 0)
      let expected = try reference.judge(proposals[...])
      let found = try engine.judge(proposals[...])
      for (element, (expected, found)) in zip(elements, zip(expected, found)) {
        for (a, b) in zip(expected.losses, found.losses) {
          losses += 1
          // NaN and infinity also count as differences.
          let difference = a == b ? 0 : (a - b).isFinite ? abs(a - b) : .infinity
          if network.hasSteps, difference > bound, difference.isFinite {
            moved += 1
            if movedPlace.isEmpty { movedPlace = "\(slot.name)[\(element)]" }
            continue
          }
          largest = max(largest, difference == 0 ? 0 : difference / abs(a))
          if difference > largestOfBound * bound || place.isEmpty {
            largestOfBound = difference / bound
            place = "\(slot.name)[\(element)]"
          }
        }
      }
      judged += elements
      // Two candidates are closer than rounding: from here on the engines have different weights.
      if expected.map(\.choice) != found.map(\.choice) { break }
    }
  }
}
