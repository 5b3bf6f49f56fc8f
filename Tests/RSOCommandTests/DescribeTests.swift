import Foundation
import RSO
import Testing

struct DescribeTests {
  /// Sweeps of scales have a line without a time, and kept statistics are no obstacle to measuring.
  @Test func timesOfOtherRuns() throws {
    try Workplace.with { place in
      let options = ["--cycles", "1", "--weights", "ternary", "--only", "fc*", "--quiet"]
      #expect(try place.train(options + ["--scales", "tensor", "--run", "r"]).code == 0)
      let result = try place.run(["describe", "r"])
      #expect(result.code == 0 && result.errors == "", "\(result.errors)")
      let sweeps = result.output.split(separator: "\n").filter { $0.hasPrefix("fc.") }
      #expect(sweeps.map { $0.split(separator: " ").count } == [5, 3], "\(result.output)")
      let json = try place.run(["describe", "r", "--json"])
      #expect(json.code == 0 && json.output.contains("\"secondsPerProposal\""))

      let keep = ["--from", "r", "--statistics", "keep", "--cycles", "1", "--only", "fc*"]
      #expect(try place.train(keep + ["--run", "k", "--quiet"]).code == 0)
      let kept = try place.run(["describe", "k"])
      #expect(kept.code == 0 && kept.errors == "", "\(kept.errors)")
    }
  }

  /// A run's best model, with the data and settings of the run.
  @Test func describesARun() throws {
    try Workplace.with { place in
      let options = ["--cycles", "1", "--weights", "ternary", "--validation", "30", "--run", "r"]
      #expect(try place.train(options + ["--sweeps", "conv0=0"]).code == 0)
      try FileManager.default.removeItem(at: place.file("net.json"))
      let result = try place.run(["describe", "r", "--no-time"])
      #expect(result.code == 0 && result.errors == "")
      let lines = result.output.split(separator: "\n")
      #expect(
        lines[0].wholeMatch(
          of: /r: its run's best came after [a-z0-9.]+ of cycle 1, validation accuracy [0-9.]+ %/)
          != nil, "\(lines[0])")
      #expect(lines[1].hasPrefix("digits: 60 training, 30 validation and 30 test images of 1×8×8"))
      #expect(result.output.contains("conv2d, ternary"))
      #expect(result.output.contains("on 2 mini-batches of 30"))
      #expect(!result.output.contains("\nconv0.weight "))
      let file = try place.run([
        "describe", "r/checkpoint.safetensors", "--no-time", "--batch", "20",
      ])
      #expect(file.code == 0 && file.output.contains("on 3 mini-batches of 20"))
      // Also if a program judged it.
      var tensors = try place.tensors("r/best.safetensors")
      tensors.metadata["program"] = #"{"line":"./judge","timeout":60}"#
      try tensors.write(to: place.file("judged.safetensors"))
      let judged = try place.run(["describe", "judged.safetensors", "--no-time"])
      #expect(judged.code == 0 && judged.output.contains("on 2 mini-batches of 30"))
      let json = try place.run(["describe", "r", "--no-time", "--json"]).output
      let network = try Network(json: Data(json.utf8), name: "r")
      #expect(try network == Model(contentsOf: place.file("r/best.safetensors")).network)

      let both = try place.run(["describe", "r", "--weights", "int4"])
      #expect(
        both.code == 64
          && both.errors.contains(
            "--weights: expected it without a model, which has its own, found r, too")
      )
      let other = try place.run(["describe", "r", "--data", "mnist"])
      #expect(other.errors.contains("r: expects images of 1×8×8, found 1×28×28 in mnist"))
      try FileManager.default.moveItem(at: place.file("digits"), to: place.file("moved"))
      let gone = try place.run(["describe", "r"])
      #expect(gone.errors.contains("digits: the data that the model was trained on are not there"))
      #expect(try place.run(["describe", "r", "--no-time", "--data-dir", "moved"]).code == 0)
    }
  }

  private struct Answer: Decodable {
    struct Output: Decodable {
      var name: String
      var type: String
      var shape: [Int]
      var elements: Int
      var multiplyAdds: Int
      var proposalDeviations: [String: Double]
    }
    struct Cycle: Decodable {
      struct Sweep: Decodable {
        var parameter: String
        var proposals: Int
        var multiplyAddsPerProposal: Double
        var multiplyAdds: Int
        var secondsPerProposal: Double?
        var seconds: Double?
      }
      var multiplyAdds: Int
      var memoryBytes: Int
      var seconds: Double?
      var sweeps: [Sweep]
    }
    var outputs: [Output]
    var cycle: Cycle
    var settings: SearchSettings
  }

  private func answer(_ result: Tool.Result) throws -> Answer {
    #expect(result.code == 0)
    #expect(result.errors == "")
    return try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
  }

  @Test func paperNetwork() throws {
    try Workplace.with { place in
      let result = try place.run(["describe", "--no-time"])
      #expect(result.code == 0)
      #expect(result.errors == "")
      let lines = result.output.split(separator: "\n").map(String.init)
      func columns(_ name: String) -> [Substring]? {
        lines.first { $0.hasPrefix(name + " ") }?.split(separator: " ")
      }
      #expect(
        lines[0] == "mnist: 60,000 training and 10,000 test images of 1×28×28, 10 classes")
      #expect(columns("conv1") == ["conv1", "conv2d", "16×28×28", "2,304", "1,806,336", "0.1179"])
      #expect(columns("bn0") == ["bn0", "batchNorm", "16×28×28", "32", "0.1670"])
      #expect(columns("relu1") == ["relu1", "relu", "16×28×28"])
      #expect(columns("total") == ["total", "12,016", "3,048,352"])
      // 15,000 · (196 + 144 · 196 + 3 · 2304 · 49 + 160) to judge, and the upkeep: 12 times all 16 channels,
      // 15 · 12 times 2 channels (28,224 each) and 0 to 11 changes, and 12 changes the other 2112 times.
      #expect(columns("conv1.weight") == ["conv1.weight", "2,304", "5587.11"])
      #expect(
        lines.contains { $0.hasPrefix("a cycle: 12,016 proposals, on 12 mini-batches of 5,000;") })
      #expect(lines.contains { $0.hasPrefix("memory: about 4.") && $0.hasSuffix(" GB") })
      #expect(!lines.contains { $0.hasPrefix("time:") })
    }
  }

  @Test func timeIsMeasured() throws {
    try Workplace.with { place in
      let found = try answer(
        try place.run(["describe", "--json", "--threads", "2"] + Workplace.options))
      let seconds = try #require(found.cycle.seconds)
      #expect(seconds > 0)
      for sweep in found.cycle.sweeps {
        #expect(sweep.secondsPerProposal ?? 0 > 0, "\(sweep.parameter)")
        #expect(
          sweep.seconds ?? 0 >= (sweep.secondsPerProposal ?? 0) * Double(sweep.proposals) * 0.999)
      }
      #expect(abs(found.cycle.sweeps.reduce(0) { $0 + ($1.seconds ?? 0) } - seconds) < 1e-9)

      let table = try place.run(["describe"] + Workplace.options).output
      #expect(table.contains("ms each  seconds\n"))
      #expect(table.contains("\ntime: about 0:0"))
      #expect(table.contains(" for 50 (measured with mini-batches of 30)\n"))
    }
  }

  /// What is printed as JSON is a network that `--network` reads.
  @Test func jsonIsANetwork() throws {
    try Workplace.with { place in
      let result = try place.run(["describe", "--json", "--no-time"] + Workplace.options)
      let found = try answer(result)
      #expect(found.outputs.map(\.name) == ["conv0", "bn0", "relu0", "conv1", "bn1", "pool", "fc"])
      #expect(found.outputs.map(\.elements) == [27, 6, 0, 108, 8, 0, 12])
      #expect(found.outputs.map(\.multiplyAdds) == [27 * 64, 0, 0, 108 * 64, 0, 0, 12])
      #expect(found.outputs[0].shape == [3, 8, 8] && found.outputs[6].shape == [3])
      #expect(found.outputs[6].proposalDeviations == ["fc.weight": (2.0 / 4).squareRoot()])
      #expect(found.cycle.seconds == nil)
      #expect(found.cycle.multiplyAdds == found.cycle.sweeps.reduce(0) { $0 + $1.multiplyAdds })
      #expect(found.cycle.memoryBytes > 0)

      try Data(result.output.utf8).write(to: place.file("printed.json"))
      let network = try Network(
        json: Data(contentsOf: place.file("net.json")), name: "net.json")
      #expect(
        try Network(json: Data(contentsOf: place.file("printed.json")), name: "printed.json")
          == network)
      let again = try place.run([
        "describe", "--json", "--no-time", "--data-dir", "digits", "--network", "printed.json",
        "--batch", "30",
      ])
      #expect(again.output == result.output)
    }
  }

  /// Settings change what is described.
  @Test func settings() throws {
    try Workplace.with { place in
      let found = try answer(
        try place.run(
          ["describe", "--json", "--no-time", "--sweeps", "conv0=0,fc=2", "--sigma-scale", "2"]
            + Workplace.options))
      #expect(
        found.cycle.sweeps.map(\.parameter)
          == ["fc.weight", "conv1.weight", "bn1.bias", "bn1.weight", "fc.weight"])
      #expect(found.outputs[1].proposalDeviations == ["bn0.weight": 0.334, "bn0.bias": 0.334])
      #expect(found.settings.batchSize == 30)
    }
  }

  @Test(arguments: [
    (["--batch", "91"], 64, "--batch: expected at most the 90 training samples, found 91"),
    (["--network", "none.json"], 1, "none.json: "),
    (["--data-dir", "nowhere"], 1, "nowhere"),
    (["--gpu", "-1"], 64, "--gpu: "),
  ])
  func badInput(options: [String], code: Int, text: String) throws {
    try Workplace.with { place in
      var all = ["describe", "--data-dir", "digits", "--batch", "30"]
      for index in stride(from: 0, to: options.count, by: 2) {
        if let place = all.firstIndex(of: options[index]) { all[place + 1] = options[index + 1] }
      }
      if !all.contains(options[0]) { all += options }
      let result = try place.run(all)
      #expect(result.code == Int32(code))
      #expect(result.output == "")
      #expect(result.errors.contains(text), "\(result.errors)")
    }
  }
}
