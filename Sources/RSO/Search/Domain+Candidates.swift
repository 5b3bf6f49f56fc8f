extension Domain {
  /// The candidates of a proposal, the weight itself among them.
  var candidates: Int { self == .binary ? 2 : 3 }

  /// Whether a proposal has all levels for candidates: those of `binary`, `ternary` and `int2`.
  var areLevelsCandidates: Bool { isDiscrete && levels.upperBound == 1 }

  /// The other levels to try for a weight.
  ///
  /// Of `binary`, that is the one there is; of three levels, the two there are. Of more, they are Δ levels above and
  /// below, where Δ is `step` rounded, and at least 1. A level beyond the ends becomes the end. If the weight has that
  /// level itself, a neighbour of it on the other side takes its place.
  ///
  /// - Parameters:
  ///   - level: the weight's level.
  ///   - step: what was drawn for it, in levels; its sign tells which of the two comes first.
  /// - Returns: one level of `binary`, two of the other discrete domains; none of them is `level`.
  func others(than level: Int, step: Double) -> [Int] {
    if self == .binary { return [-level] }
    let width = levels.upperBound - levels.lowerBound
    let size = Int(min(max(step.magnitude.rounded(), 1), Double(width)))
    let first = step < 0 ? -size : size
    var others = [first, -first].map {
      min(max(level + $0, levels.lowerBound), levels.upperBound)
    }
    for index in others.indices where others[index] == level {
      let inwards = level > 0 ? -1 : 1
      let neighbour = level + inwards
      others[index] = others[1 - index] == neighbour ? neighbour + inwards : neighbour
    }
    return others
  }
}

extension Parameters {
  /// The values to choose from for an element of a discrete tensor: its own, and those of other levels.
  ///
  /// - Parameters:
  ///   - element: row-major index into the tensor.
  ///   - tensor: the index of the tensor's slot.
  ///   - delta: the Δ drawn for it, as of a float.
  func levelCandidates(of element: Int, in tensor: Int, delta: Double) -> ShortList<Float> {
    let slot = slots[tensor]
    let scale = scale(of: element, in: tensor)
    let value = values[slot.offset + element]
    let level = slot.domain.level(nearest: Double(value) / Double(scale))
    var candidates: ShortList<Float> = [value]
    for other in slot.domain.others(than: level, step: delta / Double(scale)) {
      candidates.append(Float(other) * scale)
    }
    return candidates
  }
}
