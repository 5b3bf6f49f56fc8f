import CRSO

/// A forward pass over blocks of 16 samples, built from steps and cut into segments.
///
/// Only a batch norm on the mini-batch's own statistics needs all samples, so these batch norms divide the steps into
/// segments. Within a segment, a block goes through every step while it is in cache. A value that a later segment needs
/// is kept in memory if it is expensive to compute, and computed again if it is cheap.
///
/// A pass works on several lanes at once: the candidates of one block, or three blocks.
final class Pass {
  enum Lanes: Hashable {
    /// The lanes are consecutive blocks; nothing depends on a candidate.
    case samples
    /// The lanes are the candidates of one block.
    case candidates(Int)
  }

  typealias ValueID = Int

  let lanes: Lanes
  let kernels: rso_kernels
  /// The most blocks that a run may have.
  let blockCapacity: Int
  private(set) var values: [Value] = []
  private(set) var steps: [Step] = []
  var norms: [Norm] = []
  private(set) var segments: [Segment] = []
  private var scratchSize = 0
  /// Floats of scratch after the values, which a kernel uses while it works.
  private var workspaceSize = 0
  /// Keeps alive the buffers that the steps point to.
  private var owned: [AnyObject] = []
  private var scratch: [Buffer<Float>] = []
  private let work = SegmentWork()
  /// `[chunks][lanes]` partial losses of the last run.
  private var losses: Buffer<Double>?
  private var hasLoss = false
  /// The tables that a run reads, allocated once: the values as they are bound, and pointers into the norms.
  private var pointers: (values: Buffer<Value>, norms: Buffer<Context.NormPointers>)?

  init(lanes: Lanes, kernels: Kernels, blockCapacity: Int) {
    self.lanes = lanes
    self.kernels = kernels.table.pointee
    self.blockCapacity = blockCapacity
  }

  /// The number of candidates that have their own statistics and losses; 1 if nothing depends on a candidate.
  var candidates: Int { if case .candidates(let count) = lanes { count } else { 1 } }

  /// Work is distributed and sums are added in fixed chunks of three blocks (`Reduction`).
  static let blocksPerChunk = Reduction.chunk / Kernels.block

  /// The pieces of work, in the order in which threads take them. Each is a share of the remaining chunks, down to a
  /// single chunk. A thread prefetches its next data only within a piece, so there should be few pieces; but no thread
  /// should wait long for another at the end.
  struct Pieces {
    let chunks: Int
    let count: Int
    private let threads: Int

    init(chunks: Int, threads: Int) {
      self.chunks = chunks
      self.threads = threads
      var (first, count) = (0, 0)
      while first < chunks {
        first += Self.size(left: chunks - first, threads)
        count += 1
      }
      self.count = count
    }

    private static func size(left: Int, _ threads: Int) -> Int { max(left / (3 * threads), 1) }

    /// - Parameter isBackwards: whether the last chunks come first.
    func chunks(of piece: Int, isBackwards: Bool) -> Range<Int> {
      var first = 0
      for _ in 0..<piece { first += Self.size(left: chunks - first, threads) }
      let end = first + Self.size(left: chunks - first, threads)
      return isBackwards ? chunks - end..<chunks - first : first..<end
    }
  }

  var chunkCapacity: Int { (blockCapacity + Self.blocksPerChunk - 1) / Self.blocksPerChunk }

  /// Floats from one value of that shape to the next in memory. The extra 64 bytes put lanes into different cache sets.
  static func stride(_ shape: Shape) -> Int { (shape.count + 1) * Kernels.block }

  func own<Element>(_ buffer: Buffer<Element>) -> UnsafeMutablePointer<Element> {
    owned.append(buffer)
    return buffer.pointer
  }
}

// MARK: Building

extension Pass {
  /// Adds a value whose memory is bound before each run: `[blocks]`, or `[blocks][candidates]` if `perLane`.
  func bound(_ shape: Shape, perLane: Bool? = nil, level: Int = 0) -> ValueID {
    let perLane = perLane ?? (lanes == .samples)
    values.append(
      Value(
        shape: shape, perLane: perLane, blockStride: Self.stride(shape), isBound: true,
        level: level))
    return values.count - 1
  }

  func bind(_ value: ValueID, _ memory: UnsafeMutablePointer<Float>?, blockStride: Int? = nil) {
    values[value].memory = memory
    if let blockStride { values[value].blockStride = blockStride }
  }

  /// Appends a step that makes a new value or, with `into`, writes a bound one.
  @discardableResult
  func append(
    _ operation: Operation, _ x: ValueID? = nil, _ b: ValueID? = nil, shape: Shape,
    into bound: ValueID? = nil
  ) -> ValueID {
    var level = max(x.map { values[$0].level } ?? 0, b.map { values[$0].level } ?? 0)
    switch operation {
    case .normalize(let norm, _), .normalizeExtremes(let norm):
      level = max(level, norms[norm].level)
    default: break
    }
    let y: ValueID
    if let bound {
      y = bound
      values[y].level = level
    } else {
      values.append(
        Value(
          shape: shape, perLane: true, blockStride: Self.stride(shape) * candidates, isBound: false,
          level: level))
      y = values.count - 1
    }
    values[y].producer = steps.count
    steps.append(Step(operation: operation, x: x, b: b, y: y, level: level))
    return y
  }

  /// Appends a step that only sums over samples.
  func appendSum(_ operation: Operation, of x: ValueID) {
    if case .loss = operation { hasLoss = true }
    steps.append(Step(operation: operation, x: x, level: values[x].level))
  }

  /// Appends the losses of samples of an objective and, if it needs them, a copy of all outputs.
  ///
  /// - Parameters:
  ///   - samples: this process's samples of a mini-batch.
  ///   - needsOutputs: whether to copy the outputs; by default if the objective's loss needs them.
  /// - Returns: the outputs of the last run, `[candidates][samples][width]`.
  func append(
    _ objective: Objective, of outputs: ValueID, samples: Int, needsOutputs: Bool? = nil
  ) throws -> Buffer<Float>? {
    for term in objective.sampleTerms {
      let weights = term.classWeights.isEmpty ? nil : own(try Buffer(term.classWeights))
      var loss = term.loss.kernel(weights: weights.map { UnsafePointer($0) })
      loss.weight = term.weight
      appendSum(.loss(loss), of: outputs)
    }
    guard needsOutputs ?? objective.needsOutputs else { return nil }
    let copy = try Buffer<Float>(candidates * samples * values[outputs].shape.count)
    appendSum(.outputs(own(copy), samples: samples), of: outputs)
    return copy
  }

  /// The cost of one number of the output, in multiply-adds or the time that they take.
  private func cost(_ step: Step) -> Double {
    switch step.operation {
    case .convolution(let window, _, _, let inputs), .winograd(let window, _, _, let inputs):
      Double(inputs) * Double(window.kernel * window.kernel)
    case .integers(let weights):
      Double(weights.inputs) * Double(weights.window.kernel * weights.window.kernel)
    case .mix: 9
    case .shiftAdd, .normalize: 2
    case .averagePool(let window), .maxPool(let window), .depthwise(let window, _, _, _):
      Double(window.kernel * window.kernel)
    default: 1
    }
  }

  /// Divides the steps into segments and gives every value its place. Call once, after the last step.
  func compile() throws {
    // A later segment computes a value again or, where that costs more, reads it from memory. Keeping a number in
    // memory costs about as much as this many multiply-adds.
    let memory = 16.0
    func kept(_ value: ValueID) -> Double { memory * Double(values[value].shape.count) }
    var work = values.map { _ in 0.0 }
    for step in steps {
      guard let y = step.y, !values[y].isBound else { continue }
      let inputs = [step.x, step.b].compactMap { $0 }
      work[y] = inputs.reduce(cost(step) * Double(values[y].shape.count)) {
        $0 + min(work[$1], kept($1))
      }
    }
    // From the last step to the first: find the last segment that needs each value, and so whether to keep it.
    var lastLevel = values.map(\.level)
    for step in steps.reversed() {
      var level = step.level
      if let y = step.y, !values[y].isBound {
        if lastLevel[y] > values[y].level, work[y] > kept(y) {
          let floats = values[y].blockStride * blockCapacity
          values[y].memory = own(try Buffer<Float>(floats))
        } else {
          level = max(level, lastLevel[y])
        }
      }
      for input in [step.x, step.b] {
        if let input { lastLevel[input] = max(lastLevel[input], level) }
      }
    }
    for level in 0...(steps.map(\.level).max() ?? 0) { segments.append(segment(level)) }
    shortenValues()
    losses = try Buffer<Double>(max(chunkCapacity, 1) * candidates)
    pointers = (try Buffer(values), try Buffer(norms.map { Context.NormPointers($0) }))
  }

  /// Stores as 16-bit integers what only layers of integers write and read: a proposal waits for memory.
  private func shortenValues() {
    let instructions = segments.flatMap(\.instructions)
    for value in values.indices where values[value].memory != nil && !values[value].isBound {
      var units: UnsafePointer<Float>?
      let canBeShort = instructions.allSatisfy { i in
        guard case .integers(let weights) = i.operation else {
          return ![i.x, i.b, i.added, i.y].contains { $0.value == value }
        }
        if i.y.value == value {
          units = UnsafePointer(weights.unit.pointer)
          return weights.areSumsShort
        }
        // Numbers that become bytes without a step are read as floats.
        return i.b.value != value && (i.x.value != value || i.source.step.isStep)
      }
      guard canBeShort, let units else { continue }
      values[value].units = units
      values[value].blockStride = values[value].laneStride * candidates
    }
  }

  func isInMemory(_ value: ValueID) -> Bool {
    values[value].isBound || values[value].memory != nil
  }

  private func segment(_ level: Int) -> Segment {
    var included = Set<Int>()
    func include(_ step: Int) {
      guard included.insert(step).inserted else { return }
      for input in [steps[step].x, steps[step].b] {
        guard let input, let producer = values[input].producer else { continue }
        if isInMemory(input) && steps[producer].level < level { continue }
        include(producer)
      }
    }
    for (index, step) in steps.enumerated() where step.level == level {
      if step.y.map(isInMemory) ?? true { include(index) }
    }
    let order = included.sorted()

    // A value in scratch lives from its step to its last reader, in the first gap that is large enough.
    let fused = fuse(order)
    var lastReader: [ValueID: Int] = [:]
    for (index, step) in fused.enumerated() {
      for input in step.inputs { lastReader[input] = index }
    }
    var live: [(value: ValueID, range: Range<Int>)] = []
    func place(_ value: ValueID) -> Range<Int> {
      let size = Self.stride(values[value].shape) * max(3, candidates)
      var start = 0
      for other in live.map(\.range).sorted(by: { $0.lowerBound < $1.lowerBound })
      where other.lowerBound < start + size { start = max(start, other.upperBound) }
      scratchSize = max(scratchSize, start + size)
      return start..<start + size
    }
    var instructions: [Instruction] = []
    for (index, step) in fused.enumerated() {
      func operand(_ value: ValueID?) -> Operand {
        guard let value else { return Operand() }
        if isInMemory(value) { return Operand(value: value) }
        let place = live.first { $0.value == value }?.range.lowerBound ?? 0
        return Operand(scratch: place, laneStride: Self.stride(values[value].shape))
      }
      let (x, b, added) = (operand(step.x), operand(step.b), operand(step.added))
      func release() { live.removeAll { (lastReader[$0.value] ?? index) <= index } }
      if step.operation.mayOverwriteInput { release() }
      var y = Operand()
      if let value = step.y {
        if !isInMemory(value) { live.append((value, place(value))) }
        y = operand(value)
      }
      release()
      let shape = (step.x ?? step.y).map { values[$0].shape } ?? Shape(channels: 0)
      let instruction = Instruction(
        operation: step.operation, source: step.source, moments: step.moments, x: x, b: b,
        added: added, y: y, shape: shape, outputs: step.y.map { values[$0].shape.channels } ?? 0)
      workspaceSize = max(
        workspaceSize, instruction.workspace(lanes: max(Self.blocksPerChunk, candidates)))
      instructions.append(instruction)
    }
    return Segment(instructions: instructions)
  }
}

// MARK: Running

extension Pass {
  /// Runs every segment; returns the summed loss of each candidate, if a step computes the loss.
  ///
  /// - Parameters:
  ///   - candidates: runs only this many candidates, the first ones; the values of the others are then meaningless.
  ///   - settled: called when a norm's statistics are known, before they are used.
  /// - Throws: `Stopped` if a stop is requested meanwhile.
  @discardableResult
  func run(
    _ input: Input, _ workers: Workers, candidates: Int? = nil, settled: (Norm) -> Void = { _ in }
  ) throws -> ShortList<Double> {
    while scratch.count < workers.threads {
      scratch.append(try Buffer(scratchSize + workspaceSize))
    }
    let chunks = (input.blocks + Self.blocksPerChunk - 1) / Self.blocksPerChunk
    guard let losses, let pointers else { return [] }
    losses.pointer.update(repeating: 0, count: max(chunks, 1) * self.candidates)

    for (index, value) in values.enumerated() { pointers.values.pointer[index] = value }
    let context = Context(
      pass: self, values: pointers.values.pointer, norms: pointers.norms.pointer, input: input,
      losses: losses.pointer, workspace: scratchSize, lanes: candidates ?? self.candidates)
    let pieces = Pieces(chunks: chunks, threads: workers.threads)
    defer { work.clear() }
    for level in segments.indices {
      let start = ContinuousClock.now
      for norm in norms where norm.level == level + 1 { norm.clear(chunks: chunks) }
      work.set(segments[level], context, scratch, pieces, level)
      workers.run(pieces.count, work)
      try StopRequest.check()
      for norm in norms where norm.level == level + 1 {
        try norm.settle(input.reduction, samples: input.count)
        settled(norm)
      }
      segments[level].seconds += (ContinuousClock.now - start) / .seconds(1)
    }
    guard hasLoss else { return [] }
    try input.reduction.sum(
      losses.pointer, chunks: Reduction.chunks(of: input.count), width: self.candidates)
    var sums = ShortList<Double>()
    for candidate in 0..<(candidates ?? self.candidates) { sums.append(losses.pointer[candidate]) }
    return sums
  }

  /// The segment that the threads run, piece by piece. One object serves all segments and runs.
  final class SegmentWork: Workers.Work {
    private var context: Context?
    private var instructions: [Instruction] = []
    private var scratch: [Buffer<Float>] = []
    private var pieces = Pieces(chunks: 0, threads: 1)
    private var isBackwards = false
    private var isStopped: (@Sendable () -> Bool)?

    func set(
      _ segment: Segment, _ context: Context, _ scratch: [Buffer<Float>], _ pieces: Pieces,
      _ level: Int
    ) {
      (instructions, self.scratch, self.pieces) = (segment.instructions, scratch, pieces)
      self.context = context
      isStopped = StopRequest.isMade
      // Alternate the direction: the values written last are still in cache.
      isBackwards = level % 2 == 1
    }

    func clear() { (context, instructions, scratch) = (nil, [], []) }

    func run(_ piece: Int, thread: Int) {
      guard let context else { return }
      let own = pieces.chunks(of: piece, isBackwards: isBackwards)
      let scratch = scratch[thread].pointer
      instructions.withUnsafeBufferPointer { instructions in
        for chunk in own {
          if let isStopped, isStopped() { return }
          context.run(
            instructions, chunk: chunk, isFollowed: chunk + 1 < own.upperBound, scratch: scratch)
        }
      }
    }
  }
}
