import CRSO

/// Brings up to date the values that the tests on one mini-batch use: the rest at every mixing layer, the channels of
/// every placed value, and the lone channel under test before its changes.
///
/// It computes several lone channels at once, each with the weights that it had when it was added to the rest or has
/// now. The last channel is the one under test, which is left out of the rest or subtracted from it.
final class RefreshPass {
  let built: NetworkPass
  private let lone: LoneChannel
  private let count: Int
  /// The number of units that are added to the rest or subtracted from it; they come first.
  private let mixed: Int
  /// Sets the units' rows of weights.
  private let setRootWeights: NetworkPass.SetWeights?
  private let rootBias: Buffer<Float>?
  /// Each unit's channel; and the same, but negative where nothing is placed.
  private let gathered: Buffer<Int32>
  private let scattered: Buffer<Int32>
  private var columns: [(node: Int, set: NetworkPass.SetWeights)] = []

  init(
    _ lone: LoneChannel, _ refresh: SweepSchedule.Refresh.Shape, kernels: Kernels, blocks: Int
  ) throws {
    self.lone = lone
    let (count, mixed, fresh) = (refresh.units, refresh.mixed, refresh.isFresh)
    self.mixed = mixed
    self.count = count
    let network = lone.network
    built = NetworkPass(network, lanes: .samples, kernels: kernels, blockCapacity: blocks)
    let pass = built.pass
    gathered = try Buffer(count)
    scattered = try Buffer(count)
    let groups = UnsafePointer(pass.own(gathered))

    var external: [Int: Pass.ValueID] = [:]
    for value in lone.fixed { external[value] = pass.bound(network.shapes[value]) }
    if let root = lone.root {
      let input = network.inputs[root][0]
      let x = external[input] ?? pass.bound(network.shapes[input])
      external[input] = x
      let window = lone.network.window(of: root)
      let channels = network.shapes[input].channels
      let bias = try Buffer<Float>(count)
      let (operation, set) = try built.convolution(
        root, window, inputs: channels, outputs: count, bias: bias)
      built.values[root + 1] = pass.append(
        operation, x, shape: lone.shape(root + 1, count: count))
      (setRootWeights, rootBias) = (set, bias)
    } else {
      (setRootWeights, rootBias) = (nil, nil)
    }
    for node in lone.nodes where !built.covered.contains(node) {
      let inputs = network.inputs[node].compactMap { value -> Pass.ValueID? in
        if let alone = built.values[value] { return alone }
        return external[value].map {
          pass.append(
            .gather(channels: groups, count: count), $0, shape: lone.shape(value, count: count))
        }
      }
      try built.append(node, inputs[0], inputs.count > 1 ? inputs[1] : nil, alone: true)
    }
    externals = external

    for node in lone.mixing {
      let value = network.inputs[node][0]
      guard let x = built.values[value] else { continue }
      let inputs = lone.width(value) * mixed
      let window = lone.network.window(of: node)
      let rest = pass.bound(network.shapes[node + 1])
      rests[node] = rest
      let outputs = network.shapes[node + 1].channels
      let bias = try Buffer<Float>(outputs)
      biases.append((node, bias))
      let (operation, set) =
        fresh
        ? try built.convolution(node, window, inputs: inputs, outputs: outputs, bias: bias)
        : try built.directConvolution(window, inputs: inputs, outputs: outputs, bias: bias)
      columns.append((node, set))
      pass.append(
        operation, x, fresh ? nil : rest, shape: network.shapes[node + 1], into: rest)
    }
    let to = UnsafePointer(pass.own(scattered))
    for value in lone.placed {
      guard let x = built.values[value] else { continue }
      let full = pass.bound(network.shapes[value])
      placed[value] = full
      pass.append(
        .scatter(channels: to, count: count), x, shape: network.shapes[value], into: full)
    }
    if let root = lone.root, let z = built.values[root + 1] {
      let last = try Buffer<Int32>([Int32(count - 1)])
      let tested = pass.bound(lone.shape(root + 1))
      self.tested = tested
      pass.append(
        .gather(channels: UnsafePointer(pass.own(last)), count: 1), z, shape: lone.shape(root + 1),
        into: tested)
    }
    try pass.compile()
  }

  /// Values to bind before a run: the fixed values, by network value; the rests, by mixing node; the placed values, by
  /// network value; and the root's channel under test.
  private(set) var externals: [Int: Pass.ValueID] = [:]
  private(set) var rests: [Int: Pass.ValueID] = [:]
  private(set) var placed: [Int: Pass.ValueID] = [:]
  private(set) var tested: Pass.ValueID?
  private var biases: [(node: Int, bias: Buffer<Float>)] = []

  /// Sets the weights for `units`; there must be as many as the pass was built for.
  func load(
    _ units: [SweepSchedule.Unit], _ history: SweepHistory, _ schedule: SweepSchedule,
    _ parameters: Parameters, _ statistics: BatchNormStatistics
  ) {
    func row(_ slot: Parameters.Slot, _ unit: SweepSchedule.Unit) -> [Float] {
      history.row(
        of: slot, channel: unit.channel, at: unit.time, channels: lone.channels, schedule,
        in: parameters)
    }
    for (u, unit) in units.enumerated() {
      gathered.pointer[u] = Int32(unit.channel)
      scattered.pointer[u] = unit.sign > 0 ? Int32(unit.channel) : -1
    }
    if let root = lone.root, let setRootWeights, let rootBias {
      if let slot = parameters.slot(node: root, .weight) {
        setRootWeights(count, units.flatMap { row(slot, $0) }[...])
      }
      if let slot = parameters.slot(node: root, .bias) {
        rootBias.set(units.flatMap { row(slot, $0) }[...])
      }
    }
    for part in built.lone {
      part.load(parameters) { slot in units.flatMap { row(slot, $0) } }
    }
    for case let norm as Norm in built.lone {
      guard let moments = statistics.moments[norm.node] else { continue }
      let size = norm.channels / count
      func ofUnits(_ values: [Double]) -> ArraySlice<Double> {
        units.flatMap { values[$0.channel * size..<($0.channel + 1) * size] }[...]
      }
      norm.setOrigin(mean: ofUnits(moments.mean), variance: ofUnits(moments.variance))
    }
    for (node, set) in columns {
      guard let slot = parameters.slot(node: node, .weight) else { continue }
      let signed = units.prefix(mixed).map { (channel: $0.channel, factor: Float($0.sign)) }
      let size = lone.width(lone.network.inputs[node][0])
      set(slot.shape[0], parameters.columns(signed, size: size, of: slot)[...])
    }
    for (node, bias) in biases {
      if let slot = parameters.slot(node: node, .bias) { bias.set(parameters.values[slot.range]) }
    }
  }
}

extension Parameters {
  /// The weights that multiply some lone channels, `[out][channels · size][taps]`, each times its channel's factor.
  ///
  /// - Parameter size: the layer's inputs for one lone channel.
  func columns(
    _ channels: [(channel: Int, factor: Float)], size: Int, of slot: Slot
  ) -> [Float] {
    let taps = slot.count / (slot.shape[0] * slot.shape[1])
    var result: [Float] = []
    result.reserveCapacity(slot.shape[0] * channels.count * size * taps)
    for output in 0..<slot.shape[0] {
      for (channel, factor) in channels {
        let first = slot.offset + (output * slot.shape[1] + channel * size) * taps
        result += values[first..<first + size * taps].map { factor * $0 }
      }
    }
    return result
  }
}
