import CRSO
import Foundation
import Testing

@testable import RSO

/// `CUDAEngine` with its kernels on the CPU. That it computes the reference's losses is in `EngineConformanceTests` and
/// `RandomNetworkTests`; here is what is its own.
@Suite struct CUDAEngineTests {
  static let batchSize = 21

  private func network(_ index: Int = 5) throws -> Network { try Sample.networks[index].network() }

  private func data(_ network: Network, batches: Int = 3) throws -> Dataset {
    try Sample.dataset(
      network.input, classes: network.classes, train: batches * Self.batchSize, test: 30)
  }

  private func order(_ data: Dataset, batchSize: Int = batchSize) -> SampleOrder {
    SampleOrder((0..<Int32(data.train.count)).reversed(), batchSize: batchSize)
  }

  /// Every element of a tensor on one mini-batch after another.
  private func proposals(
    _ slot: Parameters.Slot, _ parameters: Parameters, batches: Int
  ) -> [Proposal] {
    (0..<slot.count).map {
      CandidateComparison.proposal($0, slot, tensor: 1, batch: $0 % batches, parameters)
    }
  }

  /// Losses of a whole search's sweeps, and the weights after them.
  private func search(
    _ fake: FakeCUDA, _ network: Network, _ data: Dataset, runLength: Int
  ) throws -> (losses: [ShortList<Double>], weights: [UInt32], test: Evaluation) {
    let parameters = Parameters(initialFor: network, seed: 3)
    let engine = try fake.engine(network: network, data: data, parameters: parameters)
    let order = order(data)
    var losses: [ShortList<Double>] = []
    for (index, slot) in parameters.slots.enumerated().reversed() {
      try engine.beginSweep(of: index, order: order)
      let all = proposals(slot, engine.parameters, batches: order.batches).prefix(40)
      for start in stride(from: 0, to: all.count, by: runLength) {
        losses += try engine.judge(all[start..<min(start + runLength, all.count)]).map(\.losses)
      }
    }
    return (losses, engine.parameters.values.map(\.bitPattern), try engine.evaluate(.test))
  }

  /// A card's grid is too small for them, which is said before any work.
  @Test func samplesAreNotTooLarge() throws {
    func text(_ network: Network) throws -> String? {
      let split = try Split(
        images: [UInt8](repeating: 1, count: network.input.count), labels: [0], shape: network.input
      )
      let data = try Dataset(name: "d", train: split, test: split)
      let parameters = Parameters(zerosFor: network)
      return errorText {
        _ = try FakeCUDA().engine(network: network, data: data, parameters: parameters)
      }
    }
    let hint = "(use --device cpu, which has no such limit)"
    #expect(try text(.table(features: 65535, classes: 2)) == nil)
    #expect(
      try text(.table(features: 65536, classes: 2))?.hasSuffix(
        "input: expected at most 65535 channels of 262140 values, found 65536 \(hint)") == true)
    let wide = try Network(input: Shape(channels: 1, height: 512, width: 512)) {
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 2)
    }
    #expect(
      try text(wide)?.hasSuffix(
        "input: expected at most 65535 channels of 262140 values, found 1×512×512 \(hint)") == true)
  }

  /// Validation images, more of them than there are others, are evaluated as they would be as test images.
  @Test func validationImages() throws {
    let network = try network()
    let data = try data(network)
    let held = try data.holdingOut(40)
    let other = try Dataset(
      name: "other", train: held.train, test: #require(held.validation), classes: data.classes)
    let parameters = Parameters(initialFor: network, seed: 3)
    let fake = FakeCUDA()
    let (one, two) = try (
      fake.engine(network: network, data: held, parameters: parameters),
      fake.engine(network: network, data: other, parameters: parameters)
    )
    #expect(try one.evaluate(.validation) == two.evaluate(.test))
    #expect(try one.evaluate(.test).count == 30 && one.evaluate(.train).count == 23)
    #expect(errorText { _ = try two.evaluate(.validation) }?.hasPrefix("`validation`: ") == true)
    #expect(fake.faults.isEmpty, "\(fake.faults)")
  }

  /// A run judged without the host has the bits of one proposal after another, and they do not depend on the order in
  /// which a card takes blocks and threads.
  @Test func runsAndTheOrderOfThreadsChangeNoBit() throws {
    let network = try network()
    let data = try data(network)
    let one = try search(FakeCUDA(), network, data, runLength: 1)
    let fake = FakeCUDA()
    fake.isBackwards = true
    let many = try search(fake, network, data, runLength: 40)
    #expect(one.losses == many.losses)
    #expect(one.weights == many.weights)
    #expect(one.test == many.test)
    #expect(fake.isEmpty && fake.faults.isEmpty, "\(fake.faults)")
    // Every proposal is judged once, and every run begun once.
    let runs = Parameters(zerosFor: network).slots.count
    #expect(fake.launched["start"] == runs)
    let decided = ["cross_entropy", "classify"].compactMap { fake.launched[$0] }.reduce(0, +)
    // One, or one for each candidate if they are branches; the evaluation of the test set takes one more.
    let expected = Parameters(zerosFor: network).slots.reduce(1) { sum, slot in
      let plan = SweepPlan(network: network, sweeping: slot.node)
      let isDeep = network.nodes.indices.contains {
        plan.roles[$0] == .whole && network.nodes[$0].layer.mixesChannels
          && network.shapes[$0 + 1].area > 1
      }
      return sum + min(slot.count, 40) * (isDeep ? 3 : 1)
    }
    #expect(decided == expected)
  }

  /// A channel's worth of proposals is one run: nothing is waited for between its first and its last, turns in a row are
  /// one graph, and each turn ends with its decision.
  @Test func aRunIsAskedForAsAWholeAndInOrder() throws {
    let network = try Network.paper(
      layers: 6, input: Shape(channels: 1, height: 8, width: 8), classes: 10)
    let data = try data(network)
    let parameters = Parameters(initialFor: network, seed: 3)
    let fake = FakeCUDA()
    let engine = try fake.engine(network: network, data: data, parameters: parameters)
    let order = order(data)
    let index = try #require(parameters.slot(named: "conv5.weight"))
    let slot = parameters.slots[index]
    #expect(engine.runLength(of: index) >= slot.elementsPerChannel)
    try engine.beginSweep(of: index, order: order)
    let all = proposals(slot, parameters, batches: order.batches)
    let (calls, launched) = (fake.calls.count, fake.sequence.count)
    _ = try engine.judge(all[..<slot.elementsPerChannel])
    let asked = Array(fake.calls[calls...])
    // Copies to the card come first and each is waited for, then work, then one copy back.
    let first = try #require(asked.firstIndex(of: "cuLaunchKernel"))
    let work = asked[first...].prefix { $0 == "cuLaunchKernel" || $0 == "cuGraphLaunch" }
    #expect(asked[(first + work.count)...] == ["cuMemcpyDtoHAsync", "cuStreamSynchronize"])
    // The first turn of each of the three mini-batches needs its rest, and the last of them takes as many turns along
    // as make whole graphs of sixteen, and single ones.
    let behind = slot.elementsPerChannel - 2
    #expect(work.count { $0 == "cuGraphLaunch" } == 2 + behind / 16 + behind % 16)

    let turn = ["shift_add", "settle", "pool_images", "convolve16_1", "cross_entropy"]
    let sequence = Array(fake.sequence[launched...])
    #expect(sequence[0] == "start")
    #expect(sequence.count { $0 == "cross_entropy" } == slot.elementsPerChannel)
    let turns = Array(sequence.suffix(turn.count * behind)) == (0..<behind).flatMap { _ in turn }
    #expect(turns, "\(sequence.suffix(turn.count))")
    let rest = ["pack", "tile4", "rows", "rows", "settle", "pool_images", "convolve16_1", "copy"]
    #expect(Array(sequence[1..<1 + rest.count]) == rest)
  }

  /// With TF32, factors of whole layers have 11 bits, and only those.
  @Test func precision() throws {
    let network = try Network.paper(
      layers: 6, input: Shape(channels: 1, height: 16, width: 16), classes: 10)
    let data = try data(network)
    let parameters = Parameters(initialFor: network, seed: 3)
    func losses(_ precision: CUDAPrecision, _ tensor: String) throws -> ([Double], Set<String>) {
      let fake = FakeCUDA()
      let engine = try fake.engine(
        network: network, data: data, parameters: parameters, precision: precision)
      let index = try #require(parameters.slot(named: tensor))
      try engine.beginSweep(of: index, order: order(data))
      let launched = fake.sequence.count
      let proposal = proposals(parameters.slots[index], parameters, batches: 1)[..<1]
      let found = try engine.judge(proposal).flatMap(\.losses)
      return (found, Set(fake.sequence[launched...]))
    }
    let (exact, kernels) = try losses(.fp32, "conv1.weight")
    let (rounded, others) = try losses(.tf32, "conv1.weight")
    #expect(kernels.contains("matrix7") && kernels.contains("matrix7_box"))
    #expect(others.contains("matrix7_tf32") && others.contains("matrix7_box_tf32"))
    #expect(!others.contains("matrix7") && !kernels.contains("matrix7_tf32"))
    for (a, b) in zip(exact, rounded) {
      #expect(a != b && abs(a - b) < 0.01 * abs(a), "\(a), \(b)")
    }
    // Nothing is whole above the last convolution.
    #expect(try losses(.fp32, "conv5.weight").0 == losses(.tf32, "conv5.weight").0)
  }

  /// More proposals than the lists on the card hold, and other numbers of candidates.
  @Test func longRunsAndOtherCandidates() throws {
    let network = try network(3)
    let data = try data(network)
    let parameters = Parameters(initialFor: network, seed: 3)
    var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    let fake = FakeCUDA()
    let engine = try fake.engine(network: network, data: data, parameters: parameters)
    let order = order(data)
    let index = try #require(parameters.slot(named: "fc0.weight"))
    try engine.beginSweep(of: index, order: order)
    try reference.beginSweep(of: index, order: order)
    var all = proposals(parameters.slots[index], parameters, batches: order.batches)
    for i in all.indices { all[i].candidates = [0, all[i].candidates[1]] }
    #expect(all.count > 256)
    let found = try engine.judge(all[...])
    #expect(found.count == all.count && found.allSatisfy { $0.losses.count == 2 })
    for (a, b) in zip(try reference.judge(all[..<30]), found) {
      for (x, y) in zip(a.losses, b.losses) { #expect(abs(x - y) < 1e-4 * x) }
      #expect(a.choice == b.choice)
    }
    all[0].candidates.append(1)
    #expect(throws: RSOError.self) { try engine.judge(all[..<1]) }
    all[0].candidates = []
    #expect(throws: RSOError.self) { try engine.judge(all[..<1]) }
  }

  /// A mini-batch of more blocks of losses than the decision has threads for each candidate.
  @Test func manyBlocksOfLosses() throws {
    let network = try network(3)
    let size = 33 * rso_gpu_loss_samples
    let data = try Sample.dataset(network.input, classes: network.classes, train: size, test: 1)
    let parameters = Parameters(initialFor: network, seed: 3)
    var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    let engine = try FakeCUDA().engine(network: network, data: data, parameters: parameters)
    let order = order(data, batchSize: size)
    let index = try #require(parameters.slot(named: "fc0.weight"))
    try engine.beginSweep(of: index, order: order)
    try reference.beginSweep(of: index, order: order)
    let all = proposals(parameters.slots[index], parameters, batches: 1)[..<2]
    for (a, b) in zip(try reference.judge(all), try engine.judge(all)) {
      for (x, y) in zip(a.losses, b.losses) { #expect(abs(x - y) < 1e-4 * x) }
      #expect(a.choice == b.choice)
    }
  }

  @Test func aNaNEndsTheSweepAndKeepsWhatWasDecided() throws {
    let network = try network(3)
    let data = try data(network)
    let parameters = Parameters(initialFor: network, seed: 3)
    let engine = try FakeCUDA().engine(network: network, data: data, parameters: parameters)
    let order = order(data)
    let index = parameters.slots.count - 2
    let slot = parameters.slots[index]
    var all = proposals(slot, parameters, batches: order.batches)
    // Infinite where it is not the kept value: a loss like any other that is not the smallest.
    all[1].candidates = [all[1].candidates[0], .nan, 5]
    all[2].candidates[0] = .nan
    try engine.beginSweep(of: index, order: order)
    #expect {
      try engine.judge(all[..<5])
    } throws: { "\($0)".hasPrefix("\(slot.name)[2]: the loss of the value it has is NaN") }
    for element in 0..<2 {
      #expect(all[element].candidates.contains(engine.parameters.values[slot.offset + element]))
    }
    #expect(engine.parameters.values[slot.offset + 2] == parameters.values[slot.offset + 2])
    #expect(throws: RSOError.self) { try engine.judge(all[3..<4]) }
    // A new sweep goes on.
    try engine.beginSweep(of: index, order: order)
    #expect(try engine.judge(all[3..<4]).count == 1)
  }

  /// What does not fit is said before any of it is asked for, with a mini-batch that does fit.
  @Test func whatDoesNotFitIsKnownBefore() throws {
    // Without pooling, so that three candidates need more room than an evaluation does.
    let network = try Network(input: Shape(channels: 1, height: 8, width: 8)) {
      for index in 0..<3 {
        Node.conv2d("conv\(index)", channels: 16, kernel: 3, padding: 1)
        Node.batchNorm("bn\(index)")
        Node.relu("relu\(index)")
      }
      Node.globalMaxPool("gmp")
      Node.linear("fc", features: 10)
    }
    let data = try Sample.dataset(network.input, classes: 10, train: 1000)
    let parameters = Parameters(initialFor: network, seed: 3)
    let fake = FakeCUDA()
    let engine = try fake.engine(network: network, data: data, parameters: parameters)
    let before = fake.used
    let all = CUDANeed(
      network: network.foldingAveragePools(), batchSize: 1000, batches: 1, samples: 1000,
      candidates: 3, mostTogether: 1)
    let least = CUDANeed(
      network: network.foldingAveragePools(), batchSize: 40, batches: 25, samples: 1000,
      candidates: 3, mostTogether: 1)
    #expect(least.total < all.total)
    fake.memory = before + (all.total + least.total) / 2
    do {
      try engine.beginSweep(of: 0, order: order(data, batchSize: 1000))
      Issue.record("it fits")
    } catch {
      let text = "\(error)"
      #expect(
        text.hasPrefix(
          "cuda:0: `batchSize` 1000: expected \(megabytes(all.total)) of the card's memory, found ")
      )
      let batch = try #require(text.split(separator: " ").compactMap { Int($0) }.last)
      #expect(
        (1..<1000).contains(batch) && text.hasSuffix("(`batchSize` \(batch) fits)"), "\(text)")
      #expect(fake.used == before)
      try engine.beginSweep(of: 0, order: order(data, batchSize: batch))
      _ = try engine.judge(
        proposals(parameters.slots[0], parameters, batches: 1000 / batch).prefix(3))
      // Nothing more was asked for than was said. There is no room for groups.
      let need = CUDANeed(
        network: network.foldingAveragePools(), batchSize: batch, batches: 1000 / batch,
        samples: 1000, candidates: 3, mostTogether: 1)
      #expect(fake.used == before + need.total)
    }
    fake.memory = before + 1000
    #expect {
      try engine.beginSweep(of: 0, order: order(data, batchSize: 999))
    } throws: {
      "\($0)".hasSuffix(
        "(no `batchSize` fits: use fewer samples with `trainLimit`, or a larger card)")
    }
  }

  /// Every kind of call fails once in the middle of a sweep: the error names it, and everything is given back.
  @Test(arguments: [
    "cuMemAlloc", "cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuLaunchKernel", "cuGraphLaunch",
    "cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate", "cuModuleLoadData",
    "cuModuleGetFunction", "cuStreamSynchronize", "cuMemsetD8Async", "cuMemGetInfo",
  ])
  func whateverFailsIsNamedAndNothingStays(call: String) throws {
    let network = try network(3)
    let data = try data(network)
    let parameters = Parameters(initialFor: network, seed: 3)
    let order = order(data)
    let all = proposals(parameters.slots[0], parameters, batches: order.batches)
    // Early, and where a sweep is on.
    for later in [false, true] {
      let fake = FakeCUDA()
      do {
        if !later { fake.failures = [call: 700] }
        let engine = try fake.engine(network: network, data: data, parameters: parameters)
        try engine.beginSweep(of: 0, order: order)
        fake.failures = [call: 700]
        _ = try engine.judge(all[...])
        try engine.beginSweep(of: 1, order: order)
        // A second sweep has all the memory it needs.
        let isMemory = ["cuMemAlloc", "cuMemGetInfo", "cuMemsetD8Async"].contains(call)
        #expect(later && (isMemory || call.hasPrefix("cuModule")), "\(call)")
      } catch {
        let text = "\(error)"
        #expect(text.hasPrefix("cuda:0: \(call)") && text.contains("ILLEGAL_ADDRESS"), "\(text)")
      }
      #expect(fake.isEmpty && fake.faults.isEmpty, "\(call): \(fake.faults)")
    }
  }
}
