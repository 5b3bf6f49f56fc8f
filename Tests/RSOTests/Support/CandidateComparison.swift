import Foundation
import Testing

@testable import RSO

/// Sweeps every tensor of a network with the reference engine and every other one, `CPUEngine` for each instruction set
/// and `CUDAEngine` without a card, and compares the losses of every candidate; all go on with the reference's decisions.
struct CandidateComparison {
  let network: Network
  let name: String
  let batchSize: Int
  private(set) var engines: [(name: String, engine: any Engine)]
  /// Losses compared.
  private(set) var compared = 0
  /// The largest difference, in bounds.
  private(set) var largest = 0.0
  private(set) var largestOfCUDA = 0.0
  private var reference: ReferenceEngine
  private let samples: Int
  private let hold: Int
  private let round: SearchSettings.Span

  var tensors: Int { reference.parameters.slots.count }

  /// - Parameters:
  ///   - name: what failures call the network.
  ///   - hold: elements in a row on one mini-batch; the engines may take over a loss, the reference does not.
  ///   - round: proposals that are decided together.
  init(
    network: Network, name: String, batchSize: Int, hold: Int = 1,
    round: SearchSettings.Span = .elements(1)
  ) throws {
    self.hold = hold
    self.round = round
    self.network = network
    self.name = name
    self.batchSize = batchSize
    samples = 3 * batchSize
    let data = try Sample.dataset(network.input, classes: network.classes, train: samples)
    let parameters = Parameters(initialFor: network, seed: 3)
    reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    engines = try Self.engines(network: network, data: data, parameters: parameters)
  }

  /// The number of a card to test on.
  private static let card = ProcessInfo.processInfo.environment["RSO_CARD"].flatMap { Int($0) }

  /// Every engine but the reference; `CUDAEngine` on a card where one is named:
  /// `RSO_CARD=0 swift test -c release --filter "EngineConformanceTests|RandomNetworkTests"`.
  static func engines(
    network: Network, data: Dataset, parameters: Parameters
  ) throws -> [(name: String, engine: any Engine)] {
    // Without layers of integers, their sets are those of floats by another name.
    let hasIntegers = network.foldingAveragePools().bytesOfIntegerLayers.contains { $0 != nil }
    let cpu = try Kernels.available.filter { hasIntegers || !$0.hasIntegers }.map {
      let engine = try CPUEngine(
        network: network, data: data, parameters: parameters, threads: 2, kernels: $0)
      return (name: $0.name, engine: engine as any Engine)
    }
    let cuda =
      try card.map {
        try CUDAEngine.open(network: network, data: data, parameters: parameters, card: $0)
      } ?? FakeCUDA().engine(network: network, data: data, parameters: parameters)
    return cpu + [("CUDA", cuda)]
  }

  /// - Parameter elementsPerTensor: at most; where `nil`, fewer in a deep network, whose every layer the reference
  ///   pays for.
  mutating func run(elementsPerTensor: Int? = nil) throws {
    let most = elementsPerTensor ?? (network.nodes.count > 30 ? 9 : 18)
    for index in reference.parameters.slots.indices { try sweep(index, atMost: most) }
  }

  /// Elements of a tensor that an engine takes part in. On one core, one thread after another, a card's kernels are slow:
  /// `RSO_CUDA_ELEMENTS=18` for all of them in deep networks, too.
  private func most(_ engine: Int) -> Int {
    guard engines[engine].name == "CUDA", Self.card == nil, network.nodes.count > 20 else {
      return .max
    }
    return ProcessInfo.processInfo.environment["RSO_CUDA_ELEMENTS"].flatMap { Int($0) } ?? 6
  }

  private mutating func sweep(_ index: Int, atMost most: Int) throws {
    let slot = reference.parameters.slots[index]
    let order = SampleOrder(
      Philox(seed: 5).permutation(.sampleOrder, cycle: 0, tensor: index, count: samples),
      batchSize: batchSize)
    try reference.beginSweep(of: index, order: order)
    for e in engines.indices { try engines[e].engine.beginSweep(of: index, order: order) }
    let elements = Self.elements(of: slot, tensor: index, atMost: most)
    let turns = Turns(.elements(hold), round: round, of: slot, batches: order.batches)
    for (turn, element) in elements.enumerated() {
      var proposal = Self.proposal(
        element, slot, tensor: index, batch: turn / hold % order.batches,
        baseline: turn % hold != 0 ? .known : turn % 5 == 4 ? .unused : .computed,
        reference.parameters)
      proposal.endsRound = turns.endsRound(turn)
      let bound = LossBound.absolute(
        network, logits: try reference.logits(ofBatch: proposal.batch), updates: turn)
      let expected = try reference.judge([proposal])[0]
      for e in engines.indices where turn < self.most(e) {
        let found = try engines[e].engine.judge([proposal])[0]
        #expect(found.losses[0].isNaN == (proposal.baseline == .unused))
        for (a, b) in zip(expected.losses, found.losses) where !a.isNaN {
          compared += 1
          largest = max(largest, abs(a - b) / bound)
          if engines[e].name == "CUDA" { largestOfCUDA = max(largestOfCUDA, abs(a - b) / bound) }
          #expect(
            abs(a - b) <= bound,
            "\(name), \(engines[e].name), \(slot.name)[\(element)], batch \(proposal.batch): \(a), \(b)"
          )
        }
        guard expected.choice != found.choice else { continue }
        // Right only between losses that rounding cannot tell apart: those of a bias before a batch
        // norm are all the same. From there on the engines would differ.
        #expect(
          abs(expected.losses[expected.choice] - expected.losses[found.choice]) <= 2 * bound,
          "\(name), \(engines[e].name), \(slot.name)[\(element)]")
        for e in engines.indices { engines[e].engine.parameters = reference.parameters }
        return
      }
    }
    for e in engines.indices where self.most(e) < elements.count {
      engines[e].engine.parameters = reference.parameters
    }
  }

  /// Elements all over a tensor. In every second tensor in order with gaps, so that the rest moves from
  /// channel to channel and comes back to each mini-batch after changes; in the others at random.
  static func elements(of slot: Parameters.Slot, tensor: Int, atMost most: Int = 18) -> [Int] {
    let count = min(slot.count, most)
    if tensor.isMultiple(of: 2) { return (0..<count).map { $0 * slot.count / count } }
    return Philox(seed: 5).permutation(
      .elementOrder, cycle: 0, tensor: tensor, count: slot.count
    ).prefix(count).map { Int($0) }
  }

  static func proposal(
    _ element: Int, _ slot: Parameters.Slot, tensor: Int, batch: Int,
    baseline: Proposal.Baseline = .computed, _ parameters: Parameters
  ) -> Proposal {
    let w = parameters.values[slot.offset + element]
    let decayed = w * 0.9999
    let normal = Philox(seed: 5).normal(.proposal, cycle: 0, tensor: tensor, element: element)
    let delta = Float(slot.proposalDeviation * normal)
    if slot.domain.isDiscrete, let tensor = parameters.slot(named: slot.name) {
      return Proposal(
        element: element, batch: batch,
        candidates: parameters.levelCandidates(of: element, in: tensor, delta: Double(delta)),
        delta: delta, baseline: baseline)
    }
    return Proposal(
      element: element, batch: batch,
      candidates: [baseline == .known ? w : decayed, decayed + delta, decayed - delta],
      delta: delta, baseline: baseline)
  }
}
