import Foundation

/// What calibration has done to an activation.
public struct Calibration: Hashable, Sendable {
  /// The layer's name.
  public let layer: String
  /// The bits of its levels.
  public let bits: Int
  /// What the highest level stands for, in the numbers of the activation before.
  public let range: Double
  /// The root mean square of the differences that the levels make, as a fraction of that of the numbers.
  public let error: Double
}

extension Model {
  /// The model with `quantize` in place of ReLU, where another network of the same layers has it.
  ///
  /// The levels of `quantize` end at 1, and what a ReLU passes on may be larger. Of all ranges from 0 to r, the one that rounds
  /// its numbers with the least squared error becomes 0 to 1: the batch norm in front is divided by r, and the weights behind
  /// are multiplied by it, so that nothing else changes. Discrete weights, whose scales are powers of two, take the nearest
  /// one. A batch norm behind them takes out the rest; without one, the logits of classes are larger or smaller by it, and elsewhere
  /// only ranges are tried that leave no rest. Levels
  /// are fitted from the input to the output, each behind the levels before it.
  ///
  /// - Parameters:
  ///   - network: the network with the levels.
  ///   - images: `[N, C, H, W]`, of those that the model was trained on. A few hundred do.
  ///   - renewsStatistics: whether batch norm's running statistics are computed anew from the images, as levels before a layer
  ///     change its numbers; if not, they are those of the model.
  /// - Returns: the model, and what was done to each activation.
  /// - Throws: `RSOError` if the layers are not the same, an activation has no batch norm in front of it or no weights behind
  ///   it to take the range up, or its numbers are not finite.
  /// - Complexity: for each activation and each batch norm a forward pass of at most 2000 images up to it.
  public func calibrated(
    to network: Network, on images: Pixels, renewsStatistics: Bool = true
  ) throws -> (model: Model, calibrations: [Calibration]) {
    let found = try calibration(to: network, on: images, renewsStatistics: renewsStatistics)
    return (found.model, found.calibrations)
  }

  /// As `calibrated(to:on:renewsStatistics:)`.
  ///
  /// - Returns: also the factors, `[channels]`, by which the outputs of layers with discrete weights have changed, by the
  ///   layer's index, where a batch norm takes them out again. The model's running statistics have changed with them.
  package func calibration(
    to network: Network, on images: Pixels, renewsStatistics: Bool = true
  ) throws -> (model: Model, calibrations: [Calibration], factors: [Int: [Double]]) {
    guard self.network.takingLevels(of: network) == network else {
      throw RSOError("network", "expected the layers of the model, found others")
    }
    var (model, calibrations, factors) = (self, [Calibration](), [Int: [Double]]())
    for (index, node) in network.nodes.enumerated() {
      if renewsStatistics, node.layer.takesStatistics {
        try model.renewStatistics(of: index, on: images)
      }
      guard node.layer != self.network.nodes[index].layer,
        case .activation(.quantize(let bits, _)) = node.layer
      else { continue }
      let (norm, readers) = try network.surroundings(ofLevels: index)
      // Classes do not depend on how large all logits are.
      let isExact = readers.contains { reader in
        network.nodes[reader].weights.isDiscrete && !network.normalizes(reader)
          && !(reader == network.nodes.count - 1 && hasClasses)
      }
      let (range, error) = try Self.range(
        of: model.outputs(of: index, on: images), bits: bits, layer: node.name,
        unit: isExact ? node.layer.highestLevel : nil)
      calibrations.append(Calibration(layer: node.name, bits: bits, range: range, error: error))
      // `quantize` passes 1 on as a little less.
      let norms = range / self.network.nodes[index].layer.highestLevel
      for role in [Parameters.Role.scale, .shift] {
        for place in model.parameters.slot(node: norm, role)?.range ?? 0..<0 {
          model.parameters.values[place] /= Float(norms)
        }
      }
      for reader in readers {
        let rest = try model.multiplyWeights(of: reader, by: range / node.layer.highestLevel)
        guard rest != 1, network.normalizes(reader) else { continue }
        let channels = network.shapes[reader + 1].channels
        let factor = [Double](repeating: rest, count: channels)
        model.statistics.scale(by: [reader: factor], in: network)
        factors[reader] = zip(factors[reader] ?? factor.map { _ in 1 }, factor).map { $0 * $1 }
      }
      var nodes = model.network.nodes
      nodes[index] = node
      model.network = try Network(input: network.input, nodes: nodes)
    }
    var parameters = Parameters(zerosFor: network)
    (parameters.values, parameters.scales) = (model.parameters.values, model.parameters.scales)
    (model.network, model.parameters) = (network, parameters)
    return (model, calibrations, factors)
  }

  /// Multiplies the weights of a layer, discrete ones by the nearest power of two.
  ///
  /// - Returns: by what its outputs have changed beside that.
  private mutating func multiplyWeights(of node: Int, by factor: Double) throws -> Double {
    guard let tensor = parameters.slots.firstIndex(where: { $0.node == node && $0.role == .weight })
    else { return 1 }
    let slot = parameters.slots[tensor]
    var applied = Float(factor)
    if slot.domain.isDiscrete {
      applied = Domain.powerOfTwo(nearest: factor)
      parameters.scales[tensor] = parameters.scales[tensor]?.map { $0 * applied }
    }
    for place in slot.range { parameters.values[place] *= applied }
    try parameters.checkLevels()
    let rest = slot.domain.isDiscrete ? Double(applied) / factor : 1
    if let bias = parameters.slot(node: node, .bias) {
      for place in bias.range { parameters.values[place] *= Float(rest) }
    }
    return rest
  }

  /// Takes the moments of what a batch norm reads for its running statistics.
  private mutating func renewStatistics(of norm: Int, on images: Pixels) throws {
    let value = network.inputs[norm][0]
    let shape = network.shapes[value]
    // A norm of the images themselves stays as it is.
    guard value > 0 else { return }
    let numbers = try outputs(of: value - 1, on: images)
    var (sums, squares) = (
      [Double](repeating: 0, count: shape.channels), [Double](repeating: 0, count: shape.channels)
    )
    for (place, number) in numbers.enumerated() {
      sums[place / shape.area % shape.channels] += Double(number)
    }
    let count = Double(numbers.count / shape.channels)
    let mean = sums.map { $0 / count }
    for (place, number) in numbers.enumerated() {
      let channel = place / shape.area % shape.channels
      squares[channel] += (Double(number) - mean[channel]) * (Double(number) - mean[channel])
    }
    statistics.moments[norm] = .init(mean: mean, variance: squares.map { $0 / count })
  }

  /// What a layer gives for the first images: all of its numbers, one image after the other.
  private func outputs(of node: Int, on images: Pixels) throws -> [Float] {
    let part = try model(upTo: node)
    let size = network.input.count
    let count = min(images.count / size, 2000, max(100, 1_000_000 / network.shapes[node + 1].count))
    return try part.predict(images[0..<count * size]).flatMap(\.logits)
  }

  /// The layers that a node depends on, with one at the end that makes its numbers the outputs.
  private func model(upTo last: Int) throws -> Model {
    var needed: Set = [last + 1]
    for node in (0...last).reversed() where needed.contains(node + 1) {
      needed.formUnion(network.inputs[node])
    }
    let kept = (0...last).filter { needed.contains($0 + 1) }
    var nodes = kept.map { index in
      var node = network.nodes[index]
      let value = network.inputs[index][0]
      node.input = value == 0 ? "input" : network.nodes[value - 1].name
      return node
    }
    var name = "outputs"
    while nodes.contains(where: { $0.name == name }) { name += "_" }
    nodes.append(.flatten(name))
    var model = self
    model.network = try Network(input: network.input, nodes: nodes)
    model.parameters = Parameters(zerosFor: model.network)
    model.statistics = BatchNormStatistics()
    for slot in model.parameters.slots {
      guard let own = parameters.slot(named: slot.name) else { continue }
      model.parameters.values.replaceSubrange(
        slot.range, with: parameters.values[parameters.slots[own].range])
    }
    for (new, old) in kept.enumerated() { model.statistics.moments[new] = statistics.moments[old] }
    return model
  }

  /// The range of levels that rounds numbers with the least squared error. It tries sixteenths of an octave, four octaves down
  /// from the largest number.
  ///
  /// - Parameter unit: the range must be this times a power of two.
  static func range(
    of values: [Float], bits: Int, layer: String, unit: Double? = nil
  ) throws -> (range: Double, error: Double) {
    if let value = values.first(where: { !$0.isFinite }) {
      throw RSOError(layer, "expected finite numbers from the layers before it, found \(value)")
    }
    let (largest, size) = values.reduce((Float(0), 0.0)) {
      (max($0.0, $1), $0.1 + Double($1) * Double($1))
    }
    guard largest > 0 else { return (unit ?? 1, 0) }
    let steps = Float(1 << bits - 1)
    let ranges =
      if let unit {
        (0...5).map { unit * exp2((log2(Double(largest) / unit)).rounded(.up) - Double($0)) }
      } else {
        (0..<64).map { Double(largest) * exp2(-Double($0) / 16) }
      }
    var best = (range: Double(largest), error: Double.infinity)
    for range in ranges.map({ Float($0) }) {
      let error = values.reduce(0.0) { sum, value in
        let level = (min(value / range, 1) * steps).rounded(.toNearestOrEven)
        let difference = Double(value - level / steps * range)
        return sum + difference * difference
      }
      if error < best.error { best = (Double(range), error) }
    }
    return (best.range, (best.error / size).squareRoot())
  }
}

extension Layer {
  /// What `quantize` makes of 1; 1 for others.
  fileprivate var highestLevel: Double {
    guard case .activation(.quantize(let bits, _)) = self else { return 1 }
    return Double(1 << bits - 1) / Double(1 << bits)
  }
}
