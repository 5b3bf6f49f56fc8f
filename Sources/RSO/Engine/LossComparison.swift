/// Compares the losses that an engine computes with their definition, on the outputs that the same engine hands out.
///
/// It says nothing of the outputs: `EngineComparison` compares those.
package struct LossComparison: Hashable, Sendable {
  /// Losses of samples, of mini-batches, and sums, for data with classes.
  package static let ofClasses = [
    "hinge", "errors", "cross-entropy:smoothing=0.1,weights=balanced", "0.5 hinge + 2 errors",
    "macro-f1 + 0.1 cross-entropy", "auc", "top-k=2",
  ]
  /// The same for targets from 0 to 1.
  package static let ofTargets = [
    "squared-error", "absolute-error", "quantile=0.2", "binary-cross-entropy",
    "squared-error + 0.5 absolute-error",
  ]

  /// Number of losses compared.
  package private(set) var losses = 0
  /// The largest difference, as a fraction of the loss or of 1, whichever is more.
  package private(set) var largest = 0.0
  /// Where that is.
  package private(set) var place = ""
  /// How many different losses there were.
  private(set) var distinct: Set<Double> = []

  /// What rounding in single precision may add up to; on the CPU and in tests it is a tenth of that.
  package static let tolerance = 1e-5

  /// - Parameters:
  ///   - data: samples with classes; the first ones are used.
  ///   - device: the device of the engine to compare.
  /// - Throws: `RSOError` naming the first loss that differs by more than rounding allows.
  package init(network: Network, data: Dataset, seed: UInt64, device: Device) throws {
    let parameters = Parameters(initialFor: network, seed: seed)
    try self.init(network: network, data: data, seed: seed) { data, objective in
      try device.engine(
        network: network, data: data, parameters: parameters, objective: objective)
    }
  }

  /// - Parameters:
  ///   - samples: at most so many of the data's are used; the mini-batch is half of them.
  ///   - elements: number of elements of each tensor.
  ///   - make: makes the engine to compare.
  /// - Throws: `RSOError` naming the first loss that differs by more than rounding allows.
  /// - Complexity: O(losses · tensors) proposals.
  init(
    network: Network, data: Dataset, seed: UInt64, samples: Int = 70, elements: Int = 3,
    make: (Dataset, Objective) throws -> any Engine
  ) throws {
    let train = data.train.prefix(samples)
    let philox = Philox(seed: seed)
    let targets = (0..<train.count * network.classes).map { index in
      let normal = philox.normal(.initialisation, cycle: 1, tensor: 0, element: index)
      return Float(min(max(0.5 + normal / 4, 0), 1))
    }
    let regression = try Split(images: train.images, targets: targets, shape: train.shape)
    let test = data.test.prefix(1)
    let classes = try Dataset(
      name: data.name, train: train, test: test, classes: network.classes)
    let numbers = try Dataset(
      name: data.name, train: regression,
      test: Split(
        images: test.images, targets: Array(targets.prefix(test.count * network.classes)),
        shape: test.shape))
    for (texts, data) in [(Self.ofClasses, classes), (Self.ofTargets, numbers)] {
      for text in texts {
        let objective = try Objective(Loss(text), data: data, classes: network.classes)
        let definition = try Objective(
          .crossEntropy, own: Definition(objective), data: data, classes: network.classes)
        try compare(
          text, network, seed: seed, elements: elements, make(data, objective),
          make(data, definition), train.count)
      }
    }
    guard largest <= Self.tolerance else {
      throw RSOError(
        place,
        "expected what the loss's definition says of the same outputs, "
          + "found a difference of \(Float(largest)) of the loss",
        hint: "the engine is wrong on this machine")
    }
  }

  /// Judges some elements of every tensor on both engines, while they decide alike.
  private mutating func compare(
    _ loss: String, _ network: Network, seed: UInt64, elements: Int, _ engine: any Engine,
    _ definition: any Engine, _ count: Int
  ) throws {
    var (engine, definition) = (engine, definition)
    let philox = Philox(seed: seed)
    for (tensor, slot) in engine.parameters.slots.enumerated() {
      let order = SampleOrder(
        philox.permutation(.sampleOrder, cycle: 0, tensor: tensor, count: count),
        batchSize: max(count / 2, 1))
      try engine.beginSweep(of: tensor, order: order)
      try definition.beginSweep(of: tensor, order: order)
      for turn in 0..<min(elements, slot.count) {
        let element = turn * slot.count / min(elements, slot.count)
        let w = engine.parameters.values[slot.offset + element]
        let delta = Float(
          slot.proposalDeviation
            * philox.normal(.proposal, cycle: 0, tensor: tensor, element: element))
        let proposal = Proposal(
          element: element, batch: turn % order.batches, candidates: [w, w + delta, w - delta],
          delta: delta, baseline: turn % 3 == 2 ? .unused : .computed)
        let found = try engine.judge([proposal])[0]
        let expected = try definition.judge([proposal])[0]
        for (a, b) in zip(expected.losses, found.losses) where !a.isNaN || !b.isNaN {
          losses += 1
          distinct.insert(b)
          // NaN and infinity also count as differences.
          let difference = a == b ? 0 : (a - b).isFinite ? abs(a - b) : .infinity
          let relative = difference == 0 ? 0 : difference / max(abs(a), 1)
          if relative > largest || place.isEmpty {
            (largest, place) = (relative, "\(loss), \(slot.name)[\(element)]")
          }
        }
        // From here on, the engines have different weights.
        if found.value != expected.value { break }
      }
      definition.parameters = engine.parameters
    }
  }

  /// An objective by its definition, from outputs.
  package struct Definition: BatchLoss {
    let objective: Objective

    package init(_ objective: Objective) { self.objective = objective }

    package func losses(of outputs: Outputs) throws -> [Double] {
      try objective.definition(of: outputs)
    }
  }
}

extension Objective {
  /// The losses of all candidates, by the definition.
  func definition(of outputs: Outputs) throws -> [Double] {
    let sums = (0..<outputs.candidates).map { candidate in
      sampleTerms.reduce(0) { total, term in
        total + term.weight
          * outputs.samples.indices.reduce(0) {
            $0
              + outputs.value(
                of: term.loss, candidate: candidate, sample: $1, weights: term.classWeights)
          }
      }
    }
    return Array(
      try values(
        of: ShortList(sums), candidates: outputs.candidates, samples: outputs.samples.count,
        outputs))
  }
}
