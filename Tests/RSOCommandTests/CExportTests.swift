import Foundation
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
