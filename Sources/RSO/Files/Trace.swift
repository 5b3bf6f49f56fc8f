/// The lines of a trace: one proposal and its decision each, for verification by an independent program.
package enum Trace {
  /// A line of JSON. `losses` are sums over the mini-batch in the order of `candidates`, which begin with w,
  /// decayed unless the proposal is held; a loss that is infinite, was NaN or was not computed is `null`. `value` is
  /// the rule's result. Floats have full precision.
  package static func line(
    _ proposal: Proposal, _ decision: Decision, cycle: Int, parameter: String
  ) -> String {
    let candidates = proposal.candidates.map { json(Double($0)) }.joined(separator: ",")
    let losses = decision.losses.map { json($0) }.joined(separator: ",")
    return """
      {"cycle":\(cycle),"parameter":\(quoted(parameter)),"index":\(proposal.element),\
      "batch":\(proposal.batch),"delta":\(json(Double(proposal.delta))),\
      "candidates":[\(candidates)],"losses":[\(losses)],"choice":\(decision.choice),\
      "value":\(json(Double(decision.value)))}
      """
  }
}
