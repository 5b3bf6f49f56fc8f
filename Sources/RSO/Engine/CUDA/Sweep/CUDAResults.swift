/// What the host takes from a turn to judge it, for losses of whole mini-batches.
///
/// A turn costs one copy of the candidates' outputs and one wait; docs/gpu.md says what that is.
final class CUDAResults {
  private let context: CUDAContext
  private let sweep: CUDASweep
  private let outputs: HostMemory<Float>
  private let sums: HostMemory<Double>

  init(_ context: CUDAContext, _ sweep: CUDASweep, _ order: SampleOrder) throws {
    self.context = context
    self.sweep = sweep
    outputs = try HostMemory(
      context, count: sweep.candidates * order.batchSize * sweep.outputCount)
    sums = try HostMemory(context, count: sweep.candidates * sweep.results.blocks)
  }

  /// The losses of the turn that was queued last, after it is done; the first is NaN if the rule does without it.
  func losses(
    of proposal: Proposal, _ order: SampleOrder, _ objective: Objective, _ train: Split
  ) throws -> ShortList<Double> {
    try outputs.fetch(sweep.results.outputs)
    if !objective.sampleTerms.isEmpty { try sums.fetch(sweep.results.partial) }
    try context.synchronize()
    try StopRequest.check()
    let first = proposal.baseline == .unused ? 1 : 0
    let (candidates, blocks) = (sweep.candidates - first, sweep.results.blocks)
    var totals = ShortList<Double>()
    if !objective.sampleTerms.isEmpty {
      for candidate in first..<sweep.candidates {
        totals.append(
          try Reduction.alone.sum(Array(sums.values[candidate * blocks..<(candidate + 1) * blocks]))
        )
      }
    }
    let values = outputs.values[(first * outputs.count / sweep.candidates)...]
    let found = try objective.values(
      of: totals, candidates: candidates, samples: order.batchSize,
      Outputs(
        Array(values), candidates: candidates, width: sweep.outputCount,
        of: Array(order.batch(proposal.batch)), in: .train, train))
    var losses = ShortList<Double>()
    if first == 1 { losses.append(.nan) }
    for loss in found { losses.append(loss) }
    return losses
  }
}
