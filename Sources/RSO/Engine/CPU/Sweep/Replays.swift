import CRSO

/// Applies changed weights of an output channel to its plane on one mini-batch: `z += δ · shifted input`, for all
/// changes at once. The object is reused, so that a proposal allocates nothing.
final class Replays: Workers.Work {
  var changes: [SweepHistory.Change] = []

  /// The changes of one input channel's weights, at `sorted[first..<end]`, or one convolution with all of them.
  private struct Input {
    var offset: Int
    var first: Int
    var end: Int
    var weights: UnsafeMutablePointer<Float>?
  }
  private var inputs: [Input] = []
  private var sorted: [SweepHistory.Change] = []
  /// `[inputs][taps]`, packed.
  private var weights: Buffer<Float>?
  private let kernels: rso_kernels

  private var x: UnsafePointer<Float>?
  private var z: UnsafeMutablePointer<Float>?
  private var window = rso_window()
  private var inputCount = 0
  private var area = 0
  private var strides = (x: 0, z: 0)
  private var blocks = 0
  private var pieces = Pass.Pieces(chunks: 0, threads: 1)

  init(_ kernels: Kernels) { self.kernels = kernels.table.pointee }

  private var taps: Int { Int(window.kernel * window.kernel) }

  /// Starts a new mini-batch without changes.
  ///
  /// - Parameters:
  ///   - x: `[blocks][inputs][area][16]`, `strides.x` floats from block to block.
  ///   - z: `[blocks][area of the output][16]`, `strides.z` floats from block to block.
  func begin(
    x: UnsafeMutablePointer<Float>, z: UnsafeMutablePointer<Float>, window: rso_window, inputs: Int,
    area: Int, strides: (x: Int, z: Int)
  ) throws {
    (self.x, self.z, self.window) = (UnsafePointer(x), z, window)
    (inputCount, self.area, self.strides) = (inputs, area, strides)
    let count = inputs * taps * Int(rso_tile)
    if weights.map({ $0.count < count }) ?? true { weights = try Buffer(count) }
    changes.removeAll(keepingCapacity: true)
  }

  /// Applies `changes` to z.
  func run(perChannel: Int, _ batches: Batches, _ workers: Workers) {
    guard !changes.isEmpty else { return }
    sortByInput(perChannel)
    blocks = batches.blocks
    pieces = Pass.Pieces(chunks: batches.chunks, threads: workers.threads)
    workers.run(pieces.count, self)
  }

  /// Groups the changes by input channel. Several changes of one channel's weights become one convolution, because
  /// every shifted addition loads and stores the whole plane.
  private func sortByInput(_ perChannel: Int) {
    inputs.removeAll(keepingCapacity: true)
    sorted.removeAll(keepingCapacity: true)
    let hasRows = rso_has_rows(&window) != 0
    for input in 0..<inputCount {
      let first = sorted.count
      for change in changes where change.element % perChannel / taps == input {
        sorted.append(change)
      }
      guard sorted.count > first else { continue }
      var weights: UnsafeMutablePointer<Float>?
      if hasRows, sorted.count - first >= 4, let all = self.weights {
        let own = all.pointer + input * taps * Int(rso_tile)
        own.update(repeating: 0, count: taps * Int(rso_tile))
        for change in sorted[first...] { own[change.element % taps * Int(rso_tile)] = change.delta }
        weights = own
      }
      inputs.append(
        Input(
          offset: input * area * Kernels.block, first: first, end: sorted.count, weights: weights))
    }
  }

  func run(_ piece: Int, thread: Int) {
    guard let x, let z else { return }
    let chunks = pieces.chunks(of: piece, isBackwards: false)
    let first = chunks.lowerBound * Pass.blocksPerChunk
    let end = min(chunks.upperBound * Pass.blocksPerChunk, blocks)
    // One block at a time, so that its plane stays in the first-level cache for all changes.
    for block in first..<end {
      for (number, input) in inputs.enumerated() {
        add(
          input, x + block * strides.x + input.offset, z + block * strides.z,
          nextX: block + 1 < end ? strides.x : 0,
          nextZ: block + 1 < end && number == 0 ? strides.z : 0)
      }
    }
  }

  private func add(
    _ input: Input, _ x: UnsafePointer<Float>, _ z: UnsafeMutablePointer<Float>, nextX: Int,
    nextZ: Int
  ) {
    if let weights = input.weights {
      var convolution = rso_convolution(
        x: x, w: weights, bias: nil, init: z, y: z, x_lane: 0, y_lane: 0, init_lane: 0,
        next_x: nextX, next_init: nextZ, window: window, lanes: 1, in_channels: 1, out_channels: 1)
      kernels.convolution(&convolution)
      return
    }
    for number in input.first..<input.end {
      let change = sorted[number]
      withUnsafePointer(to: change.delta) { delta in
        var shift = rso_shift_add()
        shift.x = x
        (shift.z, shift.y, shift.delta) = (UnsafePointer(z), z, delta)
        if number == input.first { (shift.next_x, shift.next_z) = (nextX, nextZ) }
        (shift.window, shift.lanes, shift.tap) = (window, 1, Int32(change.element % taps))
        kernels.shift_add(&shift)
      }
    }
  }
}
