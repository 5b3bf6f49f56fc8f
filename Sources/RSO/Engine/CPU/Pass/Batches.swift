/// This process's share of every mini-batch, cut into blocks of 16 samples and padded to whole blocks.
final class Batches {
  /// The number of mini-batches, and this process's blocks of each.
  let count: Int
  let blocks: Int
  /// Samples in a whole mini-batch; then the index of this process's first sample, and the number of its samples.
  let size: Int
  private let first: Int
  let own: Int
  let reduction: Reduction
  /// `[count][blocks][16]`: the index of each sample, −1 in the padding.
  let samples: Buffer<Int32>
  /// `[count][blocks][16]`: the class of each sample, 0 in the padding.
  let labels: Buffer<Int32>
  /// `[count][blocks][targetCount][16]`, 0 in the padding; `nil` without targets.
  let targets: Buffer<Float>?
  private let targetCount: Int
  /// For each number of candidates, `[blocks][candidates]`: the number of samples in each block.
  private var valid: [Int: Buffer<Int32>] = [:]

  /// - Parameters:
  ///   - order: whole mini-batches of `size` samples.
  ///   - split: what the samples are of; `nil` if nothing is to be compared.
  init(
    _ order: [Int32], size: Int, of split: Split? = nil, reduction: Reduction = .alone
  ) throws {
    self.size = size
    self.reduction = reduction
    let share = reduction.share(of: Reduction.chunks(of: size))
    first = share.lowerBound * Reduction.chunk
    own = min(share.upperBound * Reduction.chunk, size) - first
    count = order.count / size
    blocks = (own + Kernels.block - 1) / Kernels.block
    samples = try Buffer(count * blocks * Kernels.block)
    labels = try Buffer(samples.count)
    targetCount = split?.targetCount ?? 0
    targets = targetCount == 0 ? nil : try Buffer(samples.count * targetCount)
    samples.pointer.update(repeating: -1, count: samples.count)
    for (index, sample) in order.enumerated() where first..<first + own ~= index % size {
      let place = index / size * blocks * Kernels.block + index % size - first
      samples.pointer[place] = sample
      guard let split else { continue }
      labels.pointer[place] = split.labels[Int(sample)]
      for (target, value) in split.targets(of: Int(sample)).enumerated() {
        targets?.pointer[
          (place / Kernels.block * targetCount + target) * Kernels.block + place % Kernels.block
        ] = value
      }
    }
    for candidates in [1, 3] { valid[candidates] = try validity(candidates) }
  }

  private func validity(_ candidates: Int) throws -> Buffer<Int32> {
    try Buffer(
      (0..<blocks).flatMap { block in
        Array(
          repeating: Int32(min(Kernels.block, own - block * Kernels.block)), count: candidates)
      })
  }

  var chunks: Int { (blocks + Pass.blocksPerChunk - 1) / Pass.blocksPerChunk }

  /// The input of a pass over one mini-batch.
  func input(_ batch: Int, candidates: Int) throws -> Pass.Input {
    let validity = try valid[candidates] ?? self.validity(candidates)
    valid[candidates] = validity
    return Pass.Input(
      count: size, blocks: blocks, reduction: reduction, valid: UnsafePointer(validity.pointer),
      labels: UnsafePointer(labels.pointer + batch * blocks * Kernels.block),
      targets: targets.map {
        UnsafePointer($0.pointer + batch * blocks * targetCount * Kernels.block)
      },
      samples: UnsafePointer(samples.pointer + batch * blocks * Kernels.block))
  }

  /// The outputs that a pass over one mini-batch left, of the samples of all processes.
  ///
  /// - Parameters:
  ///   - outputs: `[candidates][own][width]`
  ///   - order: the mini-batch.
  func outputs(
    _ outputs: Buffer<Float>?, candidates: Int, width: Int, of order: some Sequence<Int32>,
    _ split: Split
  ) throws -> Outputs {
    let own = UnsafeBufferPointer(start: outputs?.pointer, count: candidates * own * width)
    return Outputs(
      try reduction.collect(Array(own), rows: candidates), candidates: candidates, width: width,
      of: Array(order), in: .train, split)
  }

  /// All mini-batches at once, for a pass that computes no statistics or losses.
  func everything() -> Pass.Input {
    Pass.Input(
      count: count * size, blocks: count * blocks, reduction: reduction,
      valid: UnsafePointer(labels.pointer), samples: UnsafePointer(samples.pointer))
  }
}
