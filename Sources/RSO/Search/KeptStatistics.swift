/// Running statistics of batch norm that come with a search's initial weights, as long as they are those of the weights.
struct KeptStatistics {
  /// `nil` once they are outdated.
  private(set) var statistics: BatchNormStatistics?
  private let network: Network
  private let slots: [Parameters.Slot]

  /// - Parameters:
  ///   - statistics: those of the initial weights, or of a resumed run's.
  ///   - earlier: the sweeps that have been finished.
  /// - Throws: `RSOError` if they are to be kept, and there are none.
  init(
    _ statistics: BatchNormStatistics?, _ settings: SearchSettings, _ network: Network,
    _ slots: [Parameters.Slot], earlier: some Sequence<Sweep>
  ) throws {
    (self.network, self.slots) = (network, slots)
    guard settings.statistics == .keep else { return }
    guard let statistics else {
      throw RSOError(
        "`statistics`", "expected keep with the running statistics of trained weights, found none",
        hint: "start from a model: `from`")
    }
    self.statistics = statistics
    for sweep in earlier { end(sweep) }
  }

  /// After a sweep that has changed its tensor: the statistics of a batch norm depend on all weights below it.
  mutating func end(_ sweep: Sweep) {
    if network.feedsBatchNorm(slots[sweep.parameter].node) { statistics = nil }
  }
}

extension Network {
  /// Whether a batch norm reads, directly or not, what a node computes.
  func feedsBatchNorm(_ node: Int) -> Bool {
    var values: Set<Int> = [node + 1]
    for (index, inputs) in inputs.enumerated() where inputs.contains(where: values.contains) {
      if nodes[index].layer.takesStatistics { return true }
      values.insert(index + 1)
    }
    return false
  }
}
