import Foundation
import RSO
import Testing

@testable import RSOFormats

/// `--validation`: what a run says, writes and resumes.
struct ValidationTests {
  static let options = ["--cycles", "3", "--validation", "30", "--run", "r"]

  /// What `rso evaluate --json` says.
  private struct Evaluated: Decodable {
    var samples: Int
    var accuracy: Double
    var loss: Double
  }

  private func evaluate(_ place: Workplace, _ arguments: [String]) throws -> Evaluated {
    let result = try place.run(
      ["evaluate", "r/best.safetensors", "--data-dir", "digits", "--json"] + arguments)
    #expect(result.errors == "")
    return try JSONDecoder().decode(Evaluated.self, from: Data(result.output.utf8))
  }

  private func best(_ place: Workplace) throws -> Checkpoint.Best {
    try #require(try Checkpoint(contentsOf: place.file("r/checkpoint.safetensors")).best)
  }

  @Test func theBestModelIsChosenByThemAndTestedOnce() throws {
    try Workplace.with { place in
      let result = try place.train(Self.options)
      #expect(result.errors == "")
      #expect(
        result.output.contains(
          "data: digits, 60 images of 1×8×8 to train on, 30 to validate, 30 to test\n"))
      #expect(result.output.contains("\nuntrained: validation accuracy "))
      #expect(result.output.contains("kept      loss  validation      best      time\n"))

      let lines = try place.metricsLines("r")
      #expect(lines.count == 1 + 21 && lines.allSatisfy { $0.split == .validation })
      // Only the last line knows the test images.
      #expect(lines.dropLast().allSatisfy { $0.test == nil })
      let test = try #require(lines.last?.test)
      let best = try best(place)
      #expect(best.split == .validation && best.test == test)
      #expect(best.accuracy == lines.dropFirst().compactMap(\.accuracy).max())
      #expect(best.accuracy == lines.last?.bestAccuracy)
      // Another command gives the same figures for the best model.
      let tested = try evaluate(place, [])
      #expect(tested.samples == 30 && tested.accuracy == test.accuracy && tested.loss == test.loss)
      let chosen = try evaluate(place, ["--split", "validation", "--validation", "30"])
      #expect(chosen.samples == 30 && chosen.accuracy == best.accuracy)
      #expect(
        result.output.contains(
          String(
            format: "\ntest accuracy of the best: %.2f %%, loss %.4f\n", 100 * (test.accuracy ?? 0),
            test.loss ?? 0)))
      // The best model's file knows who chose it, and nothing of the test.
      let metadata = try place.tensors("r/best.safetensors").metadata["best"] ?? ""
      #expect(metadata.contains(#""split":"validation""#) && !metadata.contains("test"))

      // TensorBoard sees the test images once, at the end.
      let tags = try place.events("r").map { $0.summary.value.map(\.tag) }
      // Step 0, the untrained network, has them, too.
      #expect(tags.dropFirst().allSatisfy { $0.contains("validation/accuracy") })
      #expect(tags.dropFirst().allSatisfy { $0.contains("validation/loss") })
      #expect(tags.dropLast().allSatisfy { !$0.contains("test/accuracy") })
      #expect(tags.last?.contains("test/accuracy") == true)
      #expect(tags.last?.contains("cycle/validation_accuracy") == true)

      #expect(try place.run(["report", "r"]).errors == "")
      let page = try place.text("r/report.html")
      #expect(page.contains("<th>validation accuracy</th>"))
      #expect(page.contains("60 to train on, 30 to validate, 30 to test"))
      #expect(page.contains("<th>test accuracy of the best</th>"))
      #expect(
        page.contains(String(format: "<td>%.2f %%</td><td>3</td>", 100 * (test.accuracy ?? 0))))
    }
  }

  /// Without them, a run is the same as before: one accuracy, and none of these words.
  @Test func aRunWithoutThemIsJudgedOnTheTestImages() throws {
    try Workplace.with { place in
      let result = try place.train(["--cycles", "1", "--run", "r"])
      #expect(result.output.contains("\nuntrained: test accuracy "))
      let files = try ["metrics.jsonl", "config.json"].map { try place.text("r/\($0)") }
      for text in files + [result.output] { #expect(!text.contains("validat")) }
      let best = try best(place)
      #expect(best.split == nil && best.test == nil)
    }
  }

  @Test func jsonTellsThemApart() throws {
    try Workplace.with { place in
      let result = try place.train(Self.options + ["--json"])
      #expect(result.errors == "")
      struct Answer: Decodable {
        var validationAccuracy: Double
        var testAccuracy: Double
        var testLoss: Double
        var best: Checkpoint.Best
      }
      let metrics = try place.text("r/metrics.jsonl")
      #expect(result.output.hasPrefix(metrics))
      func answer(_ text: Substring) throws -> Answer {
        try JSONDecoder().decode(Answer.self, from: Data(text.utf8))
      }
      let end = try answer(result.output.dropFirst(metrics.count))
      let last = try #require(try place.metrics("r").last)
      #expect(end.validationAccuracy == last.accuracy)
      #expect(end.testAccuracy == last.test?.accuracy && end.testLoss == last.test?.loss)
      #expect(end.best.split == .validation)
      let again = try answer(
        try place.run(["train", "--run", "r", "--resume", "--json"]).output[...])
      #expect(again.testAccuracy == end.testAccuracy && again.testLoss == end.testLoss)
    }
  }

  /// Killed at the beginning, in between, and shortly before the last evaluation, which comes before the last tensor is
  /// recorded.
  @Test func aKilledRunEndsWithTheSameBits() throws {
    try Workplace.with { place in
      #expect(try place.train(Self.options).code == 0)
      let expected = try RunFiles(place, "r")
      try FileManager.default.removeItem(at: place.file("r"))
      for count in [0, 3, 20] {
        let exists = FileManager.default.fileExists(
          atPath: place.file("r/checkpoint.safetensors").path)
        let running = try Tool.Running(
          exists
            ? ["train", "--run", "r", "--resume"] : ["train"] + Workplace.options + Self.options,
          in: place.url)
        while running.process.isRunning,
          ((try? place.text("r/metrics.jsonl")) ?? "").count(where: { $0 == "\n" }) < count + 1
        { usleep(200) }
        running.send(SIGKILL)
        _ = try running.wait()
      }
      let result = try place.run(["train", "--run", "r", "--resume"])
      #expect(result.code == 0 && result.errors == "")
      #expect(result.output.contains("\ntest accuracy of the best: "))
      #expect(expected.differences(from: try RunFiles(place, "r")) == [])
    }
  }

  @Test(arguments: ["0.25", "25%", "22", "22.5%"])
  func aShareOrACount(text: String) throws {
    try Workplace.with { place in
      let result = try place.train([
        "--cycles", "1", "--run", "r", "--validation", text, "--only", "fc*",
      ])
      #expect(result.code == 0)
      // A quarter of 90 is 22.5, which rounds away from zero.
      let expected = ["0.25": 23, "25%": 23, "22": 22, "22.5%": 20][text]
      let data = try Checkpoint(contentsOf: place.file("r/checkpoint.safetensors")).configuration
        .data
      #expect(data.validation == expected && data.train == 90 - (expected ?? 0))
    }
  }

  @Test(arguments: [
    ("0", "--validation: expected 1 to 89, found 0"), ("90", "expected 1 to 89, found 90"),
    ("100%", "expected a number of images, or a share between 0 and 1, found 100%"),
    ("-0.5", "expected a number of images, or a share between 0 and 1, found -0.5"),
    (
      "0.001",
      "--validation: expected a share of 1 to 89 of the 90 training images, found 0.001, which is 0 (a number of images"
    ), ("99.9%", "found 99.9%, which is 90 (a number of images will do, too"),
    ("many", "'many' is invalid for '--validation"),
  ])
  func refuses(text: String, errors: String) throws {
    try Workplace.with { place in
      let result = try place.train(["--run", "r", "--validation", text])
      #expect(result.code == 64)
      #expect(result.errors.contains(errors), "\(result.errors)")
    }
  }

  /// The tiny data have labels 0, 1, 2, 0, …; sorted, the last ones are all of one class.
  @Test func sortedImagesAreSaid() throws {
    try Workplace.with { place in
      let file = place.file("digits/train-labels-idx1-ubyte")
      let labels = try Data(contentsOf: file)
      try (labels.prefix(8) + labels.dropFirst(8).sorted()).write(to: file)
      let options = ["--cycles", "1", "--only", "fc*", "--quiet"]
      let result = try place.train(options + ["--validation", "20", "--run", "r"])
      #expect(result.code == 0)
      #expect(
        result.errors
          == "rso: note: digits: no validation image is of classes 0, 1; validation images are the last ones: "
          + "shuffle images that are sorted by class\n")
      #expect(try place.train(options + ["--run", "s"]).errors == "")
    }
  }

  /// A batch may be no larger than the images that are left, and a run keeps its split.
  @Test func limitsAndResuming() throws {
    try Workplace.with { place in
      let large = try place.train(["--run", "r", "--validation", "70"])
      #expect(large.code == 64)
      #expect(large.errors.contains("--batch: expected at most the 20 training samples, found 30"))
      #expect(try place.train(["--cycles", "1", "--run", "r", "--validation", "30"]).code == 0)
      for (option, value, errors) in [
        ("--validation", "20", "--validation: the run has 30, found 20"),
        ("--train-limit", "60", "--train-limit: the run has 90, found 60"),
      ] {
        let result = try place.run(["train", "--run", "r", "--resume", option, value])
        #expect(result.code == 64 && result.errors.contains(errors), "\(result.errors)")
      }
      let same = try place.run([
        "train", "--run", "r", "--resume", "--validation", "30", "--train-limit", "90",
      ])
      #expect(same.code == 0)
      #expect(try place.train(["--cycles", "1", "--run", "s"]).code == 0)
      let none = try place.run(["train", "--run", "s", "--resume", "--validation", "30"])
      #expect(none.errors.contains("--validation: the run has none, found 30"))
    }
  }

  @Test func evaluatingNeedsTheirNumber() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "1", "--run", "r"]).code == 0)
      let result = try place.run([
        "evaluate", "r/best.safetensors", "--data-dir", "digits", "--split", "validation",
      ])
      #expect(result.code == 64)
      #expect(
        result.errors.contains(
          "--split: expected train or test: the run kept none out, found validation (--validation N "
            + "takes the last N training images)"))
      let given = try place.run([
        "evaluate", "r", "--data-dir", "digits", "--split", "validation", "--validation", "10",
      ])
      #expect(given.code == 0 && given.output.contains("digits, validation: 10 images"))
    }
  }

  /// With more cycles, what metrics say of the test images moves to the new end, too; each has one value in an event.
  @Test func metricsMoveToTheNewEnd() throws {
    try Workplace.with { place in
      let metrics = ["--metric", "macro-f1", "--metric", "accuracy"]
      let options = ["--cycles", "1", "--validation", "30", "--run", "r", "--only", "fc*"]
      #expect(try place.train(options + metrics).code == 0)
      #expect(try place.run(["train", "--run", "r", "--resume", "--cycles", "2"]).code == 0)
      let tags = try place.events("r").map { $0.summary.value.map(\.tag) }
      for tag in ["test/macro-f1", "test/accuracy", "test/loss"] {
        #expect(
          tags.dropLast().allSatisfy { !$0.contains(tag) } && tags.last?.contains(tag) == true)
      }
      for tags in tags { #expect(Set(tags).count == tags.count, "\(tags)") }
    }
  }

  /// What `metrics.jsonl` says about the work: of a resumed run, too.
  @Test func metricsCountTheWork() throws {
    try Workplace.with { place in
      let options = ["--cycles", "2", "--hold", "4", "--batch", "15:1,45", "--anneal", "0.5"]
      let run = ["train", "--data-dir", "digits", "--network", "net.json", "--run", "r"] + options
      let running = try Tool.Running(run, in: place.url)
      while running.process.isRunning,
        ((try? place.text("r/metrics.jsonl")) ?? "").count(where: { $0 == "\n" }) < 4
      { usleep(200) }
      running.send(SIGINT)
      _ = try running.wait()
      #expect(try place.run(["train", "--run", "r", "--resume"]).code == 0)
      let lines = try place.metricsLines("r")
      let untrained = try #require(lines.first)
      #expect(untrained.parameter == nil && untrained.totals?.proposals == 0)
      // The untrained network is in the folder, too.
      let initial = try Model(contentsOf: place.file("r/initial.safetensors"))
      let data = try Dataset.idx(directory: place.file("digits"))
      let evaluation = try initial.evaluate(on: data)
      #expect(untrained.accuracy == evaluation.accuracy)
      #expect(abs((untrained.loss ?? 0) - evaluation.meanLoss) < 1e-5)

      // fc [3, 4], conv1 [4, 3, 3, 3], bn1 [4], conv0 [3, 1, 3, 3], bn0 [3]: of four weights on a mini-batch, one
      // has three losses to compute and three have two.
      let counts = [12, 108, 4, 4, 27, 3, 3]
      let losses = [27, 243, 9, 9, 61, 7, 7]
      var (proposals, evaluations) = (0, 0)
      var seconds = untrained.evaluationSeconds
      for (index, line) in lines.dropFirst().enumerated() {
        proposals += counts[index % 7]
        evaluations += losses[index % 7]
        seconds += line.seconds + line.evaluationSeconds
        #expect(line.batch == (index < 7 ? 15 : 45))
        let totals = try #require(line.totals)
        #expect(totals.proposals == proposals && totals.evaluations == evaluations)
        #expect(abs(totals.seconds - seconds) < 1e-6)
        // Annealing to a half: three quarters are left in the second of two cycles.
        if line.parameter?.hasPrefix("bn") == true {
          #expect(abs((line.sigma ?? 0) - 0.167 * (index < 7 ? 1 : 0.75)) < 1e-12)
        }
      }
      #expect(lines.count == 15)
    }
  }
}
