extension TensorCost {
  /// Bytes that testing one element must read from memory or write to it, on a mini-batch too large for any cache. With
  /// 4 bytes per number,
  ///
  ///     batch · 4 · (channels read · passes + r · Σ rest + 2 · candidates · Σ stored)
  ///
  /// - A batch norm on the mini-batch's own statistics ends a pass over all samples. Each pass up to the mixing layer
  ///   reads the channel under test and the input channel that a changed weight multiplies: once for every batch norm
  ///   on the way, and again with the rest.
  /// - The rest of a mixing layer, or of a value that is read whole, is read once, or twice (r = 2) if a batch norm
  ///   follows: for the statistics, and again for the values. Mixing one channel in again costs less than storing and
  ///   reading the result for three candidates.
  /// - The output of a convolution or linear layer above is expensive to recompute. For every candidate it is written
  ///   before the batch norm that follows, and read after it (`CPUMemory`).
  ///
  /// Keeping the rests up to date is not counted, so this is a minimum. It is a floor for large mini-batches; values
  /// that fit into a cache can be read faster.
  package func streamedBytes(batch: Int, candidates: Int = 3) -> Int {
    let (network, roles) = (lone.network, lone.plan.roles)
    func norms(_ role: SweepPlan.Role) -> Int {
      network.nodes.indices.count { network.nodes[$0].layer.takesStatistics && roles[$0] == role }
    }
    let rests =
      lone.mixing.map { network.shapes[$0 + 1].count }
      + lone.placed.map { network.shapes[$0].count }
    let r = norms(.whole) > 0 ? 2 : 1

    var channels = 0
    if let root = lone.root {
      channels = lone.shape(root + 1).count
      if isTap { channels += network.shapes[network.inputs[root][0]].area }
    } else {
      channels = lone.shape(network.inputs[lone.plan.node][0]).count
    }
    let stored = network.nodes.indices.reduce(0) {
      roles[$1] == .whole && CPUMemory.isKept($1, in: network)
        ? $0 + network.shapes[$1 + 1].count : $0
    }
    let numbers =
      channels * (norms(.oneChannel) + r) + r * rests.reduce(0, +) + 2 * candidates * stored
    return batch * MemoryLayout<Float>.size * numbers
  }
}
