import CRSO

/// Computes the candidates' losses on one mini-batch: the lone channel, then the rank-one update at the mixing layer,
/// and whole layers only after that.
final class JudgePass {
  let built: NetworkPass
  private let lone: LoneChannel
  private let swept: Parameters.Slot
  let candidates: Int
  /// `[candidates][samples][width]`: the outputs, if the objective needs them.
  private(set) var outputs: Buffer<Float>?
  /// `[candidates]`: how much each candidate changes the element; and `[1]`: the element's tap in the kernel.
  private let delta: Buffer<Float>
  private let tap: Buffer<Int32>
  /// The channel under test.
  private let group: Buffer<Int32>
  private var columns: [(node: Int, set: NetworkPass.SetWeights)] = []

  /// Values to bind before a run, as in `RefreshPass`.
  private(set) var rests: [Int: Pass.ValueID] = [:]
  private(set) var placed: [Int: Pass.ValueID] = [:]
  private(set) var tested: Pass.ValueID?
  /// Fixed values that are read whole, and fixed values that are read one channel at a time.
  private(set) var wholeExternals: [Int: Pass.ValueID] = [:]
  private(set) var loneExternals: [Int: Pass.ValueID] = [:]
  /// The channel of the root's input that a changed weight multiplies.
  private(set) var changed: Pass.ValueID?

  init(
    _ lone: LoneChannel, sweeping swept: Parameters.Slot, candidates: Int, kernels: Kernels,
    blocks: Int, objective: Objective, samples: Int
  ) throws {
    self.lone = lone
    self.swept = swept
    self.candidates = candidates
    let network = lone.network
    built = NetworkPass(
      network, lanes: .candidates(candidates), kernels: kernels, blockCapacity: blocks)
    built.swept = swept.node
    let pass = built.pass
    delta = try Buffer(candidates)
    tap = try Buffer(1)
    group = try Buffer(1)
    let groups = UnsafePointer(pass.own(group))
    let deltas = UnsafePointer(pass.own(delta))

    if let root = lone.root {
      let z = pass.bound(lone.shape(root + 1))
      tested = z
      var value = z
      if swept.node == root, swept.role == .weight {
        let input = network.shapes[network.inputs[root][0]]
        let x = pass.bound(Shape(channels: 1, height: input.height, width: input.width))
        changed = x
        value = pass.append(
          .shiftAdd(
            lone.network.window(of: root), delta: deltas, tap: UnsafePointer(pass.own(tap))),
          x, z,
          shape: lone.shape(root + 1))
      } else if swept.node == root {
        let one = try Buffer<Float>([1])
        value = pass.append(
          .offset(one: UnsafePointer(pass.own(one)), delta: deltas), z, shape: lone.shape(root + 1))
      }
      built.values[root + 1] = value
    }
    for node in lone.nodes where !built.covered.contains(node) {
      let inputs = network.inputs[node].map { value -> Pass.ValueID in
        if let alone = built.values[value] { return alone }
        let view = loneExternals[value] ?? pass.bound(lone.shape(value))
        loneExternals[value] = view
        return view
      }
      try built.append(node, inputs[0], inputs.count > 1 ? inputs[1] : nil, alone: true)
    }
    for value in lone.placed {
      guard let alone = built.values[value] else { continue }
      let full = pass.bound(network.shapes[value])
      placed[value] = full
      replaced[value] = pass.append(
        .replace(channels: groups), alone, full, shape: network.shapes[value])
    }
    for node in network.nodes.indices where !built.covered.contains(node) {
      let inputs = network.inputs[node]
      switch lone.plan.roles[node] {
      case .frozen, .fixed, .oneChannel: break
      case .mixing:
        guard let x = built.values[inputs[0]] else { continue }
        let window = lone.network.window(of: node)
        let unit = lone.width(inputs[0])
        let outputs = network.shapes[node + 1].channels
        let operation: Pass.Operation
        if unit == 1, let weights = try built.mixing(node) {
          columns.append((node, weights.set))
          operation = .mix(weights)
        } else {
          let direct = try built.directConvolution(
            window, inputs: unit, outputs: outputs, bias: try Buffer<Float>(outputs))
          columns.append((node, direct.1))
          operation = direct.0
        }
        let rest = pass.bound(network.shapes[node + 1])
        rests[node] = rest
        built.values[node + 1] = pass.append(
          operation, x, rest, shape: network.shapes[node + 1])
      case .whole:
        let x = whole(inputs[0])
        try built.append(node, x, inputs.count > 1 ? whole(inputs[1]) : nil)
      }
    }
    outputs = try pass.append(objective, of: whole(network.nodes.count), samples: samples)
    try pass.compile()
  }

  private var replaced: [Int: Pass.ValueID] = [:]

  /// All channels of a value: one version per candidate or, if the value is fixed, one for all.
  private func whole(_ value: Int) -> Pass.ValueID {
    if let replaced = replaced[value] { return replaced }
    if let value = built.values[value] { return value }
    let external = wholeExternals[value] ?? built.pass.bound(lone.network.shapes[value])
    wholeExternals[value] = external
    return external
  }

  /// Loads another lone channel.
  func load(channel: Int, _ parameters: Parameters, _ statistics: BatchNormStatistics) {
    group.pointer[0] = Int32(channel)
    for (node, set) in columns {
      guard let slot = parameters.slot(node: node, .weight) else { continue }
      let size = lone.width(lone.network.inputs[node][0])
      set(slot.shape[0], parameters.columns([(channel, 1)], size: size, of: slot)[...])
    }
    for part in built.lone {
      part.load(parameters) { slot in
        let count = slot.count / lone.channels
        return parameters.values[
          slot.offset + channel * count..<slot.offset + (channel + 1) * count]
      }
    }
    for case let norm as Norm in built.lone {
      guard let moments = statistics.moments[norm.node] else { continue }
      let range = channel * norm.channels..<(channel + 1) * norm.channels
      norm.setOrigin(mean: moments.mean[range], variance: moments.variance[range])
    }
  }

  /// Sets the candidates for one element of the loaded channel, whose value is `old` now. The pass must have room for
  /// them.
  func propose(_ values: some Collection<Float>, of element: Int, old: Float, perChannel: Int) {
    for (index, candidate) in values.enumerated() { delta.pointer[index] = candidate - old }
    let index = element % perChannel
    if swept.shape.count == 4 {
      tap.pointer[0] = Int32(index % (swept.shape[2] * swept.shape[3]))
    }
    for part in built.lone where part.node == swept.node {
      for (candidate, value) in values.enumerated() {
        part.set(swept.role, index, value, candidate: candidate)
      }
    }
  }
}
