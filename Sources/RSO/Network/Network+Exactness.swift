/// Where a network's values have no rounding error: they are integers times a power of two.
extension Network {
  /// What a value's numbers are multiples of, and how large they get.
  struct Grid: Hashable {
    /// The largest magnitude of the integers.
    var largest: Int
    /// The power of two that they are multiplied by, as an exponent; `nil`: each channel has one of its own, which
    /// depends on the scales of weights.
    var exponent: Int?

    /// All sums of this magnitude are exact in single precision.
    static let most = 1 << 24

    /// `nil` if the integers get too large.
    init?(_ largest: Int?, _ exponent: Int?) {
      guard let largest, largest <= Self.most else { return nil }
      (self.largest, self.exponent) = (largest, exponent)
    }
  }

  /// For every value, as `shapes` numbers them: its grid; `nil` if its numbers may be any.
  ///
  /// Bytes count as byte / 256, as `Normalization.Method.integers` has them: of images that are read otherwise, what it
  /// says of layers that read them does not hold.
  var grids: [Grid?] {
    var grids: [Grid?] = [Grid(255, -8)]
    for (index, node) in nodes.enumerated() {
      let reads = inputs[index].map { grids[$0] }
      grids.append(grid(of: node, reading: reads, shapes[inputs[index][0]]))
    }
    return grids
  }

  private func grid(of node: Node, reading inputs: [Grid?], _ shape: Shape) -> Grid? {
    let x = inputs[0]
    switch node.layer {
    case .activation(.sign), .activation(.hardStep): return Grid(1, 0)
    case .activation(.quantize(let bits, _)): return Grid(1 << bits - 1, -bits)
    case .activation(.relu), .maxPool, .globalMaxPool, .flatten: return x
    case .conv2d(_, let kernel, _, _, false):
      return x?.weighted(node.weights, terms: shape.channels * kernel * kernel)
    case .depthwiseConv2d(let kernel, _, _, false):
      return x?.weighted(node.weights, terms: kernel * kernel)
    case .linear(_, false): return x?.weighted(node.weights, terms: shape.channels)
    case .averagePool(let kernel, _, _): return x?.averaged(over: kernel * kernel)
    case .globalAveragePool: return x?.averaged(over: shape.area)
    case .add:
      guard let a = x, let b = inputs[1], let i = a.exponent, let j = b.exponent else { return nil }
      let unit = min(i, j)
      guard i - unit <= 24, j - unit <= 24 else { return nil }
      return Grid(a.largest << (i - unit) + b.largest << (j - unit), unit)
    // A float is added, or more than one rounding decides.
    case .conv2d, .depthwiseConv2d, .linear, .batchNorm, .activation: return nil
    }
  }
}

extension Network {
  /// Whether it has hard steps. Even before exact sums, rounding of batch norm's statistics may move a value to another
  /// level.
  var hasSteps: Bool {
    nodes.contains {
      if case .activation(let activation) = $0.layer { activation.isStep } else { false }
    }
  }

  /// Whether no sum of a layer with weights rounds on these images.
  func hasExactSums(of data: Dataset) -> Bool {
    let pixels = data.normalization.table(for: data.train.images)
    let areWhole = pixels.allSatisfy { ($0 * 256).rounded() == $0 * 256 }
    let grids = grids
    return !pixels.isEmpty && areWhole
      && nodes.indices.allSatisfy { !nodes[$0].layer.mixesChannels || grids[$0 + 1] != nil }
  }

  /// The name of a step whose global maximum is taken; `nil`: none is. In nearly every image the maximum is the step's highest
  /// level, so a new network gives all images the same outputs, and a search has nothing to go by.
  package var stepBeforeMaximum: String? {
    /// The step that is reached over layers which a maximum can change places with.
    func step(from start: Int, _ next: (Int) -> Int?) -> String? {
      var node = next(start)
      while let current = node {
        switch nodes[current].layer {
        case .activation(let activation) where activation.isStep: return nodes[current].name
        case .activation(.relu), .activation(.leakyReLU), .maxPool, .flatten: node = next(current)
        default: return nil
        }
      }
      return nil
    }
    for node in nodes.indices where nodes[node].layer == .globalMaxPool {
      let found =
        step(from: node) { inputs[$0][0] > 0 ? inputs[$0][0] - 1 : nil }
        ?? step(from: node) { node in inputs.firstIndex { $0.contains(node + 1) } }
      if let found { return found }
    }
    return nil
  }

  /// The `quantize` that alone reads a node, directly or behind pooling.
  func quantize(behind node: Int) -> Activation? {
    let readers = inputs.indices.filter { inputs[$0].contains(node + 1) }
    guard readers.count == 1, let reader = readers.first else { return nil }
    switch nodes[reader].layer {
    case .activation(let activation):
      if case .quantize = activation { return activation } else { return nil }
    case .maxPool, .averagePool, .globalMaxPool, .globalAveragePool, .flatten:
      return quantize(behind: reader)
    default: return nil
    }
  }

  /// Whether all layers that read a node are activations by steps.
  func feedsStep(_ node: Int) -> Bool {
    let readers = inputs.indices.filter { inputs[$0].contains(node + 1) }
    return !readers.isEmpty
      && readers.allSatisfy {
        if case .activation(let activation) = nodes[$0].layer { activation.isStep } else { false }
      }
  }
}

extension Network.Grid {
  /// Sums of as many terms, each a weight times a number.
  fileprivate func weighted(_ weights: Domain, terms: Int) -> Self? {
    guard weights.isDiscrete, exponent != nil else { return nil }
    return Self(product(of: [largest, weights.levels.upperBound, terms]), nil)
  }

  /// Means of as many numbers.
  fileprivate func averaged(over count: Int) -> Self? {
    guard count.nonzeroBitCount == 1 else { return nil }
    return Self(product(of: [largest, count]), exponent.map { $0 - count.trailingZeroBitCount })
  }
}
