import Foundation
import Synchronization
import Testing

@testable import RSO

/// Sweeps that are cut short, and go on in another engine: nothing is lost, and no bit differs.
@Suite struct SweepResumeTests {
  enum Kind: String, CaseIterable { case reference, cpu, cuda }

  /// An engine that takes runs of so many proposals.
  private struct ShortRuns: Engine {
    var engine: any Engine
    var length: Int

    var parameters: Parameters {
      get { engine.parameters }
      set { engine.parameters = newValue }
    }
    var statistics: BatchNormStatistics { engine.statistics }
    var decidesAlone: Bool { engine.decidesAlone }
    mutating func beginSweep(of parameter: Int, _ part: Sweep.Part, order: SampleOrder) throws {
      try engine.beginSweep(of: parameter, part, order: order)
    }
    mutating func judge(
      _ proposals: ArraySlice<Proposal>, by rule: inout SweepRule
    ) throws -> [Decision] { try engine.judge(proposals, by: &rule) }
    mutating func resumeSweep(
      after proposals: ArraySlice<Proposal>, values: [Float], lastLoss: Double?
    ) throws {
      try engine.resumeSweep(after: proposals, values: values, lastLoss: lastLoss)
    }
    func runLength(of parameter: Int) -> Int { length }
    mutating func evaluate(_ split: EvaluatedSplit) throws -> Evaluation {
      try engine.evaluate(split)
    }
    mutating func evaluate(
      _ split: EvaluatedSplit, with statistics: BatchNormStatistics
    ) throws -> Evaluation { try engine.evaluate(split, with: statistics) }
    mutating func keep(_ statistics: BatchNormStatistics) throws { try engine.keep(statistics) }
  }

  /// All that a search decides and reports, but for times.
  private struct Record: Equatable {
    var losses: [ShortList<Double>] = []
    var values: [UInt32] = []
    var reports: [String] = []
    var weights: [UInt32] = []
  }

  /// What a folder holds: the state after the last finished tensor, and the progress since.
  private struct State {
    var parameters: Parameters
    var statistics: BatchNormStatistics?
    var position = RandomSearch.Position()
    var ruleStates: [String: RuleState] = [:]
    var progress: RandomSearch.SweepProgress?
    /// Whether it was stopped within a run of proposals.
    var isWithinARun = false
  }

  private static func engine(_ kind: Kind, _ network: Network, _ data: Dataset, _ own: Parameters)
    throws -> any Engine
  {
    switch kind {
    case .reference: ReferenceEngine(network: network, data: data, parameters: own)
    case .cpu: try CPUEngine(network: network, data: data, parameters: own, threads: 2)
    case .cuda: try FakeCUDA().engine(network: network, data: data, parameters: own)
    }
  }

  /// Goes on from a state until `stop` says so after a run of proposals, or the search is finished.
  private static func goOn(
    _ state: inout State, _ kind: Kind, _ network: Network, _ settings: SearchSettings,
    _ record: inout Record, stop: () -> Bool
  ) throws {
    let data = try SearchTests.data()
    var search = try RandomSearch(
      .network(network, data), settings,
      ShortRuns(
        engine: engine(kind, network, data, state.parameters),
        length: settings.scales == .fixed ? 5 : 2), on: nil,
      position: state.position, progress: state.progress, ruleStates: state.ruleStates,
      statistics: state.statistics)
    do {
      while !search.isFinished {
        var isSwept = false
        try search.run { event in
          switch event {
          case .judged(let judged):
            record.losses += judged.decisions.map {
              ShortList($0.losses.map { $0.isNaN ? -1 : $0 })
            }
            record.values += judged.decisions.map(\.value.bitPattern)
            return stop() ? .stop : .goOn
          case .swept(let report):
            record.reports.append(
              "\(report.position) \(report.keptShare ?? -1) \(report.step) \(report.meanLoss) "
                + "\(report.evaluations) \(String(describing: report.evaluation))")
            isSwept = true
            return .stop
          }
        }
        guard isSwept else { break }
        state = State(
          parameters: search.parameters, statistics: search.statistics, position: search.position,
          ruleStates: search.ruleStates)
      }
    } catch is Stopped {}
    // As a file has it.
    state.progress = try search.progress.map {
      try JSONDecoder().decode(
        RandomSearch.SweepProgress.self, from: JSONEncoder().encode($0))
    }
    #expect(state.progress == search.progress)
    if let count = state.progress?.values.count {
      let slot = search.parameters.slots[search.sweeps[search.position.sweep].parameter]
      state.isWithinARun = count < slot.count && count % 5 != 0
    }
    record.weights = search.parameters.values.map(\.bitPattern)
  }

  private static func start(_ network: Network, _ settings: SearchSettings) throws -> State {
    var state = State(parameters: Parameters(initialFor: network, seed: settings.seed))
    settings.spreadScales(of: &state.parameters, in: network)
    guard settings.statistics == .keep else { return state }
    var engine = try engine(.cpu, network, SearchTests.data(), state.parameters)
    _ = try engine.evaluate(.test)
    state.statistics = engine.statistics
    return state
  }

  static let settings: [(name: String, change: @Sendable (inout SearchSettings) -> Void)] = [
    ("best", { _ in }),
    ("slope", { $0.rule = .slope() }),
    ("a known loss", { $0.hold = .elements(7) }),
    (
      "rounds",
      { ($0.rule, $0.round, $0.elementOrder) = (.parabola(), .elements(4), .shuffled) }
    ),
    (
      "seldom evaluated, repeated",
      { ($0.evaluations, $0.sweeps, $0.rule) = (.cycle, ["fc": 2], .margin()) }
    ),
    ("kept statistics", { ($0.statistics, $0.only) = (.keep, ["bn1*", "fc*"]) }),
    ("totals", { ($0.rule, $0.cycles) = (.leader(keep: 0.9), 3) }),
    ("scales", { ($0.scales, $0.rule) = (.channel, .margin()) }),
  ]

  /// Stopped after every run of proposals, each time for another program to go on.
  @Test(arguments: Kind.allCases, settings.indices)
  func stoppedAfterEveryRun(kind: Kind, index: Int) throws {
    let settings = SearchTests.settings(Self.settings[index].change)
    let isForLevels = settings.scales != .fixed || settings.rule == .leader(keep: 0.9)
    // A card has neither scales nor totals.
    guard !isForLevels || kind != .cuda else { return }
    for weights in isForLevels ? [Domain.ternary] : [.float, .binary] {
      guard weights != .binary || index < 3 else { continue }
      let network = try SearchTests.network().settingWeights(to: weights)
      var state = try Self.start(network, settings)
      var whole = Record()
      try Self.goOn(&state, kind, network, settings, &whole) { false }
      #expect(state.progress == nil)

      state = try Self.start(network, settings)
      var found = Record()
      var pieces = 0
      while state.position.cycle < settings.cycles {
        try Self.goOn(&state, kind, network, settings, &found) { true }
        pieces += 1
      }
      #expect(pieces > whole.values.count / 5)
      // Comparing by itself, since they are long.
      let isSame = found == whole
      #expect(isSame, "\(Self.settings[index].name)")
    }
  }

  /// Stopped at any moment: within a proposal, a cache, an evaluation, or while it catches up.
  @Test(arguments: [Kind.reference, .cpu], [0, 2, 3])
  func stoppedAnywhere(kind: Kind, index: Int) throws {
    let settings = SearchTests.settings(Self.settings[index].change)
    let network = try SearchTests.network()
    var state = try Self.start(network, settings)
    var whole = Record()
    try Self.goOn(&state, kind, network, settings, &whole) { false }
    state = try Self.start(network, settings)
    var found = Record()
    var (pieces, within) = (0, 0)
    // It asks more often in sums over samples than between the steps of a pass.
    var patience = kind == .reference ? 1500 : 50
    while state.position.cycle < settings.cycles {
      let left = Mutex(patience)
      let before = found.values.count
      try StopRequest.with({
        left.withLock { left in
          left -= 1
          return left < 0
        }
      }) { try Self.goOn(&state, kind, network, settings, &found) { false } }
      if state.isWithinARun { within += 1 }
      state.isWithinARun = false
      if found.values.count == before { patience += patience / 7 }
      pieces += 1
    }
    let isSame = found == whole
    #expect(isSame)
    #expect(pieces > 10 && within > 3, "\(pieces), \(within)")
  }

  /// The same search goes on, too, as if nothing had been.
  @Test func theSameSearchGoesOn() throws {
    var whole = try SearchTests.search(device: .cpu(threads: 1))
    let expected = try SearchRunTests.run(&whole)
    var search = try SearchTests.search(device: .cpu(threads: 1))
    var record = SearchRunTests.Record()
    var stops = 0
    while !search.isFinished {
      try search.run { event in
        if case .judged(let judged) = event {
          record.losses += judged.decisions.map(\.losses)
          stops += 1
          return .stop
        }
        return .goOn
      }
    }
    #expect(record.losses == expected.losses && stops > 8)
    #expect(search.parameters == whole.parameters && search.progress == nil)
  }

  /// Every kind of layer, on the engines that keep something for every mini-batch.
  @Test(arguments: Sample.networks.indices, [Kind.cpu, .cuda])
  func everyTensor(index: Int, kind: Kind) throws {
    let network = try Sample.networks[index].network()
    // A debug build takes long for deep ones.
    guard network.nodes.count < 20 else { return }
    let size = 6
    let data = try Sample.dataset(network.input, classes: network.classes, train: 2 * size)
    let parameters = Parameters(initialFor: network, seed: 3)
    var (whole, other) = try (
      Self.engine(kind, network, data, parameters), Self.engine(kind, network, data, parameters)
    )
    let order = SampleOrder((0..<Int32(2 * size)).reversed(), batchSize: size)
    for (tensor, slot) in parameters.slots.enumerated() {
      let elements = CandidateComparison.elements(of: slot, tensor: tensor, atMost: 9)
      let all = elements.enumerated().map { turn, element in
        CandidateComparison.proposal(
          element, slot, tensor: tensor, batch: turn / 2 % 2,
          baseline: turn % 2 == 1 ? .known : .computed, parameters)
      }
      whole.parameters = parameters
      try whole.beginSweep(of: tensor, order: order)
      let expected = try whole.judge(all[...])
      for count in Set([1, 4, all.count - 1]) where count > 0 && count < all.count {
        other.parameters = parameters
        try other.beginSweep(of: tensor, order: order)
        let last = expected[count - 1]
        try other.resumeSweep(
          after: all[..<count], values: expected.prefix(count).map(\.value),
          lastLoss: last.losses[last.choice])
        let found = try other.judge(all[count...])
        #expect(found == Array(expected[count...]), "\(slot.name), after \(count)")
        #expect(other.parameters == whole.parameters)
      }
    }
  }

  @Test func refuses() throws {
    var search = try SearchTests.search()
    try search.run { _ in .stop }
    let progress = try #require(search.progress)
    let count = progress.values.count
    #expect(
      errorText {
        _ = try RandomSearch(
          network: SearchTests.network(), data: SearchTests.data(),
          settings: SearchTests.settings(), device: .reference,
          position: .init(cycle: 1, sweep: 0), progress: progress)
      } == nil)
    let small = try SearchTests.search(SearchTests.settings { $0.tensorOrder = .inputToOutput })
    let slot = small.parameters.slots[small.sweeps[1].parameter]
    #expect(
      errorText {
        _ = try RandomSearch(
          network: SearchTests.network(), data: SearchTests.data(),
          settings: SearchTests.settings { $0.tensorOrder = .inputToOutput }, device: .reference,
          position: .init(cycle: 0, sweep: 1), progress: progress)
      } == "progress: \(slot.name): expected 1 to \(slot.count) values, found \(count)")
  }
}

extension RandomSearch.SweepReport {
  fileprivate var position: String { "\(cycle) \(sweep) \(parameter)" }
}
