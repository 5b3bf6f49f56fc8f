/// Allocates plain addresses from `base` on, first fit. This is arithmetic only: with base 0 it tells how much memory a
/// plan needs, without a card.
final class AddressSpace {
  private let base: UInt64
  /// Free pieces below `end`, in order.
  private var free: [(start: Int, count: Int)] = []
  private var end = 0
  /// The most bytes in use at any time.
  private(set) var peak = 0

  /// - Parameter base: 0 without a card. Pieces then begin at the alignment, because an address of 0 means that there is
  ///   no piece: launches that are built to tell the memory must be those that run.
  init(base: UInt64) { self.base = max(base, UInt64(Self.alignment)) }

  /// That of cuMemAlloc, so that rows begin on a cache line.
  private static let alignment = 256

  /// A piece that is freed when the last reference to it goes away.
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

  /// Allocates `count` elements, or one if `count` is 0.
  func take<Element>(_ count: Int, _ type: Element.Type) -> Piece {
    let alignment = Self.alignment
    let bytes =
      (max(count, 1) * MemoryLayout<Element>.stride + alignment - 1) / alignment * alignment
    if let index = free.firstIndex(where: { $0.count >= bytes }) {
      let start = free[index].start
      free[index] = (start + bytes, free[index].count - bytes)
      if free[index].count == 0 { free.remove(at: index) }
      return Piece(self, start: start, count: bytes)
    }
    // The free piece at the end is too small by itself, but it can be extended.
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
