import CRSO
import Foundation
import Synchronization
import Testing

@testable import RSO

/// Losses besides the paper's on a card without a card: those of samples, computed there, and those of mini-batches,
/// which the host computes.
@Suite struct CUDALossTests {
  static let batchSize = 21

  private static func data(_ network: Network) throws -> Dataset {
    try Sample.dataset(network.input, classes: network.classes, train: 2 * batchSize, test: 30)
  }

  private static func proposals(
    _ slot: Parameters.Slot, _ parameters: Parameters, count: Int, round: Int = 1
  ) -> [Proposal] {
    (0..<count).map {
      var proposal = CandidateComparison.proposal(
        $0, slot, tensor: 1, batch: $0 % 2, parameters)
      proposal.endsRound = $0 % round == round - 1
      return proposal
    }
  }

  private static func order(_ data: Dataset) -> SampleOrder {
    SampleOrder((0..<Int32(data.train.count)).reversed(), batchSize: batchSize)
  }

  /// Small ones, because kernels are slow without a card: candidates as branches, and together; logits of a linear layer
  /// behind whole images, and logits as they are, of more classes than a linear layer's kernel takes.
  private static let networks: [@Sendable () throws -> Network] = [
    {
      try Network(input: Shape(channels: 1, height: 5, width: 4)) {
        Node.conv2d("conv0", channels: 2, kernel: 3, padding: 1)
        Node.batchNorm("bn0")
        Node.conv2d("conv1", channels: 3, kernel: 3, padding: 1)
        Node.relu("relu1")
        Node.conv2d("conv2", channels: 3, kernel: 3, padding: 1)
        Node.batchNorm("bn2")
        Node.globalMaxPool("gmp")
        Node.linear("fc", features: 5, bias: true)
      }
    },
    {
      try Network(input: Shape(channels: 1, height: 4, width: 4)) {
        Node.flatten("flat")
        Node.linear("fc0", features: 8)
        Node.relu("relu0")
        Node.linear("fc1", features: 21, bias: true)
      }
    },
  ]

  @Test(arguments: networks.indices, [false, true])
  func losses(index: Int, isBackwards: Bool) throws {
    let network = try Self.networks[index]()
    let parameters = Parameters(initialFor: network, seed: 3)
    let check = try LossComparison(
      network: network, data: Self.data(network), seed: 5, elements: isBackwards ? 2 : 3
    ) { data, objective in
      let fake = FakeCUDA()
      fake.isBackwards = isBackwards
      return try fake.engine(
        network: network, data: data, parameters: parameters, objective: objective)
    }
    #expect(check.losses > 50 && check.largest < 1e-6, "\(check.place): \(check.largest)")
    #expect(check.distinct.count > 30)
  }

  /// The same figures as on the CPU: for the losses that a card sums, for those that the host computes, and for what is
  /// reported besides.
  @Test(arguments: ["hinge", "0.5 hinge + errors", "kappa", "macro-f1 + cross-entropy"])
  func evaluations(text: String) throws {
    let network = try Self.networks[0]()
    let data = try Self.data(network)
    let parameters = Parameters(initialFor: network, seed: 3)
    let objective = try Objective(
      Loss(text), reported: [.metric(.macroF1), .sample(.hinge)], data: data,
      classes: network.classes)
    let cpu = try CPUEngine(
      network: network, data: data, parameters: parameters, threads: 1, objective: objective)
    let fake = FakeCUDA()
    let card = try fake.engine(
      network: network, data: data, parameters: parameters, objective: objective)
    for split in [EvaluatedSplit.train, .test] {
      let (a, b) = (try cpu.evaluate(split), try card.evaluate(split))
      #expect(a.confusion == b.confusion && a.measures?.count == 2)
      #expect(abs(a.loss - b.loss) < 1e-5 * max(abs(a.loss), 1), "\(text): \(a.loss), \(b.loss)")
      for (name, value) in a.measures ?? [:] {
        #expect(abs(value - (b.measures?[name] ?? .nan)) < 1e-5, "\(name)")
      }
    }
    #expect(fake.faults.isEmpty, "\(fake.faults)")
  }

  /// Targets and no classes.
  @Test func evaluationOfTargets() throws {
    let network = try Self.networks[1]()
    let images = try Self.data(network).train
    let targets = (0..<images.count * 21).map { Float($0 % 11) / 10 }
    let split = try Split(images: images.images, targets: targets, shape: images.shape)
    let data = try Dataset(name: "targets", train: split, test: split.prefix(11))
    let objective = try Objective(
      Loss("absolute-error"), reported: [.sample(.squaredError)], data: data, classes: 21)
    let parameters = Parameters(initialFor: network, seed: 3)
    var reference = ReferenceEngine(
      network: network, data: data, parameters: parameters, objective: objective)
    let card = try FakeCUDA().engine(
      network: network, data: data, parameters: parameters, objective: objective)
    let (a, b) = (try reference.evaluate(.test), try card.evaluate(.test))
    #expect(!b.hasClasses && b.count == 11)
    #expect(abs(a.loss - b.loss) < 1e-5 * a.loss)
    let (x, y) = (a.measures?["squared-error"] ?? 0, b.measures?["squared-error"] ?? 1)
    #expect(abs(x - y) < 1e-5 * x)
  }

  /// Losses of samples are judged as a run. For one of a mini-batch, each proposal has one wait; its decisions are those
  /// of the CPU, also where rounds hold them back and for the rules with a state.
  @Test func oneWaitForEachProposal() throws {
    let network = try Self.networks[0]()
    let data = try Self.data(network)
    let parameters = Parameters(initialFor: network, seed: 3)
    let order = Self.order(data)
    let index = parameters.slots.count - 2
    let all = Self.proposals(parameters.slots[index], parameters, count: 12, round: 3)
    for (text, waits) in [("hinge", 1), ("macro-f1 + 0.5 cross-entropy", 13)] {
      let objective = try Objective(Loss(text), data: data, classes: network.classes)
      let fake = FakeCUDA()
      let card = try fake.engine(
        network: network, data: data, parameters: parameters, objective: objective)
      let cpu = try CPUEngine(
        network: network, data: data, parameters: parameters, threads: 1, objective: objective)
      try card.beginSweep(of: index, order: order)
      try cpu.beginSweep(of: index, order: order)
      var (rule, other) = (
        SweepRule(.slope(), width: 0.1, cycle: 0, of: 1),
        SweepRule(.slope(), width: 0.1, cycle: 0, of: 1)
      )
      let before = fake.calls.count
      let found = try card.judge(all[...], by: &rule)
      let asked = fake.calls[before...]
      let first = try #require(asked.firstIndex(of: "cuLaunchKernel"))
      #expect(asked[first...].count { $0 == "cuStreamSynchronize" } == waits, "\(text)")
      #expect(!asked[first...].contains("cuMemcpyHtoDAsync"))
      for (a, b) in zip(try cpu.judge(all[...], by: &other), found) {
        for (x, y) in zip(a.losses, b.losses) { #expect(abs(x - y) < 1e-5 * max(x, 1)) }
        #expect(abs(a.value - b.value) < 1e-4)
      }
      #expect(abs(rule.state.squares - other.state.squares) <= 1e-3 * other.state.squares)
      #expect(fake.faults.isEmpty, "\(fake.faults)")
    }
  }

  /// A loss of one's own that throws, or has no number for the value that is there, ends the sweep; what was decided
  /// stays, and all memory is given back.
  @Test(arguments: [true, false])
  func anErrorKeepsWhatWasDecided(isThrown: Bool) throws {
    final class Third: BatchLoss {
      let asked = Mutex(0)
      let isThrown: Bool
      init(_ isThrown: Bool) { self.isThrown = isThrown }
      func losses(of outputs: Outputs) throws -> [Double] {
        let number = asked.withLock {
          $0 += 1
          return $0
        }
        if number == 3, isThrown { throw RSOError("program", "it ended") }
        // The second candidate is the best.
        return (0..<outputs.candidates).map { number == 3 && $0 == 0 ? .nan : abs(Double($0) - 1) }
      }
    }
    let network = try Self.networks[0]()
    let data = try Self.data(network)
    let parameters = Parameters(initialFor: network, seed: 3)
    let loss = Third(isThrown)
    let objective = try Objective(
      .crossEntropy, own: loss, data: data, classes: network.classes)
    let index = parameters.slots.count - 2
    let slot = parameters.slots[index]
    let all = Self.proposals(slot, parameters, count: 7)
    let fake = FakeCUDA()
    do {
      let card = try fake.engine(
        network: network, data: data, parameters: parameters, objective: objective)
      try card.beginSweep(of: index, order: Self.order(data))
      let error = #expect(throws: RSOError.self) { try card.judge(all[...]) }
      #expect(error?.subject == (isThrown ? "program" : "\(slot.name)[2]"))
      #expect(loss.asked.withLock { $0 } == 3)
      for element in 0..<2 {
        #expect(
          card.parameters.values[slot.offset + element] == all[element].candidates[1])
      }
      #expect(card.parameters.values[slot.offset + 2] == parameters.values[slot.offset + 2])
    }
    #expect(fake.isEmpty && fake.faults.isEmpty, "\(fake.faults)")
  }

  /// Outputs need memory, which is known before.
  @Test func memoryIsKnownBefore() throws {
    let network = try Self.networks[0]()
    let data = try Self.data(network)
    let parameters = Parameters(initialFor: network, seed: 3)
    let objective = try Objective(Loss("macro-f1"), data: data, classes: network.classes)
    let fake = FakeCUDA()
    let card = try fake.engine(
      network: network, data: data, parameters: parameters, objective: objective)
    let before = fake.used
    for (index, slot) in parameters.slots.enumerated() {
      try card.beginSweep(of: index, order: Self.order(data))
      _ = try card.judge(Self.proposals(slot, parameters, count: min(slot.count, 2))[...])
    }
    let folded = network.foldingAveragePools()
    func need(_ loss: CUDALoss) -> Int {
      CUDANeed(
        network: folded, batchSize: Self.batchSize, batches: 2, samples: data.train.count,
        candidates: 3, loss: loss
      ).total
    }
    #expect(fake.used == before + need(CUDALoss(objective)))
    #expect(fake.faults.isEmpty, "\(fake.faults)")
    // Where a mini-batch needs more than an evaluation does, it grows by the outputs of three candidates.
    let wide = try Self.networks[1]()
    func large(_ loss: CUDALoss) -> Int {
      CUDANeed(
        network: wide, batchSize: 8000, batches: 1, samples: 8000, candidates: 3, loss: loss,
        mostTogether: 1
      ).work
    }
    #expect(large(CUDALoss(objective)) - large(CUDALoss()) >= 3 * 8000 * wide.classes * 4)
  }
}
