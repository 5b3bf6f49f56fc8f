import Foundation
import RSO
import Testing

/// `--from` weights of another program, `--only` some tensors.
struct FineTuneTests {
  /// A run goes on with the loss of the run whose model it begins with, and says so.
  @Test func takesTheLossOfTheRun() throws {
    try Workplace.with { place in
      let options = ["--cycles", "1", "--only", "fc*", "--run"]
      #expect(try place.train(options + ["m", "--loss", "macro-f1 + 0.1 cross-entropy"]).code == 0)
      let taken = try place.train(options + ["n", "--from", "m"])
      #expect(
        taken.errors == "rso: note: loss macro-f1 + 0.1 cross-entropy, as in the run of m; --loss "
          + "chooses another\n")
      #expect(try place.settings("n").loss == place.settings("m").loss)
      let other = try place.train(options + ["o", "--from", "m", "--loss", "cross-entropy"])
      #expect(other.errors == "")
      #expect(try place.settings("o").loss == .crossEntropy)
      // One of cross entropy has nothing to say.
      #expect(try place.train(options + ["p", "--from", "o"]).errors == "")
      // A program's answers are no loss that a model could name.
      var tensors = try place.tensors("m/best.safetensors")
      tensors.metadata["program"] = #"{"line":"./judge","timeout":60}"#
      try tensors.write(to: place.file("judged.safetensors"))
      let judged = try place.train(options + ["q", "--from", "judged.safetensors"])
      #expect(
        judged.errors.contains(
          "judged.safetensors: a program judged it, './judge'; this run minimises cross-entropy"),
        "\(judged.errors)")
    }
  }

  static let options = ["--from", "w.safetensors", "--only", "bn*", "--only", "fc.weight"]

  @Test func someTensorsOfForeignWeightsChangeAndNoOthers() throws {
    try Workplace.with { place in
      try place.writeModel("w.safetensors") { tensors in
        tensors.metadata = ["format": "pt"]
        tensors["bn0.running_var"] = nil
      }
      let start = try place.tensors("w.safetensors")
      let result = try place.train(
        ["--cycles", "2", "--run", "r", "--save-initial", "i.safetensors"] + Self.options)
      #expect(
        result.errors.hasPrefix(
          "rso: note: w.safetensors: it does not say what the network reads; it reads values less the mean"
        ))
      #expect(result.code == 0)
      #expect(
        try place.metrics("r").prefix(5).compactMap(\.parameter) == [
          "fc.weight", "bn1.bias", "bn1.weight", "bn0.bias", "bn0.weight",
        ])
      let (initial, final) = try (
        place.tensors("i.safetensors"), place.tensors("r/checkpoint.safetensors")
      )
      for (name, tensor) in start.tensors where !name.contains("running") {
        #expect(initial[name] == tensor, "\(name)")
        let isSearched = name.hasPrefix("bn") || name == "fc.weight"
        #expect((final[name] != tensor) == isSearched, "\(name)")
      }
    }
  }

  /// The patterns belong to the run: it goes on with them, without being told.
  @Test func aStoppedRunGoesOnWithItsPatterns() throws {
    try Workplace.with { place in
      try place.writeModel("w.safetensors") { $0.metadata = [:] }
      let options = ["--cycles", "40", "--run", "r"] + Self.options
      #expect(try place.train(options).code == 0)
      let expected = try RunFiles(place, "r")
      try FileManager.default.removeItem(at: place.file("r"))
      let running = try Tool.Running(["train"] + Workplace.options + options, in: place.url)
      while running.process.isRunning,
        ((try? place.text("r/metrics.jsonl")) ?? "").count(where: { $0 == "\n" }) < 3
      {
        usleep(200)
      }
      running.send(SIGKILL)
      #expect(try running.wait().signal == SIGKILL)
      #expect(try place.run(["train", "--run", "r", "--resume", "--only", "b*"]).code == 64)
      let agreed = ["--only", "bn*", "--only", "fc.weight"]
      #expect(try place.run(["train", "--run", "r", "--resume"] + agreed).code == 0)
      #expect(expected.differences(from: try RunFiles(place, "r")) == [])
    }
  }

  /// The input stays what the network was trained on, also in a resumed run; statistics may.
  @Test func inputAndStatisticsAreKept() throws {
    try Workplace.with { place in
      try place.writeModel("m") { tensors in
        tensors.metadata["format_version"] = "2"
        tensors.metadata["deviation"] = "[0.25]"
        tensors.metadata["mean"] = "[0.5]"
        // No data of ours have these.
        tensors["bn0.running_var"]?.values = [1, 2, 3]
      }
      let model = try Model(contentsOf: place.file("m"))
      let data = try Dataset.idx(directory: place.file("digits"))
      let expected = try model.evaluate(on: data)
      func untrained(_ run: String) throws -> Double {
        try #require(try place.metricsLines(run)[0].loss)
      }
      let options = ["--from", "m", "--cycles", "2", "--freeze", "conv*", "--freeze", "bn0.*"]
      for (run, more) in [("r", []), ("k", ["--statistics", "keep"])] {
        let result = try place.train(options + ["--run", run] + more)
        #expect(result.code == 0 && result.errors == "")
        #expect((try untrained(run) == expected.meanLoss) == (run == "k"))
        let last = try Model(contentsOf: place.file("\(run)/checkpoint.safetensors"))
        #expect(last.normalization == Normalization(mean: [0.5], deviation: [0.25]))
        // What is left to search is above every batch norm.
        #expect((last.statistics == model.statistics) == (run == "k"))
        for slot in model.parameters.slots {
          let isSearched = slot.name.hasPrefix("fc") || slot.name.hasPrefix("bn1")
          let (old, new) = (model.parameters.values[slot.range], last.parameters.values[slot.range])
          #expect((old != new) == isSearched, "\(slot.name)")
        }
      }
      let whole = try RunFiles(place, "k")
      #expect(
        try place.train(options + ["--statistics", "keep", "--cycles", "1", "--run", "s"]).code == 0
      )
      let found = try place.run(["train", "--run", "s", "--resume", "--statistics", "renew"])
      #expect(found.errors.contains("--statistics: the run has keep, found renew"))
      try FileManager.default.removeItem(at: place.file("k"))
      let running = try Tool.Running(
        ["train"] + Workplace.options + options + ["--statistics", "keep", "--run", "k"],
        in: place.url)
      while running.process.isRunning,
        ((try? place.text("k/metrics.jsonl")) ?? "").count(where: { $0 == "\n" }) < 2
      {
        usleep(200)
      }
      running.send(SIGKILL)
      _ = try running.wait()
      #expect(try place.run(["train", "--run", "k", "--resume"]).code == 0)
      #expect(whole.differences(from: try RunFiles(place, "k")) == [])
    }
  }

  static let refused: [BadInputTests.Case] = [
    BadInputTests.option(
      ["--freeze", "x*"], 64, "--freeze: expected a pattern", "'x*', which matches none"),
    BadInputTests.option(
      ["--freeze", "*"], 64,
      "--freeze: expected a parameter left to search, found none: the patterns match all"),
    BadInputTests.option(
      ["--only", "fc.*", "--freeze", "f*"], 64, "the patterns match all that --only fc.* names"),
    BadInputTests.option(
      ["--statistics", "keep"], 64,
      "--statistics: expected keep with the running statistics of trained weights, found none "
        + "(start from a model: --from FILE)"),
    BadInputTests.option(
      ["--statistics", "all"], 64, "The value 'all' is invalid for '--statistics"),
  ]

  @Test(arguments: refused)
  func refuses(_ test: BadInputTests.Case) throws {
    try Workplace.with { place in
      let result = try place.run(test.arguments)
      #expect(result.code == test.code && result.output == "")
      for text in test.errors { #expect(result.errors.contains(text), "\(result.errors)") }
      #expect(!FileManager.default.fileExists(atPath: place.file("r").path))
    }
  }
}
