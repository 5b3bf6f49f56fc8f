import CRSO

/// The tests of one tensor's elements on a card: what is kept for every mini-batch, and the launches that judge a
/// proposal with it. `CPUSweep` is the same for the CPU.
///
/// It needs no card: with base addresses of 0 it tells how much memory a sweep needs.
final class CUDASweep {
  let lone: LoneChannel
  let slot: Parameters.Slot
  /// The number of candidates of a proposal.
  let candidates: Int
  private let network: Network
  private let parameters: Parameters
  private let board: CUDABoard
  private let batchSize: Int
  private let workBase: UInt64
  /// Values kept for all mini-batches.
  private let cache: DeviceValue
  private var kept: [KeptValues.Value: DeviceValue] = [:]
  private let weights: CUDAWeights
  private let storage: AddressSpace
  /// The most bytes that any pass has needed to work in.
  private(set) var workBytes = 0
  /// Launches that compute the fixed values, on a mini-batch's first turn.
  private(set) var fixedLaunches: [CUDALaunch] = []
  private var judges: [Judge.Shape: Judge] = [:]
  private var refreshes: [SweepSchedule.Refresh.Shape: [CUDALaunch]] = [:]
  /// The passes keep the memory that the launches write to.
  private var passes: [CUDAPass] = []

  /// A group's launches.
  struct Judge {
    struct Shape: Hashable {
      /// The number of candidates of a turn whose losses are computed.
      var candidates: Int
      /// The number of turns that are judged together.
      var group = 1
    }

    let shape: Shape
    /// They replay changes, judge and decide.
    fileprivate(set) var launches: [CUDALaunch] = []
    /// The bytes that they work in.
    fileprivate(set) var bytes = 0
    /// What they leave for a host that judges: addresses of `[candidates][blocks]` partial sums and of
    /// `[candidates][samples][classes]` outputs.
    fileprivate(set) var results: (partial: UInt64, blocks: Int, outputs: UInt64) = (0, 0, 0)
  }

  var storageBytes: Int { storage.peak }
  /// The number of outputs of the network.
  var outputCount: Int { network.classes }

  /// - Parameters:
  ///   - batches: number of mini-batches of the order, of `batchSize` samples each.
  ///   - storage: base address of what is kept, the cached value first.
  ///   - work: base address of the memory that passes work in.
  init(
    network: Network, parameters: Parameters, slot: Parameters.Slot, board: CUDABoard,
    batchSize: Int, batches: Int, candidates: Int, storage base: UInt64, work: UInt64
  ) {
    let plan = SweepPlan(network: network, sweeping: slot.node)
    lone = LoneChannel(network: network, plan: plan)
    self.network = network
    self.parameters = parameters
    self.slot = slot
    self.board = board
    self.batchSize = batchSize
    self.candidates = candidates
    workBase = work
    let storage = AddressSpace(base: base)
    self.storage = storage
    weights = CUDAWeights(space: storage)
    func room(_ shape: Shape) -> DeviceValue {
      let size = shape.count * CUDAPass.padded(batchSize)
      let piece = storage.take(size * batches, Float.self)
      return DeviceValue(
        shape: shape, address: piece.address, batchStride: size, pieces: [piece])
    }
    cache = room(network.shapes[plan.cachedValue])
    let values = KeptValues(lone)
    for (value, shape) in values.shapes { kept[value] = room(shape) }
    makeFixed(values.fixed)
    _ = judge(.init(candidates: candidates))
  }

  /// The cached value of all mini-batches.
  var cachedValue: DeviceValue { cache }

  /// Launches to run once, before the first turn.
  var weightLaunches: [CUDALaunch] { weights.launches }

  private func newPass(work: UInt64? = nil, _ shape: Judge.Shape? = nil) -> CUDAPass {
    let pass = CUDAPass(
      network: network, parameters: parameters, board: board, weights: weights,
      space: AddressSpace(base: work ?? workBase), count: batchSize, swept: slot,
      candidates: shape?.candidates ?? candidates, group: shape?.group ?? 1, proposed: candidates)
    passes.append(pass)
    return pass
  }

  private func external(_ value: Int) -> DeviceValue? {
    value == lone.plan.cachedValue ? cache : kept[.fixed(value)]
  }

  private func makeFixed(_ values: [Int]) {
    let pass = newPass()
    pass.values[lone.plan.cachedValue] = cache
    pass.append(
      network.nodes.indices.filter { lone.plan.roles[$0] == .fixed }, keeping: Set(values))
    for value in values {
      if let x = pass.values[value], let target = kept[.fixed(value)] { pass.copy(x, to: target) }
    }
    fixedLaunches = pass.launches
    workBytes = max(workBytes, pass.workBytes)
  }
}

// MARK: Judging

extension CUDASweep {
  /// The launches of a group that computes the losses of all candidates, or of all but the first.
  func judge(_ shape: Judge.Shape) -> Judge {
    if let made = judges[shape] { return made }
    let made = makeJudge(shape)
    keep(made)
    return made
  }

  private func keep(_ judge: Judge) {
    judges[judge.shape] = judge
    workBytes = max(workBytes, judge.bytes)
  }

  /// The most turns that can be judged together: a power of two, and so can all below it.
  ///
  /// - Parameters:
  ///   - room: the bytes to work in.
  ///   - most: what it does not exceed.
  func largestGroup(in room: Int, atMost most: Int) -> Int {
    guard !board.loss.needsOutputs else { return 1 }
    let channels = network.shapes.map(\.channels).max() ?? 1
    var group = 1
    while 2 * group <= most, CUDALaunch.fits(planes: channels * candidates * 2 * group) {
      let larger = [candidates, candidates - 1].filter { $0 > 0 }.map {
        makeJudge(.init(candidates: $0, group: 2 * group))
      }
      guard larger.allSatisfy({ $0.bytes <= room }) else { break }
      larger.forEach(keep)
      group *= 2
    }
    return group
  }

  private func makeJudge(_ shape: Judge.Shape) -> Judge {
    var judge = Judge(shape: shape)
    let pass = newPass(shape)
    let candidates = pass.candidates
    if let root = lone.root, let z = kept[.tested], let x = external(network.inputs[root][0]) {
      pass.values[root + 1] = rootValue(root, z, x, pass)
    }
    for node in lone.nodes {
      let inputs = network.inputs[node].compactMap { value in
        pass.values[value] ?? external(value).map { oneChannel($0, value) }
      }
      pass.values[node + 1] = pass.layer(
        node, inputs[0], inputs.count > 1 ? inputs[1] : nil, channels: .lone)
    }
    pass.keepsHalves = board.precision.keepsHalves
    for node in lone.mixing {
      guard var x = pass.values[network.inputs[node][0]], let rest = kept[.rest(node)] else {
        continue
      }
      let bound = pass.bound(of: node, reading: x)
      // The channel under test stays in 32 bits, also where it is copied.
      x.bound = nil
      pass.values[node + 1] = pass.convolution(
        x, to: network.shapes[node + 1], network.slide(of: node),
        weights: weights.packed(node, pass), rest: rest, width: x.shape.channels, isLone: true,
        needsSums: pass.isNormed(node), bound: bound)
    }
    for value in lone.placed {
      guard let alone = pass.values[value], let full = kept[.placed(value)] else { continue }
      let whole = pass.value(network.shapes[value], candidates: candidates)
      pass.copy(full, to: whole, candidates: candidates)
      pass.copy(
        alone, to: whole, candidates: candidates, width: lone.width(value), toLone: true)
      pass.values[value] = whole
    }
    for value in lone.fixed { pass.values[value] = pass.values[value] ?? external(value) }
    let partial = pass.scratch(candidates * pass.lossBlocks, Double.self)
    let width = network.classes
    let outputs =
      board.loss.needsOutputs ? pass.scratch(candidates * batchSize * width, Float.self) : 0
    judge.results = (partial, pass.lossBlocks, outputs)
    let decision =
      board.loss.needsOutputs ? nil : pass.choose(partial: partial, blocks: pass.lossBlocks)
    let whole = network.nodes.indices.filter { lone.plan.roles[$0] == .whole }
    func lose(_ pass: CUDAPass, from result: Int) {
      pass.loss(
        whole, of: board.train, order: board.order,
        partial: partial + UInt64(result * pass.lossBlocks * 8),
        outputs: outputs == 0 ? 0 : outputs + UInt64(result * batchSize * width * 4),
        isMean: board.loss.isMean && !board.loss.needsOutputs, decision: decision)
    }
    let isDeep = whole.contains {
      network.nodes[$0].layer.mixesChannels && network.shapes[$0 + 1].area > 1
    }
    // A group fills the card as it is.
    guard isDeep, shape.group == 1 else {
      lose(pass, from: 0)
      judge.launches = pass.launches
      judge.bytes = pass.workBytes
      return judge
    }
    // From here on, candidates share only the values computed so far. Each becomes a branch with its own memory, so
    // that one candidate fills the card while another's kernel finishes.
    func branch(_ result: Int, room base: UInt64) -> CUDAPass {
      let branch = newPass(work: base, shape)
      branch.branch = result
      branch.keepsHalves = pass.keepsHalves
      branch.values = pass.values.mapValues { $0.result(result) }
      lose(branch, from: result)
      return branch
    }
    let each = branch(0, room: 0).workBytes
    let first = workBase + UInt64(pass.workBytes)
    judge.launches =
      pass.launches
      + (0..<candidates).flatMap { branch($0, room: first + UInt64($0 * each)).launches }
    judge.bytes = pass.workBytes + candidates * each
    return judge
  }

  /// The lone channel for every candidate, after replaying its changes.
  private func rootValue(
    _ root: Int, _ z: DeviceValue, _ x: DeviceValue, _ pass: CUDAPass
  ) -> DeviceValue {
    guard slot.node == root else { return z }
    let isWeight = slot.role == .weight
    let candidates = pass.candidates
    var y = pass.value(z.shape, candidates: candidates)
    var arguments = rso_gpu_shift_add()
    arguments.turn = board.turn
    arguments.changes = board.changes
    arguments.parameters = board.parameter(slot)
    arguments.start = board.start
    arguments.z = z.target
    if isWeight { arguments.x = x.operand }
    arguments.y = y.target
    arguments.window = network.slide(of: root)
    arguments.samples = Int32(pass.samples)
    arguments.count = Int32(pass.count)
    arguments.candidates = Int32(candidates)
    arguments.each = Int32(pass.each)
    arguments.per_channel = Int32(slot.elementsPerChannel)
    let chunk = rso_gpu_threads * rso_gpu_quad
    let chunks = (z.shape.area * pass.samples + chunk - 1) / chunk
    arguments.chunks = Int32(chunks)
    if pass.isNormed(root) {
      arguments.partial = pass.scratch(candidates * chunks * 2, Double.self)
      y.sums = (arguments.partial, chunks)
    }
    pass.append(
      CUDALaunch(.shiftAdd, grid: (chunks, 1, 1), block: (rso_gpu_threads, 1), arguments))
    return y
  }

  /// The turn's lone channel of a value with all channels.
  private func oneChannel(_ x: DeviceValue, _ value: Int) -> DeviceValue {
    var y = x
    y.shape = lone.shape(value)
    y.channelStride = y.shape.count * CUDAPass.padded(batchSize)
    return y
  }

  /// The launch that begins a run's first turn.
  var start: CUDALaunch {
    CUDALaunch(.start, grid: (1, 1, 1), block: (32, 1), newPass().choose())
  }

  /// Launches of a turn whose value was decided before: they replay changes and take the value.
  var takeLaunches: [CUDALaunch] {
    judge(.init(candidates: candidates)).launches.filter { $0.kernel == .shiftAdd }
      + [CUDALaunch(.take, grid: (1, 1, 1), block: (rso_gpu_threads, 1), newPass().choose())]
  }

  /// The launch that ends a turn by the losses that the host computed.
  func decision(_ losses: ShortList<Double>) -> CUDALaunch {
    var given = rso_gpu_given()
    given.choose = newPass(.init(candidates: losses.count)).choose()
    withUnsafeMutableBytes(of: &given.losses) { bytes in
      for (index, loss) in losses.enumerated() {
        bytes.storeBytes(of: loss, toByteOffset: 8 * index, as: Double.self)
      }
    }
    return CUDALaunch(.decideGiven, grid: (1, 1, 1), block: (rso_gpu_threads, 1), given)
  }
}

// MARK: Keeping a mini-batch's rest up to date

extension CUDASweep {
  /// Launches that compute the turn's units, bring the rests and placed values up to date, and leave the last unit as
  /// the channel under test.
  func refresh(_ refresh: SweepSchedule.Refresh.Shape) -> [CUDALaunch] {
    if let made = refreshes[refresh] { return made }
    let pass = newPass()
    let count = refresh.units
    if let root = lone.root, let x = external(network.inputs[root][0]) {
      let weight = pass.packedUnits(parameters.slot(node: root, .weight), units: count)
      let bias = pass.rows(of: parameters.slot(node: root, .bias), units: count, width: 1)
      pass.values[root + 1] = pass.convolution(
        x, to: lone.shape(root + 1, count: count), network.slide(of: root), weights: weight,
        bias: bias, needsSums: pass.isNormed(root))
    }
    for node in lone.nodes {
      let inputs = network.inputs[node].compactMap { value -> DeviceValue? in
        if let alone = pass.values[value] { return alone }
        guard let x = external(value) else { return nil }
        let y = pass.value(lone.shape(value, count: count))
        pass.copy(
          x, to: y, channels: y.shape.channels, width: lone.width(value), fromUnits: true)
        pass.values[value] = y
        return y
      }
      pass.values[node + 1] = pass.layer(
        node, inputs[0], inputs.count > 1 ? inputs[1] : nil, channels: .units(count))
    }
    for node in lone.mixing {
      let value = network.inputs[node][0]
      guard let x = pass.values[value], let rest = kept[.rest(node)] else { continue }
      _ = pass.convolution(
        x, to: network.shapes[node + 1], network.slide(of: node),
        weights: weights.packed(node, pass),
        bias: board.parameter(parameters.slot(node: node, .bias)),
        rest: refresh.isFresh ? nil : rest,
        inputs: lone.width(value) * refresh.mixed, width: lone.width(value), fromUnits: true,
        into: rest)
    }
    for value in lone.placed {
      guard let x = pass.values[value], let full = kept[.placed(value)] else { continue }
      pass.copy(x, to: full, width: lone.width(value), toUnits: true)
    }
    if let root = lone.root, let z = pass.values[root + 1], let tested = kept[.tested] {
      // The channels of the last unit.
      var last = z
      last.shape = tested.shape
      last.address += UInt64((count - 1) * tested.shape.count * pass.samples * 4)
      pass.copy(last, to: tested)
    }
    workBytes = max(workBytes, pass.workBytes)
    refreshes[refresh] = pass.launches
    return pass.launches
  }

  /// Builds the largest possible passes, so that `workBytes` is known.
  func foresee() {
    let channels = lone.channels
    if candidates > 1 { _ = judge(.init(candidates: candidates - 1)) }
    _ = refresh(.init(units: channels, mixed: channels - 1, isFresh: true))
    _ = refresh(.init(units: max(channels - 1, 1), mixed: max(channels - 1, 1), isFresh: false))
  }
}
