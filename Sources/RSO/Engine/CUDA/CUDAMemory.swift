import CRSO

/// Room as plain addresses from `base` on, first fit. It computes only: with base 0 it tells how much a plan needs
/// before any card is asked.
final class AddressSpace {
  private let base: UInt64
  /// Free pieces below `end`, in order.
  private var free: [(start: Int, count: Int)] = []
  private var end = 0
  /// The most bytes that were in use.
  private(set) var peak = 0

  init(base: UInt64) { self.base = base }

  /// A piece that goes back when the last reference to it does.
  final class Piece {
    let address: UInt64
    private let space: AddressSpace
    private let start: Int
    private let count: Int

    fileprivate init(_ space: AddressSpace, start: Int, count: Int) {
      address = space.base + UInt64(start)
      self.space = space
      self.start = start
      self.count = count
    }

    deinit { space.giveBack(start, count) }
  }

  /// Room for `count` elements; at least for one.
  func take<Element>(_ count: Int, _ type: Element.Type) -> Piece {
    // As cuMemAlloc aligns, so that rows begin with a cache line.
    let bytes = (max(count, 1) * MemoryLayout<Element>.stride + 255) / 256 * 256
    if let index = free.firstIndex(where: { $0.count >= bytes }) {
      let start = free[index].start
      free[index] = (start + bytes, free[index].count - bytes)
      if free[index].count == 0 { free.remove(at: index) }
      return Piece(self, start: start, count: bytes)
    }
    // What is free at the end is not enough by itself but need not be left there.
    var start = end
    if let last = free.last, last.start + last.count == end {
      start = last.start
      free.removeLast()
    }
    end = start + bytes
    peak = max(peak, end)
    return Piece(self, start: start, count: bytes)
  }

  private func giveBack(_ start: Int, _ count: Int) {
    let index = free.firstIndex { $0.start > start } ?? free.count
    free.insert((start, count), at: index)
    if index + 1 < free.count, start + count == free[index + 1].start {
      free[index].count += free[index + 1].count
      free.remove(at: index + 1)
    }
    if index > 0, free[index - 1].start + free[index - 1].count == start {
      free[index - 1].count += free[index].count
      free.remove(at: index)
    }
  }
}

/// A value of a network on the card, `[results][channels][area][samples]` floats: where its numbers are, and the map
/// that its readers apply to them. So batch norm and an activation behind it cost no pass over the numbers.
struct DeviceValue {
  var shape: Shape
  var address: UInt64
  /// Candidates that it differs between, or 1.
  var results = 1
  /// Floats between mini-batches, between lone channels and between results; 0: the same for all.
  var batchStride = 0
  var channelStride = 0
  var resultStride = 0
  var scale: UInt64 = 0
  var offset: UInt64 = 0
  /// Floats between results of scale and offset.
  var affineStride = 0
  var activation = rso_identity
  /// Its readers average places, after the map.
  var box: Box?
  /// Its sums and sums of squares, if they are there, in so many chunks.
  var sums: (partial: UInt64, chunks: Int)?
  /// What keeps its memory.
  var pieces: [AddressSpace.Piece] = []

  /// The mean of 2×2 places at a stride of 1.
  struct Box {
    /// Of what is averaged.
    var shape: Shape
    /// Zeros around it.
    var padding: Int
  }

  var isPlain: Bool { scale == 0 && activation == rso_identity && box == nil }

  /// One of its results, as a value of one.
  func result(_ number: Int) -> DeviceValue {
    guard results > 1 else { return self }
    var y = self
    y.results = 1
    y.resultStride = 0
    y.address += UInt64(number * resultStride * 4)
    if affineStride > 0 {
      y.scale += UInt64(number * affineStride * 4)
      y.offset += UInt64(number * affineStride * 4)
      y.affineStride = 0
    }
    if let sums {
      y.sums = (sums.partial + UInt64(number * shape.channels * sums.chunks * 16), sums.chunks)
    }
    return y
  }

  var operand: rso_gpu_operand {
    rso_gpu_operand(
      data: address, batch_stride: Int64(batchStride), channel_stride: Int64(channelStride),
      result_stride: Int64(resultStride), scale: scale, offset: offset,
      affine_stride: Int32(affineStride), activation: Int32(activation.rawValue))
  }

  var target: rso_gpu_target {
    rso_gpu_target(
      data: address, batch_stride: Int64(batchStride), result_stride: Int64(resultStride))
  }
}
