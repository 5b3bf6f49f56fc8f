import Foundation
import RSO
import Testing

/// `--data` and `--data-dir` beyond IDX files.
struct DataTests {
  /// The size of CIFAR-10, all black and all airplanes: files without content take no place and no time.
  private func writeCIFAR10(_ place: Workplace, _ folder: String) throws {
    try place.makeFolder(folder)
    for name in (1...5).map({ "data_batch_\($0).bin" }) + ["test_batch.bin"] {
      let file = place.file("\(folder)/\(name)")
      try Data().write(to: file)
      let handle = try FileHandle(forWritingTo: file)
      try handle.truncate(atOffset: 30_730_000)
      try handle.close()
    }
  }

  private struct Answer: Decodable {
    struct Output: Decodable { var name: String }
    var outputs: [Output]
    var settings: SearchSettings
    var data: Counts
    struct Counts: Decodable {
      var name: String
      var train: Int
    }
  }

  /// The paper's CIFAR-10 run, as the authors' options ask for it, by its data alone, and by its folder.
  @Test func cifar10BringsItsNetworkAndCycles() throws {
    try Workplace.with { place in
      try writeCIFAR10(place, "cache/rso/cifar10/cifar-10-batches-bin")
      for options in [
        ["--data", "C10", "--layers", "9", "--epochs", "500"], ["--data", "cifar10"],
        ["--network", "cifar10"], ["--data-dir", "cache/rso/cifar10"],
        ["--data", "C10", "--data-dir", "cache/rso/cifar10/cifar-10-batches-bin"],
      ] {
        let result = try place.run(
          ["describe", "--no-time", "--json", "--train-limit", "20000"] + options)
        #expect(result.errors == "")
        let answer = try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
        #expect(answer.outputs.contains { $0.name == "shortcut4" }, "\(options)")
        #expect(answer.settings.cycles == 500 && answer.settings.batchSize == 5000)
        #expect(answer.data.name == "cifar10" && answer.data.train == 20_000)
      }
      // Every option of it can still be another.
      let result = try place.run([
        "describe", "--no-time", "--json", "--data", "C10", "--layers", "6", "--epochs", "7",
      ])
      let answer = try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
      #expect(!answer.outputs.contains { $0.name == "shortcut4" })
      #expect(answer.settings.cycles == 7)
    }
  }

  /// With a folder, `--data` says what is in it: here MNIST's size, network and cycles for NumPy files.
  @Test func aFolderHasTheNamedDataSet() throws {
    try Workplace.with { place in
      try place.makeFolder("mine")
      for (name, count) in [("train", 20), ("test", 10)] {
        let pixels = (0..<count * 784).map { UInt8(truncatingIfNeeded: $0 * 7) }
        try PredictTests.npy("\(count), 28, 28", pixels)
          .write(to: place.file("mine/\(name)_images.npy"))
        try PredictTests.npy("\(count),", (0..<count).map { UInt8($0 % 10) })
          .write(to: place.file("mine/\(name)_labels.npy"))
      }
      let result = try place.run([
        "train", "--data", "fashion-mnist", "--data-dir", "mine", "--batch", "20", "--cycles", "1",
        "--only", "bn0.bias", "--run", "r",
      ])
      #expect(result.errors == "" && result.code == 0)
      #expect(result.output.hasPrefix("data: fashion-mnist, 20 images of 1×28×28 to train on"))
      // The command that is printed finds the data.
      #expect(result.output.contains("\nevaluate it: rso evaluate r\n"))
      let evaluation = try place.run(["evaluate", "r"])
      #expect(
        evaluation.errors == "" && evaluation.output.hasPrefix("mine, test: 10 images"))
      #expect(try place.run(["train", "--run", "r", "--resume"]).code == 0)
      #expect(try place.run(["report", "r"]).code == 0)
      let other = try place.run(["describe", "--data", "c10", "--data-dir", "mine", "--no-time"])
      #expect(other.code == 1)
      #expect(
        other.errors == "rso: error: \(place.file("mine").path): expected images of 3×32×32 in 10 "
          + "classes, as cifar10 has, found 1×28×28 in 10 (other images go without --data)\n")
    }
  }

  /// A run on data from the cache goes on without being told where they are.
  @Test func aRunOnKnownDataIsResumed() throws {
    try Workplace.with { place in
      try writeCIFAR10(place, "cache/rso/cifar10")
      let sweeps = (0...8).map { "conv\($0)=0" } + ["shortcut4=0", "fc=1"]
      let first = try place.run([
        "train", "--data", "C10", "--layers", "9", "--epochs", "1", "--train-limit", "40",
        "--test-limit", "20", "--batch", "20", "--sweeps", sweeps.joined(separator: ","), "--run",
        "r",
      ])
      #expect(first.code == 0 && first.errors == "")
      #expect(first.output.hasPrefix("data: cifar10, 40 images of 3×32×32 to train on, 20 to test"))
      #expect(first.output.contains("\nevaluate it: rso evaluate r\n"))
      let again = try place.run(["train", "--run", "r", "--resume"])
      #expect(again.code == 0)
      let evaluation = try place.run(["evaluate", "r", "--test-limit", "20"])
      #expect(evaluation.code == 0 && evaluation.output.hasPrefix("cifar10, test: 20 images"))
    }
  }
}
