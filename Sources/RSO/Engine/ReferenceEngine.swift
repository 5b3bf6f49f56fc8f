import Foundation

/// The definition: plain loops in double precision, with the whole forward pass for every candidate. It is slow and
/// short, and every other engine is tested against it.
package struct ReferenceEngine: Engine {
  package var parameters: Parameters {
    get { current }
    set {
      current = newValue
      sweep = nil
      areStatisticsKept = false
    }
  }
  package private(set) var statistics = BatchNormStatistics()
  /// Whether `statistics` were given for the current weights.
  private var areStatisticsKept = false
  private let network: Network
  private let data: Dataset
  private let objective: Objective
  private var current: Parameters
  private var sweep: SweepState?

  /// State that stays the same while the elements of one tensor are tested.
  private struct SweepState {
    var slot: Parameters.Slot
    var tensor: Int
    var part: Sweep.Part
    var cachedValue: Int
    var order: SampleOrder
    /// The cached value's activations, in the sample order of `order`.
    var cache: [[Double]]
    /// Elements judged so far.
    var judged: Set<Int> = []
    /// Decisions of the current round: indices into what is swept, and their values.
    var pending: [(element: Int, value: Float)] = []
  }

  package init(
    network: Network, data: Dataset, parameters: Parameters, objective: Objective = .crossEntropy
  ) {
    self.objective = objective
    self.network = network
    self.data = data
    current = parameters
  }

  package mutating func beginSweep(
    of parameter: Int, _ part: Sweep.Part, order: SampleOrder
  ) throws {
    let slot = current.slots[parameter]
    let cachedValue = SweepPlan(network: network, sweeping: slot.node).cachedValue
    try renewStatistics()
    let images = order.samples.map { image(Int($0), of: data.train) }
    let cache = try forward(images, from: 0, to: cachedValue, norm: .running)
    sweep = SweepState(
      slot: slot, tensor: parameter, part: part, cachedValue: cachedValue, order: order,
      cache: cache)
  }

  package mutating func judge(
    _ proposals: ArraySlice<Proposal>, by rule: inout SweepRule
  ) throws -> [Decision] {
    guard var sweep else { throw RSOError("judge", "no sweep was begun") }
    areStatisticsKept = false
    defer { self.sweep = sweep }
    return try proposals.untilStopped { proposal in
      guard sweep.judged.insert(proposal.element).inserted else {
        throw RSOError(
          "\(sweep.slot.name)[\(proposal.element)]",
          "expected each element once in a sweep, found it again", hint: "begin a new sweep")
      }
      let samples = Array(sweep.order.batch(proposal.batch))
      let old = current
      var losses = try proposal.candidates.map { candidate in
        current.set(sweep.part, proposal.element, of: sweep.tensor, to: candidate)
        // An error leaves the weights unchanged.
        defer { current = old }
        let logits = try logits(proposal.batch, sweep)
        return try objective.values(
          of: [sum(logits, samples, data.train)], candidates: 1, samples: samples.count,
          Self.outputs(logits, samples, .train, data.train))[0]
      }
      if proposal.baseline == .unused { losses[0] = .nan }
      let decision = try Decision(
        on: proposal, losses: ShortList(losses), by: &rule, parameter: sweep.slot.name)
      finish(proposal, decision.value, &sweep)
      return decision
    }
  }

  package mutating func resumeSweep(
    after proposals: ArraySlice<Proposal>, values: [Float], lastLoss: Double?
  ) throws {
    guard var sweep else { throw RSOError("resumeSweep", "no sweep was begun") }
    areStatisticsKept = false
    for (proposal, value) in zip(proposals, values) {
      sweep.judged.insert(proposal.element)
      finish(proposal, value, &sweep)
    }
    self.sweep = sweep
  }

  /// Takes a decided value; the end of a round applies all of the round's.
  private mutating func finish(_ proposal: Proposal, _ value: Float, _ sweep: inout SweepState) {
    sweep.pending.append((proposal.element, value))
    guard proposal.endsRound else { return }
    for (element, value) in sweep.pending {
      current.set(sweep.part, element, of: sweep.tensor, to: value)
    }
    sweep.pending = []
  }

  /// Logits `[samples][classes]` of one mini-batch of the sweep, with the current weights.
  func logits(ofBatch batch: Int) throws -> [[Double]] {
    try sweep.map { try logits(batch, $0) } ?? []
  }

  private func logits(_ batch: Int, _ sweep: SweepState) throws -> [[Double]] {
    let size = sweep.order.batchSize
    return try forward(
      Array(sweep.cache[batch * size..<(batch + 1) * size]), from: sweep.cachedValue,
      to: network.nodes.count, norm: .batch)
  }

  package mutating func evaluate(_ split: EvaluatedSplit) throws -> Evaluation {
    try renewStatistics()
    return try evaluate(split, with: statistics)
  }

  package mutating func evaluate(
    _ split: EvaluatedSplit, with statistics: BatchNormStatistics
  ) throws -> Evaluation {
    let data = try data.samples(split)
    if self.statistics != statistics {
      (self.statistics, areStatisticsKept) = (statistics, false)
    }
    let samples = (0..<Int32(data.count)).map { $0 }
    let logits = try samples.map {
      try forward([image(Int($0), of: data)], from: 0, to: network.nodes.count, norm: .running)[0]
    }
    return try objective.evaluation(
      sum: [sum(logits, samples, data)], Self.outputs(logits, samples, split, data))
  }

  /// The weighted losses of samples, summed.
  private func sum(_ logits: [[Double]], _ samples: [Int32], _ split: Split) -> Double {
    objective.sampleTerms.reduce(0) { total, term in
      total + term.weight
        * zip(logits, samples).reduce(0) {
          $0
            + term.loss(
              $1.0, label: Int(split.labels[Int($1.1)]), targets: split.targets(of: Int($1.1)),
              weights: term.classWeights)
        }
    }
  }

  private static func outputs(
    _ logits: [[Double]], _ samples: [Int32], _ name: EvaluatedSplit, _ split: Split
  ) -> Outputs {
    Outputs(
      logits.joined().map(Float.init), candidates: 1, width: logits.first?.count ?? 0, of: samples,
      in: name, split)
  }

  private func image(_ index: Int, of split: Split) -> [Double] {
    let area = split.shape.area
    return (0..<split.shape.count).map { i in
      let place = index * split.shape.count + i
      return switch split.images {
      case .bytes(let bytes): Double(data.normalization(byte: bytes[place], channel: i / area))
      case .floats(let floats):
        Double(data.normalization(Double(floats[place]), channel: i / area))
      }
    }
  }

  package mutating func keep(_ statistics: BatchNormStatistics) {
    (self.statistics, areStatisticsKept) = (statistics, true)
  }

  private mutating func renewStatistics() throws {
    if areStatisticsKept { return }
    let count = min(statisticsSamples, data.train.count)
    let images = (0..<count).map { image($0, of: data.train) }
    var found = BatchNormStatistics()
    _ = try forward(images, from: 0, to: network.nodes.count, norm: .batch) { node, moments in
      found.moments[node] = moments
    }
    statistics = found
  }
}

// MARK: The forward pass

extension ReferenceEngine {
  private enum Norm { case batch, running }

  /// Computes value `to` of every sample from value `from`.
  private func forward(
    _ samples: [[Double]], from: Int, to: Int, norm: Norm,
    record: (Int, BatchNormStatistics.Moments) -> Void = { _, _ in }
  ) throws -> [[Double]] {
    var values: [Int: [[Double]]] = [from: samples]
    for node in from..<max(from, to) {
      // Nodes above `from` never read values below it.
      let inputs = network.inputs[node].compactMap { values[$0] }
      let shape = network.shapes[network.inputs[node][0]]
      let output = network.shapes[node + 1]
      let weights = weights(of: node)
      let layer = network.nodes[node].layer
      switch layer {
      case .batchNorm(let epsilon):
        let moments =
          norm == .running ? statistics.moments[node] : Self.moments(inputs[0], shape)
        guard let moments else { return [] }
        record(node, moments)
        // Rounding decides the level: here the definition is what all engines compute, in single precision.
        if network.feedsStep(node) {
          values[node + 1] = inputs[0].map { singleNorm($0, node, shape, epsilon, moments) }
          continue
        }
        values[node + 1] = inputs[0].map { x in
          (0..<shape.count).map { i in
            let c = i / shape.area
            let unit = (x[i] - moments.mean[c]) / (moments.variance[c] + epsilon).squareRoot()
            return unit * weights.scale[c] + weights.shift[c]
          }
        }
      case .add: values[node + 1] = zip(inputs[0], inputs[1]).map { zip($0, $1).map { $0 + $1 } }
      case .conv2d, .depthwiseConv2d, .linear, .activation, .averagePool, .maxPool, .globalMaxPool,
        .globalAveragePool, .flatten:
        values[node + 1] = try inputs[0].map { x in
          try StopRequest.check()
          return Self.apply(layer, x, shape, output, weights.weight, weights.bias)
        }
      }
    }
    return values[to] ?? []
  }

  /// A batch norm of one sample `x` `[C, H, W]` in single precision.
  private func singleNorm(
    _ x: [Double], _ node: Int, _ shape: Shape, _ epsilon: Double,
    _ moments: BatchNormStatistics.Moments
  ) -> [Double] {
    let weights = weights(of: node)
    let maps = (0..<shape.channels).map { c in
      BatchNormStatistics.map(
        gamma: Float(weights.scale[c]), beta: Float(weights.shift[c]), mean: moments.mean[c],
        variance: moments.variance[c], epsilon: epsilon)
    }
    return x.enumerated().map { i, x in
      let map = maps[i / shape.area]
      return Double(map.offset.addingProduct(map.scale, Float(x)))
    }
  }

  private func weights(
    of node: Int
  ) -> (weight: [Double], bias: [Double], scale: [Double], shift: [Double]) {
    func values(_ role: Parameters.Role) -> [Double] {
      current.slot(node: node, role).map { current.values[$0.range].map(Double.init) } ?? []
    }
    return (values(.weight), values(.bias), values(.scale), values(.shift))
  }

  /// Mean and biased variance of every channel over samples and positions.
  static func moments(_ samples: [[Double]], _ shape: Shape) -> BatchNormStatistics.Moments {
    let count = Double(samples.count * shape.area)
    func mean(_ c: Int, _ term: (Double) -> Double) -> Double {
      let range = c * shape.area..<(c + 1) * shape.area
      return samples.reduce(0) { $0 + $1[range].reduce(0) { $0 + term($1) } } / count
    }
    let means = (0..<shape.channels).map { mean($0) { $0 } }
    let variances = (0..<shape.channels).map { c in
      mean(c) { ($0 - means[c]) * ($0 - means[c]) }
    }
    return .init(mean: means, variance: variances)
  }

  /// Applies one layer to one sample `x` `[C, H, W]`.
  private static func apply(
    _ layer: Layer, _ x: [Double], _ shape: Shape, _ output: Shape, _ weight: [Double],
    _ bias: [Double]
  ) -> [Double] {
    var y = [Double](repeating: 0, count: output.count)
    /// Calls `term` with the index of every input under the window at output position `p`, and the index of the tap.
    func window(_ p: Int, _ kernel: Int, _ stride: Int, _ padding: Int, term: (Int, Int) -> Void) {
      let (row, column) = (p / output.width * stride - padding, p % output.width * stride - padding)
      for ky in 0..<kernel where 0..<shape.height ~= row + ky {
        for kx in 0..<kernel where 0..<shape.width ~= column + kx {
          term((row + ky) * shape.width + column + kx, ky * kernel + kx)
        }
      }
    }
    switch layer {
    case .conv2d(_, let kernel, let stride, let padding, _):
      if !bias.isEmpty { for i in y.indices { y[i] = bias[i / output.area] } }
      for (i, w) in weight.enumerated() {
        // weight: [out, in, ky, kx]
        let (tap, channels) = (i % (kernel * kernel), i / (kernel * kernel))
        let (o, c) = (channels / shape.channels, channels % shape.channels)
        for row in 0..<output.height {
          let above = row * stride + tap / kernel - padding
          guard above >= 0, above < shape.height else { continue }
          for column in 0..<output.width {
            let left = column * stride + tap % kernel - padding
            guard left >= 0, left < shape.width else { continue }
            y[o * output.area + row * output.width + column] +=
              w * x[c * shape.area + above * shape.width + left]
          }
        }
      }
    case .depthwiseConv2d(let kernel, let stride, let padding, _):
      for i in y.indices {
        let c = i / output.area
        if !bias.isEmpty { y[i] = bias[c] }
        window(i % output.area, kernel, stride, padding) { j, tap in
          y[i] += weight[c * kernel * kernel + tap] * x[c * shape.area + j]
        }
      }
    case .linear:
      for o in 0..<output.channels {
        y[o] = bias.isEmpty ? 0 : bias[o]
        for c in 0..<shape.count { y[o] += weight[o * shape.count + c] * x[c] }
      }
    case .averagePool(let kernel, let stride, let padding):
      for i in 0..<output.count {
        let base = i / output.area * shape.area
        window(i % output.area, kernel, stride, padding) { j, _ in
          y[i] += x[base + j] / Double(kernel * kernel)
        }
      }
    case .maxPool(let kernel, let stride, let padding):
      for i in 0..<output.count {
        let base = i / output.area * shape.area
        y[i] = -.infinity
        window(i % output.area, kernel, stride, padding) { j, _ in y[i] = max(y[i], x[base + j]) }
      }
    case .globalMaxPool:
      for c in 0..<shape.channels {
        y[c] = x[c * shape.area..<(c + 1) * shape.area].reduce(-.infinity) { max($0, $1) }
      }
    case .globalAveragePool:
      for c in 0..<shape.channels {
        y[c] = x[c * shape.area..<(c + 1) * shape.area].reduce(0, +) / Double(shape.area)
      }
    case .activation(let activation): y = x.map(activation.callAsFunction)
    case .flatten, .batchNorm, .add: y = x
    }
    return y
  }
}
