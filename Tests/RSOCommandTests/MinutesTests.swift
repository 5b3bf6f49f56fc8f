import Foundation
import RSO
import Testing

@testable import RSOFormats

/// `--minutes`, and what a stop keeps of a tensor that is not finished.
struct MinutesTests {
  /// Gives a run a fraction of a second, again and again, until it is finished; each time a little more, since this
  /// machine may be busy.
  ///
  /// - Returns: how often it was stopped.
  private func pieces(
    _ place: Workplace, begin: [String], resume: [String], extra: [String] = [],
    words: String, from first: Double = 0.001
  ) throws -> Int {
    var (stops, minutes) = (0, first)
    while true {
      let exists = FileManager.default.fileExists(
        atPath: place.file("r").path)
      let result = try place.run(
        (exists ? resume : begin) + extra + ["--minutes", "\(minutes)"])
      minutes *= 1.1
      if result.code == 1, !exists {
        #expect(
          result.errors.hasPrefix(
            "rso: --minutes: expected time to load the data and evaluate the start, found 0.0"),
          "\(result.errors)")
        #expect(result.errors.hasSuffix(" (no run has begun; give it more)\n"))
        continue
      }
      #expect(result.code == 0 && result.errors == "", "\(result.errors)")
      guard let stop = result.output.firstRange(of: "stopped after ") else { return stops }
      #expect(
        String(result.output[stop.lowerBound...]).hasPrefix("stopped after 0.0"),
        "\(result.output)")
      #expect(result.output.contains(" minutes; go on with: \(words) --minutes 0.0"))
      stops += 1
    }
  }

  @Test(arguments: [[], ["--rule", "slope", "--hold", "3"], ["--round", "channel"]])
  func aRunInPieces(options: [String]) throws {
    try Workplace.with { place in
      let all = ResumeTests.options + options
      #expect(try place.train(all).code == 0)
      let expected = try RunFiles(place, "r")
      try FileManager.default.removeItem(at: place.file("r"))
      let stops = try pieces(
        place, begin: ["train"] + Workplace.options + all, resume: ResumeTests.resume,
        words: "rso train --run r --resume")
      #expect(stops > 1, "\(stops)")
      #expect(expected.differences(from: try RunFiles(place, "r")) == [])
    }
  }

  @Test func severalSeeds() throws {
    try Workplace.with { place in
      let options = ["--cycles", "6", "--quiet", "--seeds", "0..2", "--validation", "30"]
      #expect(try place.train(options + ["--run", "whole"]).code == 0)
      let stops = try pieces(
        place, begin: ["train"] + Workplace.options + options + ["--run", "r"],
        resume: ResumeTests.resume + ["--quiet"], words: "rso train --run r --resume")
      #expect(stops > 1, "\(stops)")
      for seed in 0...2 {
        let (one, other) = try (
          RunFiles(place, "whole/seed-\(seed)"), RunFiles(place, "r/seed-\(seed)")
        )
        #expect(one.differences(from: other) == [], "seed \(seed)")
      }
    }
  }

  /// A stop within a tensor keeps every decision: the trace goes on where it was.
  @Test func aStopLosesNoDecision() throws {
    try Workplace.with { place in
      // A tensor takes milliseconds in a release build: so many of them that a stop falls within one.
      #if DEBUG
        let cycles = 30
      #else
        let cycles = 600
      #endif
      let options = [
        "--cycles", "\(cycles)", "--run", "r", "--trace", "r/trace.jsonl", "--only",
        "conv1.weight",
      ]
      #expect(try place.train(options).code == 0)
      let expected = try RunFiles(place, "r")
      var within = 0
      // On a busy machine, most of the time goes to writing, and no stop may fall within a tensor.
      for _ in 0..<10 where within == 0 {
        try FileManager.default.removeItem(at: place.file("r"))
        var before = Data()
        for stop in 0... {
          let exists = FileManager.default.fileExists(atPath: place.file("r/trace.jsonl").path)
          let running = try Tool.Running(
            exists ? ResumeTests.resume : ["train"] + Workplace.options + options, in: place.url)
          usleep(UInt32(100_000 + 20_000 * stop))
          if within < 5 { running.send(SIGTERM) }
          let result = try running.wait()
          guard FileManager.default.fileExists(atPath: place.file("r/trace.jsonl").path) else {
            continue
          }
          let trace = try Data(contentsOf: place.file("r/trace.jsonl"))
          // What was decided before is not decided again.
          #expect(trace.starts(with: before))
          before = trace
          if result.code == 0 { break }
          let checkpoint = try Checkpoint(contentsOf: place.file("r/checkpoint.safetensors"))
          guard let progress = checkpoint.progress else { continue }
          within += 1
          #expect(
            try place.traceLines("r/trace.jsonl").count
              == checkpoint.position.cycle * 108 + progress.values.count)
          let resumed = "resumed: cycle \(checkpoint.position.cycle + 1), conv1.weight, after "
          let words = try place.run(ResumeTests.resume + ["--minutes", "0.00001"])
          #expect(words.code == 0)
          if words.output.contains("resumed:") { #expect(words.output.contains(resumed)) }
        }
        #expect(expected.differences(from: try RunFiles(place, "r")) == [])
      }
      #expect(within > 0)
    }
  }

  /// For programs: the last line says how to go on.
  @Test func json() throws {
    struct Answer: Decodable {
      var run: String
      var goOn: String?
    }
    try Workplace.with { place in
      let all = ["train"] + Workplace.options + ["--cycles", "400", "--run", "r", "--json"]
      var minutes = 0.01
      while !FileManager.default.fileExists(atPath: place.file("r").path) {
        let result = try place.run(all + ["--minutes", "\(minutes)"])
        minutes *= 2
        guard result.code == 0 else { continue }
        let last = try #require(result.output.split(separator: "\n").last)
        #expect(last == #"{"goOn":"rso train --run r --resume","run":"r"}"#)
      }
      let short = try place.train(["--cycles", "1", "--run", "s", "--json", "--minutes", "10"])
      let last = try #require(short.output.split(separator: "\n").last)
      #expect(try JSONDecoder().decode(Answer.self, from: Data(last.utf8)).goOn == nil)
    }
  }

  @Test(arguments: ["0", "-1", "nan", "inf", "525601"])
  func refuses(minutes: String) throws {
    try Workplace.with { place in
      for command in [["train", "--run", "r"], ["search", "--run", "r", "--resume"]] {
        let result = try place.run(command + ["--minutes", minutes])
        #expect(result.code == 64)
        #expect(
          result.errors.contains(
            "--minutes: expected a number above 0 and at most 525600, a year, found \(minutes)"),
          "\(result.errors)")
      }
      #expect(try !place.files().contains("r"))
    }
  }
}
