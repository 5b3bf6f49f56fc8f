extension TensorCost {
  /// Bytes that the tests of one element must bring from memory or put there, on a mini-batch whose values no
  /// cache holds. With 4 bytes a number,
  ///
  ///     batch · 4 · (channels read · passes + r · Σ rest + 2 · candidates · Σ stored)
  ///
  /// - A batch norm on the mini-batch's own statistics ends a pass over all samples. The channel under test, and the
  ///   input's channel that a changed weight multiplies, are read in each pass until the mixing layer is through:
  ///   once for every batch norm between them, and with the rest.
  /// - The rest of a mixing layer, or of a value that is read whole, is read once; twice (r = 2) where a
  ///   batch norm follows: to have the statistics, and again to go on, since mixing one channel in again costs
  ///   less than to store and read what comes of it for three candidates.
  /// - A convolution or linear layer above, dear to compute again, is written before the batch norm that follows
  ///   and read behind it, for every candidate (`CPUMemory`).
  ///
  /// What keeps the rests up to date is not counted, so this is the least. Values that fit into a cache can be
  /// had faster: a floor for large mini-batches.
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
