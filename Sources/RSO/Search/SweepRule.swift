import CRSO

/// A rule in one sweep: its parameters as they are in this cycle, and what it has learnt of the tensor so far.
package struct SweepRule {
  let rule: rso_rule
  var state: rso_rule_state

  /// The paper's.
  package static let best = SweepRule(.best, width: 1, cycle: 0, of: 1)

  /// - Parameters:
  ///   - width: the deviation σ of this cycle's proposals.
  ///   - state: what the sweep before left.
  package init(
    _ rule: Rule, width: Double, cycle: Int, of cycles: Int, state: RuleState = RuleState()
  ) {
    var parameters = rso_rule()
    parameters.width = width
    // A memory of about a hundred proposals.
    parameters.decay = 0.99
    switch rule {
    case .best: parameters.kind = Int32(rso_best.rawValue)
    case .parabola(let reach, let settle):
      parameters.kind = Int32(rso_parabola.rawValue)
      parameters.reach = reach.value(cycle: cycle, of: cycles)
      parameters.settle = settle.value(cycle: cycle, of: cycles)
    case .slope(let c):
      parameters.kind = Int32(rso_slope.rawValue)
      parameters.c = c
    }
    self.rule = parameters
    self.state = rso_rule_state(squares: state.squares, weight: state.weight)
  }

  /// What to hand on to the next sweep of the tensor; `nil`: the rule has learnt nothing.
  package var learnt: RuleState? {
    guard state.weight > 0 else { return nil }
    var learnt = RuleState()
    (learnt.squares, learnt.weight) = (state.squares, state.weight)
    return learnt
  }

  /// Decides on the losses of a proposal's candidates.
  mutating func decide(_ proposal: Proposal, _ losses: ShortList<Double>) -> Decision {
    var (rule, candidates, losses) = (rule, proposal.candidates, losses)
    let count = Int32(losses.count)
    let decision = candidates.withUnsafeNumbers { candidates in
      losses.withUnsafeNumbers { losses in
        rso_decide(&rule, &state, candidates, proposal.delta, losses, count)
      }
    }
    return Decision(losses: losses, choice: Int(decision.choice), value: decision.value)
  }
}
