/// Sums over samples that several processes share, with the same bits for any number of processes.
///
/// Samples form chunks of 48, numbered through the whole mini-batch. One process computes a chunk's partial sums. The
/// chunks are added in a fixed binary tree over their numbers: the sum of chunks [i · 2ᵏ, (i + 1) · 2ᵏ) is the sum of
/// the first half plus the sum of the second; a half without chunks is left out. Each rank adds up the subtrees that
/// lie in its share, all ranks exchange the results, and each rank finishes the tree. A single process has all chunks
/// and exchanges nothing.
package struct Reduction: Sendable {
  /// Sends a rank's numbers to all ranks. Returns what every rank has sent, by rank.
  package typealias Gather = @Sendable ([Double]) throws -> [[Double]]

  /// Samples per chunk.
  package static let chunk = 48

  package let rank: Int
  package let ranks: Int
  private let gather: Gather?

  /// A single process.
  package static let alone = Reduction()

  private init() { (rank, ranks, gather) = (0, 1, nil) }

  /// - Parameter gather: every rank must call it equally often and in the same order.
  package init(rank: Int, of ranks: Int, gather: @escaping Gather) {
    (self.rank, self.ranks, self.gather) = (rank, ranks, gather)
  }

  /// The number of chunks for `samples` samples.
  package static func chunks(of samples: Int) -> Int { (samples + chunk - 1) / chunk }

  /// This rank's share of the chunks.
  package func share(of chunks: Int) -> Range<Int> { share(of: chunks, rank: rank) }

  private func share(of chunks: Int, rank: Int) -> Range<Int> {
    chunks * rank / ranks..<chunks * (rank + 1) / ranks
  }

  /// Adds up partial sums in place. Afterwards the first row holds the sums over all ranks' chunks.
  ///
  /// - Parameters:
  ///   - partial: `[share][width]`, or one row if the share is empty.
  ///   - chunks: number of chunks of all ranks.
  ///   - width: number of sums to take at once.
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

  /// Adds up the partial sums of this rank's chunks and those of all other ranks.
  package func sum(_ chunks: [Double]) throws -> Double {
    var sums = chunks.isEmpty ? [0] : chunks
    try sums.withUnsafeMutableBufferPointer {
      guard let first = $0.baseAddress else { return }
      try sum(first, chunks: total([chunks.count])[0], width: 1)
    }
    return sums[0]
  }

  /// The values of all samples: those of this rank's share, followed and preceded by those of the other ranks.
  ///
  /// - Parameter values: `[rows][samples of this rank][width]`
  /// - Returns: `[rows][samples of all ranks][width]`
  package func collect(_ values: [Float], rows: Int) throws -> [Float] {
    guard let gather else { return values }
    let all = try gather(values.map(Double.init))
    return (0..<rows).flatMap { row in
      all.flatMap { own in
        own[own.count / rows * row..<own.count / rows * (row + 1)].map { Float($0) }
      }
    }
  }

  /// Adds up whole numbers over all ranks. This is exact in any order.
  package func total(_ counts: [Int]) throws -> [Int] {
    guard let gather else { return counts }
    let all = try gather(counts.map(Double.init))
    return counts.indices.map { i in all.reduce(0) { $0 + Int($1[i]) } }
  }

  /// Visits the tree's inner nodes from the leaves up: the first chunk, that of the second half, and the end of each.
  private static func forEachPair(of chunks: Int, _ body: (Int, Int, Int) -> Void) {
    var half = 1
    while half < chunks {
      for left in stride(from: 0, to: chunks - half, by: 2 * half) {
        body(left, left + half, min(left + 2 * half, chunks))
      }
      half *= 2
    }
  }

  /// The first chunks of the largest nodes within a share.
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
