import Foundation
import RSO
import RSOFormats
import Testing

struct ResumeTests {
  static let options = ["--cycles", "30", "--run", "r", "--trace", "r/trace.jsonl"]
  static let resume = ["train", "--run", "r", "--resume"]

  /// The files of a run that nothing interrupts.
  private func uninterrupted(_ place: Workplace) throws -> RunFiles {
    #expect(try place.train(Self.options).code == 0)
    let files = try RunFiles(place, "r")
    try FileManager.default.removeItem(at: place.file("r"))
    return files
  }

  /// Starts the run, or goes on with it where there is a checkpoint.
  private func start(_ place: Workplace) throws -> Tool.Running {
    let exists = FileManager.default.fileExists(
      atPath: place.file("r/checkpoint.safetensors").path)
    return try Tool.Running(
      exists ? Self.resume : ["train"] + Workplace.options + Self.options, in: place.url)
  }

  private func finish(_ place: Workplace) throws {
    let result = try start(place).wait()
    #expect(result.code == 0)
    #expect(result.errors == "")
  }

  /// Finished tensors so far; 0 where the file is not there yet.
  private func finishedTensors(_ place: Workplace) -> Int {
    max(((try? place.text("r/metrics.jsonl")) ?? "").count { $0 == "\n" } - 1, 0)
  }

  /// Waits until `count` tensors are finished, or the process has ended.
  private func wait(for count: Int, _ running: Tool.Running, _ place: Workplace) {
    while running.process.isRunning, finishedTensors(place) < count { usleep(200) }
  }

  @Test func aKilledRunEndsWithTheSameBits() throws {
    try Workplace.with { place in
      let expected = try uninterrupted(place)
      // At its very beginning, within groups of tensors that share a cache, and in a later cycle.
      for count in [0, 1, 2, 3, 4, 9, 40] {
        let running = try start(place)
        wait(for: count, running, place)
        running.send(SIGKILL)
        #expect(try running.wait().signal == SIGKILL)
      }
      try finish(place)
      #expect(expected.differences(from: try RunFiles(place, "r")) == [])
      #expect(try place.files().filter { $0.hasSuffix(".tmp") } == [])
    }
  }

  /// With a rule that learns, and rounds.
  @Test(arguments: [
    ["--rule", "slope", "--round", "1:1,channel"], ["--rule", "parabola", "--hold", "4"],
  ])
  func aKilledRunOfAnotherRule(options: [String]) throws {
    try Workplace.with { place in
      let all = Self.options + options
      #expect(try place.train(all).code == 0)
      let expected = try RunFiles(place, "r")
      try FileManager.default.removeItem(at: place.file("r"))
      let first = try Tool.Running(["train"] + Workplace.options + all, in: place.url)
      wait(for: 9, first, place)
      first.send(SIGKILL)
      #expect(try first.wait().signal == SIGKILL)
      try finish(place)
      #expect(expected.differences(from: try RunFiles(place, "r")) == [])
    }
  }

  /// Killed between its first checkpoint and its first event, which takes luck: here the events are removed.
  @Test func aRunWithoutEventsBeginsThem() throws {
    try Workplace.with { place in
      let expected = try uninterrupted(place)
      let events = place.file("r/\(RunFolder.eventsName)")
      for _ in 0..<50 {
        try? FileManager.default.removeItem(at: place.file("r"))
        let running = try start(place)
        while running.process.isRunning, !FileManager.default.fileExists(atPath: events.path) {
          usleep(100)
        }
        running.send(SIGKILL)
        _ = try running.wait()
        if finishedTensors(place) == 0 { break }
      }
      try #require(finishedTensors(place) == 0)
      try FileManager.default.removeItem(at: events)
      try finish(place)
      #expect(expected.differences(from: try RunFiles(place, "r")) == [])
    }
  }

  @Test func aRunKilledAtAnyMomentEndsWithTheSameBits() throws {
    try Workplace.with { place in
      let expected = try uninterrupted(place)
      var generator = SystemRandomNumberGenerator()
      for round in 0..<3 {
        var delays: [UInt32] = []
        for _ in 0..<12 {
          let running = try start(place)
          delays.append(UInt32.random(in: 1000...150_000, using: &generator))
          usleep(delays.last ?? 0)
          running.send(SIGKILL)
          _ = try running.wait()
        }
        try finish(place)
        let found = try RunFiles(place, "r")
        #expect(expected.differences(from: found) == [], "round \(round), µs: \(delays)")
        try FileManager.default.removeItem(at: place.file("r"))
      }
    }
  }

  @Test(arguments: [(SIGINT, 130, "Control-C"), (SIGTERM, 143, "SIGTERM")])
  func aStoppedRunSaysHowToGoOn(signal: Int32, code: Int32, name: String) throws {
    try Workplace.with { place in
      let expected = try uninterrupted(place)
      let running = try start(place)
      wait(for: 3, running, place)
      running.send(signal)
      let result = try running.wait()
      #expect(result.code == code)
      #expect(result.signal == nil)
      let answer = signal == SIGINT ? "rso: stopping after this step; again to quit now\n" : ""
      #expect(
        result.errors
          == answer + "rso: stopped by \(name); go on with: rso train --run r --resume\n")
      try finish(place)
      #expect(expected.differences(from: try RunFiles(place, "r")) == [])
    }
  }

  @Test func aReaderThatLeavesLosesNothing() throws {
    try Workplace.with { place in
      let expected = try uninterrupted(place)
      let pipe = Pipe()
      let running = try Tool.Running(
        ["train"] + Workplace.options + Self.options, in: place.url, output: pipe)
      try pipe.fileHandleForWriting.close()
      wait(for: 1, running, place)
      try pipe.fileHandleForReading.close()
      let result = try running.wait()
      #expect(result.code == 141)
      #expect(result.signal == nil)
      #expect(result.errors.contains("go on with: rso train --run r --resume"))
      try finish(place)
      #expect(expected.differences(from: try RunFiles(place, "r")) == [])
    }
  }

  /// A limit on the size of files stands in for a disk that fills up: the trace reaches it.
  @Test func aFullDiskIsAnErrorAndTheRunGoesOnAfterwards() throws {
    try Workplace.with { place in
      let expected = try uninterrupted(place)
      let running = try Tool.Running(
        // Its own streams go to files, too, which stay small.
        ["train"] + Workplace.options + Self.options, in: place.url, shell: "ulimit -f 100")
      let result = try running.wait()
      #expect(result.code == 1)
      #expect(result.errors.contains("/r/trace.jsonl: cannot be written: File too large"))
      #expect(result.errors.contains("go on with: rso train --run r --resume"))
      #expect(finishedTensors(place) > 0)
      try finish(place)
      #expect(expected.differences(from: try RunFiles(place, "r")) == [])
    }
  }

  @Test func aFinishedRunSaysSo() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "1", "--run", "r"]).code == 0)
      let before = try RunFiles(place, "r")
      let result = try place.run(Self.resume)
      #expect(result.code == 0)
      #expect(result.errors == "")
      #expect(result.output.hasPrefix("r: this run is finished; there is nothing to resume\n"))
      #expect(result.output.contains("best: "))
      #expect(before.differences(from: try RunFiles(place, "r")) == [])
    }
  }

  @Test func twoProgramsCannotUseOneFolder() throws {
    try Workplace.with { place in
      let running = try start(place)
      wait(for: 1, running, place)
      running.send(SIGSTOP)
      let result = try place.run(Self.resume)
      running.send(SIGCONT)
      running.send(SIGKILL)
      _ = try running.wait()
      #expect(result.code == 1)
      #expect(result.errors.contains("/r: another rso is using this folder"))
    }
  }

  /// Options that do not agree with the run, or files that were changed: what is said, and the code.
  struct Change: CustomTestStringConvertible, Sendable {
    var arguments: [String] = []
    var code: Int32
    var errors: String
    var change: @Sendable (Workplace) throws -> Void = { _ in }
    var testDescription: String { arguments.isEmpty ? errors : arguments.joined(separator: " ") }
  }

  static let options64: [Change] = [
    (
      ["--cycles", "29"],
      "--cycles: the run has 30, of which 0 are done, found 29 (leave it out to go on"
    ),
    (["--batch", "45"], "--batch: the run has 30, found 45"),
    (["--batch", "10:1,30"], "--batch: the run has 30, found 10:1,30"),
    (["--hold", "4"], "--hold: the run has 1, found 4"),
    (["--rule", "slope"], "--rule: the run has best, found slope:c=0.5"),
    (["--round", "1:2,channel"], "--round: the run has 1, found 1:2,channel"),
    (["--anneal", "0.2"], "--anneal: the run has linear:0.1, found linear:0.2"),
    (["--wd", "0"], "--weight-decay: the run has 0.0001, found 0.0"),
    (["--seed", "1"], "--seed: the run has 0, found 1"),
    (["--sigma-scale", "2"], "--sigma-scale: the run has 1.0, found 2.0"),
    (
      ["--tensor-order", "input-to-output"],
      "--tensor-order: the run has output-to-input, found input-to-output"
    ),
    (["--element-order", "shuffled"], "--element-order: the run has row-major, found shuffled"),
    (["--sweeps", "fc=2"], "--sweeps: the run has 1 for every layer, found fc=2"),
    (["--only", "fc*"], "--only: the run has every parameter, found fc*"),
    (["--preset", "quick"], "--preset: quick has --cycles 3, and the run has 30 (leave it out"),
    (
      ["--preset", "quick", "--cycles", "30"], "--preset: quick has --batch 90, and the run has 30"
    ),
    (["--preset", "quick", "--hold", "2"], "--hold: the run has 1, found 2"),
    (["--layers", "6"], "--layers: the run has {\"bias\":false,\"channels\":3,"),
    (["--train-limit", "60"], "--train-limit: the run has 90, found 60"),
    (["--test-limit", "20"], "--test-limit: the run has 30, found 20"),
    (["--trace", "other"], "--trace: the run has trace.jsonl, found /"),
    (["--data-dir", "others"], "--data-dir: the run has the data "),
  ].map { Change(arguments: $0, code: 64, errors: $1) }

  static let changes: [Change] = [
    Change(code: 1, errors: "digits: the run has the data ") {
      try $0.writeData("digits", shift: 1)
    },
    Change(code: 1, errors: "digits: expected train-images-idx3-ubyte") {
      try FileManager.default.removeItem(at: $0.file("digits"))
    },
    Change(code: 1, errors: "metrics.jsonl: expected lines of at least 3 tensors, found 2") {
      let lines = try $0.text("r/metrics.jsonl").split(separator: "\n").prefix(3)
      try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: $0.file("r/metrics.jsonl"))
    },
    Change(
      code: 1,
      errors: "expected the metrics of 3 tensors, found no such file (the weights are there"
    ) {
      try FileManager.default.removeItem(at: $0.file("r/metrics.jsonl"))
    },
    Change(code: 1, errors: "metrics.jsonl, line 3") {
      try $0.edit("r/metrics.jsonl", "conv1", "\"")
    },
    Change(code: 1, errors: "trace.jsonl: expected at least ") {
      try Data().write(to: $0.file("r/trace.jsonl"))
    },
    Change(code: 1, errors: "config.json: expected the configuration that checkpoint.safetensors") {
      try $0.edit("r/config.json", "\"cycles\" : 30", "\"cycles\" : 60")
    },
    Change(code: 1, errors: "config.json, line 2, column 10: ") {
      try $0.edit("r/config.json", "{", "")
    },
    Change(code: 1, errors: "checkpoint.safetensors: expected ") {
      let file = $0.file("r/checkpoint.safetensors")
      try Data(contentsOf: file).dropLast(9).write(to: file)
    },
    Change(code: 1, errors: "checkpoint.safetensors: expected content of digest crc32:") {
      let file = $0.file("r/checkpoint.safetensors")
      var bytes = try Data(contentsOf: file)
      bytes[bytes.count - 7] ^= 1
      try bytes.write(to: file)
    },
    Change(code: 1, errors: "checkpoint.safetensors: expected 'settings' in its metadata") {
      try $0.change { $0.metadata["settings"] = nil }
    },
    Change(code: 1, errors: "checkpoint.safetensors: expected a position within 30 cycles of 7") {
      try $0.change { $0.metadata["position"] = #"{"cycle":2,"sweep":7}"# }
    },
    Change(code: 1, errors: "checkpoint.safetensors: expected a model of rso") {
      try $0.change { $0.metadata = [:] }
    },
    Change(code: 1, errors: "found inf at fc.weight[2]") {
      try $0.change { $0["fc.weight"]?.values[2] = .infinity }
    },
  ]

  @Test(arguments: options64 + changes)
  func whatDoesNotAgreeIsRefused(_ test: Change) throws {
    try Workplace.with { place in
      try place.writeData("others", shift: 1)
      let running = try start(place)
      wait(for: 3, running, place)
      running.send(SIGINT)
      #expect(try running.wait().code == 130)
      // Three tensors exactly: those after them, if it came so far, are cut off as by a kill.
      try place.cut(to: 3)
      try test.change(place)
      let before = try place.contents("r")
      let result = try place.run(Self.resume + test.arguments)
      #expect(result.code == test.code)
      #expect(result.output == "")
      #expect(result.errors.contains(test.errors), "\(result.errors)")
      #expect(try place.contents("r") == before)
    }
  }

  /// The trace that goes on holds what comes after.
  @Test func aDeletedTraceBeginsAgain() throws {
    try Workplace.with { place in
      let expected = try uninterrupted(place)
      let running = try start(place)
      wait(for: 3, running, place)
      running.send(SIGKILL)
      _ = try running.wait()
      try FileManager.default.removeItem(at: place.file("r/trace.jsonl"))
      let again = try start(place)
      // Killed once more, when the new trace has its first lines: by then the note is out.
      while again.process.isRunning, ((try? place.text("r/trace.jsonl")) ?? "").isEmpty {
        usleep(200)
      }
      again.send(SIGKILL)
      let note = "/r/trace.jsonl: the trace was deleted; a new one begins here\n"
      #expect(try again.wait().errors.hasSuffix(note))
      try finish(place)
      var found = try RunFiles(place, "r")
      let (whole, part) = (try #require(expected.trace), try #require(found.trace))
      #expect(part.count > 1000 && part.count < whole.count && whole.suffix(part.count) == part)
      found.trace = whole
      // The checkpoint has the length of the trace.
      #expect(expected.differences(from: found) == ["checkpoint"])
    }
  }

  @Test func optionsThatAgreeAreAllowed() throws {
    try Workplace.with { place in
      let running = try start(place)
      wait(for: 2, running, place)
      running.send(SIGTERM)
      #expect(try running.wait().code == 143)
      // The folder may move, and the data too.
      try FileManager.default.moveItem(at: place.file("r"), to: place.file("s"))
      try FileManager.default.moveItem(at: place.file("digits"), to: place.file("moved"))
      let result = try place.run([
        "train", "--run", "s", "--resume", "--data-dir", "moved", "--network", "net.json",
        "--batch", "30", "--cycles", "30", "--train-limit", "90", "--trace", "s/trace.jsonl",
      ])
      #expect(result.code == 0)
      #expect(result.errors == "")
    }
  }
}

extension Workplace {
  /// Changes the checkpoint of the run.
  func change(_ body: (inout SafeTensors) -> Void) throws {
    var tensors = try tensors("r/checkpoint.safetensors")
    body(&tensors)
    try tensors.write(to: file("r/checkpoint.safetensors"))
  }

  func contents(_ folder: String) throws -> [String: Data] {
    let names = try FileManager.default.contentsOfDirectory(atPath: file(folder).path)
    return try Dictionary(
      uniqueKeysWithValues: names.map { ($0, try Data(contentsOf: file("\(folder)/\($0)"))) })
  }

  /// Sets the run back to its first `count` tensors, in the first cycle; its weights stay, which does
  /// not matter to a test of errors.
  func cut(to count: Int) throws {
    var checkpoint = try Checkpoint(contentsOf: file("r/checkpoint.safetensors"))
    checkpoint.position = .init(cycle: 0, sweep: count)
    try checkpoint.write(to: file("r/checkpoint.safetensors"))
    let lines = try text("r/metrics.jsonl").split(separator: "\n").prefix(count + 1)
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: file("r/metrics.jsonl"))
  }
}
