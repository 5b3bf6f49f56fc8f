import Testing

@testable import RSO

/// Costs against numbers computed by hand.
@Suite struct CostModelTests {
  static func mnist(_ change: (inout SearchSettings) -> Void = { _ in }) throws -> CostModel {
    var settings = SearchSettings()
    change(&settings)
    return CostModel(network: try .mnist(), settings: settings, train: 60_000, test: 10_000)
  }

  /// Multiply-adds of one candidate on one image. A 3×3 convolution of 16 to 16 channels costs 2304 per
  /// position and 144 for one input channel; pooling leaves conv1 and conv3 a quarter of the positions.
  @Test func perImage() throws {
    let model = try Self.mnist()
    func cost(_ name: String) -> Int? { model.sweeps.first { $0.parameter == name }?.perImage }
    let (large, small) = (14 * 14, 7 * 7)
    let upper = 2304 * small
    #expect(cost("fc.weight") == 1)
    // conv5's channel at 49 positions, then fc for one input.
    #expect(cost("conv5.weight") == small + 10)
    #expect(cost("conv4.weight") == small + 144 * small + 160)
    #expect(cost("conv3.weight") == small + 144 * small + upper + 160)
    #expect(cost("conv2.weight") == large + 144 * small + 2 * upper + 160)
    #expect(cost("conv1.weight") == large + 144 * large + 3 * upper + 160)
    #expect(cost("conv0.weight") == 784 + 144 * large + 2304 * large + 3 * upper + 160)
    // γ and β have no tap of their own.
    #expect(cost("bn0.weight") == 144 * large + 2304 * large + 3 * upper + 160)
    #expect(cost("bn5.bias") == 10)
  }

  /// The sum over all elements: 1.84 G × 3 per image and cycle.
  @Test func theMethodsFigure() throws {
    let model = try Self.mnist()
    let perImage = model.sweeps.reduce(0) { $0 + $1.proposals * $1.perImage }
    #expect((1_835_000_000..<1_850_000_000).contains(perImage))
    #expect(model.judging == perImage * 3 * 5000)
    #expect(model.sweeps.reduce(0) { $0 + $1.proposals } == 12_016)
    for sweep in model.sweeps { #expect(sweep.candidates == 3 * sweep.proposals) }
  }

  /// CIFAR-10: about 74 G × 3 where no pooling is folded, and none is: an `add` stands before each.
  @Test func nineBlocks() throws {
    let model = CostModel(
      network: try SweepPlanTests.nineBlocks(), settings: SearchSettings(), train: 50_000,
      test: 10_000)
    let perImage = model.sweeps.reduce(0) { $0 + $1.proposals * $1.perImage }
    #expect((73_000_000_000..<77_000_000_000).contains(perImage))
  }

  /// A held proposal computes two candidates, and a channel of conv1 has 144 elements.
  @Test func heldProposals() throws {
    let model = try Self.mnist { $0.hold = .channel }
    let sweep = try #require(model.sweeps.first { $0.parameter == "conv1.weight" })
    #expect(sweep.candidates == 2 * 2304 + 16)
    #expect(sweep.judging == sweep.candidates * 5000 * sweep.perImage)
    // β has one element a channel.
    let bias = try #require(model.sweeps.first { $0.parameter == "bn1.bias" })
    #expect(bias.candidates == 3 * 16)
    #expect(model.judging < (try Self.mnist()).judging * 70 / 100)
  }

  /// The cache is paid for by the first tensor of a group, the evaluation by each.
  @Test func cacheAndEvaluation() throws {
    let model = try Self.mnist { $0.batchSize = 7000 }
    let forward = 28 * 28 * 144 + (2 * 14 * 14 + 3 * 7 * 7) * 2304 + 160
    for sweep in model.sweeps { #expect(sweep.evaluation == 12_000 * forward) }
    func cache(_ name: String) -> Int? { model.sweeps.first { $0.parameter == name }?.cache }
    // Eight mini-batches of 7000 are 56,000 samples.
    #expect(cache("conv0.weight") == 2000 * forward)
    #expect(cache("bn0.weight") == 0)
    #expect(cache("bn0.bias") == 0)
    #expect(cache("conv1.weight") == 56_000 * 784 * 144 + 2000 * forward)
    #expect(cache("conv2.weight") == 56_000 * (784 * 144 + 196 * 2304) + 2000 * forward)
    #expect(cache("fc.weight") == 56_000 * (forward - 160) + 2000 * forward)
    #expect(
      model.total == model.sweeps.reduce(0) { $0 + $1.total }
        && model.total > model.judging)
    // On held mini-batches, a sweep uses 2304 / 144 = 16 of 600 of them.
    let held = try Self.mnist { ($0.batchSize, $0.hold) = (100, .channel) }
    let conv2 = try #require(held.sweeps.first { $0.parameter == "conv2.weight" })
    #expect(conv2.cache == 1600 * (784 * 144 + 196 * 2304) + 2000 * forward)
    // A second round has a cache of its own.
    let twice = try Self.mnist { $0.sweeps = ["fc": 2] }
    #expect(twice.sweeps.filter { $0.parameter == "fc.weight" && $0.cache > 0 }.count == 2)
  }

  // MARK: Upkeep of the rests

  /// conv4 on one mini-batch and on as many as there are elements.
  @Test func upkeepOfASweep() throws {
    let network = try Network.mnist().foldingAveragePools()
    let slots = Parameters(zerosFor: network).slots
    let slot = try #require(slots.first { $0.name == "conv4.weight" })
    let cost = TensorCost(network: network, slot: slot)
    let channel = 144 * 49
    #expect(cost.upkeep(.fresh(16)) == 16 * channel + 15 * channel)
    #expect(cost.upkeep(.costing(signs: [1, -1, 0])) == 3 * channel + 2 * channel)
    #expect(cost.upkeep(.costing(changes: 12)) == 12 * 49)
    func upkeep(_ batches: Int, hold: SearchSettings.Hold = .elements(1)) -> Int {
      cost.upkeep(Turns(hold, of: slot, batches: batches))
    }
    // One mini-batch: made once; 15 times another channel; and each other time one change.
    #expect(
      upkeep(1) == 31 * channel + 15 * 4 * channel + (2304 - 16) * 49)
    // A mini-batch that is seen once needs its rest once.
    #expect(upkeep(2304) == 2304 * 31 * channel)
    #expect(upkeep(5000) == 2304 * 31 * channel)
    // A channel on each mini-batch: made anew for every channel, and one change for every other element.
    let held = upkeep(16, hold: .channel)
    #expect(held == 16 * 31 * channel + (2304 - 16) * 49)
    #expect(upkeep(16, hold: .elements(144)) == held)
    // In rounds of a channel nothing is made up for: the rest has moved on when its decisions come.
    let turns = Turns(.channel, round: .channel, of: slot, batches: 16)
    #expect(cost.upkeep(turns) == 16 * 31 * channel)
  }

  // MARK: Memory

  /// Batch 5000 in 313 blocks of 16, twelve mini-batches: the cache of conv1 is its pooled input, 16
  /// channels of 29×29.
  @Test func memory() throws {
    let model = try Self.mnist()
    func memory(_ name: String) throws -> Int {
      try #require(model.sweeps.first { $0.parameter == name }).memory
    }
    let block = 313 * 12 * 16 * 4
    let cache = (16 * 29 * 29 + 1) * block
    let kept = (16 * 14 * 14 + 1) * block + (14 * 14 + 1) * block
    #expect(try memory("conv1.weight") > cache + kept)
    #expect(try memory("conv1.weight") < cache + kept + 500_000_000)
    #expect(model.dataMemory == 70_000 * (2 * 784 + 4))
    // The prototype needed 5.07 GB; the job allows 6.
    #expect((4_000_000_000..<6_000_000_000).contains(model.memory))
    // Less with smaller mini-batches only in what one of them needs.
    let small = try Self.mnist { $0.batchSize = 500 }
    #expect(small.memory < model.memory && small.memory > cache)
  }
}
