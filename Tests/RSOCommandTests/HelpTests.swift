import Foundation
import Testing

struct HelpTests {
  /// What a user must find in the help of each command.
  static let helps: [([String], [String])] = [
    ([], ["rso train --preset quick", "train", "evaluate"]),
    (
      ["train"],
      [
        "--cycles, --epochs", "--batch, --batch-size, --sample-batch, --sample_batch", "--layers",
        "--anneal",
        "--weight-decay, --wd", "--data ", "--gpu", "--seed", "--threads", "--device",
        "--data-dir", "--network", "--train-limit", "--test-limit", "--validation", "--run",
        "--seeds",
        "--resume", "--trace",
        "--save-initial", "--from", "--preset", "--sigma-scale", "--tensor-order",
        "--element-order", "--sweeps", "--hold", "--rule", "--round", "--only", "--freeze",
        "--statistics", "--normalize", "--quiet", "--json",
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
        "--seconds", "--threads", "--batch", "--train-limit", "--json", "--compare", "--parts",
        "compared with the reference",
      ]
    ),
    (
      ["devices"],
      [
        "--json", "--compile-kernels", "--check", "RSO_CUDA_PATH", "NVRTC",
        "compute capability 8.0",
      ]
    ),
    (["data"], ["list", "fetch", "rso data fetch fashion-mnist"]),
    (["data", "fetch"], ["--mirror", "--timeout", "$XDG_CACHE_HOME", "Control-C"]),
    (
      ["predict"],
      ["<images>", "PNG or JPEG", "--json", "--csv", "--top", "--class-names", "rso predict"]
    ),
    (
      ["export"],
      [
        "--onnx", "--safetensors", "--class-names", "unsigned bytes [N, C, H, W]",
        "running mean and variance of every", "--c ", "--name", "--test", "--data-dir", "C99",
      ]
    ),
    (
      ["import"],
      [
        "--network", "--mean", "--std", "--output", "--floats", "num_batches_tracked",
        "rso import weights.safetensors --network net.json --mean 0.1307 --std 0.3081",
      ]
    ),
    (["data", "list"], ["--json"]),
    (
      ["search"],
      [
        "--start", "--command", "--timeout", "--sigma", "--cycles, --epochs", "--hold", "--rule",
        "--round", "--anneal", "--weight-decay, --wd", "--seed", "--sigma-scale", "--tensor-order",
        "--element-order", "--evaluate", "--sweeps", "--only", "--freeze", "--run", "--resume",
        "--trace", "--quiet", "--json", "--seeds", "margin:m=0..0.5",
        "rso search --start x.safetensors --command './simulator'",
        "rso search --run runs/mine --resume", "docs/search.md",
      ]
    ),
    (["report"], ["--output", "--data-dir", "--quiet", "One file of HTML"]),
    (
      ["evaluate"],
      [
        "--data ", "--data-dir", "--split", "--json", "--csv", "--device", "rso evaluate runs/five",
      ]
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

  /// What is about training is not in the help of a command that does not train.
  @Test func evaluatingIsNotTraining() throws {
    let help = try Tool.run(
      ["evaluate", "--help"], in: FileManager.default.temporaryDirectory
    ).output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    for text in [
      "Evaluate on a data set", "Evaluate on only the first n test images",
      "as many as the run kept out", "precision, recall and F1 of every class",
    ] { #expect(help.contains(text), "\(help)") }
    for text in ["Use only the first training images", "choose the best", "out of training, and"] {
      #expect(!help.contains(text), "\(help)")
    }
  }

  /// Scripts for shells know options, commands and data sets.
  @Test(arguments: ["bash", "zsh", "fish"])
  func completions(shell: String) throws {
    let result = try Tool.run(
      ["--generate-completion-script", shell], in: FileManager.default.temporaryDirectory)
    #expect(result.code == 0 && result.errors == "")
    for text in ["save-initial", "fashion-mnist", "predict"] {
      #expect(result.output.contains(text), "\(shell): no \(text)")
    }
  }

  /// What bash makes of a line, as its own completion calls the script.
  @Test(arguments: [
    ("train --data ", "mnist fashion-mnist kmnist cifar10"), ("tra", "train"),
    ("data fetch k", "kmnist"), ("report di", "digits"), ("predict net", "net.json"),
  ])
  func bashCompletes(line: String, expected: String) throws {
    try Workplace.with { place in
      let script = try place.run(["--generate-completion-script", "bash"]).output
      let words =
        ["rso"] + line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
      let call = """

        COMP_WORDS=(\(words.map { "'\($0)'" }.joined(separator: " ")))
        COMP_CWORD=\(words.count - 1) COMP_LINE='rso \(line)' COMP_POINT=\(line.count + 4) COMP_TYPE=9
        _rso rso '\(words[words.count - 1])' '\(words[words.count - 2])'
        echo "${COMPREPLY[*]}"
        """
      try Data((script + call).utf8).write(to: place.file("script"))
      let bash = Process()
      let output = Pipe()
      bash.executableURL = URL(fileURLWithPath: "/bin/bash")
      bash.arguments = ["script"]
      bash.currentDirectoryURL = place.url
      bash.environment = [
        "PATH": Tool.url.deletingLastPathComponent().path + ":/usr/bin:/bin"
      ]
      bash.standardOutput = output
      try bash.run()
      let found = output.fileHandleForReading.readDataToEndOfFile()
      bash.waitUntilExit()
      #expect(String(decoding: found, as: UTF8.self) == expected + "\n")
    }
  }

  /// A command that is misspelled; the parser says so of options only.
  @Test(arguments: [
    ("trian", "'trian'. Did you mean 'train'?"), ("data fetsh x", "'fetsh'. Did you mean 'fetch'?"),
    ("benchmrak --json", "'benchmrak'. Did you mean 'benchmark'?"),
    ("xyzzy", "Unexpected argument 'xyzzy'"),
  ])
  func misspelledCommands(line: String, message: String) throws {
    let words = line.split(separator: " ").map(String.init)
    let result = try Tool.run(words, in: FileManager.default.temporaryDirectory)
    #expect(result.code == 64 && result.errors.contains(message), "\(result.errors)")
    #expect(result.errors.contains("Usage: rso"), "\(result.errors)")
    #expect(try Tool.run(["help", "train"], in: FileManager.default.temporaryDirectory).code == 0)
  }

  @Test func withoutACommandThereIsHelp() throws {
    let result = try Tool.run([], in: FileManager.default.temporaryDirectory)
    #expect(result.code == 0)
    #expect(result.output.contains("SUBCOMMANDS"))
  }
}
