/// What the host takes from a turn to judge it, for losses of whole mini-batches.
///
/// A turn costs one copy of the candidates' outputs and one wait; docs/gpu.md says what that is.
final class CUDAResults {
  private let context: CUDAContext
  private let width: Int
  private let outputs: HostMemory<Float>
  private let sums: HostMemory<Double>

  init(_ context: CUDAContext, _ sweep: CUDASweep, _ order: SampleOrder) throws {
    self.context = context
    width = sweep.outputCount
    outputs = try HostMemory(context, count: sweep.candidates * order.batchSize * width)
    sums = try HostMemory(
      context,
      count: sweep.candidates
        * sweep.judge(.init(candidates: sweep.candidates)).results.blocks)
  }

  /// The losses of the candidates that the turn which was queued last computes, after it is done.
  func losses(
    of proposal: Proposal, by judge: CUDASweep.Judge, _ order: SampleOrder, _ objective: Objective,
    _ train: Split
  ) throws -> ShortList<Double> {
    let (candidates, blocks) = (judge.shape.candidates, judge.results.blocks)
    let count = candidates * order.batchSize * width
    try outputs.fetch(judge.results.outputs, count: count)
    if !objective.sampleTerms.isEmpty {
      try sums.fetch(judge.results.partial, count: candidates * blocks)
    }
    try context.synchronize()
    try StopRequest.check()
    var totals = ShortList<Double>()
    if !objective.sampleTerms.isEmpty {
      for candidate in 0..<candidates {
        totals.append(
          try Reduction.alone.sum(Array(sums.values[candidate * blocks..<(candidate + 1) * blocks]))
        )
      }
    }
    return ShortList(
      try objective.values(
        of: totals, candidates: candidates, samples: order.batchSize,
        Outputs(
          Array(outputs.values[..<count]), candidates: candidates, width: width,
          of: Array(order.batch(proposal.batch)), in: .train, train)))
  }
}
