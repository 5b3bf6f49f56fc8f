/// The word of a list that `word` is most likely a misspelling of; `nil` if there is none that is near.
///
/// Capitals, hyphens and underscores do not count.
package func nearest(to word: String, in words: [String]) -> String? {
  let own = plain(word)
  let found = words.map { (word: $0, distance: distance(own, plain($0))) }
    .min { $0.distance < $1.distance }
  guard let found, found.distance <= max(1, own.count / 3), found.distance < own.count else {
    return nil
  }
  return found.word
}

/// A word without what does not count in comparing it.
func plain(_ word: String) -> String {
  word.lowercased().filter { $0.isLetter || $0.isNumber }
}

/// The least number of characters to insert, drop, replace or swap with their neighbour.
///
/// Source: the optimal string alignment distance, as in Boytsov, *Indexing methods for approximate dictionary searching*,
/// ACM Journal of Experimental Algorithmics 16 (2011).
private func distance(_ a: String, _ b: String) -> Int {
  // A word of a file can be of any length, and these are far from all that are known.
  guard max(a.count, b.count) <= 64 else { return .max }
  let (a, b) = (Array(a), Array(b))
  var (before, last) = ([Int](), Array(0...b.count))
  for i in 0..<a.count {
    var row = [i + 1]
    for j in 0..<b.count {
      var least = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, before[j - 1] + 1) }
      row.append(least)
    }
    (before, last) = (last, row)
  }
  return last[b.count]
}
