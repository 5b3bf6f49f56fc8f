import CRSO
import Testing

@testable import RSO

/// Proposals with `--precision fp16`, whose values above the mixing layer are in 16 bits where batch norm bounds them.
@Suite struct CUDAFP16Tests {
  /// Shortcuts, pooling and depthwise layers above the first mixing layer; the last network's outputs are batch norm's.
  static let networks: [@Sendable () throws -> Network] = [
    {
      try Network(input: Shape(channels: 2, height: 6, width: 7)) {
        Node.conv2d("conv0", channels: 3, kernel: 3, padding: 1)
        Node.batchNorm("bn0")
        Node.relu("relu0")
        Node.conv2d("conv1", channels: 16, kernel: 3, padding: 1)
        Node.batchNorm("bn1")
        Node.relu("relu1")
        Node.conv2d("conv2", channels: 16, kernel: 3, padding: 1)
        Node.batchNorm("bn2")
        Node.add("add2", "relu1")
        Node.activation("gelu2", .gelu)
        Node.depthwiseConv2d("depth3", kernel: 3, padding: 1, bias: true)
        Node.batchNorm("bn3")
        Node.maxPool("pool3", kernel: 3, stride: 1, padding: 1)
        Node.conv2d("conv4", channels: 16, kernel: 3, padding: 1)
        Node.batchNorm("bn4")
        Node.relu("relu4")
        Node.globalAveragePool("mean")
        Node.linear("fc", features: 5, bias: true)
      }
    },
    { try .paper(layers: 6, input: Shape(channels: 1, height: 16, width: 16), classes: 10) },
    {
      try Network(input: Shape(channels: 3, height: 5, width: 4)) {
        Node.conv2d("conv0", channels: 5, kernel: 3, padding: 1, bias: true)
        Node.batchNorm("bn0")
        Node.activation("leaky0", .leakyReLU(slope: 0.2))
        Node.conv2d("conv1", channels: 12, kernel: 3, padding: 1)
        Node.batchNorm("bn1")
        Node.activation("tanh1", .tanh)
        Node.conv2d("conv2", channels: 16, kernel: 3, padding: 1)
        Node.batchNorm("bn2")
        Node.activation("sigmoid2", .sigmoid)
        Node.flatten("flat")
        Node.linear("fc", features: 20)
        Node.batchNorm("bn")
      }
    },
  ]
  private static let batchSize = 13

  private struct Judged {
    var decisions: [Decision]
    var parameters: Parameters
    /// Kernels that wrote halves, and those that read them.
    var writes: Set<String> = []
    var reads: Set<String> = []
  }

  private static func judge(
    _ network: Network, _ tensor: Int, count: Int, runLength: Int = .max, isBackwards: Bool = false,
    _ precision: CUDAPrecision = .fp16
  ) throws -> Judged {
    let data = try Sample.dataset(
      network.input, classes: network.classes, train: 2 * batchSize, test: 5)
    let parameters = Parameters(initialFor: network, seed: 3)
    let fake = FakeCUDA()
    fake.isBackwards = isBackwards
    let engine = try fake.engine(
      network: network, data: data, parameters: parameters, precision: precision)
    let order = SampleOrder((0..<Int32(data.train.count)).reversed(), batchSize: batchSize)
    try engine.beginSweep(of: tensor, order: order)
    let slot = parameters.slots[tensor]
    let proposals = (0..<min(slot.count, count)).map {
      CandidateComparison.proposal($0, slot, tensor: tensor, batch: $0 % 2, parameters)
    }
    var judged = Judged(decisions: [], parameters: parameters)
    let before = fake.ran.count
    var rest = proposals[...]
    while !rest.isEmpty {
      judged.decisions += try engine.judge(rest.prefix(runLength))
      rest = rest.dropFirst(min(runLength, rest.count))
    }
    judged.parameters = engine.parameters
    for launch in fake.ran[before...] {
      let (reads, writes) = units(launch)
      if reads { judged.reads.insert(launch.name) }
      if writes { judged.writes.insert(launch.name) }
    }
    #expect(fake.faults.isEmpty, "\(fake.faults)")
    return judged
  }

  /// Whether a launch reads or writes halves.
  private static func units(_ launch: FakeCUDA.Recorded) -> (reads: Bool, writes: Bool) {
    launch.arguments.withUnsafeBytes { bytes in
      func arguments<T>(_ type: T.Type) -> T { bytes.loadUnaligned(as: type) }
      switch launch.name {
      case "pool", "pool_images":
        let a = arguments(rso_gpu_pool.self)
        return (a.x.unit != 0, a.y.unit != 0)
      case "add":
        let a = arguments(rso_gpu_add.self)
        return (a.a.unit != 0 || a.b.unit != 0, a.y.unit != 0)
      case "copy":
        let a = arguments(rso_gpu_copy.self)
        return (a.x.unit != 0, a.y.unit != 0)
      case "depthwise":
        let a = arguments(rso_gpu_depthwise.self)
        return (a.x.unit != 0, a.y.unit != 0)
      case "moments": return (arguments(rso_gpu_moments.self).x.unit != 0, false)
      case "shift_add":
        let a = arguments(rso_gpu_shift_add.self)
        return (a.x.unit != 0, a.y.unit != 0 || a.z.unit != 0)
      case "classify", "cross_entropy": return (arguments(rso_gpu_loss.self).x.unit != 0, false)
      case "settle", "start", "take", "pack", "rows", "load_images": return (false, false)
      default:
        let a = arguments(rso_gpu_convolve.self)
        return (a.x.unit != 0 || a.rest.unit != 0, a.y.unit != 0)
      }
    }
  }

  /// Which kernels read and write halves: those from the mixing layer up, as far as batch norm bounds their values.
  @Test func whatIsKeptInHalves() throws {
    let shortcut = try Self.judge(Self.networks[0](), 0, count: 1)
    #expect(
      shortcut.writes == ["mix7", "matrix7_fp16", "add", "copy", "depthwise", "pool"],
      "\(shortcut.writes)")
    #expect(
      shortcut.reads
        == ["matrix7_fp16", "add", "copy", "depthwise", "moments", "pool", "classify"],
      "\(shortcut.reads)")
    let paper = try Self.judge(Self.networks[1](), 0, count: 1)
    #expect(
      paper.writes == ["tile4_box", "matrix8_fp16", "matrix7_fp16", "matrix7_box_fp16"],
      "\(paper.writes)")
    for precision in CUDAPrecision.allCases where precision != .fp16 {
      let other = try Self.judge(Self.networks[0](), 0, count: 1, precision)
      #expect(other.reads.isEmpty && other.writes.isEmpty)
    }
  }

  /// Every tensor's losses are the reference engine's within what numbers of 11 bits allow: see `LossBound.rounded`. Without
  /// that the bound is too narrow, and with three times as many bits the difference would be far below it.
  @Test(arguments: networks.indices)
  func lossesAreWithinTheBound(index: Int) throws {
    let network = try Self.networks[index]()
    let data = try Sample.dataset(network.input, classes: network.classes, train: 18, test: 5)
    let parameters = Parameters(initialFor: network, seed: 3)
    var largest = 0.0
    for (tensor, slot) in parameters.slots.enumerated() where index != 1 || tensor % 4 == 0 {
      var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
      var engine: any Engine = try FakeCUDA().engine(
        network: network, data: data, parameters: parameters, precision: .fp16)
      let check = try EngineComparison(
        &engine, with: &reference, of: network, tensor: tensor, batch: 9, count: 18, seed: 5,
        isRounded: true)
      #expect(check.losses >= 3 && check.largestOfBound <= 1, "\(slot.name): \(check)")
      largest = max(largest, check.largestOfBound)
      #expect(check.largest < 0.02, "\(slot.name): \(check)")
    }
    #expect(largest > 1e-3, "\(largest)")
  }

  /// Runs have the bits of single proposals, and these do not depend on the order of threads and blocks.
  @Test(arguments: networks.indices)
  func bitsDoNotDependOnTheOrder(index: Int) throws {
    let network = try Self.networks[index]()
    let names = ["conv0.weight", "bn0.weight", "conv1.weight"]
    for (tensor, slot) in Parameters(zerosFor: network).slots.enumerated()
    where names.contains(slot.name) {
      let one = try Self.judge(network, tensor, count: 4)
      let other = try Self.judge(network, tensor, count: 4, runLength: 1, isBackwards: true)
      #expect(one.decisions == other.decisions && one.parameters == other.parameters)
    }
  }

  /// The engine asks for what it said, whatever the weights, and halves take half the memory.
  @Test func memoryIsKnownBefore() throws {
    let network = try Self.networks[0]()
    let data = try Sample.dataset(network.input, classes: network.classes, train: 26, test: 5)
    func need(_ precision: CUDAPrecision, _ batchSize: Int, together: Int = 32) -> CUDANeed {
      CUDANeed(
        network: network, batchSize: batchSize, batches: 2, samples: 2 * batchSize, candidates: 3,
        precision: precision, mostTogether: together)
    }
    for factor in [Float(1), 1e20, 1e-20, .infinity] {
      var parameters = Parameters(initialFor: network, seed: 3)
      for index in parameters.values.indices { parameters.values[index] *= factor }
      let fake = FakeCUDA()
      let engine = try fake.engine(
        network: network, data: data, parameters: parameters, precision: .fp16)
      let before = fake.used
      let order = SampleOrder((0..<26).map { $0 }, batchSize: 13)
      for (tensor, slot) in parameters.slots.enumerated() where tensor % 3 == 0 {
        try engine.beginSweep(of: tensor, order: order)
        let proposal = CandidateComparison.proposal(0, slot, tensor: tensor, batch: 0, parameters)
        // Infinite weights have no loss.
        _ = try? engine.judge([proposal])
        #expect(fake.used == before + need(.fp16, 13).total, "\(factor), \(slot.name)")
      }
      #expect(fake.faults.isEmpty, "\(fake.faults)")
    }
    // A weight's proposals work in half the memory; what is kept for the sweep stays in 32 bits.
    func work(_ tensor: String, _ precision: CUDAPrecision) throws -> (storage: Int, work: Int) {
      let parameters = Parameters(zerosFor: network)
      var board = CUDABoard()
      board.precision = precision
      let sweep = CUDASweep(
        network: network, parameters: parameters,
        slot: parameters.slots[try #require(parameters.slot(named: tensor))], board: board,
        batchSize: 5000, batches: 2, candidates: 3, storage: 0, work: 0)
      return (sweep.storageBytes, sweep.workBytes)
    }
    let (halves, floats) = try (work("conv0.weight", .fp16), work("conv0.weight", .fp32))
    #expect(halves.storage == floats.storage)
    #expect(Double(halves.work) < 0.6 * Double(floats.work), "\(halves.work), \(floats.work)")
    // The scales of a channel under test are no bound while they are swept.
    #expect(try work("bn0.weight", .fp16).work > halves.work)
    #expect(need(.tf32, 5000) == need(.fp32, 5000) && need(.halves, 5000) == need(.fp32, 5000))
    // Groups of turns take what is left.
    #expect(need(.fp16, 5000, together: 1).total < need(.fp32, 5000, together: 1).total)
  }
}
