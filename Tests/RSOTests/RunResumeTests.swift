import Foundation
import Testing

@testable import RSO

/// Runs of Swift programs in a folder, as `rso train` has them.
struct RunResumeTests {
  private static func data(seed: UInt64 = 1, validation: Int? = nil) throws -> Dataset {
    let data = try Sample.dataset(
      Shape(channels: 1, height: 4, width: 4), classes: 3, train: 40, seed: seed)
    return try validation.map(data.holdingOut) ?? data
  }

  private static func search(_ data: Dataset, rule: Rule = .slope()) throws -> RandomSearch {
    let network = try Network(input: data.train.shape) {
      Node.conv2d("conv", channels: 8, kernel: 3)
      Node.batchNorm("bn")
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 3)
    }
    var settings = SearchSettings()
    (settings.cycles, settings.batchSize, settings.rule) = (3, 15, rule)
    return try RandomSearch(
      network: network, data: data, settings: settings, device: .cpu(threads: 1))
  }

  /// What a run leaves behind, without its times.
  private static func contents(_ url: URL) throws -> [Data] {
    let files = try ["checkpoint", "best", "initial"].map {
      try Data(contentsOf: url.appendingPathComponent("\($0).safetensors"))
    }
    let lines = try RunRecord(reading: url).metrics.map { line in
      var line = line
      (line.seconds, line.evaluationSeconds) = (0, 0)
      line.totals?.seconds = 0
      return line.line
    }
    return files + [Data(lines.joined(separator: "\n").utf8)]
  }

  /// A copy of the folder at every finished tensor is what a killed program leaves; each goes on to the same bits.
  @Test(arguments: [nil, 10])
  func goesOnFromEveryTensor(validation: Int?) throws {
    try withTemporaryFolder { folder in
      let data = try Self.data(validation: validation)
      let whole = folder.appendingPathComponent("whole")
      var search = try Self.search(data)
      #expect(!RunFolder.isRun(whole))
      var run: RunFolder? = try RunFolder(beginning: &search, at: whole)
      var copies: [URL] = []
      func copy() throws {
        let copy = folder.appendingPathComponent("copy\(copies.count)")
        try FileManager.default.copyItem(at: whole, to: copy)
        copies.append(copy)
      }
      try copy()
      try search.run(in: #require(run)) { event in
        // A finished tensor is written before the observer learns of it.
        if case .swept = event { try copy() }
        return .goOn
      }
      #expect(search.isFinished && run?.checkpoint.isFinished == true)
      #expect(run?.checkpoint.best?.test == nil ? validation == nil : validation != nil)
      run = nil
      let expected = try Self.contents(whole)
      #expect(copies.count == 13 && RunFolder.isRun(whole))
      for (index, copy) in copies.enumerated() {
        let folder = try RunFolder(resuming: copy)
        var search = try folder.search(on: data, device: .cpu(threads: 2))
        #expect(search.position.cycle * 4 + search.position.sweep == index)
        try search.run(in: folder)
        withExtendedLifetime(folder) {}
      }
      for copy in copies { #expect(try Self.contents(copy) == expected, "\(copy)") }
      // Two programs worked on a copy, and one on the run.
      #expect(try RunRecord(reading: copies[3]).sessions.count == 2)
      #expect(try RunRecord(reading: whole).sessions.count == 1)
    }
  }

  /// Stopped within a tensor, it goes on there: the same search, or one that another program reads from the folder.
  @Test(arguments: [Rule.slope(), .best])
  func aSearchThatWasStoppedGoesOnFromItsFolder(rule: Rule) throws {
    try withTemporaryFolder { folder in
      let data = try Self.data()
      let whole = folder.appendingPathComponent("whole")
      var search = try Self.search(data, rule: rule)
      try search.run(in: RunFolder(beginning: &search, at: whole))

      search = try Self.search(data, rule: rule)
      let url = folder.appendingPathComponent("r")
      var run: RunFolder? = try RunFolder(beginning: &search, at: url)
      var (stops, within) = (0, 0)
      while !search.isFinished {
        try search.run(in: #require(run)) { event in
          if case .judged = event { .stop } else { .goOn }
        }
        stops += 1
        if let progress = search.progress, search.parameters.slots.count > 0 {
          let slot = search.parameters.slots[search.sweeps[search.position.sweep].parameter]
          within += progress.values.count < slot.count ? 1 : 0
        }
        #expect(run?.checkpoint.progress == search.progress)
        guard stops % 2 == 0, !search.isFinished else { continue }
        run = nil
        run = try RunFolder(resuming: url)
        search = try #require(run).search(on: data)
      }
      #expect(stops > 12 && within > 5, "\(stops), \(within)")
      run = nil
      #expect(try Self.contents(url) == Self.contents(whole))
    }
  }

  /// A search of this run that ran elsewhere meanwhile.
  @Test func aSearchThatRanElsewhereIsRefused() throws {
    try withTemporaryFolder { folder in
      let data = try Self.data()
      var search = try Self.search(data)
      let url = folder.appendingPathComponent("r")
      let run = try RunFolder(beginning: &search, at: url)
      try search.run { _ in .stop }
      #expect(
        errorText { try search.run(in: run) }?.contains(
          "/r: expected the search of this run, found one with other settings or weights") == true)
    }
  }

  /// What is wrong with the progress in a checkpoint is said.
  @Test(arguments: [
    (#""values":"AAAA""#, "expected 32-bit floats in base 64"),
    (#""values":"AACAfw==""#, "progress, fc.weight: expected finite values, found inf"),
    (#""values":"""#, "progress, fc.weight: expected 1 to 24 values, found 0"),
    (#""loss":"much""#, "expected a number, found 'much'"),
  ])
  func damagedProgress(text: String, problem: String) throws {
    try withTemporaryFolder { folder in
      let data = try Self.data()
      var search = try Self.search(data)
      let url = folder.appendingPathComponent("r")
      let run = try RunFolder(beginning: &search, at: url)
      try search.run(in: run) { _ in .stop }
      let file = url.appendingPathComponent("checkpoint.safetensors")
      var tensors = try SafeTensors(contentsOf: file)
      let key = try #require(text.split(separator: ":").first)
      let own = try #require(tensors.metadata["progress"])
      tensors.metadata["progress"] = own.replacing(
        try Regex(String(key) + ":\"[^\"]*\""), with: text)
      tensors.metadata["content_crc32"] = nil
      try tensors.write(to: file)
      let found = errorText { _ = try Checkpoint(contentsOf: file) }
      #expect(found?.contains(problem) == true, "\(found ?? "")")
      withExtendedLifetime(run) {}
    }
  }

  @Test func refuses() throws {
    try withTemporaryFolder { folder in
      let data = try Self.data()
      var search = try Self.search(data)
      let url = folder.appendingPathComponent("r")
      let run = try RunFolder(beginning: &search, at: url)
      #expect(
        errorText { _ = try run.search(on: Self.data(seed: 2)) }?.contains(
          ": the run has the data ") == true)
      var other = try Self.search(data, rule: .best)
      #expect(
        errorText { try other.run(in: run) }?.contains("found one with other settings") == true)
      #expect(
        errorText { _ = try RunFolder(beginning: &search, at: url) }?.contains(
          "/r: another rso is using this folder") == true)
      try other.run { event in if case .swept = event { .stop } else { .goOn } }
      #expect(
        errorText { _ = try RunFolder(beginning: &other, at: folder.appendingPathComponent("s")) }?
          .contains("search: expected one that has not begun, found one in cycle 1") == true)
      withExtendedLifetime(run) {}
      #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("s").path))
    }
  }
}
