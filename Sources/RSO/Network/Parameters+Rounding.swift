import Foundation

/// How many scales a discrete tensor has, and where they come from.
public enum ScaleChoice: String, CaseIterable, Codable, Sendable {
  /// One, which follows from the initial standard deviation.
  case fixed
  /// One, which rounds the tensor with the least squared error, or which a search changes.
  case tensor
  /// One for each output channel, which rounds the channel with the least squared error, or which a search changes.
  case channel
}

/// What rounding has done to a tensor.
public struct Rounding: Hashable, Sendable {
  /// The tensor's name.
  public let parameter: String
  /// The domain it was rounded to.
  public let domain: Domain
  /// The root mean square of the differences, as a fraction of that of the weights. Where a batch norm takes out any
  /// factor, it is the difference from levels times the best scale, which need not be a power of two.
  public let error: Double
}

extension Parameters {
  /// The weights of a network, rounded to the domains that another one of the same layers has.
  ///
  /// A scale must be a power of two. Where a batch norm follows, the best scale may be any number: the power of two that
  /// is nearest to it takes its place, and the layer's outputs, and with them its bias, change by a factor that the
  /// batch norm takes out again.
  ///
  /// - Parameters:
  ///   - network: the network with the domains; its parameters have the same names and shapes.
  ///   - scales: how many scales a tensor has.
  /// - Returns: the weights, what was done to each tensor that is not the same, and the factors, `[channels]`, by which
  ///   the outputs of a layer have changed, by the layer's index.
  /// - Throws: `RSOError` if the names or shapes are not those of `network`, or a weight is NaN or infinite.
  /// - Complexity: O(100 · elements)
  package func rounded(
    to network: Network, scales choice: ScaleChoice
  ) throws -> (parameters: Parameters, roundings: [Rounding], factors: [Int: [Double]]) {
    var result = Parameters(zerosFor: network)
    guard slots.map(\.name) == result.slots.map(\.name),
      slots.map(\.shape) == result.slots.map(\.shape)
    else {
      throw RSOError(
        "parameters", "expected those of the network, found other names or shapes")
    }
    result.values = values
    var roundings: [Rounding] = []
    var factors: [Int: [Double]] = [:]
    for (tensor, slot) in result.slots.enumerated() where slot.domain.isDiscrete {
      if slots[tensor].domain == slot.domain, (try? levels(of: tensor)) != nil {
        result.scales[tensor] = scales[tensor]
        continue
      }
      let own = Array(values[slot.range])
      if let index = own.firstIndex(where: { !$0.isFinite }) {
        throw RSOError("\(slot.name)[\(index)]", "expected a finite weight, found \(own[index])")
      }
      let isFree = choice != .fixed && network.normalizes(slot.node)
      let channel = choice == .channel ? slot.elementsPerChannel : slot.count
      var (found, error, factor) = ([Float](), 0.0, [Double]())
      for start in stride(from: 0, to: slot.count, by: channel) {
        let part = own[start..<start + channel]
        let fixed = Double(result.scales[tensor]?.first ?? 1)
        let best =
          choice == .fixed
          ? fixed
          : slot.domain.bestScale(of: part, isPowerOfTwo: !isFree)
            ?? slot.domain.scaleOfZeros(
              else: fixed)
        let scale = Domain.powerOfTwo(nearest: best)
        for element in part.indices {
          let level = slot.domain.level(nearest: Double(own[element]) / best)
          result.values[slot.offset + element] = Float(level) * scale
        }
        error += slot.domain.squaredError(of: part, scale: best)
        found.append(scale)
        factor += [Double](
          repeating: Double(scale) / best,
          count: choice == .channel ? 1 : slot.shape[0])
      }
      result.scales[tensor] = found
      if factor.contains(where: { $0 != 1 }) {
        factors[slot.node] = factor
        if let bias = result.slot(node: slot.node, .bias) {
          for (index, factor) in factor.enumerated() {
            result.values[bias.offset + index] *= Float(factor)
          }
        }
      }
      let size = own.reduce(0) { $0 + Double($1) * Double($1) }
      roundings.append(
        Rounding(
          parameter: slot.name, domain: slot.domain,
          error: size > 0 ? (error / size).squareRoot() : error < 1e-30 ? 0 : .infinity))
    }
    return (result, roundings, factors)
  }
}

extension Domain {
  /// The sum of the squared differences between weights and their nearest levels times `scale`.
  fileprivate func squaredError(of weights: ArraySlice<Float>, scale: Double) -> Double {
    weights.reduce(0) { sum, weight in
      let difference = Double(weight) - Double(level(nearest: Double(weight) / scale)) * scale
      return sum + difference * difference
    }
  }

  /// The scale of weights that are all zero: the smallest, if the domain has no zero.
  fileprivate func scaleOfZeros(else scale: Double) -> Double {
    level(nearest: 0) == 0 ? scale : Double(Self.powerOfTwo(nearest: 0))
  }

  /// The scale that rounds weights with the least squared error; `nil` if all of them are zero.
  ///
  /// It tries powers of two and, unless it must be one, steps of a sixteenth of an octave, and improves the best one:
  /// for given levels k the best scale is Σ w k / Σ k².
  fileprivate func bestScale(of weights: ArraySlice<Float>, isPowerOfTwo: Bool) -> Double? {
    let largest = weights.reduce(0) { max($0, Double($1.magnitude)) }
    guard largest > 0 else { return nil }
    // No weight is beyond the highest level. Six octaves below, all but the smallest are.
    let highest = largest / Double(levels.upperBound)
    let exponent = Int(highest.exponent) + 1
    var candidates = (exponent - 7...exponent).map {
      Double(Self.powerOfTwo(nearest: Double(sign: .plus, exponent: $0, significand: 1)))
    }
    if self == .binary {
      // All weights become as large as they are on average, however large the largest is.
      let mean = weights.reduce(0) { $0 + Double($1.magnitude) } / Double(weights.count)
      for scale in [mean, mean / 2, mean * 2] {
        candidates.append(Double(Self.powerOfTwo(nearest: scale)))
      }
    }
    // Of a few weights, the best scale may leave the highest levels out.
    if !isPowerOfTwo { candidates += (0..<104).map { highest * exp2((8 - Double($0)) / 16) } }
    var best = (scale: 0.0, error: Double.infinity)
    func consider(_ scale: Double) {
      let error = squaredError(of: weights, scale: scale)
      if error < best.error { best = (scale, error) }
    }
    for candidate in candidates { consider(candidate) }
    if isPowerOfTwo { return best.scale }
    for _ in 0..<8 {
      let scale = best.scale
      let sums = weights.reduce((products: 0.0, squares: 0.0)) { sums, weight in
        let level = Double(self.level(nearest: Double(weight) / scale))
        return (sums.products + Double(weight) * level, sums.squares + level * level)
      }
      if sums.squares > 0, sums.products > 0 { consider(sums.products / sums.squares) }
      if best.scale == scale { break }
    }
    return best.scale
  }
}

extension Network {
  /// Whether a batch norm takes out any positive factor of what a node computes, before anything else depends on it.
  func normalizes(_ node: Int) -> Bool { norm(after: node) != nil }

  /// The batch norm that reads what a node computes, directly or through layers that keep channels apart and pass
  /// positive factors on; `nil` if there is none, or another layer reads it as well.
  func norm(after node: Int) -> Int? {
    var value = node + 1
    while true {
      let readers = inputs.indices.filter { inputs[$0].contains(value) }
      guard readers.count == 1, let reader = readers.first else { return nil }
      switch nodes[reader].layer {
      case .batchNorm: return reader
      case .averagePool, .maxPool, .globalMaxPool, .globalAveragePool, .activation(.relu),
        .activation(.leakyReLU):
        value = reader + 1
      case .conv2d, .depthwiseConv2d, .linear, .activation, .flatten, .add: return nil
      }
    }
  }
}

extension Model {
  /// The model with its weights rounded to the domains that another network of the same layers has.
  ///
  /// Where a layer's outputs change by a factor, the running statistics of the batch norm behind it change with them.
  /// The statistics are not computed anew: `RandomSearch` does that.
  ///
  /// - Parameters:
  ///   - network: the network with the domains.
  ///   - scales: how many scales a tensor has.
  /// - Returns: the model, and what was done to each tensor.
  /// - Throws: `RSOError` if the layers are not the same, or a weight is NaN or infinite.
  /// - Complexity: O(100 · weights)
  public func rounded(
    to network: Network, scales: ScaleChoice = .tensor
  ) throws -> (model: Model, roundings: [Rounding]) {
    let rounded = try parameters.rounded(to: network, scales: scales)
    var model = self
    (model.network, model.parameters) = (network, rounded.parameters)
    model.statistics.scale(by: rounded.factors, in: network)
    return (model, rounded.roundings)
  }
}

extension BatchNormStatistics {
  /// Follows factors of layers' outputs.
  ///
  /// - Parameter factors: `[channels]`, by the layer's index.
  package mutating func scale(by factors: [Int: [Double]], in network: Network) {
    for (node, factor) in factors {
      guard let norm = network.norm(after: node), let moments = moments[norm] else { continue }
      self.moments[norm] = Moments(
        mean: zip(moments.mean, factor).map { $0 * $1 },
        variance: zip(moments.variance, factor).map { $0 * $1 * $1 })
    }
  }
}

extension Network {
  /// The same layers with floats for weights.
  public var withFloatWeights: Network {
    guard hasDiscreteWeights else { return self }
    return (try? settingWeights(to: .float)) ?? self
  }
}
