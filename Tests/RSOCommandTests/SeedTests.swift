import Foundation
import RSO
import Testing

@testable import RSOFormats

/// `--seeds`: several runs in one folder.
struct SeedTests {
  private static let options = ["--cycles", "2", "--quiet", "--run", "r"]

  @Test func everyRunIsThatOfItsSeed() throws {
    try Workplace.with { place in
      let result = try place.train(Self.options + ["--seeds", "0,3..4"])
      #expect(result.code == 0 && result.errors == "")
      for seed in [0, 3, 4] {
        let single = try place.train([
          "--cycles", "2", "--quiet", "--run", "single", "--seed", "\(seed)",
        ])
        #expect(single.code == 0)
        let (one, other) = try (RunFiles(place, "single"), RunFiles(place, "r/seed-\(seed)"))
        #expect(one.differences(from: other) == [], "seed \(seed)")
        try FileManager.default.removeItem(at: place.file("single"))
      }
      // By hand: the mean, and the deviation with n − 1.
      let last = try [0, 3, 4].map {
        try #require(try place.metrics("r/seed-\($0)").last?.accuracy)
      }
      let mean = last.reduce(0, +) / 3
      let deviation = (last.reduce(0) { $0 + pow($1 - mean, 2) } / 2).squareRoot()
      #expect(
        result.output.contains(
          String(
            format: "3 seeds, mean ± standard deviation: test accuracy %.2f ± %.2f %%, best ",
            100 * mean, 100 * deviation)), "\(result.output)")
      #expect(result.output.hasSuffix("\nshow them: rso report r\n"))
      // Nothing is left to do, and that is said again.
      let again = try place.run(["train", "--run", "r", "--resume", "--seeds", "0,3,4", "--json"])
      #expect(again.code == 0 && again.errors == "")
      struct Answer: Decodable {
        var seeds: [Int]
        var testAccuracy: Spread
      }
      let answer = try JSONDecoder().decode(Answer.self, from: Data(again.output.utf8))
      #expect(answer.seeds == [0, 3, 4] && abs(answer.testAccuracy.mean - mean) < 1e-12)
    }
  }

  /// A single seed has no deviation, and runs are evaluated and shown together, at the end.
  @Test(arguments: [
    ("7", "1 seed: test accuracy "), ("7..8", "2 seeds, mean ± standard deviation: "),
  ])
  func theEndOfTheOutput(seeds: String, words: String) throws {
    try Workplace.with { place in
      let result = try place.train([
        "--cycles", "1", "--run", "r", "--only", "fc*", "--seeds", seeds,
      ])
      #expect(result.errors == "")
      #expect(result.output.contains("\n\n" + words), "\(result.output)")
      #expect(result.output.contains("±") == (seeds != "7"))
      #expect(!result.output.contains("evaluate it:") && !result.output.contains("show it:"))
      #expect(result.output.hasSuffix("\nshow them: rso report r\n"))
      let single = try place.train(["--cycles", "1", "--run", "s", "--only", "fc*"])
      #expect(single.output.hasSuffix("\nevaluate it: rso evaluate s\nshow it: rso report s\n"))
    }
  }

  /// Stopped in the second of three, and resumed without any option.
  @Test(arguments: [SIGINT, SIGKILL])
  func aStoppedRunGoesOn(signal: Int32) throws {
    try Workplace.with { place in
      let options = ["--cycles", "12", "--quiet", "--seeds", "0..2", "--validation", "30"]
      #expect(try place.train(options + ["--run", "whole"]).code == 0)
      let running = try Tool.Running(
        ["train"] + Workplace.options + options + ["--run", "r"], in: place.url)
      let metrics = place.file("r/seed-1/metrics.jsonl")
      while running.process.isRunning,
        ((try? String(contentsOf: metrics, encoding: .utf8)) ?? "").count(where: { $0 == "\n" }) < 4
      { usleep(200) }
      running.send(signal)
      let stopped = try running.wait()
      if signal == SIGINT {
        #expect(stopped.code == 130)
        #expect(
          stopped.errors == "rso: stopping after this step; again to quit now\n"
            + "rso: stopped by Control-C; go on with: rso train --run r --resume\n")
      }
      #expect(!FileManager.default.fileExists(atPath: place.file("r/seed-2").path))
      let result = try place.run(["train", "--run", "r", "--resume"])
      #expect(result.code == 0 && result.errors == "")
      #expect(result.output.hasPrefix("seed 0\nr/seed-0: finished\n"))
      #expect(result.output.contains("test accuracy of the best "))
      for seed in 0...2 {
        let (one, other) = try (
          RunFiles(place, "whole/seed-\(seed)"), RunFiles(place, "r/seed-\(seed)")
        )
        #expect(one.differences(from: other) == [], "seed \(seed)")
      }
    }
  }

  /// Given more cycles and killed in the first, all of them get their cycles when they are resumed without an option.
  @Test func moreCyclesForAll() throws {
    try Workplace.with { place in
      let options = ["--quiet", "--seeds", "0..1", "--run", "r"]
      #expect(try place.train(["--cycles", "1"] + options).code == 0)
      // As it is after a kill: the list has its new cycles, and no run has.
      let list = place.file("r/seeds.json")
      let text = try String(contentsOf: list, encoding: .utf8)
      try text.replacing("\"cycles\" : 1,", with: "\"cycles\" : 3,")
        .write(to: list, atomically: true, encoding: .utf8)
      let result = try place.run(["train", "--run", "r", "--resume", "--quiet"])
      #expect(result.code == 0, "\(result.errors)")
      for seed in 0...1 { #expect(try place.metrics("r/seed-\(seed)").last?.cycle == 2) }
    }
  }

  /// Seeds that are named when the others are resumed become runs like them.
  @Test func moreSeeds() throws {
    try Workplace.with { place in
      #expect(try place.train(Self.options + ["--seeds", "0..1", "--quiet"]).code == 0)
      let before = try RunFiles(place, "r/seed-1")
      let more = try place.run(["train", "--run", "r", "--resume", "--seeds", "0..2", "--quiet"])
      #expect(more.code == 0 && more.errors == "", "\(more.errors)")
      #expect(before.differences(from: try RunFiles(place, "r/seed-1")) == [])
      #expect(try place.metrics("r/seed-2").count == place.metrics("r/seed-1").count)
    }
  }

  /// From a model, all runs start from its weights, those that begin after a stop, too.
  @Test func fromAModel() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "1", "--quiet", "--run", "m"]).code == 0)
      let result = try place.train(Self.options + ["--seeds", "1..2", "--from", "m"])
      #expect(result.code == 0 && result.errors == "")
      let expected = try place.tensors("m/best.safetensors")["fc.weight"]
      let whole = try RunFiles(place, "r/seed-2")
      try FileManager.default.removeItem(at: place.file("r/seed-2"))
      #expect(try place.run(["train", "--run", "r", "--resume", "--quiet"]).code == 0)
      for seed in 1...2 {
        #expect(try place.tensors("r/seed-\(seed)/initial.safetensors")["fc.weight"] == expected)
      }
      #expect(whole.differences(from: try RunFiles(place, "r/seed-2")) == [])
    }
  }

  @Test(arguments: [
    (
      ["--seeds", "4..0"],
      "--seeds: expected seeds from 0 on as in 0..4 or 0,3,7, found 4..0 (a seed"
    ),
    (
      ["--seeds", "-1..1"],
      "--seeds: expected seeds from 0 on as in 0..4 or 0,3,7, found -1..1 (a seed"
    ),
    (["--seeds", "1,1"], "--seeds: expected each seed once, found 1,1 (runs of one seed"),
    (["--seeds", "a"], "--seeds: expected seeds from 0 on as in 0..4 or 0,3,7, found a (a seed"),
    (["--seeds", "0,"], "--seeds: expected seeds from 0 on as in 0..4 or 0,3,7, found 0, (a seed"),
    (["--seeds", "0..99999999"], "--seeds: expected at most 1000 seeds, found 0..99999999 (every"),
    (["--seeds", "0..999,1000"], "--seeds: expected at most 1000 seeds, found 0..999,1000 (every"),
    (
      ["--seeds", "0..18446744073709551615"],
      "--seeds: expected at most 1000 seeds, found 0..18446744073709551615"
    ),
    (["--seeds", "0..1", "--seed", "3"], "--seed: expected it for a single run"),
    (["--seeds", "0..1", "--batch", "100000"], "--batch: expected at most the"),
    (["--seeds", "0..1", "--trace", "t"], "--trace: expected it for a single run"),
    (["--seeds", "0..1", "--save-initial", "t"], "--save-initial: expected it for a single run"),
  ])
  func refuses(options: [String], errors: String) throws {
    try Workplace.with { place in
      let before = try place.files()
      let result = try place.train(Self.options + options)
      #expect(result.code == 64)
      #expect(result.errors.contains(errors), "\(result.errors)")
      #expect(try place.files() == before)
    }
  }

  @Test func foldersAndResuming() throws {
    try Workplace.with { place in
      #expect(try place.train(Self.options + ["--seeds", "0..1"]).code == 0)
      for (arguments, code, errors) in [
        (["--resume", "--seeds", "1..2"], 64, "--seeds: the runs have 0,1, found 1,2"),
        (["--resume", "--batch", "45"], 64, "--batch: the run has 30, found 45"),
        (["--resume", "--cycles", "1"], 64, "--cycles: the run has 2, found 1"),
        (["--resume", "--seed", "0"], 64, "--seed: expected it for a single run"),
      ] as [([String], Int32, String)] {
        let result = try place.run(["train", "--run", "r"] + arguments)
        #expect(result.code == code && result.errors.contains(errors), "\(result.errors)")
      }
      let taken = try place.train(Self.options + ["--seeds", "0..1"])
      #expect(taken.code == 1)
      #expect(taken.errors.contains("r: expected an empty folder, found seed-0 (go on with it: "))
      let single = try place.run(["train", "--run", "r/seed-0", "--resume", "--seeds", "0..1"])
      #expect(single.errors.contains("expected the runs of several seeds, found no seeds.json"))
      // More cycles for all of them.
      let more = try place.run(["train", "--run", "r", "--resume", "--cycles", "3", "--quiet"])
      #expect(more.code == 0 && more.errors == "")
      #expect(try place.metrics("r/seed-0").count == 21 && place.metrics("r/seed-1").count == 21)
    }
  }
}
