import Foundation
import RSO
import Testing

/// `rso export --c`. What the file computes is compared with the engine in `RSOTests.CExportTests`.
struct CExportTests {
  /// A compiler in the user's `PATH`.
  static let compiler: String? = {
    let folders = ProcessInfo.processInfo.environment["PATH", default: ""].split(separator: ":")
    return ["cc", "clang", "gcc"].flatMap { name in folders.map { "\($0)/\(name)" } }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }()

  static let network = """
    {"input": {"channels": 1, "height": 8, "width": 8}, "layers": [
      {"name": "conv0", "type": "conv2d", "channels": 4, "kernel": 3, "padding": 1, "weights": "ternary"},
      {"name": "bn0", "type": "batchNorm"},
      {"name": "levels0", "type": "quantize", "bits": 2},
      {"name": "pool", "type": "maxPool", "kernel": 2},
      {"name": "flat", "type": "flatten"},
      {"name": "fc", "type": "linear", "features": 3, "weights": "binary"}]}
    """

  /// Trains the network and exports it.
  private static func export(_ place: Workplace, _ arguments: [String] = []) throws -> Tool.Result {
    try Data(network.utf8).write(to: place.file("net.json"))
    let trained = try place.train(["--cycles", "1", "--run", "r", "--quiet"])
    try #require(trained.code == 0, "\(trained.errors)")
    return try place.run(["export", "r", "--c", "digits-1.c", "--test", "t.c"] + arguments)
  }

  private static func run(_ program: String, _ arguments: [String], in place: Workplace) throws
    -> (code: Int32, output: String)
  {
    let process = Process()
    process.executableURL =
      program.hasPrefix("/") ? URL(fileURLWithPath: program) : place.file(program)
    process.arguments = arguments
    process.currentDirectoryURL = place.url
    let output = place.file("output")
    try Data().write(to: output)
    process.standardOutput = try FileHandle(forWritingTo: output)
    try process.run()
    process.waitUntilExit()
    return (process.terminationStatus, try place.text("output"))
  }

  /// Several files at once; what keeps one from integers alone, and what would not.
  @Test func saysWhatKeepsItFromIntegers() throws {
    try Workplace.with { place in
      try Data(Self.network.utf8).write(to: place.file("net.json"))
      func export(_ run: String, _ options: [String]) throws -> [Substring] {
        let trained = try place.train(["--cycles", "1", "--run", run, "--quiet"] + options)
        #expect(trained.code == 0, "\(trained.errors)")
        let result = try place.run(
          ["export", run, "--c", "a.c", "--onnx", "a.onnx", "--safetensors", "a.safetensors"])
        #expect(result.code == 0 && result.errors == "")
        for file in ["a.c", "a.onnx", "a.safetensors"] {
          #expect(FileManager.default.fileExists(atPath: place.file(file).path))
        }
        return result.output.split(separator: "\n").dropFirst(2).map { $0 }
      }
      let mean = try export("m", ["--normalize", "mean"])
      #expect(mean[0].hasSuffix(", floats from input: a mean is subtracted from its pixels"))
      #expect(mean[1] == "trained with --normalize integers, it would have integers alone")
      let pixels = try export("p", ["--normalize", "pixels", "--weights", "fc*=float"])
      #expect(
        pixels[0].hasSuffix("floats from input: its pixels are not divided by a power of two alone")
      )
      #expect(
        pixels[1].hasPrefix("trained with --normalize integers, it would have floats from fc: "))
      #expect(try export("i", []).count == 1)
      let wrong = try place.run(["export", "m", "--C", "b.c"])
      #expect(
        wrong.code == 64 && wrong.errors.contains("Unknown option '--C'. Did you mean '--c'?"))
      let same = try place.run(["export", "m", "--c", "b", "--onnx", "b"])
      #expect(same.code == 64 && same.errors.contains("--c"), "\(same.errors)")
    }
  }

  /// Nothing is written unless all is.
  @Test func writesAllOrNothing() throws {
    try Workplace.with { place in
      try place.writeModel("m") { _ in }
      try Data("old".utf8).write(to: place.file("old"))
      let before = try place.files()
      let all = ["--onnx", "old", "--safetensors", "w", "--c", "a.c"]
      for (options, code, error) in [
        (["--onnx", "old", "--c", "none/a.c"], 1, "none/a.c: cannot be written: No such file"),
        (["--onnx", "old", "--c", "digits"], 1, "digits: cannot be replaced: Is a directory"),
        (["--onnx", "old", "--safetensors", "m/w"], 1, "m/w: cannot be written: Not a directory"),
        (all + ["--test", "none/t.c", "--data-dir", "digits"], 1, "none/t.c: cannot be written"),
        (["--onnx", "old", "--c", ""], 64, "--c: expected the name of a file, found ''"),
        (["--onnx", ""], 64, "--onnx: expected the name of a file, found ''"),
        (all + ["--test", ""], 64, "--test: expected the name of a file, found ''"),
      ] as [([String], Int32, String)] {
        let result = try place.run(["export", "m"] + options)
        #expect(result.code == code && result.output == "", "\(options)")
        #expect(result.errors.contains(error), "\(options) \(result.errors)")
        #expect(try place.files() == before && place.text("old") == "old", "\(options)")
      }
    }
  }

  /// A test of other images than the network's, or of none that it can judge.
  @Test func testsOfOtherData() throws {
    try Workplace.with { place in
      try place.writeModel("m") { _ in }
      try place.writeModel("values") { $0.metadata["outputs"] = "values" }
      func error(_ model: String, _ data: String) throws -> String {
        let result = try place.run([
          "export", model, "--c", "a.c", "--test", "t.c", "--data-dir", data,
        ])
        #expect(result.code != 0 && result.output == "")
        for file in ["a.c", "t.c"] {
          #expect(!FileManager.default.fileExists(atPath: place.file(file).path))
        }
        return String(result.errors.split(separator: "\n").last ?? "")
      }
      // Before data are read, which are not there.
      #expect(
        try error("values", "none")
          == "rso: error: --test: expected a model that tells classes, found one whose outputs are numbers"
      )
      func write(_ folder: String, _ shape: String, type: String, _ values: [UInt8]) throws {
        try FileManager.default.createDirectory(
          at: place.file(folder), withIntermediateDirectories: true)
        for part in ["train", "test"] {
          try PredictTests.npy("3, \(shape)", type: type, values)
            .write(to: place.file("\(folder)/\(part)_images.npy"))
          try PredictTests.npy("3,", [0, 1, 2])
            .write(to: place.file("\(folder)/\(part)_labels.npy"))
        }
      }
      try write("wide", "4, 16", type: "|u1", (0..<192).map { UInt8($0) })
      #expect(
        try error("m", "wide")
          == "rso: error: m: expects images of 1×8×8, found 1×4×16 in wide (name its data: --data or --data-dir)"
      )
      // Floats that are no bytes, of which C would keep nothing.
      let floats = (0..<192).flatMap { index in
        withUnsafeBytes(of: (Float(index) / 191).bitPattern.littleEndian) { Array($0) }
      }
      try write("floats", "8, 8", type: "<f4", floats)
      #expect(
        try error("m", "floats")
          == "rso: error: floats: expected bytes, as the C file takes them, found floats "
          + "(give images of bytes, uint8 from 0 to 255)")
    }
  }

  @Test func saysWhatItWrote() throws {
    try Workplace.with { place in
      let result = try Self.export(place)
      #expect(result.code == 0 && result.errors == "")
      let lines = result.output.split(separator: "\n")
      // 4 · 9 ternary and 3 · 64 binary weights in 10 and 25 bytes, 4 · 3 thresholds of 2, 3 windows of 20.
      #expect(
        lines.first == "digits-1.c: 119 bytes of constants, 384 bytes of memory, integers alone",
        "\(lines)")
      #expect(lines.last == "t.c: a test of the C file")
      #expect(
        try place.text("digits-1.c").contains(
          "int digits_1_classify(const uint8_t *pixels, int32_t *scores);"))
      #expect(try place.text("t.c").contains("digits_1_classify(images[i], scores)"))

      let named = try place.run(["export", "r", "--c", "x.c", "--name", "net", "--quiet"])
      #expect(named.code == 0 && named.output == "")
      #expect(try place.text("x.c").contains("int net_classify("))
    }
  }

  @Test(.enabled(if: compiler != nil, "there is no C compiler"))
  func theTestFindsOtherClasses() throws {
    try Workplace.with { place in
      #expect(try Self.export(place).code == 0)
      let flags = [
        "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "digits-1.c", "t.c", "-o", "t",
      ]
      #expect(try Self.run(Self.compiler ?? "", flags, in: place).code == 0)
      let result = try Self.run("t", [], in: place)
      #expect(result.code == 0 && result.output == "16 of 16 images as rso predicts\n")

      // Raw images: the same classes as rso predicts.
      let images = "digits/t10k-images-idx3-ubyte"
      try Data(contentsOf: place.file(images)).dropFirst(16).write(to: place.file("raw"))
      let classes = try Self.run("t", ["raw"], in: place)
      let predicted = try place.run(["predict", "r", images, "--csv", "--top", "1"])
      let expected = predicted.output.split(separator: "\n").dropFirst().map {
        $0.split(separator: ",", omittingEmptySubsequences: false)[2]
      }
      #expect(classes.code == 0 && classes.output.split(separator: "\n") == expected)
      try Data(repeating: 1, count: 65).write(to: place.file("raw"))
      #expect(try Self.run("t", ["raw"], in: place).code == 2)
      #expect(try Self.run("t", ["nowhere"], in: place).code == 2)

      // Another class than the file computes.
      let text = try place.text("t.c")
      let start = try #require(text.range(of: "classes[16] = {"))
      let digit = try #require(text[start.upperBound...].first?.wholeNumberValue)
      let end = text.index(after: start.upperBound)
      try Data(
        text.replacingCharacters(in: start.upperBound..<end, with: "\((digit + 1) % 3)").utf8
      ).write(to: place.file("t.c"))
      #expect(try Self.run(Self.compiler ?? "", flags, in: place).code == 0)
      let wrong = try Self.run("t", [], in: place)
      #expect(wrong.code == 1)
      #expect(
        wrong.output == "image 0: expected class \((digit + 1) % 3), found \(digit)\n"
          + "15 of 16 images as rso predicts\n")
    }
  }
}
