/// Bytes that `CPUEngine` allocates for the sweep of one tensor.
///
/// A value takes (elements + 1) · 4 bytes per sample, in whole blocks of 16 samples.
struct CPUMemory {
  /// The cached value of all mini-batches.
  let cache: Int
  /// Rests, placed values, fixed values and the channel under test, of all mini-batches.
  let kept: Int
  /// Values that the passes over one mini-batch keep between batch norms: three candidates of every layer that judging
  /// computes whole, the fixed layers, and the root's lone channels while a rest is made.
  let passes: Int

  var total: Int { cache + kept + passes }

  init(network: Network, lone: LoneChannel, batch: Int, batches: Int) {
    let blocks = (batch + Kernels.block - 1) / Kernels.block
    func bytes(_ shape: Shape) -> Int { Pass.stride(shape) * blocks * MemoryLayout<Float>.size }
    let plan = lone.plan
    cache = bytes(network.shapes[plan.cachedValue]) * batches

    kept = KeptValues(lone).shapes.reduce(0) { $0 + bytes($1.shape) } * batches

    var passes = 0
    for (node, role) in plan.roles.enumerated() where Self.isKept(node, in: network) {
      switch role {
      case .whole: passes += 3 * bytes(network.shapes[node + 1])
      case .fixed: passes += bytes(network.shapes[node + 1])
      default: break
      }
    }
    if let root = lone.root, Self.isKept(root, in: network), !lone.mixing.isEmpty {
      passes += bytes(network.shapes[root + 1])
    }
    self.passes = passes
  }

  /// Bytes that the pass for batch norm's statistics keeps.
  static func statistics(_ network: Network, samples: Int) -> Int {
    let blocks = (samples + Kernels.block - 1) / Kernels.block
    return network.nodes.indices.filter { isKept($0, in: network) }.reduce(0) {
      $0 + Pass.stride(network.shapes[$1 + 1]) * blocks * MemoryLayout<Float>.size
    }
  }

  /// Whether a layer's output is kept across batch norms: it is expensive to compute, and a batch norm follows.
  static func isKept(_ node: Int, in network: Network) -> Bool {
    let own = network.multiplyAdds[node]
    // A depthwise layer has few multiply-adds, but computing it again needs its input again.
    let isCostly =
      network.nodes[node].layer.mixesChannels
      ? own > 16 * network.shapes[node + 1].count : own > 0 && network.inputs[node][0] != 0
    guard isCostly else { return false }
    return network.nodes.dropFirst(node + 1).contains(where: \.layer.takesStatistics)
  }
}
