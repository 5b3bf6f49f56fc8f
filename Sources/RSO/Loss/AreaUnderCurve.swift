import Foundation

/// The area under the ROC curve, from the ranks of the scores: the share of pairs of a positive and a negative sample
/// in which the positive one has the larger score; equal scores count half.
struct AreaUnderCurve {
  /// A sample's score, as an integer in the scores' order, and in the lowest bit whether it is positive.
  private var keys: [UInt64]
  private var next: [UInt64]

  private init(count: Int) {
    keys = [UInt64](repeating: 0, count: count)
    next = keys
  }

  /// - Parameter outputs: `[samples][width]`
  /// - Returns: for two classes, the area of the second; else the mean over the classes that occur, by the
  ///   probabilities of a softmax. NaN if the labels are of one class only.
  static func value(
    _ outputs: UnsafeBufferPointer<Float>, width: Int, labels: [Int32]
  ) -> Double {
    var curve = AreaUnderCurve(count: labels.count)
    if width == 2 {
      return curve.area(labels, positive: 1) { outputs[2 * $0 + 1] - outputs[2 * $0] }
    }
    // The logarithm of a probability orders samples as the probability does.
    let normalisers = labels.indices.map { sample in
      let row = UnsafeBufferPointer(rebasing: outputs[sample * width..<(sample + 1) * width])
      let largest = row.reduce(-.infinity, max)
      return largest + log(row.reduce(Float(0)) { $0 + exp($1 - largest) })
    }
    var (sum, count) = (0.0, 0)
    for c in 0..<width where labels.contains(Int32(c)) {
      sum += curve.area(labels, positive: Int32(c)) { outputs[$0 * width + c] - normalisers[$0] }
      count += 1
    }
    return sum / Double(count)
  }

  /// - Returns: NaN if there are no positive or no negative samples.
  private mutating func area(
    _ labels: [Int32], positive: Int32, score: (Int) -> Float
  ) -> Double {
    // Sorts by digits of 11 bits: several times as fast as comparing.
    var counts = [UInt32](repeating: 0, count: 3 * 2048)
    for (sample, label) in labels.enumerated() {
      // In the order of the floats; −0 equals 0.
      let bits = (score(sample) + 0).bitPattern
      let key = bits & 0x8000_0000 == 0 ? bits | 0x8000_0000 : ~bits
      keys[sample] = UInt64(key) << 1 | (label == positive ? 1 : 0)
      for digit in 0..<3 { counts[2048 * digit + Int(key >> (11 * UInt32(digit)) & 2047)] += 1 }
    }
    for digit in 0..<3 {
      counts.withUnsafeMutableBufferPointer { counts in
        let own = UnsafeMutableBufferPointer(
          rebasing: counts[2048 * digit..<2048 * (digit + 1)])
        sort(1 + 11 * UInt64(digit), own)
      }
    }
    return Self.area(sorted: keys)
  }

  /// Sorts by one digit, whose values come so often.
  private mutating func sort(_ shift: UInt64, _ counts: UnsafeMutableBufferPointer<UInt32>) {
    var start: UInt32 = 0
    for digit in counts.indices { (counts[digit], start) = (start, start + counts[digit]) }
    keys.withUnsafeBufferPointer { keys in
      next.withUnsafeMutableBufferPointer { next in
        for key in keys {
          let digit = Int(key >> shift & 2047)
          next[Int(counts[digit])] = key
          counts[digit] += 1
        }
      }
    }
    swap(&keys, &next)
  }

  /// - Parameter sorted: a key for each sample, in ascending order: twice a number that is equal for equal scores, plus 1
  ///   for a positive sample.
  /// - Returns: NaN if there are no positive or no negative samples.
  static func area(sorted: [UInt64]) -> Double {
    // The sum of the ranks of the positive samples, doubled; equal scores share the mean of their ranks.
    var (ranks, positives, start) = (0, 0, 0)
    while start < sorted.count {
      var (end, own) = (start, 0)
      let score = sorted[start] >> 1
      while end < sorted.count, sorted[end] >> 1 == score {
        own += Int(sorted[end] & 1)
        end += 1
      }
      ranks += own * (start + end + 1)
      positives += own
      start = end
    }
    let pairs = Double(positives) * Double(sorted.count - positives)
    return (Double(ranks) / 2 - Double(positives) * Double(positives + 1) / 2) / pairs
  }
}
