import Foundation
import Testing

/// What a command writes: nothing is lost without a word, and no input is overwritten.
struct OutputTests {
  // MARK: Lost output

  private static let full = "/dev/full"
  static let hasFull = FileManager.default.fileExists(atPath: full)

  private static func run(_ arguments: [String], in place: Workplace, output: Any) throws
    -> Tool.Result
  {
    try Tool.Running(arguments, in: place.url, output: output).wait()
  }

  static let commands: [[String]] = [
    ["describe", "--network", "net.json", "--data-dir", "digits", "--batch", "30", "--no-time"],
    [
      "describe", "--network", "net.json", "--data-dir", "digits", "--batch", "30", "--json",
      "--no-time",
    ],
    ["evaluate", "m", "--data-dir", "digits"], ["evaluate", "m", "--data-dir", "digits", "--json"],
    ["predict", "m", "digits/t10k-images-idx3-ubyte"],
    ["predict", "m", "digits/t10k-images-idx3-ubyte", "--csv"],
    ["predict", "m", "digits/t10k-images-idx3-ubyte", "--json"],
    ["export", "m", "--onnx", "m.onnx"], ["data", "list"], ["data", "list", "--json"], ["devices"],
    ["devices", "--json"], ["help"], ["help", "train"], ["train", "--help"],
  ]

  @Test(.enabled(if: hasFull), arguments: commands)
  func aFullDiskIsAnError(_ arguments: [String]) throws {
    try Workplace.with { place in
      try place.writeModel("m") { _ in }
      let file = try #require(FileHandle(forWritingAtPath: Self.full))
      let result = try Self.run(arguments, in: place, output: file)
      #expect(result.code == 1 && result.signal == nil)
      #expect(
        result.errors
          == "rso: error: standard output: cannot be written: No space left on device "
          + "(the disk is full: make room, then run it again)\n")
    }
  }

  /// A reader that has gone, as in `rso … | head -1`, is no error.
  @Test(arguments: commands)
  func aClosedPipeIsNone(_ arguments: [String]) throws {
    try Workplace.with { place in
      try place.writeModel("m") { _ in }
      let pipe = Pipe()
      try pipe.fileHandleForReading.close()
      let result = try Self.run(arguments, in: place, output: pipe.fileHandleForWriting)
      #expect(result.code == 0 && result.signal == nil && result.errors == "")
    }
  }

  /// Training stops, and says why; the run can go on.
  @Test(.enabled(if: hasFull), arguments: [[], ["--json"], ["--quiet"]])
  func trainingOntoAFullDisk(_ arguments: [String]) throws {
    try Workplace.with { place in
      let file = try #require(FileHandle(forWritingAtPath: Self.full))
      let result = try Self.run(
        ["train"] + Workplace.options + ["--cycles", "1", "--run", "r"] + arguments, in: place,
        output: file)
      #expect(result.code == 1 && result.signal == nil)
      let lines = result.errors.split(separator: "\n")
      #expect(
        lines.first.map { String($0) }
          == "rso: error: standard output: cannot be written: No space left on device "
          + "(the disk is full: make room, then run it again)")
      #expect(!result.errors.contains("stopped by"))
      #expect(try place.run(["train", "--run", "r", "--resume", "--quiet"]).code == 0)
    }
  }

  // MARK: Inputs as outputs

  /// Arguments, and the start of the error.
  static let overwriting: [([String], String)] = [
    (
      ["export", "m", "--onnx", "m"],
      "--onnx: expected a file of its own, found the model (m) (it would be overwritten; choose"
    ),
    (
      ["export", "m", "--safetensors", "./digits/../m"], "--safetensors: expected a file of its own"
    ),
    (["export", "m", "--safetensors", "link"], "--safetensors: expected a file of its own"),
    (
      ["export", "m", "--onnx", "new", "--safetensors", "new"],
      "--safetensors: expected a file of its own, found the file of --onnx (new)"
    ),
    (
      ["export", "m", "--c", "new", "--test", "new"],
      "--test: expected a file of its own, found the file of --c (new)"
    ),
    (["export", "m", "--c", "m"], "--c: expected a file of its own, found the model (m)"),
    (
      ["export", "r", "--c", "r/best.safetensors"],
      "--c: expected a file of its own, found a file of the run in "
    ),
    (
      ["export", "r", "--onnx", "r/config.json"],
      "--onnx: expected a file of its own, found a file of the run in "
    ),
    (
      ["train"] + Workplace.options + ["--run", "s", "--trace", "r/checkpoint.safetensors"],
      "--trace: expected a file of its own, found a file of the run in "
    ),
    (
      ["report", "r", "--output", "r/checkpoint.safetensors"],
      "--output: expected a file of its own, found a file of the run (r/checkpoint.safetensors)"
    ),
    (["report", "r", "-o", "r/metrics.jsonl"], "--output: expected a file of its own"),
    (
      ["report", "r", "--data-dir", "digits", "-o", "digits/t10k-labels-idx1-ubyte"],
      "--output: expected a file of its own, found one of the data's files"
    ),
    (
      ["train"] + Workplace.options + ["--run", "s", "--trace", "net.json"],
      "--trace: expected a file of its own, found the network (net.json)"
    ),
    (
      ["train"] + Workplace.options + ["--run", "s", "--trace", "s/metrics.jsonl"],
      "--trace: expected a file of its own, found a file of the run (s/metrics.jsonl)"
    ),
    (
      ["train"] + Workplace.options + ["--run", "s", "--trace", "s/sessions.jsonl"],
      "--trace: expected a file of its own, found a file of the run (s/sessions.jsonl)"
    ),
    (
      ["train"] + Workplace.options + ["--run", "s", "--trace", "s/events.out.tfevents.rso"],
      "--trace: expected a file of its own, found a file of the run (s/events.out.tfevents.rso)"
    ),
    (
      [
        "search", "--start", "r/best.safetensors", "--command", "false", "--run", "s", "--trace",
        "s/events.out.tfevents.rso",
      ],
      "--trace: expected a file of its own, found a file of the run (s/events.out.tfevents.rso)"
    ),
    (
      ["train"] + Workplace.options + ["--run", "s", "--save-initial", "s/best.safetensors"],
      "--save-initial: expected a file of its own, found a file of the run"
    ),
    (
      ["train"] + Workplace.options + ["--run", "s", "--from", "m", "--save-initial", "m"],
      "--save-initial: expected a file of its own, found the model to start from (m)"
    ),
    (
      ["train"] + Workplace.options + ["--run", "s", "--save-initial", "t", "--trace", "t"],
      "--trace: expected a file of its own, found the file of --save-initial (t)"
    ),
    (
      ["train"] + Workplace.options
        + ["--run", "s", "--trace", "digits/train-labels-idx1-ubyte"],
      "--trace: expected a file of its own, found one of the data's files"
    ),
  ]

  @Test func inputsAreNotOverwritten() throws {
    try Workplace.with { place in
      try place.writeModel("m") { _ in }
      try FileManager.default.createSymbolicLink(
        at: place.file("link"), withDestinationURL: place.file("m"))
      #expect(try place.train(["--cycles", "1", "--run", "r"]).code == 0)
      func contents() throws -> [String: Data] {
        try place.files().reduce(into: [:]) { $0[$1] = try? Data(contentsOf: place.file($1)) }
      }
      let before = try contents()
      for (arguments, error) in Self.overwriting {
        let result = try place.run(arguments)
        #expect(result.code == 64 && result.output == "", "\(arguments)")
        #expect(result.errors.hasPrefix("rso: error: \(error)"), "\(result.errors)")
        #expect(try contents() == before, "\(arguments)")
      }
    }
  }

  /// What an earlier call wrote is written anew, and a device loses nothing.
  @Test func ownOutputsAreReplaced() throws {
    try Workplace.with { place in
      let trained = try place.train(["--cycles", "1", "--run", "r"])
      #expect(trained.code == 0)
      for _ in 0..<2 {
        #expect(try place.run(["report", "r", "--output", "r/page.html"]).code == 0)
        #expect(try place.run(["report", "r"]).code == 0)
        let model = "r/best.safetensors"
        #expect(try place.run(["export", model, "--onnx", "r/model.onnx"]).code == 0)
      }
      #expect(
        try place.train(["--cycles", "1", "--run", "s", "--quiet", "--trace", "/dev/null"]).code
          == 0)
    }
  }
}
