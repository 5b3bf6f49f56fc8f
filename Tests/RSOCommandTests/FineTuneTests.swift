import Foundation
import RSO
import Testing

/// `--from` weights of another program, `--only` some tensors.
struct FineTuneTests {
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
      #expect(result.errors == "")
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
}
