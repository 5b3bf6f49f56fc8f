/// Sums over samples that several processes share: the same bits for any number of them.
///
/// Samples are dealt out in chunks of 48, numbered through the whole mini-batch. A chunk's partial sums come from one
/// process. They are added in a fixed binary tree over the chunks' numbers: the sum of chunks [i · 2ᵏ, (i + 1) · 2ᵏ) is
/// that of the first half plus that of the second, and a half that has no chunks is left out. Each rank adds up the
/// parts of the tree that lie in its share, all ranks exchange those, and each finishes the tree. One process has all
/// chunks and nobody to exchange with.
package struct Reduction: Sendable {
  /// Hands a rank's numbers to all ranks; answers what every rank has handed over, by rank.
  package typealias Gather = @Sendable ([Double]) throws -> [[Double]]

  /// Samples of a chunk.
  package static let chunk = 48

  package let rank: Int
  package let ranks: Int
  private let gather: Gather?

  /// One process.
  package static let alone = Reduction()

  private init() { (rank, ranks, gather) = (0, 1, nil) }

  /// - Parameter gather: every rank calls it as often and in the same order as the others.
  package init(rank: Int, of ranks: Int, gather: @escaping Gather) {
    (self.rank, self.ranks, self.gather) = (rank, ranks, gather)
  }

  /// The chunks of `samples` samples.
  package static func chunks(of samples: Int) -> Int { (samples + chunk - 1) / chunk }

  /// This rank's part of the chunks.
  package func share(of chunks: Int) -> Range<Int> { share(of: chunks, rank: rank) }

  private func share(of chunks: Int, rank: Int) -> Range<Int> {
    chunks * rank / ranks..<chunks * (rank + 1) / ranks
  }

  /// Adds up partial sums in place; the first row holds the sums over all ranks' chunks afterwards.
  ///
  /// - Parameters:
  ///   - partial: `[share][width]`, or one row where the share is empty.
  ///   - chunks: of all ranks.
  ///   - width: sums that are taken at once.
  package func sum(
    _ partial: UnsafeMutablePointer<Double>, chunks: Int, width: Int
  ) throws {
    let own = share(of: chunks)
    func row(_ chunk: Int) -> UnsafeMutablePointer<Double> {
      partial + (chunk - own.lowerBound) * width
    }
    Self.forEachPair(of: chunks) { left, right, end in
      guard left >= own.lowerBound, end <= own.upperBound else { return }
      let (to, from) = (row(left), row(right))
      for i in 0..<width { to[i] += from[i] }
    }
    guard let gather else { return }

    let parts = own.isEmpty ? [] : Self.parts(of: own, chunks)
    let shared = try gather(
      parts.flatMap { Array(UnsafeBufferPointer(start: row($0), count: width)) })
    let shares = (0..<ranks).map { share(of: chunks, rank: $0) }
    var rows: [Int: [Double]] = [:]
    for (share, numbers) in zip(shares, shared) where !share.isEmpty {
      for (index, chunk) in Self.parts(of: share, chunks).enumerated() {
        rows[chunk] = Array(numbers[index * width..<(index + 1) * width])
      }
    }
    Self.forEachPair(of: chunks) { left, right, end in
      let isDone = shares.contains { $0.lowerBound <= left && end <= $0.upperBound }
      guard !isDone, let from = rows[right] else { return }
      for i in 0..<width { rows[left]?[i] += from[i] }
    }
    for (i, sum) in (rows[0] ?? []).enumerated() { partial[i] = sum }
  }

  /// Adds up the partial sums of this rank's chunks, over all ranks.
  package func sum(_ chunks: [Double]) throws -> Double {
    var sums = chunks.isEmpty ? [0] : chunks
    try sums.withUnsafeMutableBufferPointer {
      guard let first = $0.baseAddress else { return }
      try sum(first, chunks: total([chunks.count])[0], width: 1)
    }
    return sums[0]
  }

  /// Adds up whole numbers of all ranks, which any order does exactly.
  package func total(_ counts: [Int]) throws -> [Int] {
    guard let gather else { return counts }
    let all = try gather(counts.map(Double.init))
    return counts.indices.map { i in all.reduce(0) { $0 + Int($1[i]) } }
  }

  /// The tree from its leaves up: of every inner node the first chunk, that of its second half, and its end.
  private static func forEachPair(of chunks: Int, _ body: (Int, Int, Int) -> Void) {
    var half = 1
    while half < chunks {
      for left in stride(from: 0, to: chunks - half, by: 2 * half) {
        body(left, left + half, min(left + 2 * half, chunks))
      }
      half *= 2
    }
  }

  /// The first chunks of the largest nodes that lie in a share.
  private static func parts(of share: Range<Int>, _ chunks: Int) -> [Int] {
    var parts: [Int] = []
    var first = share.lowerBound
    while first < share.upperBound {
      var size = 1
      while first % (2 * size) == 0, min(first + 2 * size, chunks) <= share.upperBound,
        first + size < share.upperBound
      {
        size *= 2
      }
      parts.append(first)
      first += size
    }
    return parts
  }
}
