import Foundation
import RSO
import Testing

@testable import RSOFormats

/// Runs that go on after their end: `--resume --cycles`.
struct ExtensionTests {
  private func train(_ place: Workplace, _ options: [String], run: String) throws {
    let result = try place.train(options + ["--run", run, "--quiet"])
    #expect(result.code == 0 && result.errors == "")
  }

  /// What a rule's numbers do is said, too: margin's reach their end later.
  @Test func aRuleThatChangesIsNamed() throws {
    try Workplace.with { place in
      try train(
        place, ["--anneal", "constant", "--rule", "margin", "--cycles", "1"], run: "r")
      let result = try place.run(["train", "--run", "r", "--resume", "--cycles", "2"])
      #expect(
        result.output.hasPrefix(
          "cycles: 2 instead of 1; annealing (constant) leaves σ as it is, and margin:m=0..0.5 changes over "
            + "them all\n"))
    }
  }

  /// Without annealing, nothing tells a run that was given more cycles from one that had them from the start.
  @Test(arguments: [1, 2], [[], ["--validation", "30"]])
  func withoutAnnealingItIsTheLongerRun(cycles: Int, validation: [String]) throws {
    try Workplace.with { place in
      let options =
        validation + ["--anneal", "constant", "--trace", "r/trace.jsonl", "--cycles"]
      try train(place, options + ["3"], run: "r")
      let expected = try RunFiles(place, "r")
      let best = try place.tensors("r/best.safetensors").tensors
      try FileManager.default.removeItem(at: place.file("r"))
      try train(place, options + ["\(cycles)"], run: "r")
      let result = try place.run(["train", "--run", "r", "--resume", "--cycles", "3"])
      #expect(result.code == 0 && result.errors == "")
      #expect(
        result.output.hasPrefix(
          "cycles: 3 instead of \(cycles); annealing (constant) leaves σ as it is\n"))
      #expect(result.output.contains("\nresumed: cycle \(cycles + 1), fc.weight\n"))
      // The best model's file says how many cycles the run had when it was written, and may be from before.
      let differences = expected.differences(from: try RunFiles(place, "r"))
      #expect(differences.filter { $0 != "best" } == [])
      let found = try place.tensors("r/best.safetensors").tensors
      #expect(found.map(\.tensor) == best.map(\.tensor))
    }
  }

  /// A run that was killed in its second cycle, and is given more cycles when it goes on.
  @Test func anUnfinishedRunGetsMoreCycles() throws {
    try Workplace.with { place in
      try train(place, ["--anneal", "constant", "--cycles", "22"], run: "whole")
      let running = try Tool.Running(
        ["train"] + Workplace.options
          + ["--anneal", "constant", "--cycles", "20", "--quiet", "--run", "r"], in: place.url)
      while running.process.isRunning,
        ((try? place.text("r/metrics.jsonl")) ?? "").count(where: { $0 == "\n" }) < 10
      { usleep(200) }
      running.send(SIGKILL)
      #expect(try running.wait().signal == SIGKILL)
      let result = try place.run(["train", "--run", "r", "--resume", "--cycles", "22"])
      #expect(result.code == 0 && result.output.hasPrefix("cycles: 22 instead of 20; annealing"))
      let differences = try RunFiles(place, "whole").differences(from: RunFiles(place, "r"))
      #expect(differences.filter { $0 != "best" } == [])
    }
  }

  /// The schedule spans all cycles from then on: by hand, 0.1 + 0.9 · 1/2 in the second of two cycles, and
  /// 0.1 + 0.9 · 2/4 in the third of four.
  @Test func annealingSpansAllCycles() throws {
    try Workplace.with { place in
      try train(place, ["--cycles", "2", "--validation", "30"], run: "r")
      #expect(try Checkpoint(contentsOf: place.file("r/checkpoint.safetensors")).best?.test != nil)
      let result = try place.run(["train", "--run", "r", "--resume", "--cycles", "4"])
      #expect(
        result.output.hasPrefix(
          "cycles: 4 instead of 2; annealing (linear:0.1) spans them all, "
            + "so σ is at 55.0 % in cycle 2, now 55.0 % in cycle 3 and 32.5 % in the last\n"),
        "\(result.output)")
      let lines = try place.metrics("r").filter { $0.parameter == "bn1.bias" }
      let expected = [1, 0.55, 0.55, 0.325].map { 0.167 * $0 }
      #expect(lines.count == 4)
      for (line, sigma) in zip(lines, expected) { #expect(abs((line.sigma ?? 0) - sigma) < 1e-12) }
      #expect(try place.settings("r").cycles == 4)
      #expect(try place.text("r/config.json").contains("\"cycles\" : 4"))
      // Both ends had a result, and the first is none any more: not in the metrics, nor for TensorBoard.
      let tested = try place.metrics("r").filter { $0.test != nil }
      #expect(tested.map(\.cycle) == [3])
      let events = try place.events("r").filter { event in
        event.summary.value.contains { $0.tag.hasPrefix("test/") }
      }
      #expect(events.map(\.step) == [28])
      let best = try Checkpoint(contentsOf: place.file("r/checkpoint.safetensors")).best
      #expect(best?.test == tested.last?.test)
      #expect(try place.run(["report", "r"]).code == 0)
    }
  }

  /// A run that an earlier version gave more cycles has the result of its first end in between; it goes when the run
  /// goes on, and nothing else does.
  @Test func anEarlierResultGoes() throws {
    try Workplace.with { place in
      let options = ["--cycles", "20", "--validation", "30", "--only", "fc*"]
      try train(place, options, run: "whole")
      let running = try Tool.Running(
        ["train"] + Workplace.options + options + ["--quiet", "--run", "r"], in: place.url)
      while running.process.isRunning,
        ((try? place.text("r/metrics.jsonl")) ?? "").count(where: { $0 == "\n" }) < 5
      { usleep(200) }
      running.send(SIGKILL)
      #expect(try running.wait().signal == SIGKILL)
      var lines = try place.text("r/metrics.jsonl").split(separator: "\n")
      lines[2] = lines[2].dropLast() + #","testLoss":1.5,"testAccuracy":0.5}"#
      try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: place.file("r/metrics.jsonl"))
      #expect(try place.run(["train", "--run", "r", "--resume", "--quiet"]).code == 0)
      #expect(try RunFiles(place, "whole").differences(from: RunFiles(place, "r")) == [])
    }
  }

  /// A run that was given more cycles, and is then killed and resumed, ends as if nothing had killed it.
  @Test func killedAfterwards() throws {
    try Workplace.with { place in
      try train(place, ["--cycles", "2"], run: "r")
      try FileManager.default.copyItem(at: place.file("r"), to: place.file("s"))
      let more = ["--resume", "--cycles", "20", "--quiet"]
      #expect(try place.run(["train", "--run", "s"] + more).code == 0)
      let running = try Tool.Running(["train", "--run", "r"] + more, in: place.url)
      while running.process.isRunning,
        try place.text("r/metrics.jsonl").count(where: { $0 == "\n" }) < 20
      { usleep(200) }
      running.send(SIGKILL)
      _ = try running.wait()
      // It knows its cycles; to name them again does no harm. A lost configuration is written again.
      try FileManager.default.removeItem(at: place.file("r/config.json"))
      let result = try place.run(["train", "--run", "r"] + more)
      #expect(result.code == 0 && !result.output.contains("instead of"))
      #expect(try RunFiles(place, "s").differences(from: try RunFiles(place, "r")) == [])
    }
  }

  /// Nothing is changed by a wrong number or by an error elsewhere.
  @Test(arguments: [
    (
      ["--cycles", "1"],
      "--cycles: the run has 2, of which 2 are done, found 1 (leave it out to go on, or give more cycles than 2;"
    ),
    (["--cycles", "1000001"], "--cycles: expected 1 to 1,000,000, found 1000001"),
    (["--cycles", "3", "--seed", "7"], "--seed: the run has 0, found 7"),
  ])
  func refuses(options: [String], errors: String) throws {
    try Workplace.with { place in
      try train(place, ["--cycles", "2"], run: "r")
      let before = try place.contents("r")
      let result = try place.run(["train", "--run", "r", "--resume"] + options)
      #expect(result.code == 64)
      #expect(result.errors.contains(errors), "\(result.errors)")
      #expect(try place.contents("r") == before)
    }
  }
}
