import Foundation
import Testing

struct HelpTests {
  /// What a user must find in the help of each command.
  static let helps: [([String], [String])] = [
    ([], ["rso train --preset quick", "train", "evaluate"]),
    (
      ["train"],
      [
        "--cycles, --epochs", "--batch, --sample-batch, --sample_batch", "--layers", "--anneal",
        "--weight-decay, --wd", "--data ", "--gpu", "--seed", "--threads", "--device",
        "--data-dir", "--network", "--train-limit", "--test-limit", "--run", "--resume", "--trace",
        "--save-initial", "--from", "--preset", "--sigma-scale", "--tensor-order",
        "--element-order", "--sweeps", "--only", "--quiet", "--json",
        "rso train --run runs/five --resume", "rso train --data C10 --layers 9 --epochs 500",
      ]
    ),
    (
      ["describe"],
      [
        "--data ", "--layers", "--batch", "--sweeps", "--no-time", "--json",
        "rso describe --layers 9",
      ]
    ),
    (
      ["benchmark"],
      [
        "--seconds", "--threads", "--batch", "--train-limit", "--json", "--compare",
        "compared with the reference",
      ]
    ),
    (
      ["devices"],
      [
        "--json", "--compile-kernels", "--check", "RSO_CUDA_PATH", "NVRTC",
        "not run on a card yet",
      ]
    ),
    (["data"], ["list", "fetch", "rso data fetch fashion-mnist"]),
    (["data", "fetch"], ["--mirror", "--timeout", "$XDG_CACHE_HOME", "Control-C"]),
    (
      ["predict"],
      ["<images>", "PNG or JPEG", "--json", "--csv", "--top", "--class-names", "rso predict"]
    ),
    (["export"], ["--onnx", "--safetensors", "--class-names", "unsigned bytes [N, C, H, W]"]),
    (["report"], ["--output", "--data-dir", "--quiet", "One file of HTML"]),
    (
      ["evaluate"],
      ["--data ", "--data-dir", "--split", "--json", "--device", "rso evaluate runs/five/"]
    ),
  ]

  @Test(arguments: helps.indices)
  func namesEverything(index: Int) throws {
    let (command, expected) = Self.helps[index]
    let result = try Tool.run(command + ["--help"], in: FileManager.default.temporaryDirectory)
    #expect(result.code == 0)
    #expect(result.errors == "")
    for text in expected {
      #expect(result.output.contains(text), "\(command): no '\(text)' in\n\(result.output)")
    }
  }

  @Test func withoutACommandThereIsHelp() throws {
    let result = try Tool.run([], in: FileManager.default.temporaryDirectory)
    #expect(result.code == 0)
    #expect(result.output.contains("SUBCOMMANDS"))
  }
}
