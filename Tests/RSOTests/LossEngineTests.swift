import Foundation
import Synchronization
import Testing

@testable import RSO

/// Losses in engines: what reaches a loss of a mini-batch, and what the fused ones sum up.
struct LossEngineTests {
  /// A loss that is computed from outputs, and keeps them.
  final class Recorder: BatchLoss {
    let objective: Objective
    let last = Mutex<Outputs?>(nil)

    init(_ objective: Objective) { self.objective = objective }

    func losses(of outputs: Outputs) throws -> [Double] {
      last.withLock { $0 = outputs }
      return try objective.definition(of: outputs)
    }
  }

  private static let samples = 105
  private static let batch = 35

  private static func order(_ tensor: Int) -> SampleOrder {
    SampleOrder(
      Philox(seed: 5).permutation(.sampleOrder, cycle: 0, tensor: tensor, count: samples),
      batchSize: batch)
  }

  /// Judges proposals of every tensor on both engines until they decide differently.
  private static func compare(
    _ network: Network, _ a: inout any Engine, _ b: inout any Engine,
    _ check: (Proposal, Decision, Decision, _ tensor: Int, _ turn: Int) throws -> Void
  ) throws {
    for (tensor, slot) in a.parameters.slots.enumerated() {
      let order = order(tensor)
      try a.beginSweep(of: tensor, order: order)
      try b.beginSweep(of: tensor, order: order)
      for (turn, element) in CandidateComparison.elements(of: slot, tensor: tensor, atMost: 7)
        .enumerated()
      {
        let proposal = CandidateComparison.proposal(
          element, slot, tensor: tensor, batch: turn % order.batches,
          baseline: turn % 3 == 2 ? .unused : .computed, a.parameters)
        let (own, other) = (try a.judge([proposal])[0], try b.judge([proposal])[0])
        try check(proposal, own, other, tensor, turn)
        if own.value != other.value { break }
      }
      b.parameters = a.parameters
    }
  }

  /// The outputs that a loss gets are those of the candidates, on the mini-batch's samples.
  @Test(arguments: Sample.networks.indices, [false, true])
  func outputsAreThoseOfTheCandidates(index: Int, isCUDA: Bool) throws {
    let (name, make) = Sample.networks[index]
    let network = try make()
    let data = try Sample.dataset(network.input, classes: network.classes, train: Self.samples)
    let parameters = Parameters(initialFor: network, seed: 3)
    let recorder = Recorder(.crossEntropy)
    var reference: any Engine = ReferenceEngine(
      network: network, data: data, parameters: parameters)
    let objective = try Objective(
      .crossEntropy, own: recorder, data: data, classes: network.classes)
    // Without a card, its kernels are slow.
    guard !isCUDA || network.nodes.count <= 20 else { return }
    var engine: any Engine =
      isCUDA
      ? try FakeCUDA().engine(
        network: network, data: data, parameters: parameters, objective: objective)
      : try CPUEngine(
        network: network, data: data, parameters: parameters, threads: 2, objective: objective)
    var compared = 0
    try Self.compare(network, &reference, &engine) { proposal, expected, found, tensor, turn in
      let outputs = try #require(recorder.last.withLock { $0 })
      let samples = Array(Self.order(tensor).batch(proposal.batch))
      #expect(outputs.samples == samples && outputs.split == .train)
      #expect(outputs.labels == samples.map { data.train.labels[Int($0)] })
      #expect(outputs.candidates == proposal.evaluations && outputs.width == network.classes)
      let rows = (0..<Self.batch).map { outputs[0, $0].map(Double.init) }
      let bound = 2 * LossBound.absolute(network, logits: rows, updates: turn)
      for (a, b) in zip(expected.losses, found.losses) where !a.isNaN {
        compared += 1
        #expect(abs(a - b) <= bound, "\(name), \(proposal): \(a), \(b)")
      }
    }
    #expect(compared > 4 * parameters.slots.count)
  }

  /// What an engine fuses is what the definition says of the same outputs; bits do not depend on threads.
  @Test(arguments: [
    "errors", "hinge", "cross-entropy:smoothing=0.2,weights=balanced", "macro-f1", "kappa", "auc",
    "0.5 hinge + 2 balanced-accuracy + errors", "top-k=2",
  ])
  func fusedLossesFollowTheDefinition(text: String) throws {
    let loss = try Loss(text)
    for index in [0, 2, 4] {
      let (name, make) = Sample.networks[index]
      let network = try make()
      let data = try Sample.dataset(network.input, classes: network.classes, train: Self.samples)
      let parameters = Parameters(initialFor: network, seed: 3)
      let objective = try Objective(loss, data: data, classes: network.classes)
      func engine(_ objective: Objective, threads: Int) throws -> any Engine {
        try CPUEngine(
          network: network, data: data, parameters: parameters, threads: threads,
          objective: objective)
      }
      let own = try Objective(
        .crossEntropy, own: Recorder(objective), data: data, classes: network.classes)
      var (fused, other) = (
        try engine(objective, threads: 1), try engine(own, threads: 1)
      )
      // Rounding in single precision, of sums of up to 35 losses; errors and metrics are exact.
      let tolerance = text.contains("hinge") || text.contains("entropy") ? 1e-5 : 1e-15
      var distinct: Set<Double> = []
      try Self.compare(network, &fused, &other) { proposal, found, expected, _, _ in
        for (a, b) in zip(expected.losses, found.losses) where !a.isNaN {
          #expect(
            abs(a - b) <= tolerance * max(abs(a), 1), "\(name), \(text), \(proposal): \(a), \(b)")
          distinct.insert(b)
        }
      }
      #expect(distinct.count > 3, "\(name), \(text)")
      var (one, three) = (try engine(objective, threads: 1), try engine(objective, threads: 3))
      try Self.compare(network, &one, &three) { _, a, b, _, _ in
        #expect(a.value == b.value)
        for (a, b) in zip(a.losses, b.losses) { #expect(a.bitPattern == b.bitPattern) }
      }
      // An evaluation has the loss of the whole split, and what else was asked for.
      let reported = try Objective(
        loss, reported: [.metric(.macroF1), .sample(.hinge)], data: data, classes: network.classes)
      var reference: any Engine = ReferenceEngine(
        network: network, data: data, parameters: parameters, objective: reported)
      var cpu = try engine(reported, threads: 2)
      let (a, b) = (try reference.evaluate(.train), try cpu.evaluate(.train))
      #expect(a.confusion == b.confusion && a.measures?.keys == b.measures?.keys)
      #expect(
        abs(a.loss - b.loss) <= 1e-4 * max(a.loss, 1), "\(name), \(text): \(a.loss), \(b.loss)")
      #expect(b.measures?["macro-f1"] == a.measures?["macro-f1"])
      #expect(abs((a.measures?["hinge"] ?? 0) - (b.measures?["hinge"] ?? 1)) < 1e-4)
    }
  }

  @Test func aLossOfOnesOwnAnswersOneNumberPerCandidate() throws {
    struct Few: BatchLoss {
      func losses(of outputs: Outputs) -> [Double] { [1] }
    }
    let network = try Sample.networks[2].network()
    let data = try Sample.dataset(network.input, classes: network.classes, train: 40)
    var settings = SearchSettings()
    (settings.cycles, settings.batchSize) = (1, 20)
    var search = try RandomSearch(
      network: network, data: data, settings: settings, device: .cpu(threads: 1), loss: Few())
    let error = #expect(throws: RSOError.self) { try search.run { _ in .goOn } }
    #expect(error?.problem == "expected 3 numbers, one for each candidate, found 1")
  }
}
