import CRSO

/// What the CPU engine computes from one value of each channel, by its own kernels and so with its own roundings.
///
/// An export that replaces batch norm and activation by a table finds the table with it, and then holds for every input.
package struct ChannelFunction {
  /// One function of a value.
  package enum Step {
    /// A mean's share of a sum.
    case multiply(Float)
    /// Batch norm, scale · x + offset, `[channels]` each, and an activation that reads nothing else. Apart they may be
    /// rounded in another way.
    case normalize(scale: [Float], offset: [Float], Activation?)
    /// An element-wise function.
    case activate(Activation)
  }

  /// Values of a channel that are computed at once.
  package static let lanes = Kernels.block

  private let channels: Int
  private let steps: [Step]
  private let kernels: Kernels
  private let values: Buffer<Float>

  /// - Throws: `RSOError` if there is not enough memory.
  package init(channels: Int, steps: [Step]) throws {
    self.channels = channels
    self.steps = steps
    kernels = try Kernels.preferred()
    values = try Buffer(channels * Self.lanes)
  }

  /// Applies all steps to `x`, `[channels][lanes]`.
  package func callAsFunction(_ x: [Float]) -> [Float] {
    values.set(x[...])
    let y = values.pointer
    var map = rso_map(
      x: UnsafePointer(y), y: y, x_lane: 0, y_lane: 0, lanes: 1, channels: Int32(channels), area: 1)
    for step in steps {
      switch step {
      case .multiply(let factor): for i in x.indices { y[i] *= factor }
      case .normalize(let scale, let offset, let activation):
        kernels.table.pointee.normalize(
          &map, scale, offset, 0, activation?.kernel ?? .identity)
      case .activate(let activation): kernels.table.pointee.activate(&map, activation.kernel)
      }
    }
    return Array(UnsafeBufferPointer(start: y, count: x.count))
  }
}

extension Activation {
  /// Whether no larger input gives a smaller result, roundings included.
  package var isNondecreasing: Bool {
    switch self {
    case .sign, .hardStep, .quantize, .relu, .hardSigmoid: true
    case .leakyReLU(let slope): slope >= 0
    // The first two rise, but their approximations may not.
    case .sigmoid, .tanh, .gelu, .silu, .hardSwish: false
    }
  }

  /// The results of a step, from the least.
  package func levels() throws -> [Float] {
    let step = try ChannelFunction(channels: 1, steps: [.activate(self)])
    // Levels are 1/256 apart or more, between -1 and 1.
    let inputs = (-2048...2048).map { Float($0) / 1024 }
    var found = Set<Float>()
    for first in stride(from: 0, to: inputs.count, by: ChannelFunction.lanes) {
      let lanes = inputs[first..<min(first + ChannelFunction.lanes, inputs.count)]
      found.formUnion(step(Array(lanes)))
    }
    return found.sorted()
  }
}

extension Network {
  /// The map y = scale · x + offset that a batch norm is, as the CPU engine rounds it; `[channels]` each.
  package func normalizationMap(
    of node: Int, _ parameters: Parameters, _ statistics: BatchNormStatistics
  ) -> (scale: [Float], offset: [Float]) {
    guard case .batchNorm(let epsilon) = nodes[node].layer,
      let scale = parameters.slot(node: node, .scale),
      let shift = parameters.slot(node: node, .shift), let moments = statistics.moments[node]
    else { return ([], []) }
    let maps = (0..<scale.count).map {
      BatchNormStatistics.map(
        gamma: parameters.values[scale.offset + $0], beta: parameters.values[shift.offset + $0],
        mean: moments.mean[$0], variance: moments.variance[$0], epsilon: epsilon)
    }
    return (maps.map(\.scale), maps.map(\.offset))
  }
}

extension Normalization {
  /// `[channels][256]`: what a network reads for every byte.
  package var byteTable: [Float] { table(for: .bytes([])) }
}
