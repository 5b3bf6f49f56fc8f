/// What a search says when its numbers have left the range of floats.
extension RSOError {
  /// How the problem of every such error begins.
  private static let divergence = "the search diverged in cycle "

  /// Whether a search diverged; going on with the same settings would end there again.
  package var isDivergence: Bool { problem.hasPrefix(Self.divergence) }

  /// - Parameters:
  ///   - subject: the tensor, and perhaps its element.
  ///   - cycle: from 0.
  ///   - what: what is not finite.
  static func diverged(
    _ subject: String, cycle: Int, _ what: String, _ settings: SearchSettings
  ) -> RSOError {
    let step =
      switch settings.rule {
      case .best, .margin, .leader: ""
      case .parabola: "a smaller reach in `rule`, or "
      case .slope: "a smaller c in `rule`, or "
      }
    return RSOError(
      subject, "\(divergence)\(cycle + 1): \(what)",
      hint: "use \(step)a smaller `deviationScale`, which is a factor of σ")
  }
}

extension RandomSearch {
  /// Calls an engine to judge proposals; an error about a loss that is NaN also names the cycle.
  func judged(in cycle: Int, _ judge: () throws -> [Decision]) throws -> [Decision] {
    do {
      return try judge()
    } catch let error as RSOError where wasFinite && error.problem == Decision.hasNoLoss {
      throw RSOError.diverged(error.subject, cycle: cycle, error.problem, settings)
    }
  }

  /// Checks what an engine decided on a run of proposals.
  ///
  /// - Throws: `RSOError` naming the element and the cycle, if a loss or a value is not finite.
  func requireFinite(
    _ decisions: [Decision], on proposals: ArraySlice<Proposal>, of parameter: String, cycle: Int
  ) throws {
    for (proposal, decision) in zip(proposals, decisions) {
      let what =
        !decision.value.isFinite
        ? "its new value is \(decision.value)"
        : decision.losses[decision.choice].isFinite
          ? nil : "none of its candidates has a finite loss"
      guard let what else { continue }
      if subject.network == nil, decision.value.isFinite {
        throw RSOError(
          "\(parameter)[\(proposal.element)]", "cycle \(cycle + 1): \(what)",
          hint: "one of them must be finite; look at what answers their losses")
      }
      throw RSOError.diverged("\(parameter)[\(proposal.element)]", cycle: cycle, what, settings)
    }
  }

  /// Checks the model, which no file can hold otherwise.
  ///
  /// - Parameter swept: the tensor that was searched last, and the cycle from 0; `nil` before the first.
  /// - Throws: `RSOError` naming the tensor with the first value that is not finite as a 32-bit float.
  package func requireFiniteModel(after swept: (parameter: String, cycle: Int)?) throws {
    guard let (name, value) = firstNotFinite else { return }
    guard let swept else {
      throw RSOError(
        name, "expected finite values before the first cycle, found \(value)",
        hint: "the weights or the data are too large; start from a sound model")
    }
    throw RSOError.diverged(
      swept.parameter, cycle: swept.cycle, "\(name) is \(value)", settings)
  }

  /// The first weight or running statistic that is not finite as a 32-bit float.
  private var firstNotFinite: (name: String, value: Float)? {
    let parameters = parameters
    for slot in parameters.slots {
      let values = parameters.values[slot.range]
      if let index = values.firstIndex(where: { !$0.isFinite }) {
        return ("\(slot.name)[\(index - slot.offset)]", values[index])
      }
    }
    for (node, moments) in statistics.moments.sorted(by: { $0.key < $1.key }) {
      for (suffix, values) in [("mean", moments.mean), ("var", moments.variance)] {
        if let index = values.firstIndex(where: { !Float($0).isFinite }) {
          let name = subject.network?.nodes[node].name ?? ""
          return ("\(name).running_\(suffix)[\(index)]", Float(values[index]))
        }
      }
    }
    return nil
  }
}
