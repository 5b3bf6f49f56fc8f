import CRSO
import CUDAHost
import Testing

@testable import RSO

/// Sums over samples: the tree as it is defined, and the same bits for any number of ranks.
@Suite struct ReductionTests {
  /// The definition, top down: the first half is the largest power of two below the number of chunks.
  static func tree(_ chunks: ArraySlice<Double>) -> Double {
    if chunks.count == 1 { return chunks[chunks.startIndex] }
    var half = 1
    while 2 * half < chunks.count { half *= 2 }
    let middle = chunks.startIndex + half
    return tree(chunks[..<middle]) + tree(chunks[middle...])
  }

  /// Numbers whose sum depends on the order of the additions.
  static func numbers(_ count: Int, seed: UInt64) -> [Double] {
    (0..<count).map {
      let a = Philox(seed: seed).normal(.initialisation, cycle: 0, tensor: 0, element: $0)
      return a * (($0 % 7 == 0) ? 1e6 : 1)
    }
  }

  static func sum(_ reduction: Reduction, _ numbers: [Double], width: Int) throws -> [Double] {
    let chunks = numbers.count / width
    let share = reduction.share(of: chunks)
    var own = Array(numbers[share.lowerBound * width..<share.upperBound * width])
    if own.isEmpty { own = Array(repeating: .nan, count: width) }
    try own.withUnsafeMutableBufferPointer { own in
      guard let first = own.baseAddress else { return }
      try reduction.sum(first, chunks: chunks, width: width)
    }
    return Array(own[..<width])
  }

  @Test(arguments: Array(1...20) + [31, 32, 33, 105, 1000])
  func theTree(chunks: Int) throws {
    let width = 3
    let numbers = Self.numbers(chunks * width, seed: UInt64(chunks))
    let expected = (0..<width).map { column in
      Self.tree((0..<chunks).map { numbers[$0 * width + column] }[...])
    }
    #expect(try Self.sum(.alone, numbers, width: width) == expected)
    // The order matters, or this would show nothing.
    if chunks == 1000 {
      let inOrder = stride(from: 0, to: numbers.count, by: width).reduce(0) { $0 + numbers[$1] }
      #expect(expected[0] != inOrder)
    }
    for ranks in [2, 3, 5] {
      let found = try FakeRanks(ranks).run { try Self.sum($0, numbers, width: width) }
      for sums in found { #expect(sums == expected, "\(ranks) ranks") }
    }
  }

  /// Every chunk has one owner.
  @Test func shares() {
    for chunks in 0..<40 {
      for ranks in 1...7 {
        let shares = (0..<ranks).map {
          Reduction(rank: $0, of: ranks) { _ in [] }.share(of: chunks)
        }
        #expect(shares.flatMap { Array($0) } == Array(0..<chunks))
      }
    }
  }

  /// The card's kernel adds up the chunks of batch norm's sums in the same tree, in whatever order its threads run.
  @Test(arguments: [1, 2, 5, 100, 255, 256, 257, 957, 3000], [false, true])
  func theCardsTree(chunks: Int, isBackwards: Bool) throws {
    let numbers = Self.numbers(2 * chunks, seed: UInt64(chunks))
    let expected = try Self.sum(.alone, numbers, width: 2)
    let partial = try Buffer(numbers)
    let turn = try Buffer<rso_gpu_turn>(1)
    let moments = try Buffer<Double>(2)
    let one = try Buffer<Float>([1])
    let map = try Buffer<Float>(2)
    func address(_ pointer: UnsafeRawPointer) -> UInt64 { UInt64(UInt(bitPattern: pointer)) }
    turn.pointer[0].row = -1
    var arguments = rso_gpu_settle()
    arguments.turn = address(turn.pointer)
    arguments.partial = address(partial.pointer)
    arguments.mean = address(moments.pointer)
    arguments.variance = address(moments.pointer + 1)
    arguments.gamma = address(one.pointer)
    arguments.beta = arguments.gamma
    arguments.scale = address(map.pointer)
    arguments.offset = address(map.pointer + 1)
    (arguments.values, arguments.epsilon) = (1, 1)
    (arguments.channels, arguments.partial_candidates) = (1, 1)
    arguments.chunks = Int32(chunks)
    let launched = cudahost_launch(
      "settle", [1, 1, 1], [256, 1, 1], 0, &arguments, isBackwards ? 1 : 0)
    #expect(launched == 1)
    #expect(moments.pointer[0] == expected[0])
    withExtendedLifetime((partial, turn, one, map)) {}
  }

  /// What one engine finds of a search.
  struct Found: Hashable, Sendable {
    var decisions: [Decision]
    var values: [Float]
    var evaluation: Evaluation
    var statistics: BatchNormStatistics
  }

  static func search(
    _ reduction: Reduction, _ network: Network, loss: Loss = .crossEntropy
  ) throws -> Found {
    let samples = 420
    let data = try Sample.dataset(network.input, classes: network.classes, train: samples, test: 90)
    let engine = try CPUEngine(
      network: network, data: data, parameters: Parameters(initialFor: network, seed: 3),
      threads: 1 + reduction.rank % 2,
      objective: Objective(loss, data: data, classes: network.classes), reduction: reduction)
    var decisions: [Decision] = []
    for (index, slot) in engine.parameters.slots.enumerated() {
      // Five chunks of a mini-batch, the last of them not whole.
      let order = SampleOrder(
        Philox(seed: 5).permutation(.sampleOrder, cycle: 0, tensor: index, count: samples),
        batchSize: 210)
      try engine.beginSweep(of: index, order: order)
      let elements = CandidateComparison.elements(of: slot, tensor: index)
      for (turn, element) in elements.enumerated() {
        let proposal = CandidateComparison.proposal(
          element, slot, tensor: index, batch: turn % 2, engine.parameters)
        decisions += try engine.judge([proposal])
      }
    }
    return try Found(
      decisions: decisions, values: engine.parameters.values,
      evaluation: engine.evaluate(.test), statistics: engine.statistics)
  }

  /// A loss that needs the outputs of all samples, which the ranks exchange.
  @Test func ranksHaveTheBitsOfOneForMetrics() throws {
    let (network, loss) = (try Sample.networks[0].network(), try Loss("auc + 0.1 hinge"))
    let alone = try Self.search(.alone, network, loss: loss)
    #expect(alone != (try Self.search(.alone, network)))
    for ranks in [2, 3] {
      for found in try FakeRanks(ranks).run({ try Self.search($0, network, loss: loss) }) {
        #expect(found == alone, "\(ranks) ranks")
      }
    }
  }

  /// Two and three ranks, each with its share of every mini-batch, have the bits of one.
  @Test(arguments: Sample.networks.indices)
  func ranksHaveTheBitsOfOne(index: Int) throws {
    let network = try Sample.networks[index].network()
    let alone = try Self.search(.alone, network)
    for ranks in [2, 3] {
      for found in try FakeRanks(ranks).run({ try Self.search($0, network) }) {
        #expect(found == alone, "\(Sample.networks[index].name), \(ranks) ranks")
      }
    }
  }
}
