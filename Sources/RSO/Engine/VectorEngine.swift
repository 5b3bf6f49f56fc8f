/// Judges tensors of any meaning by a loss of the caller's. Nothing is known of what a value reaches, so every candidate
/// is a whole vector.
///
/// The samples of an order are seeds, one in each mini-batch.
struct VectorEngine: Engine {
  var parameters: Parameters {
    get { current }
    set {
      current = newValue
      sweep = nil
    }
  }
  /// There is no batch norm.
  var statistics: BatchNormStatistics { BatchNormStatistics() }
  private var current: Parameters
  private let loss: any VectorLoss
  private var sweep: SweepState?

  /// State that stays the same while the elements of one tensor are tested.
  private struct SweepState {
    let tensor: Int
    let order: SampleOrder
    /// Elements judged so far.
    var judged: Set<Int> = []
    /// Decisions of the current round: indices into the parameters, and their values.
    var pending: [(element: Int, value: Float)] = []
    /// That of the candidate which the last decision chose.
    var lastLoss: Double?
  }

  init(_ parameters: Parameters, _ loss: any VectorLoss) {
    (current, self.loss) = (parameters, loss)
  }

  /// A loss may take long, and a search can stop between two proposals only.
  func runLength(of parameter: Int) -> Int { 1 }

  mutating func beginSweep(of parameter: Int, _ part: Sweep.Part, order: SampleOrder) {
    sweep = SweepState(tensor: parameter, order: order)
  }

  mutating func judge(
    _ proposals: ArraySlice<Proposal>, by rule: inout SweepRule
  ) throws -> [Decision] {
    guard var sweep else { throw RSOError("judge", "no sweep was begun") }
    defer { self.sweep = sweep }
    let slot = current.slots[sweep.tensor]
    return try proposals.untilStopped { proposal in
      try StopRequest.check()
      guard sweep.judged.insert(proposal.element).inserted else {
        throw RSOError(
          "\(slot.name)[\(proposal.element)]",
          "expected each element once in a sweep, found it again", hint: "begin a new sweep")
      }
      let element = slot.offset + proposal.element
      let first: Double? =
        switch proposal.baseline {
        case .computed: nil
        case .known: sweep.lastLoss
        case .unused: .nan
        }
      let candidates = proposal.candidates.dropFirst(first == nil ? 0 : 1)
      var values: [Float] = []
      values.reserveCapacity(candidates.count * current.values.count)
      for candidate in candidates {
        values += current.values
        values[values.count - current.values.count + element] = candidate
      }
      let losses =
        (first.map { [$0] } ?? [])
        + (try losses(
          Candidates(
            values: values, count: candidates.count,
            seed: UInt32(sweep.order.batch(proposal.batch).first ?? 0),
            changed: (sweep.tensor, proposal.element))))
      let decision = try Decision(
        on: proposal, losses: ShortList(losses), by: &rule, parameter: slot.name)
      sweep.lastLoss = decision.losses[decision.choice]
      finish(proposal, decision.value, &sweep)
      return decision
    }
  }

  mutating func resumeSweep(
    after proposals: ArraySlice<Proposal>, values: [Float], lastLoss: Double?
  ) throws {
    guard var sweep else { throw RSOError("resumeSweep", "no sweep was begun") }
    for (proposal, value) in zip(proposals, values) {
      sweep.judged.insert(proposal.element)
      finish(proposal, value, &sweep)
    }
    sweep.lastLoss = lastLoss
    self.sweep = sweep
  }

  /// Takes a decided value; the end of a round applies all of the round's.
  private mutating func finish(_ proposal: Proposal, _ value: Float, _ sweep: inout SweepState) {
    sweep.pending.append((current.slots[sweep.tensor].offset + proposal.element, value))
    guard proposal.endsRound else { return }
    for (element, value) in sweep.pending { current.values[element] = value }
    sweep.pending = []
  }

  private func losses(_ candidates: Candidates) throws -> [Double] {
    let found = try loss.losses(of: candidates)
    guard found.count == candidates.count else {
      throw RSOError(
        "loss",
        "expected \(candidates.count) numbers, one for each candidate, found \(found.count)")
    }
    return found
  }

  /// The loss with seed 0.
  func evaluate(_ split: EvaluatedSplit) throws -> Evaluation {
    guard split == .test else {
      throw RSOError("split", "expected test: a search without a network has no \(split) samples")
    }
    let found = try losses(Candidates(values: current.values, count: 1, seed: 0, changed: nil))
    return Evaluation(count: 1, loss: found[0], confusion: [])
  }

  func evaluate(
    _ split: EvaluatedSplit, with statistics: BatchNormStatistics
  ) throws -> Evaluation {
    try evaluate(split)
  }

  func keep(_ statistics: BatchNormStatistics) {}
}
