import Testing

@testable import RSO

struct TrainingTests {
  private static func search(cycles: Int = 3) throws -> RandomSearch {
    let network = try Network(input: Shape(channels: 1, height: 6, width: 6)) {
      Node.conv2d("conv", channels: 8, kernel: 3)
      Node.batchNorm("bn")
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 3)
    }
    let data = try Sample.dataset(network.input, classes: 3, train: 60)
    var settings = SearchSettings()
    (settings.cycles, settings.batchSize) = (cycles, 30)
    return try RandomSearch(
      network: network, data: data, settings: settings, device: .cpu(threads: 1))
  }

  private static func plain() throws -> (reports: [String], values: [Float]) {
    var search = try search()
    var reports: [String] = []
    try search.run {
      if case .swept(let report) = $0 {
        reports.append("\(report.cycle) \(report.parameter) \(report.evaluation?.accuracy ?? -1)")
      }
      return .goOn
    }
    return (reports, search.parameters.values)
  }

  @Test func tellsWhatTheSearchTells() async throws {
    let expected = try Self.plain()
    let training = Training(try Self.search())
    var reports: [String] = []
    var judged = 0
    for try await event in training.events() {
      switch event {
      case .judged: judged += 1
      case .swept(let report):
        reports.append("\(report.cycle) \(report.parameter) \(report.evaluation?.accuracy ?? -1)")
        // It answers meanwhile.
        #expect(try await training.model.network.classes == 3)
      }
    }
    #expect(reports == expected.reports)
    // 72, 8, 8 and 24 elements in runs of 32, three times.
    #expect(judged == 3 * (3 + 1 + 1 + 1))
    #expect(await training.isFinished)
    #expect(try await training.model.parameters.values == expected.values)
    #expect(await training.position == .init(cycle: 3))
  }

  /// Leaving the loop stops the search, wherever it is; reading again goes on from there, to the end.
  @Test func leavesAndGoesOn() async throws {
    let training = Training(try Self.search())
    var sweeps: [String] = []
    for part in [1, 4, 100] {
      var left = part
      for try await event in training.events() {
        guard case .swept(let report) = event else { continue }
        sweeps.append("\(report.cycle) \(report.parameter)")
        left -= 1
        if left == 0 { break }
      }
    }
    #expect(await training.isFinished)
    // A tensor may have been told to nobody, as its reader had left; none comes twice.
    #expect(Set(sweeps).count == sweeps.count)
    #expect(sweeps.last == "2 bn.weight")
  }

  @Test func aCancelledTaskStopsTheSearchAndTheStateStaysUsable() async throws {
    let training = Training(try Self.search(cycles: 1_000_000))
    let (told, tell) = AsyncStream.makeStream(of: Void.self)
    let task = Task {
      for try await _ in training.events() { tell.yield() }
    }
    for await _ in told { break }
    task.cancel()
    _ = await task.result
    let before = await training.position
    #expect(before.cycle < 1_000_000)
    #expect(try await training.evaluate().count == 20)
    #expect(try await training.model.parameters.values.allSatisfy(\.isFinite))
    // It goes on where it was.
    for try await event in training.events() {
      guard case .swept(let report) = event else { continue }
      #expect(report.cycle >= before.cycle)
      break
    }
  }
}
