import Testing

@testable import RSO

/// Whole runs: what they report, that they repeat, and that they resume.
@Suite struct SearchRunTests {
  /// What a run reported, without times.
  struct Record: Equatable {
    var losses: [ShortList<Double>] = []
    var choices: [Int] = []
    var reports: [String] = []
  }

  static func run(
    _ search: inout RandomSearch, stopAfter sweeps: Int = .max
  ) throws -> Record {
    var record = Record()
    try search.run { event in
      switch event {
      case .judged(let judged):
        // NaN, a loss that was not computed, is not equal to itself.
        record.losses += judged.decisions.map { ShortList($0.losses.map { $0.isNaN ? -1 : $0 }) }
        record.choices += judged.decisions.map(\.choice)
        return .goOn
      case .swept(let report):
        record.reports.append(
          "\(report.cycle) \(report.sweep) \(report.parameter) \(report.step) "
            + "\(report.meanLoss) \(String(describing: report.evaluation))")
        return record.reports.count == sweeps ? .stop : .goOn
      }
    }
    return record
  }

  // MARK: Reports

  /// Without the evaluations between the tensors of a cycle, a search has the same bits.
  @Test(arguments: [Device.reference, .cpu(threads: 1)])
  func evaluatingSeldom(device: Device) throws {
    func run(
      _ interval: SearchSettings.EvaluationInterval
    ) throws -> (evaluations: [Evaluation?], losses: [Double], parameters: Parameters) {
      var search = try SearchTests.search(
        SearchTests.settings { ($0.evaluations, $0.cycles) = (interval, 3) }, device: device)
      var (evaluations, losses): ([Evaluation?], [Double]) = ([], [])
      try search.run { event in
        if case .swept(let report) = event {
          evaluations.append(report.evaluation)
          losses.append(report.meanLoss)
        }
        return .goOn
      }
      return (evaluations, losses, search.parameters)
    }
    let (often, seldom) = try (run(.tensor), run(.cycle))
    #expect(seldom.parameters == often.parameters && seldom.losses == often.losses)
    let sweeps = seldom.evaluations.count / 3
    for (index, evaluation) in seldom.evaluations.enumerated() {
      #expect(evaluation == ((index + 1) % sweeps == 0 ? often.evaluations[index] : nil))
    }
    #expect(often.evaluations.allSatisfy { $0 != nil })
  }

  /// Events, one after another, tell all that happened.
  @Test func eventsAddUp() throws {
    var search = try SearchTests.search()
    let network = try SearchTests.network()
    let sweeps = search.sweeps
    var parameters = search.parameters
    var position = RandomSearch.Position()
    var decisions: [Decision] = []
    var deltas: [Float] = []
    var last: RandomSearch.SweepReport?
    try search.run { event in
      let slot = parameters.slots[sweeps[position.sweep].parameter]
      switch event {
      case .judged(let judged):
        #expect(judged.cycle == position.cycle && judged.sweep == position.sweep)
        #expect(judged.parameter == slot.name && judged.count == slot.count)
        #expect(judged.proposals.count == judged.decisions.count)
        for (proposal, decision) in zip(judged.proposals, judged.decisions) {
          // Proposals are made from the weights as they were when the sweep began.
          let old = parameters.values[slot.offset + proposal.element]
          #expect(proposal.candidates[0] == old * 0.875)
          parameters.values[slot.offset + proposal.element] =
            proposal.candidates[decision.choice]
        }
        decisions += judged.decisions
        deltas += judged.proposals.map(\.delta)
        #expect(judged.done == decisions.count)
        let kept = decisions.filter { $0.choice != 0 }.count
        #expect(judged.keptShare == Double(kept) / Double(decisions.count))
        let loss = decisions.reduce(0) { $0 + $1.losses[$1.choice] }
        #expect(judged.meanLoss == loss / Double(10 * decisions.count))
      case .swept(let report):
        #expect(report.cycle == position.cycle && report.sweep == position.sweep)
        #expect(report.parameter == slot.name)
        #expect(decisions.count == slot.count)
        let kept = decisions.filter { $0.choice != 0 }.count
        #expect(report.keptShare == Double(kept) / Double(slot.count))
        // A step of the paper's rule is 0 or Δ.
        let squares = zip(deltas, decisions).reduce(0.0) {
          $0 + ($1.1.choice == 0 ? 0 : Double($1.0) * Double($1.0))
        }
        let step = (squares / Double(slot.count)).squareRoot() / report.deviation
        #expect(step > 0.1 && abs(report.step - step) < 1e-4 * step)
        deltas = []
        #expect(report.evaluation?.count == 9)
        #expect(report.seconds > 0 && report.evaluationSeconds > 0)
        decisions = []
        position.sweep += 1
        if position.sweep == sweeps.count { position = .init(cycle: position.cycle + 1) }
        last = report
      }
      return .goOn
    }
    #expect(position == RandomSearch.Position(cycle: 2))
    #expect(search.position == position)
    #expect(search.isFinished)
    // The decisions are the weights.
    #expect(search.parameters == parameters)
    // The last report is what the model says by itself.
    let model = try search.model
    #expect(model.network == network)
    #expect(model.parameters == parameters)
    #expect(try model.evaluate(on: SearchTests.data(), device: .reference) == last?.evaluation)
    // Nothing is left to do.
    try search.run { _ in
      Issue.record("a finished search went on")
      return .stop
    }
  }

  /// Runs of proposals: 18 elements of conv0 are one, and 54 of conv1 two.
  @Test func runsAreShortEnoughToWatch() throws {
    var search = try SearchTests.search()
    var done: [String: [Int]] = [:]
    try search.run { event in
      guard case .judged(let judged) = event, judged.cycle == 0 else { return .goOn }
      done[judged.parameter, default: []].append(judged.done)
      return .goOn
    }
    #expect(done["conv0.weight"] == [18])
    #expect(done["conv1.weight"] == [32, 54])
    #expect(done["fc.weight"] == [9])
  }

  @Test func stoppingWithinASweep() throws {
    var search = try SearchTests.search()
    // The second sweep is conv1.weight, in two runs.
    try search.run { event in
      if case .judged(let judged) = event, judged.parameter == "conv1.weight" { return .stop }
      return .goOn
    }
    #expect(search.position == RandomSearch.Position(cycle: 0, sweep: 1))
    #expect(!search.isFinished)
    let initial = Parameters(initialFor: try search.network, seed: 5)
    let slot = initial.slots[try #require(initial.slot(named: "conv1.weight"))]
    // The elements of the judged run are decayed at least; the others are as they were.
    for element in 0..<slot.count {
      let index = slot.offset + element
      #expect((search.parameters.values[index] != initial.values[index]) == (element < 32))
    }
  }

  @Test func anErrorOfTheObserverEndsTheRun() throws {
    var search = try SearchTests.search()
    let error = RSOError("disk", "full")
    #expect(throws: error) { try search.run { _ in throw error } }
    #expect(search.position == RandomSearch.Position())
  }

  @Test func nothingToSweep() throws {
    var search = try SearchTests.search(
      SearchTests.settings { $0.sweeps = ["fc": 0, "conv0": 0, "conv1": 0] })
    #expect(search.isFinished)
    #expect(search.sweeps.isEmpty)
    try search.run { _ in
      Issue.record("there was nothing to sweep")
      return .stop
    }
  }

  /// Random labels in places aside, the data are learnt: the loss on all of them falls and accuracy is
  /// far above one in three.
  @Test func itLearns() throws {
    var search = try SearchTests.search(
      SearchTests.settings {
        $0.cycles = 6
        $0.batchSize = 33
        $0.weightDecay = 1e-4
      })
    var accuracies: [Double] = []
    var losses: [Double] = []
    try search.run { event in
      if case .swept(let report) = event {
        accuracies.append(report.evaluation?.accuracy ?? -1)
        losses.append(report.meanLoss)
      }
      return .goOn
    }
    #expect(losses[losses.count - 1] < 0.5 * losses[0])
    #expect(accuracies.max() ?? 0 >= 0.6)
  }

  // MARK: Same bits

  @Test(arguments: [Device.reference, .cpu(threads: 2)])
  func sameSeedSameBits(device: Device) throws {
    func result(seed: UInt64) throws -> (Record, Parameters) {
      var search = try SearchTests.search(
        SearchTests.settings { $0.seed = seed }, device: device)
      return (try Self.run(&search), search.parameters)
    }
    let (first, second, other) = (try result(seed: 5), try result(seed: 5), try result(seed: 6))
    #expect(first.0 == second.0)
    #expect(first.1.values.map(\.bitPattern) == second.1.values.map(\.bitPattern))
    #expect(first.0 != other.0)
    #expect(first.1 != other.1)
  }

  /// From every position, with the weights as they were then, a new search goes on as the first did.
  @Test(arguments: [Device.reference, .cpu(threads: 2)])
  func resumingGivesTheSameBits(device: Device) throws {
    let settings = SearchTests.settings {
      $0.elementOrder = .shuffled
      $0.sweeps = ["fc": 2]
    }
    var whole = try SearchTests.search(settings, device: device)
    let expected = try Self.run(&whole)
    let count = 2 * whole.sweeps.count
    #expect(expected.reports.count == count)
    for stop in 1..<count {
      var first = try SearchTests.search(settings, device: device)
      let before = try Self.run(&first, stopAfter: stop)
      #expect(before.reports.count == stop)
      #expect(first.position.cycle * whole.sweeps.count + first.position.sweep == stop)
      var second = try SearchTests.search(
        settings, parameters: first.parameters, position: first.position, device: device)
      let after = try Self.run(&second)
      #expect(before.losses + after.losses == expected.losses, "stopped after \(stop)")
      #expect(before.choices + after.choices == expected.choices, "stopped after \(stop)")
      #expect(before.reports + after.reports == expected.reports, "stopped after \(stop)")
      #expect(
        second.parameters.values.map(\.bitPattern) == whole.parameters.values.map(\.bitPattern),
        "stopped after \(stop)")
      #expect(second.isFinished)
    }
  }

  /// The same object goes on where it stopped.
  @Test func stoppingBetweenSweepsLosesNothing() throws {
    var whole = try SearchTests.search()
    let expected = try Self.run(&whole)
    var stopped = try SearchTests.search()
    var reports: [String] = []
    while !stopped.isFinished { reports += try Self.run(&stopped, stopAfter: 1).reports }
    #expect(reports == expected.reports)
    #expect(stopped.parameters == whole.parameters)
  }
}
