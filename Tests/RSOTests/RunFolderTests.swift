import Foundation
import Synchronization
import Testing

@testable import RSO

struct RunFolderTests {
  private struct Start {
    var search: RandomSearch
    var checkpoint: Checkpoint
  }

  private static func start(trace: String? = nil, rule: Rule = .best) throws -> Start {
    let network = try Network(input: Shape(channels: 1, height: 4, width: 4)) {
      Node.globalMaxPool("pool")
      Node.batchNorm("bn")
      Node.linear("fc", features: 3)
    }
    let data = try Sample.dataset(network.input, classes: 3, train: 30)
    var settings = SearchSettings()
    (settings.cycles, settings.batchSize) = (2, 15)
    settings.rule = rule
    var search = try RandomSearch(
      network: network, data: data, settings: settings, device: .reference)
    _ = try search.evaluate()
    let configuration = RunConfiguration(
      data: try DataDescription(data), network: network, settings: settings, trace: trace)
    return Start(
      search: search, checkpoint: Checkpoint(search.content, configuration: configuration))
  }

  /// Searches one tensor and records it.
  private static func step(_ search: inout RandomSearch, _ folder: RunFolder) throws {
    var report: RandomSearch.SweepReport?
    try search.run { event in
      switch event {
      case .judged(let judged):
        try folder.record(judged)
        return .goOn
      case .swept(let swept):
        report = swept
        return .stop
      }
    }
    if let report {
      try folder.record(
        report, search.content, position: search.position, ruleStates: search.ruleStates)
    }
  }

  private static func names(_ folder: URL) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
  }

  @Test func aCheckpointReadsBackAsItWasWritten() throws {
    try withTemporaryFolder { folder in
      var start = try Self.start(trace: "trace.jsonl")
      let url = folder.appendingPathComponent("r")
      var run: RunFolder? = try RunFolder(creating: url, start.checkpoint)
      try run.map { try Self.step(&start.search, $0) }
      let expected = try #require(run?.checkpoint)
      run = nil
      let found = try RunFolder(resuming: url).checkpoint
      #expect(found.configuration == expected.configuration)
      #expect(found.position == RandomSearch.Position(cycle: 0, sweep: 1))
      #expect(found.best == expected.best)
      #expect(found.best?.parameter == "fc.weight")
      #expect(found.traceBytes == expected.traceBytes)
      #expect(found.traceBytes > 100)
      #expect(try found.model.parameters.values == start.search.parameters.values)
      // It is a model, too.
      let model = try Model(contentsOf: url.appendingPathComponent("checkpoint.safetensors"))
      #expect(model.parameters.values == start.search.parameters.values)
      // The best model has no part in the trace.
      let best = try SafeTensors(contentsOf: url.appendingPathComponent("best.safetensors"))
      #expect(best.metadata["trace"] == nil && best.metadata["trace_bytes"] == nil)
    }
  }

  /// What a rule has learnt comes back to the bit; a run of the paper's rule has nothing of it; nonsense is refused.
  @Test func ruleStates() throws {
    try withTemporaryFolder { folder in
      for rule in [Rule.best, .slope()] {
        var start = try Self.start(rule: rule)
        let url = folder.appendingPathComponent("\(rule)")
        var run: RunFolder? = try RunFolder(creating: url, start.checkpoint)
        try run.map { try Self.step(&start.search, $0) }
        run = nil
        let found = try RunFolder(resuming: url).checkpoint
        #expect(found.ruleStates == start.search.ruleStates)
        #expect(found.configuration.settings.rule == rule)
        let file = url.appendingPathComponent("checkpoint.safetensors")
        var tensors = try SafeTensors(contentsOf: file)
        #expect((tensors.metadata["rule_states"] == nil) == (rule == .best))
        #expect(Array(found.ruleStates.keys) == (rule == .best ? [] : ["fc.weight"]))
        for (text, words) in [
          (#"{"conv9.weight":{"squares":1,"weight":0.5}}"#, "names of parameters, found 'conv9.w"),
          (#"{"fc.weight":{"squares":-1,"weight":0.5}}"#, "sums of squares and weights"),
          (#"{"fc.weight":{"squares":1,"weight":2}}"#, "sums of squares and weights"),
          (
            #"{"fc.weight":{"squares":1,"weight":1,"curvatures":1,"curvatureWeight":2}}"#,
            "sums of squares and weights"
          ),
          (#"{"fc.weight":1}"#, "rule_states"),
          (
            #"{"fc.weight":{"squares":0,"weight":0,"totals":"AACAPw=="}}"#,
            "finite totals, found 1 numbers"
          ),
          (#"{"fc.weight":{"squares":0,"weight":0,"totals":"AACA"}}"#, "32-bit floats in base 64"),
        ] {
          tensors.metadata["rule_states"] = text
          try tensors.write(to: file)
          let error = #expect(throws: RSOError.self) { try Checkpoint(contentsOf: file) }
          #expect(error?.description.contains(words) == true, "\(String(describing: error))")
        }
      }
    }
  }

  /// A folder in the place of the best model: it cannot be written, so nothing must come after it.
  @Test func theCheckpointComesLast() throws {
    try withTemporaryFolder { folder in
      var start = try Self.start()
      let url = folder.appendingPathComponent("r")
      var run: RunFolder? = try RunFolder(creating: url, start.checkpoint)
      let checkpoint = try readFile(url.appendingPathComponent("checkpoint.safetensors"))
      let best = url.appendingPathComponent("best.safetensors")
      try FileManager.default.createDirectory(at: best, withIntermediateDirectories: false)
      #expect(
        errorText { try run.map { try Self.step(&start.search, $0) } }
          == "\(best.path): cannot be replaced: Is a directory")
      #expect(try readFile(url.appendingPathComponent("checkpoint.safetensors")) == checkpoint)
      run = nil
      // Resumed before the tensor: its line is cut off.
      let metrics = url.appendingPathComponent("metrics.jsonl")
      #expect(try !readFile(metrics).isEmpty)
      let resumed = try RunFolder(resuming: url)
      #expect(resumed.checkpoint.position == RandomSearch.Position())
      #expect(resumed.last == nil)
      #expect(try readFile(metrics).isEmpty)
    }
  }

  @Test func whatAKilledProgramLeftBehindGoes() throws {
    try withTemporaryFolder { folder in
      let left = [
        ".checkpoint.safetensors.1x.tmp", ".best.safetensors.2y.tmp", ".config.json.3.tmp",
        ".events.out.tfevents.rso.4z.tmp",
      ]
      func leave() throws {
        for name in left { try Data().write(to: folder.appendingPathComponent(name)) }
      }
      let files = [
        "checkpoint.safetensors", "config.json", "initial.safetensors", "metrics.jsonl",
      ]
      let start = try Self.start()
      try leave()
      // A folder with nothing else in it counts as empty.
      _ = try RunFolder(creating: folder, start.checkpoint)
      #expect(try Self.names(folder) == files)
      try leave()
      _ = try RunFolder(resuming: folder)
      #expect(try Self.names(folder) == files)
      // The configuration is a record, and the checkpoint still has the start: both come back.
      let initial = try readFile(folder.appendingPathComponent("initial.safetensors"))
      for name in ["config.json", "initial.safetensors"] {
        try FileManager.default.removeItem(at: folder.appendingPathComponent(name))
      }
      _ = try RunFolder(resuming: folder)
      #expect(try Self.names(folder) == files)
      #expect(try readFile(folder.appendingPathComponent("initial.safetensors")) == initial)
    }
  }

  @Test func aFolderThatIsThereAlreadyStaysAfterAnError() throws {
    try withTemporaryFolder { folder in
      let start = try Self.start(trace: "none/t.jsonl")
      let error = errorText { _ = try RunFolder(creating: folder, start.checkpoint) }
      #expect(error?.contains("none/t.jsonl: cannot be written: No such file") == true)
      #expect(try Self.names(folder) == [])
    }
  }

  @Test func oneProgramAtATime() throws {
    try withTemporaryFolder { folder in
      let start = try Self.start()
      var run: RunFolder? = try RunFolder(creating: folder, start.checkpoint)
      let text = "\(folder.path): another rso is using this folder"
      #expect(run != nil)
      #expect(errorText { _ = try RunFolder(resuming: folder) }?.hasPrefix(text) == true)
      #expect(
        errorText { _ = try RunFolder(creating: folder, start.checkpoint) }?.hasPrefix(text)
          == true)
      run = nil
      #expect(errorText { _ = try RunFolder(resuming: folder) } == nil)
    }
  }

  /// A folder of its own for everyone who asks at the same time.
  @Test func newFoldersAreNumbered() throws {
    try withTemporaryFolder { folder in
      let path = folder.appendingPathComponent("runs/mnist").path
      let found = Mutex<[String]>([])
      DispatchQueue.concurrentPerform(iterations: 6) { _ in
        guard let made = try? RunFolder.makeNew(path) else { return }
        found.withLock { $0.append(made) }
      }
      #expect(
        found.withLock { $0.sorted() } == [path] + (2...6).map { "\(path)-\($0)" })
      let names = try Self.names(folder.appendingPathComponent("runs"))
      #expect(names.count == 6)
      let error = errorText { _ = try RunFolder.makeNew("/proc/none") }
      #expect(error?.hasPrefix("/proc/none: the folder cannot be made: ") == true)
    }
  }

  @Test func filesOfARunAreNamedFromItsFolder() {
    let folder = URL(fileURLWithPath: "/a/run")
    #expect(RunFolder.path(of: URL(fileURLWithPath: "/a/run/t.jsonl"), in: folder) == "t.jsonl")
    #expect(RunFolder.path(of: URL(fileURLWithPath: "/a/run/../t"), in: folder) == "/a/t")
    #expect(RunFolder.path(of: URL(fileURLWithPath: "/a/runs/t"), in: folder) == "/a/runs/t")
  }

  /// Any change of the samples in use changes the digest, and nothing else does.
  @Test func theDigestTellsDataApart() throws {
    let shape = Shape(channels: 1, height: 4, width: 4)
    func digest(_ train: Int, _ test: Int, seed: UInt64 = 1, classes: Int = 3) throws -> String {
      let data = try Sample.dataset(shape, classes: classes, train: train, test: test, seed: seed)
      return try DataDescription(data).digest
    }
    let digests = try [
      digest(30, 20), digest(29, 20), digest(30, 19), digest(30, 20, seed: 2),
      digest(30, 20, classes: 4),
    ]
    #expect(Set(digests).count == digests.count)
    #expect(try digest(30, 20) == digests[0])
  }
}

struct MetricsTests {
  @Test func aLineReadsBack() throws {
    let report = RandomSearch.SweepReport(
      cycle: 3, sweep: 1, parameter: "conv0.weight", keptShare: 1.0 / 3, step: 0.75,
      meanLoss: 1e-7,
      batchSize: 45, deviation: 0.25, proposals: 18, evaluations: 52, split: .test,
      evaluation: Evaluation(count: 3, loss: .infinity, confusion: [[1, 0], [1, 1]]),
      seconds: 1.23456, evaluationSeconds: 0.1)
    var earlier = Metrics.Totals()
    (earlier.proposals, earlier.evaluations, earlier.seconds) = (100, 300, 2.5)
    let metrics = Metrics(report, bestAccuracy: 0.7, after: earlier)
    let start =
      #"{"cycle":3,"parameter":"conv0.weight","keptShare":0.3333333333333333,"meanLoss":1e-07,"#
    let end =
      #""bestAccuracy":0.7,"seconds":1.235,"evaluationSeconds":0.1,"batch":45,"sigma":0.25,"step":0.75,"#
      + #""proposals":118,"evaluations":352,"totalSeconds":3.835"#
    #expect(
      metrics.line == start + #""testLoss":null,"testAccuracy":0.6666666666666666,"# + end + "}")
    #expect(try Self.read(metrics.line) == metrics)

    // The last of a run with validation images.
    var validated = report
    validated.split = .validation
    let last = Metrics(
      validated, bestAccuracy: 0.7, after: earlier, test: .init(accuracy: 0.5, loss: 1.5))
    #expect(
      last.line == start + #""validationLoss":null,"validationAccuracy":0.6666666666666666,"# + end
        + #","testLoss":1.5,"testAccuracy":0.5}"#)
    #expect(try Self.read(last.line) == last)
    #expect(try Self.read(last.line).split == .validation)
  }

  @Test func theUntrainedNetworkReadsBack() throws {
    let evaluation = Evaluation(count: 4, loss: 6, confusion: [[1, 0], [1, 2]])
    let metrics = Metrics(untrained: evaluation, .validation, seconds: 0.25)
    #expect(
      metrics.line
        == #"{"cycle":0,"parameter":null,"keptShare":null,"meanLoss":null,"validationLoss":1.5,"#
        + #""validationAccuracy":0.75,"bestAccuracy":null,"seconds":0.0,"evaluationSeconds":0.25,"#
        + #""batch":null,"sigma":null,"step":null,"proposals":0,"evaluations":0,"totalSeconds":0.25}"#
    )
    #expect(try Self.read(metrics.line) == metrics)
  }

  /// A line of a version that wrote neither totals nor the untrained network.
  @Test func anOlderLineIsRead() throws {
    let text =
      #"{"cycle":1,"parameter":"fc.weight","keptShare":0.5,"meanLoss":0.25,"testLoss":2.5,"#
      + #""testAccuracy":0.125,"bestAccuracy":0.5,"seconds":1.5,"evaluationSeconds":0.1}"#
    let metrics = try Self.read(text)
    #expect(metrics.accuracy == 0.125 && metrics.loss == 2.5 && metrics.split == .test)
    #expect(metrics.totals == nil && metrics.batch == nil && metrics.sigma == nil)
    // Files with and without the untrained network's line.
    let untrained = Metrics(
      untrained: Evaluation(count: 1, loss: 0, confusion: [[1]]), .test, seconds: 0)
    let lines = Array((text + "\n" + text + "\n").utf8)
    let whole = Array((untrained.line + "\n").utf8) + lines
    func read(_ bytes: [UInt8], _ count: Int) throws -> [Int] {
      let found = try Metrics.read(bytes, count: count, file: "m")
      return [found.metrics?.count ?? -1, found.tensors, found.bytes]
    }
    let (one, head) = (text.utf8.count + 1, untrained.line.utf8.count + 1)
    #expect(try read(lines, 1) == [1, 1, one] && read(lines, 0) == [0, 0, 0])
    #expect(try read(whole, 1) == [2, 1, head + one] && read(whole, 0) == [1, 0, head])
    #expect(try read(whole, 3) == [-1, 2, head + 2 * one])
    // Half a line does not count, and what is beyond is not read.
    #expect(try read(whole.dropLast(), 2) == [-1, 1, head + one])
    #expect(try read(whole + Array("{\n".utf8), 2) == [3, 2, head + 2 * one])
    #expect(
      errorText { _ = try Metrics.read(lines + whole, count: 4, file: "m") }
        == "m, line 3: expected a finished tensor, found the untrained network")
  }

  private static func read(_ line: String) throws -> Metrics {
    try JSONDecoder().decode(Metrics.self, from: Data(line.utf8))
  }

  @Test func aTraceHasEveryDigit() throws {
    let proposal = Proposal(element: 17, batch: 3, candidates: [0.5, 0.6, 0.4], delta: 0.1)
    var rule = SweepRule.best
    let decision = try Decision(
      on: proposal, losses: [1.0 / 3, .nan, 0.25], by: &rule, parameter: "conv5.weight")
    #expect(
      Trace.line(proposal, decision, cycle: 0, parameter: "conv5.weight")
        == #"{"cycle":0,"parameter":"conv5.weight","index":17,"batch":3,"delta":0.10000000149011612,"#
        + #""candidates":[0.5,0.6000000238418579,0.4000000059604645],"#
        + #""losses":[0.3333333333333333,null,0.25],"choice":2,"value":0.4000000059604645}"#)
  }
}
