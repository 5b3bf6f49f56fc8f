import Foundation
import Testing

@testable import RSO

/// Running statistics that come with trained weights.
struct KeptStatisticsTests {
  private static func network() throws -> Network {
    try Network(input: Shape(channels: 2, height: 4, width: 4)) {
      Node.conv2d("conv0", channels: 3, kernel: 3, padding: 1)
      Node.batchNorm("bn0")
      Node.relu("relu")
      Node.conv2d("conv1", channels: 3, kernel: 3)
      Node.batchNorm("bn1")
      Node.flatten("flat")
      Node.linear("fc", features: 3)
    }
  }

  /// Statistics that no data of ours have.
  private static let foreign: BatchNormStatistics = {
    var statistics = BatchNormStatistics()
    for node in [1, 4] {
      statistics.moments[node] = .init(mean: [0.25, -0.5, 1], variance: [2, 0.125, 4])
    }
    return statistics
  }()

  private static func search(
    _ only: [String]?, device: Device, statistics: SearchSettings.InitialStatistics = .keep,
    position: RandomSearch.Position = .init(), parameters: Parameters? = nil,
    with given: BatchNormStatistics? = foreign
  ) throws -> RandomSearch {
    let network = try network()
    var settings = SearchSettings()
    (settings.cycles, settings.batchSize, settings.only) = (2, 15, only)
    settings.statistics = statistics
    return try RandomSearch(
      network: network, data: Sample.dataset(network.input, classes: 3, train: 30),
      settings: settings, device: device,
      parameters: parameters ?? Parameters(initialFor: network, seed: 3), position: position,
      statistics: given)
  }

  private static func loss(_ search: RandomSearch, _ statistics: BatchNormStatistics) throws
    -> Double
  {
    var model = try search.model
    model.statistics = statistics
    return try model.evaluate(on: search.data, device: .reference).loss
  }

  @Test func whatABatchNormReads() throws {
    let network = try Self.network()
    #expect(
      network.nodes.indices.map(network.feedsBatchNorm) == [
        true, true, true, true, false, false, false,
      ])
    let shortcut = try Network(input: Shape(channels: 1, height: 4, width: 4)) {
      Node.conv2d("a", channels: 2, kernel: 3)
      Node.conv2d("b", channels: 2, kernel: 1, input: "a")
      Node.conv2d("c", channels: 2, kernel: 1, input: "a")
      Node.batchNorm("bn")
      Node.add("sum", "b")
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 2)
    }
    #expect(
      shortcut.nodes.indices.map(shortcut.feedsBatchNorm) == [
        true, false, true, false, false, false, false,
      ])
  }

  /// Unchanged weights are evaluated with the statistics that came with them; otherwise with their own.
  @Test(arguments: [Device.reference, .cpu(threads: 1)])
  func theFirstEvaluation(device: Device) throws {
    var kept = try Self.search(nil, device: device)
    let evaluation = try kept.evaluate()
    #expect(try kept.model.statistics == Self.foreign)
    #expect(abs(evaluation.loss - (try Self.loss(kept, Self.foreign))) < 1e-4)
    var renewed = try Self.search(nil, device: device, statistics: .renew)
    #expect(try abs(renewed.evaluate().loss - evaluation.loss) > 0.01)
    #expect(try renewed.model.statistics != Self.foreign)
  }

  /// Tensors above every batch norm leave them as they are, and are judged with them, too.
  @Test(arguments: [Device.reference, .cpu(threads: 1)])
  func theyHoldWhileNothingBelowChanges(device: Device) throws {
    var search = try Self.search(["fc.weight", "bn1.*"], device: device)
    var first: Double?
    try search.run { event in
      if case .judged(let judged) = event, first == nil {
        first = judged.decisions[0].losses[0]
      }
      if case .swept(let report) = event {
        #expect(report.evaluation != nil)
      }
      return .goOn
    }
    #expect(try search.isFinished && search.model.statistics == Self.foreign)
    var renewed = try Self.search(["fc.weight", "bn1.*"], device: device, statistics: .renew)
    try renewed.run { event in
      if case .judged(let judged) = event {
        // The first candidates of the first proposal are the same weights on the same samples: what is below differs.
        #expect(judged.decisions[0].losses[0] != first)
        return .stop
      }
      return .goOn
    }
  }

  /// A tensor below a batch norm ends it, in whatever way the run goes on.
  @Test(arguments: [Device.reference, .cpu(threads: 1)])
  func theyEndWithATensorBelow(device: Device) throws {
    let only = ["fc.weight", "conv0.weight", "bn0.weight"]
    var whole = try Self.search(only, device: device)
    var states: [(statistics: BatchNormStatistics, parameters: Parameters)] = []
    while !whole.isFinished {
      try whole.run { if case .swept = $0 { .stop } else { .goOn } }
      states.append((try whole.model.statistics, whole.parameters))
    }
    #expect(
      states.map { $0.statistics == Self.foreign } == [true] + [Bool](repeating: false, count: 5))
    // Resumed after each tensor, with the statistics that the file then has, it ends with the same bits.
    for (done, state) in states.dropLast().enumerated() {
      var file = state.statistics
      for (node, moments) in file.moments {
        file.moments[node] = .init(
          mean: moments.mean.map { Double(Float($0)) },
          variance: moments.variance.map { Double(Float($0)) })
      }
      var resumed = try Self.search(
        only, device: device, position: .init(cycle: (done + 1) / 3, sweep: (done + 1) % 3),
        parameters: state.parameters, with: file)
      try resumed.run { _ in .goOn }
      #expect(resumed.parameters.values == whole.parameters.values, "after \(done + 1)")
      #expect(try resumed.model.statistics == whole.model.statistics, "after \(done + 1)")
    }
  }

  @Test func thereMustBeSome() throws {
    #expect(
      errorText { _ = try Self.search(nil, device: .reference, with: nil) }
        == "`statistics`: expected keep with the running statistics of trained weights, found none "
        + "(start from a model: `from`)")
    _ = try Self.search(nil, device: .reference, statistics: .renew, with: nil)
  }

  /// The same in a card's engine.
  @Test func cards() throws {
    let network = try Self.network()
    let data = try Sample.dataset(network.input, classes: 3, train: 30)
    let parameters = Parameters(initialFor: network, seed: 3)
    let engine = try FakeCUDA().engine(network: network, data: data, parameters: parameters)
    var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    engine.keep(Self.foreign)
    reference.keep(Self.foreign)
    #expect(try abs(engine.evaluate(.test).loss - reference.evaluate(.test).loss) < 1e-4)
    #expect(engine.statistics == Self.foreign && reference.statistics == Self.foreign)
    let slot = try #require(parameters.slots.firstIndex { $0.name == "fc.weight" })
    let order = SampleOrder((0..<30).map { $0 }, batchSize: 15)
    try engine.beginSweep(of: slot, order: order)
    try reference.beginSweep(of: slot, order: order)
    let proposal = CandidateComparison.proposal(
      0, parameters.slots[slot], tensor: 1, batch: 0, parameters)
    let losses = try (
      engine.judge([proposal])[0].losses[0], reference.judge([proposal])[0].losses[0]
    )
    #expect(abs(losses.0 - losses.1) < 1e-4)
    // A weight has changed.
    _ = try engine.evaluate(.test)
    #expect(engine.statistics != Self.foreign)
  }
}
