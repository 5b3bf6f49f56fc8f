/// Scales as part of a search: after the elements of a discrete tensor, its scales are doubled or halved where that gains.
///
/// A scale changes a whole channel, or all of them, so an engine computes everything above the cache for it. There is
/// one scale for many elements, so that costs little.
extension SearchSettings {
  /// Whether the scales of a tensor are searched.
  ///
  /// Those that a batch norm follows are not: it takes any factor out again, and nothing would change but what ε is.
  func searchesScales(of slot: Parameters.Slot, in network: Network) -> Bool {
    scales != .fixed && slot.domain.isDiscrete && !network.normalizes(slot.node)
      && searches(slot.scaleName)
  }

  /// The standard deviation σ of a sweep's proposals; of scales, which no draw changes, the width of their slot.
  func width(of sweep: Sweep, _ slot: Parameters.Slot, cycle: Int) -> Double {
    sweep.part == .scales
      ? slot.proposalDeviation : deviation(of: slot.proposalDeviation, cycle: cycle)
  }

  /// The names that patterns may match: those of the tensors and of scales, whether these are searched or not.
  func tensorNames(of slots: [Parameters.Slot]) -> [String] {
    slots.flatMap { $0.domain.isDiscrete ? [$0.name, $0.scaleName] : [$0.name] }
  }

  /// Gives every output channel a scale of its own where these are searched.
  func spreadScales(of parameters: inout Parameters, in network: Network) {
    guard scales == .channel else { return }
    for (tensor, slot) in parameters.slots.enumerated()
    where searchesScales(of: slot, in: network) {
      guard let own = parameters.scales[tensor], let first = own.first, own.count == 1 else {
        continue
      }
      parameters.scales[tensor] = [Float](repeating: first, count: slot.shape[0])
    }
  }
}

extension Network {
  /// The discrete tensors whose scales have no effect, because a batch norm takes any factor out again.
  package var normalizedScales: [String] {
    Parameters.slots(of: self).filter { $0.domain.isDiscrete && normalizes($0.node) }.map(\.name)
  }
}

extension Parameters.Slot {
  /// The name of a discrete tensor's scales, as in a model's file.
  var scaleName: String { "\(name).scale" }
}

extension Sweep {
  /// The slot of what is swept. Scales have one of their own, which has no place among the elements; their width is the
  /// largest of them.
  package func slot(in parameters: Parameters) -> Parameters.Slot {
    let slot = parameters.slots[parameter]
    guard part == .scales, let scales = parameters.scales[parameter] else { return slot }
    return Parameters.Slot(
      name: slot.scaleName, shape: [scales.count], role: slot.role, node: slot.node, offset: 0,
      count: scales.count, initialDeviation: 0, initialMean: 0,
      proposalDeviation: Double(scales.max() ?? 1),
      // Exponents are the levels of a scale.
      domain: .integer(bits: 8))
  }
}

extension Parameters {
  /// The proposals of a sweep, by the name of what is swept: one for each element, or for each scale.
  package var proposals: [String: Int] {
    var counts = Dictionary(slots.map { ($0.name, $0.count) }) { first, _ in first }
    for (tensor, scales) in scales { counts[slots[tensor].scaleName] = scales.count }
    return counts
  }

  /// A proposal for every scale of a tensor: twice as much, or half. Each is a round of its own.
  func scaleProposals(of tensor: Int, batches: Int) -> [Proposal] {
    (scales[tensor] ?? []).enumerated().map { index, scale in
      let others = [2 * scale, scale / 2].filter(Domain.isScale)
      return Proposal(
        element: index, batch: index % batches, candidates: ShortList([scale] + others),
        delta: scale)
    }
  }

  /// Sets an element of a tensor, or a scale of a discrete one, whose levels stay.
  ///
  /// - Parameters:
  ///   - part: what `index` counts.
  ///   - index: of the element, row-major, or of the scale.
  ///   - tensor: the index of the tensor's slot.
  mutating func set(_ part: Sweep.Part, _ index: Int, of tensor: Int, to value: Float) {
    let slot = slots[tensor]
    guard part == .scales else {
      values[slot.offset + index] = value
      return
    }
    guard let own = scales[tensor] else { return }
    let factor = Double(value) / Double(own[index])
    let size = slot.count / own.count
    for place in slot.offset + index * size..<slot.offset + (index + 1) * size {
      // Exact: both are powers of two.
      values[place] = Float(Double(values[place]) * factor)
    }
    scales[tensor]?[index] = value
  }
}
