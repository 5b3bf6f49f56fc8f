import CRSO
import Testing

@testable import RSO

/// Proposals whose first candidate's loss is not computed on a card: it is known from the decision before, or the rule does
/// without it.
@Suite struct CUDACandidateTests {
  private static let batchSize = 11

  /// Candidates as branches of a graph; all together; depthwise and swept maps; a mini-batch that the host judges.
  static let networks: [@Sendable () throws -> Network] = [
    {
      try Network(input: Shape(channels: 1, height: 6, width: 5)) {
        Node.conv2d("conv0", channels: 3, kernel: 3, padding: 1)
        Node.batchNorm("bn0")
        Node.relu("relu0")
        Node.conv2d("conv1", channels: 16, kernel: 3, padding: 1)
        Node.batchNorm("bn1")
        Node.relu("relu1")
        Node.conv2d("conv2", channels: 16, kernel: 3, padding: 1)
        Node.batchNorm("bn2")
        Node.globalMaxPool("gmp")
        Node.linear("fc", features: 5, bias: true)
      }
    },
    {
      try Network(input: Shape(channels: 2, height: 5, width: 4)) {
        Node.depthwiseConv2d("depth", kernel: 3, padding: 1, bias: true)
        Node.batchNorm("bn")
        Node.conv2d("point", channels: 4, kernel: 1)
        Node.relu("relu")
        Node.flatten("flat")
        Node.linear("fc", features: 3)
      }
    },
  ]

  private struct Judged {
    var decisions: [Decision]
    var parameters: Parameters
    /// Kernels of losses, with their grids: samples and candidates.
    var losses: [[UInt32]]
    var graphs: Int
  }

  /// Judges a tensor's first elements, each four on the same mini-batch.
  private func judge(
    _ network: Network, tensor: Int, rule: Rule, loss: String = "cross-entropy", length: Int,
    runLength: Int = .max, isBackwards: Bool = false, baseline: (Int) -> Proposal.Baseline
  ) throws -> Judged {
    let data = try Sample.dataset(
      network.input, classes: network.classes, train: 3 * Self.batchSize, test: 5)
    let parameters = Parameters(initialFor: network, seed: 3)
    let fake = FakeCUDA()
    fake.isBackwards = isBackwards
    let engine = try fake.engine(
      network: network, data: data, parameters: parameters,
      objective: Objective(Loss(loss), data: data, classes: network.classes))
    let order = SampleOrder((0..<Int32(data.train.count)).reversed(), batchSize: Self.batchSize)
    try engine.beginSweep(of: tensor, order: order)
    let slot = parameters.slots[tensor]
    let all = (0..<min(slot.count, length)).map { turn in
      var proposal = CandidateComparison.proposal(
        turn, slot, tensor: tensor, batch: turn / 4 % 3, baseline: .known, parameters)
      proposal.baseline = baseline(turn)
      return proposal
    }
    var sweepRule = SweepRule(rule, width: 0.1, cycle: 0, of: 1)
    var decisions: [Decision] = []
    let before = (fake.calls.count, fake.ran.count)
    var rest = all[...]
    while !rest.isEmpty {
      decisions += try engine.judge(rest.prefix(runLength), by: &sweepRule)
      rest = rest.dropFirst(min(runLength, rest.count))
    }
    #expect(fake.faults.isEmpty, "\(fake.faults)")
    let names = ["cross_entropy", "classify", "sample_losses", "classify_losses"]
    return Judged(
      decisions: decisions, parameters: engine.parameters,
      losses: fake.ran[before.1...].filter { names.contains($0.name) }.map(\.grid),
      graphs: fake.calls[before.0...].count { $0 == "cuGraphLaunch" })
  }

  /// `slope` needs the first loss once in sixteen proposals. Without it, what else is computed has the bits of three
  /// candidates, and so have the weights: the rule is given none of what was left out.
  @Test(arguments: networks.indices, ["cross-entropy", "0.5 hinge + errors", "macro-f1"])
  func lossesThatTheRuleDoesNotNeed(index: Int, loss: String) throws {
    let network = try Self.networks[index]()
    for tensor in Parameters(zerosFor: network).slots.indices {
      func judge(_ runLength: Int, _ isBackwards: Bool) throws -> Judged {
        try self.judge(
          network, tensor: tensor, rule: .slope(), loss: loss, length: 21, runLength: runLength,
          isBackwards: isBackwards
        ) { $0 % 16 == 0 ? .computed : .unused }
      }
      let (two, again) = try (judge(.max, false), judge(3, true))
      #expect(two.parameters == again.parameters)
      // With everything computed, one proposal at a time from the same weights.
      for (turn, decision) in two.decisions.enumerated() {
        #expect(decision.losses[0].isNaN == (turn % 16 != 0))
        #expect(decision.losses.count == 3)
      }
      let three = try self.judge(
        network, tensor: tensor, rule: .slope(), loss: loss, length: 1
      ) { _ in .computed }
      #expect(three.decisions[0] == two.decisions[0])
      // From the same weights as the second of two.
      let second = try self.judge(
        network, tensor: tensor, rule: .slope(), loss: loss, length: 2
      ) { _ in .computed }
      if two.decisions.count > 1 {
        #expect(Array(second.decisions[1].losses)[1...] == Array(two.decisions[1].losses)[1...])
      }
      let candidates = Set(two.losses.map { $0[1] })
      let isBranched = candidates == [1]
      #expect(isBranched || two.decisions.count < 2 || candidates == [2, 3], "\(candidates)")
      let computed = two.losses.reduce(0) { $0 + Int($1[1]) }
      let whole = (two.decisions.count + 15) / 16
      #expect(computed == 2 * two.decisions.count + whole)
    }
  }

  /// While a mini-batch is held, the loss of the value is that of the decision before, as on the CPU.
  @Test(arguments: networks.indices, ["cross-entropy", "macro-f1"])
  func knownLosses(index: Int, loss: String) throws {
    let network = try Self.networks[index]()
    for (tensor, slot) in Parameters(zerosFor: network).slots.enumerated() {
      func judge(_ runLength: Int, _ known: Proposal.Baseline = .known) throws -> Judged {
        try self.judge(
          network, tensor: tensor, rule: .best, loss: loss, length: 12, runLength: runLength
        ) { $0 % 4 == 0 ? .computed : known }
      }
      let (two, again, three) = try (judge(.max), judge(5), judge(.max, .computed))
      #expect(two.decisions == again.decisions && two.parameters == again.parameters)
      for (turn, (decision, before)) in zip(two.decisions.dropFirst(), two.decisions).enumerated()
      where (turn + 1) % 4 != 0 {
        #expect(decision.losses[0] == before.losses[before.choice], "\(slot.name)[\(turn)]")
      }
      for (turn, (a, b)) in zip(two.decisions, three.decisions).enumerated() {
        // Computed again, a loss is rounded differently; the others have the same bits.
        #expect(abs(a.losses[0] - b.losses[0]) <= 1e-5 * abs(b.losses[0]), "\(slot.name)[\(turn)]")
        #expect(Array(a.losses)[1...] == Array(b.losses)[1...], "\(slot.name)[\(turn)]")
        guard a.choice == b.choice else { break }
      }
      let computed = two.losses.reduce(0) { $0 + Int($1[1]) }
      let firsts = (two.decisions.count + 3) / 4
      #expect(computed == 2 * two.decisions.count + firsts)
      #expect(three.losses.reduce(0) { $0 + Int($1[1]) } == 3 * three.decisions.count)
    }
  }

  /// A sweep's first proposal, and one after a round, has no loss to take over: it is computed.
  @Test func nothingIsKnownAtFirst() throws {
    let network = try Self.networks[0]()
    let tensor = Parameters(zerosFor: network).slots.count - 2
    let first = try judge(network, tensor: tensor, rule: .best, length: 1) { _ in .known }
    let computed = try judge(network, tensor: tensor, rule: .best, length: 1) { _ in .computed }
    #expect(first.decisions == computed.decisions)
    // A step ends anywhere; its loss was not computed.
    let step = try judge(network, tensor: tensor, rule: .parabola(), length: 3) { _ in .known }
    let steps = try judge(network, tensor: tensor, rule: .parabola(), length: 3) { _ in .computed }
    #expect(step.decisions == steps.decisions)
  }

  /// Binary weights have two candidates, and one to compute while a mini-batch is held.
  @Test func binaryWeights() throws {
    let network = try Self.networks[0]().settingWeights(to: .binary)
    for name in ["conv0.weight", "fc.weight"] {
      let parameters = Parameters(initialFor: network, seed: 3)
      let tensor = try #require(parameters.slot(named: name))
      let two = try judge(network, tensor: tensor, rule: .best, length: 12) {
        $0 % 4 == 0 ? .computed : .known
      }
      let all = try judge(network, tensor: tensor, rule: .best, length: 12) { _ in .computed }
      #expect(two.decisions[0] == all.decisions[0])
      #expect(two.decisions.allSatisfy { $0.losses.count == 2 })
      for (a, b) in zip(two.decisions, all.decisions) {
        #expect(a.losses[1] == b.losses[1])
        guard a.choice == b.choice else { break }
      }
      #expect(two.losses.reduce(0) { $0 + Int($1[1]) } == 12 + 3)
    }
  }

  /// Turns in a row are graphs: of all candidates, and of those that are left.
  @Test func graphs() throws {
    let network = try Network(input: Shape(channels: 40, height: 1, width: 1)) {
      Node.flatten("flat")
      Node.linear("fc", features: 2)
    }
    func graphs(_ baseline: (Int) -> Proposal.Baseline) throws -> Int {
      try judge(network, tensor: 0, rule: .slope(), length: 40, baseline: baseline).graphs
    }
    // Turns 0, 4 and 8 bring a new mini-batch: 4 + 4 + 2 · 16 turns.
    #expect(try graphs { _ in .computed } == 4 + 4 + 2)
    // 1 + 3 + 4 + 8 (as 5 + 1 + 1 + 1), 1 + 15, 1 + 7 (as 5 + 1 + 1).
    #expect(try graphs { $0 % 16 == 0 ? .computed : .unused } == 1 + 3 + 4 + 4 + 1 + 1 + 1 + 3)
  }
}
