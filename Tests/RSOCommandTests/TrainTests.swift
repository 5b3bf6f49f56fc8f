import Foundation
import RSO
import Testing

struct TrainTests {
  @Test func writesARunFolderAndSaysWhereItIs() throws {
    try Workplace.with { place in
      let before = try place.files()
      let result = try place.train(["--cycles", "2", "--run", "runs/a"])
      #expect(result.code == 0)
      #expect(result.errors == "")
      #expect(
        try place.files().subtracting(before) == [
          "runs", "runs/a", "runs/a/checkpoint.safetensors", "runs/a/best.safetensors",
          "runs/a/config.json", "runs/a/metrics.jsonl", "runs/a/initial.safetensors",
          "runs/a/events.out.tfevents.rso", "runs/a/sessions.jsonl",
        ])
      // Not on a terminal: nothing is rewritten, and there is a line for each of 7 tensors and 2 cycles.
      #expect(!result.output.contains("\r") && !result.output.contains("\u{1B}"))
      let rows = result.output.split(separator: "\n").filter { $0.hasPrefix("    ") }
      #expect(rows.count == 14)
      let metrics = try place.metrics("runs/a")
      let order = [
        "fc.weight", "conv1.weight", "bn1.bias", "bn1.weight", "conv0.weight", "bn0.bias",
        "bn0.weight",
      ]
      #expect(metrics.compactMap(\.parameter) == order + order)
      #expect(metrics.map(\.cycle) == order.map { _ in 0 } + order.map { _ in 1 })
      let accuracies = metrics.compactMap(\.accuracy)
      #expect(metrics.last?.bestAccuracy == accuracies.max())
      #expect(result.output.contains("\nevaluate it: rso evaluate runs/a\n"))
      #expect(result.output.hasSuffix("\nshow it: rso report runs/a\n"))
      for word in ["test accuracy: ", "best: ", "time: ", "memory: "] {
        #expect(result.output.contains("\n" + word), "no \(word)")
      }
      // There is something to learn in these images.
      #expect((accuracies.max() ?? 0) > 0.5)
    }
  }

  @Test func aRunWithoutAFolderGetsOne() throws {
    try Workplace.with { place in
      for _ in 0..<2 { #expect(try place.train(["--cycles", "1", "--quiet"]).code == 0) }
      let runs = try FileManager.default.contentsOfDirectory(atPath: place.file("runs").path)
      #expect(runs.count == 2)
      #expect(runs.allSatisfy { $0.hasPrefix("digits-2") })
    }
  }

  /// Six programs in the same second, twice.
  @Test(arguments: [[], ["--seeds", "0,1"]])
  func runsThatBeginTogetherGetFoldersOfTheirOwn(options: [String]) throws {
    try Workplace.with { place in
      let programs = try (0..<6).map { _ in
        try Tool.Running(
          ["train"] + Workplace.options + ["--cycles", "1", "--quiet"] + options, in: place.url)
      }
      for program in programs {
        let result = try program.wait()
        #expect(result.code == 0 && result.errors == "", "\(result.errors)")
      }
      let runs = try FileManager.default.contentsOfDirectory(atPath: place.file("runs").path)
      #expect(runs.count == 6)
    }
  }

  /// Steps that are too large: the numbers leave the range of floats.
  @Test func aSearchThatDivergesSaysSo() throws {
    try Workplace.with { place in
      let result = try place.train([
        "--cycles", "3", "--run", "r", "--rule", "slope:c=100", "--sigma-scale", "1e30", "--quiet",
      ])
      #expect(result.code == 1)
      #expect(result.errors.contains(": the search diverged in cycle 1: "), "\(result.errors)")
      #expect(
        result.errors.contains(
          " (use a smaller c in --rule, or a smaller --sigma-scale, which is a factor of σ)\n"
            + "rso: the run is saved up to its last finished tensor; start another with its best model: "
            + "rso train --from r\n"))
      // Before the first evaluation there is no model to start from.
      let first = try place.train([
        "--cycles", "1", "--run", "first", "--only", "fc.weight", "--rule", "slope:c=100",
        "--sigma-scale", "1e38", "--quiet",
      ])
      #expect(
        first.errors.contains("last finished tensor; it has nothing to start another from\n"),
        "\(first.errors)")
    }
  }

  @Test func quietSaysOnlyHowItEnded() throws {
    try Workplace.with { place in
      let result = try place.train(["--cycles", "1", "--run", "r", "--quiet"])
      #expect(result.output.hasPrefix("test accuracy: "))
      #expect(!result.output.contains("fc.weight  "))
    }
  }

  @Test func jsonSaysWhatTheMetricsSay() throws {
    try Workplace.with { place in
      let result = try place.train(["--cycles", "1", "--run", "r", "--json"])
      #expect(result.errors == "")
      #expect(result.code == 0)
      let metrics = try place.text("r/metrics.jsonl")
      #expect(result.output.hasPrefix(metrics))
      struct Answer: Decodable {
        var run: String
        var testAccuracy: Double
        var best: Checkpoint.Best
        var seconds: Double?
        var memoryBytes: Int?
      }
      func answer(_ text: Substring) throws -> Answer {
        try JSONDecoder().decode(Answer.self, from: Data(text.utf8))
      }
      let end = try answer(result.output.dropFirst(metrics.count))
      let last = try #require(try place.metrics("r").last)
      #expect(end.run == "r" && end.testAccuracy == last.accuracy)
      #expect(end.best.accuracy == last.bestAccuracy)
      #expect(end.seconds ?? 0 > 0 && end.memoryBytes ?? 0 > 1_000_000)
      let again = try place.run(["train", "--run", "r", "--resume", "--json"])
      #expect(try answer(again.output[...]).testAccuracy == end.testAccuracy)
      #expect(try place.train(["--json", "--quiet"]).code == 64)
    }
  }

  /// Builds the final weights from the initial ones and the trace alone.
  @Test func theTraceExplainsTheModel() throws {
    try Workplace.with { place in
      let result = try place.train([
        "--cycles", "2", "--run", "r", "--trace", "t.jsonl", "--save-initial", "i.safetensors",
        "--weight-decay", "0.01", "--element-order", "shuffled", "--tensor-order",
        "input-to-output",
      ])
      #expect(result.code == 0)
      var tensors = try place.tensors("i.safetensors")
      let lines = try place.traceLines("t.jsonl")
      let weights = tensors.tensors.filter { !$0.name.contains("running") }
      #expect(lines.count == 2 * weights.map(\.tensor.values.count).reduce(0, +))
      #expect(lines.first?.parameter == "conv0.weight")
      #expect(Set(lines.map(\.batch)) == [0, 1, 2])
      for line in lines {
        let w = try #require(tensors[line.parameter]?.values[line.index])
        let kept = Float(line.candidates[0])
        #expect(kept == w * Float(1 - 0.01))
        #expect(Float(line.candidates[1]) == kept + Float(line.delta))
        #expect(Float(line.candidates[2]) == kept - Float(line.delta))
        let losses = line.losses.map { $0 ?? .infinity }
        #expect(losses.firstIndex(of: losses.min() ?? 0) == line.choice)
        tensors[line.parameter]?.values[line.index] = Float(line.candidates[line.choice])
      }
      let final = try place.tensors("r/checkpoint.safetensors")
      for (name, tensor) in tensors.tensors where !name.contains("running") {
        #expect(final[name] == tensor, "\(name)")
      }
    }
  }

  @Test func startsFromAModel() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "2", "--run", "a"]).code == 0)
      // Without --network: the model's own.
      let result = try place.run([
        "train", "--data-dir", "digits", "--batch", "30", "--cycles", "1", "--from",
        "a/best.safetensors", "--save-initial", "i.safetensors", "--run", "b",
      ])
      #expect(result.code == 0)
      #expect(result.errors == "")
      let (best, initial) = try (
        place.tensors("a/best.safetensors"), place.tensors("i.safetensors")
      )
      #expect(initial.tensors.map(\.name) == best.tensors.map(\.name))
      #expect(initial.tensors.map(\.tensor) == best.tensors.map(\.tensor))
    }
  }

  @Test func understandsTheAuthorsOptionsAndOurs() throws {
    try Workplace.with { place in
      let common = ["train", "--data-dir", "digits", "--network", "net.json", "--quiet"]
      let theirs =
        common + [
          "--epochs", "1", "--sample_batch", "45", "--anneal", "0.5", "--wd", "0.25", "--run", "a",
        ]
      let ours =
        common + [
          "--cycles", "1", "--batch", "45", "--anneal", "0.5", "--weight-decay", "0.25", "--run",
          "b", "--seed", "7", "--sigma-scale", "0.5", "--sweeps", "conv0=0,fc=2",
          "--tensor-order", "input-to-output", "--element-order", "shuffled", "--hold", "channel",
          "--rule", "parabola:settle=0.5", "--round", "2:3,channel",
        ]
      for arguments in [theirs, ours] {
        let result = try place.run(arguments)
        #expect(result.code == 0)
      }
      var expected = SearchSettings()
      (expected.cycles, expected.batchSize, expected.anneal, expected.weightDecay) = (
        1, 45, 0.5, 0.25
      )
      #expect(try place.settings("a") == expected)
      (expected.seed, expected.deviationScale, expected.sweeps) = (7, 0.5, ["conv0": 0, "fc": 2])
      (expected.tensorOrder, expected.elementOrder) = (.inputToOutput, .shuffled)
      expected.hold = .channel
      expected.rule = .parabola(settle: .init(0.5))
      (expected.firstRounds, expected.round) = ([.init(span: .elements(2), cycles: 3)], .channel)
      #expect(try place.settings("b") == expected)
      #expect(
        try place.metrics("b").compactMap(\.parameter) == [
          "conv1.weight", "bn1.bias", "bn1.weight", "fc.weight", "fc.weight",
        ])
    }
  }

  /// Larger mini-batches from the second cycle on; a run that goes on knows of them.
  @Test func aScheduleOfBatches() throws {
    try Workplace.with { place in
      let result = try place.run([
        "train", "--data-dir", "digits", "--network", "net.json", "--cycles", "2", "--batch",
        "30:1,45", "--hold", "2", "--run", "r", "--trace", "trace.jsonl",
      ])
      #expect(result.code == 0)
      #expect(result.output.contains("batch 30:1,45, "))
      let settings = try place.settings("r")
      #expect(settings.firstBatches == [.init(size: 30, cycles: 1)] && settings.batchSize == 45)
      #expect(settings.hold == .elements(2))
      // 90 images: three mini-batches, then two; two proposals on each.
      let lines = try place.traceLines("trace.jsonl")
      let batches = lines.filter { $0.parameter == "fc.weight" }
      #expect(batches.filter { $0.cycle == 0 }.prefix(8).map(\.batch) == [0, 0, 1, 1, 2, 2, 0, 0])
      #expect(batches.filter { $0.cycle == 1 }.prefix(6).map(\.batch) == [0, 0, 1, 1, 0, 0])
    }
  }

  /// 90 images are fewer than the default's 5000 and the preset's 1000.
  @Test(arguments: [
    ([], 5000), (["--preset", "quick"], 1000), (["--preset", "best"], 5000),
  ])
  func aSmallTrainingSetCapsTheDefaultBatch(options: [String], standard: Int) throws {
    try Workplace.with { place in
      let common = ["--data-dir", "digits", "--network", "net.json"] + options
      let only = ["--cycles", "1", "--only", "fc*", "--quiet"]
      let result = try place.run(["train", "--run", "r"] + common + only)
      #expect(result.code == 0)
      #expect(
        result.errors
          == "rso: note: batch 90 instead of \(standard): there are no more training images\n")
      #expect(try place.settings("r").batchSize == 90)
      #expect(try place.settings("r").firstBatches.allSatisfy { $0.size == 90 })
      // Once it has begun, it is a setting like any other.
      #expect(try place.run(["train", "--run", "r", "--resume"]).errors == "")
      let held = try place.run(["train", "--run", "s", "--validation", "20"] + common + only)
      #expect(held.errors.contains("batch 70 instead of"))
      // The other commands understand it in the same way.
      let described = try place.run(["describe", "--no-time"] + common)
      #expect(described.code == 0 && described.errors.contains("batch 90 instead of"))
      // What was asked for is not changed.
      let large = try place.run(["train", "--run", "t", "--batch", "91"] + common)
      #expect(large.code == 64 && large.errors.contains("at most the 90 training samples"))
    }
  }

  @Test func optionsOverrideThePreset() throws {
    try Workplace.with { place in
      let result = try place.train([
        "--preset", "quick", "--cycles", "1", "--run", "r", "--quiet",
      ])
      #expect(result.code == 0)
      let settings = try place.settings("r")
      #expect(settings.cycles == 1)
      #expect(settings.batchSize == 30)
      // The tiny network has no conv4.
      #expect(settings.sweeps["conv4"] == nil)
    }
  }

  @Test(arguments: ["mnist", "M10", "MNIST"])
  func theBuiltInData(name: String) throws {
    try Workplace.with { place in
      let result = try place.run([
        "train", "--data", name, "--layers", "6", "--train-limit", "200", "--test-limit", "50",
        "--batch", "100", "--cycles", "1", "--run", "r",
        "--sweeps", "conv0=0,conv1=0,conv2=0,conv3=0,conv4=0,conv5=0",
      ])
      #expect(result.code == 0)
      #expect(result.output.contains("data: mnist, 200 images of 1×28×28 to train on, 50 to test"))
      #expect(result.output.contains("12016 weights"))
      #expect(try place.tensors("r/best.safetensors")["fc.weight"]?.shape == [10, 16])
    }
  }

  @Test func theNumberOfThreadsChangesNoBit() throws {
    try Workplace.with { place in
      var results: [RunFiles] = []
      for threads in 1...3 {
        let result = try place.train([
          "--cycles", "2", "--threads", "\(threads)", "--run", "r", "--trace", "r/trace.jsonl",
        ])
        #expect(result.code == 0)
        results.append(try RunFiles(place, "r"))
        try FileManager.default.removeItem(at: place.file("r"))
      }
      for other in results.dropFirst() { #expect(results[0].differences(from: other) == []) }
    }
  }

  /// A limit on the size of files stands in for a full disk: the model does not fit.
  @Test func whatDoesNotFitOnTheDiskLeavesNothing() throws {
    try Workplace.with { place in
      let before = try place.files()
      let process = try Tool.Running(
        ["train"] + Workplace.options + ["--run", "r/s"], in: place.url, shell: "ulimit -f 1")
      let result = try process.wait()
      #expect(result.code == 1)
      #expect(
        result.errors.contains("/r/s/checkpoint.safetensors: cannot be written: File too large"))
      #expect(try place.files() == before)
    }
  }
}
