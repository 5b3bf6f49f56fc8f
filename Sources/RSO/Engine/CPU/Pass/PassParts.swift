import CRSO

/// The cost of one part of a proposal.
package struct ProposalPart: Hashable, Sendable {
  /// The names of its steps' kernels.
  package var steps: String
  /// For one image, all candidates together.
  package var multiplyAdds: Int
  /// Summed over proposals.
  package var seconds: Double
}

extension Pass {
  /// The segments of the pass, with their time in all runs.
  var parts: [ProposalPart] {
    segments.map { segment in
      ProposalPart(
        steps: segment.instructions.map(\.words).joined(separator: "; "),
        multiplyAdds: candidates * segment.instructions.reduce(0) { $0 + $1.multiplyAdds },
        seconds: segment.seconds)
    }
  }
}

extension Pass {
  /// The convolutions' multiply-adds for one image and lane. Each counts once, even if later segments repeat it.
  var multiplyAdds: Int {
    steps.reduce(0) { sum, step in
      switch step.operation {
      case .convolution(let window, _, _, let inputs), .winograd(let window, _, _, let inputs):
        let (area, taps) = (window.out_height * window.out_width, window.kernel * window.kernel)
        return sum + Int(area * taps) * inputs * (step.y.map { values[$0].shape.channels } ?? 0)
      case .integers(let weights):
        let window = weights.window
        let (area, taps) = (window.out_height * window.out_width, window.kernel * window.kernel)
        return sum + Int(area * taps) * weights.inputs
          * (step.y.map { values[$0].shape.channels } ?? 0)
      case .depthwise(let window, _, _, _):
        let (area, taps) = (window.out_height * window.out_width, window.kernel * window.kernel)
        return sum + Int(area * taps) * (step.y.map { values[$0].shape.channels } ?? 0)
      default: return sum
      }
    }
  }
}

extension Pass.Instruction {
  /// Multiply-adds of a direct convolution for one image and lane, without batch norm, activations and pooling.
  var multiplyAdds: Int {
    let mixed = source.mixing == nil ? 0 : 9 * shape.count
    switch operation {
    case .convolution(let window, _, _, let inputs), .winograd(let window, _, _, let inputs):
      let (area, taps) = (window.out_height * window.out_width, window.kernel * window.kernel)
      return mixed + Int(area * taps) * inputs * outputs
    case .integers(let weights):
      let window = weights.window
      let (area, taps) = (window.out_height * window.out_width, window.kernel * window.kernel)
      return mixed + Int(area * taps) * weights.inputs * outputs
    case .depthwise(let window, _, _, _):
      return Int(window.out_height * window.out_width * window.kernel * window.kernel) * outputs
    case .mix(let weights):
      return 9 * Int(weights.window.out_height * weights.window.out_width) * outputs
    case .shiftAdd: return shape.area
    default: return mixed
    }
  }

  /// The operations it does, in order.
  var words: String {
    var words: [String] = []
    if source.mixing != nil { words.append("mix") }
    if case .shiftAdd = operation { words.append(operation.word) }
    if source.norm != nil { words.append("normalize") }
    if source.step.function != rso_identity { words.append("step") }
    if source.box != nil { words.append("box sums") }
    if words.first != operation.word { words.append(operation.word) }
    if moments != nil { words.append("moments") }
    return words.joined(separator: ", ")
  }
}

extension Pass.Operation {
  fileprivate var word: String {
    switch self {
    case .load: "load"
    case .convolution(let window, _, _, _): "\(window.kernel)×\(window.kernel)"
    case .depthwise(let window, _, _, _): "depthwise \(window.kernel)×\(window.kernel)"
    case .winograd(let window, _, _, _): window.stride == 1 ? "Winograd" : "Winograd of stride 2"
    case .integers(let weights): "\(weights.window.kernel)×\(weights.window.kernel) of bytes"
    case .mix: "mix"
    case .shiftAdd: "shift"
    case .offset: "offset"
    case .normalize: "normalize"
    case .normalizeExtremes: "normalize extremes"
    case .activate: "activate"
    case .add: "add"
    case .averagePool, .globalAverage: "average pool"
    case .maxPool, .globalMax: "max pool"
    case .extremes: "extremes"
    case .gather, .scatter, .replace: "copy"
    case .moments: "moments"
    case .loss, .outputs: "loss"
    }
  }
}
