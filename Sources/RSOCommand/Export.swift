import ArgumentParser
import Foundation
import RSO
import RSOFormats

/// `rso export`
struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a trained network for other programs.",
    discussion: """
      ONNX (operator set 17) holds the whole network. It takes what the network was trained on, \
      unsigned bytes [N, C, H, W] from 0 to 255 or floats, or a table [N, F], and gives logits [N, classes]. safetensors \
      holds the tensors of a PyTorch state_dict under its names, and nothing of the network itself: the \
      weights, and the running mean and variance of every batch norm, without which load_state_dict \
      refuses the file.

        rso export runs/five/best.safetensors --onnx model.onnx
        rso export runs/five/best.safetensors --safetensors weights.safetensors
        rso export model.safetensors --onnx pets.onnx --class-names cat,dog

      C is one C99 file that needs no other, for a microcontroller: no allocation, no libm, weights of few bits packed. A \
      network whose weights are binary, ternary or integers, whose activations are steps (sign, hardStep, quantize) and \
      whose pixels are divided by 256 becomes integers alone, and gives the class that rso predicts, for every image. The \
      file's head says how to call it, its size and its memory.

        rso export runs/five --c digits.c --test digits_test.c
        cc -std=c99 -O2 digits.c digits_test.c -o test && ./test
      """)

  @Argument(
    help: "A model that rso has written, or the folder of a run, whose best model it then is.",
    completion: .file())
  var model: String

  @Option(help: ArgumentHelp("Write the network as ONNX.", valueName: "file"), completion: .file())
  var onnx: String?

  @Option(
    help: ArgumentHelp(
      "Write the weights, and the running statistics of batch norm, as safetensors.",
      valueName: "file"), completion: .file())
  var safetensors: String?

  @Option(help: ArgumentHelp("Write the network as C.", valueName: "file"), completion: .file())
  var c: String?

  /// A word that is not `--c`.
  @Option(name: .customLong("C"), help: .hidden) var capitalC: String?

  @Option(
    help: ArgumentHelp(
      "What the names of the C file's functions begin with (default: the file's name).",
      valueName: "name"))
  var name: String?

  @Option(
    help: ArgumentHelp(
      "Write a C program that checks the C file against \(CSource.testImages) test images and, given a file of raw images, "
        + "prints their classes.", valueName: "file"), completion: .file())
  var test: String?

  @Option(
    help: ArgumentHelp(
      "Take the images of --test from a data set known by name, as `rso data list` shows them (default: the data of the "
        + "model's run, else mnist).", valueName: "name"),
    completion: .list(KnownData.all.map(\.name)))
  var data: String?

  @Option(
    help: ArgumentHelp("Take the images of --test from a folder.", valueName: "dir"),
    completion: .directory)
  var dataDir: String?

  @OptionGroup var classNames: ClassNameOptions

  @Flag(name: .shortAndLong, help: "Say nothing.")
  var quiet = false

  func validate() throws {
    guard capitalC == nil else {
      throw ValidationError("Unknown option '--C'. Did you mean '--c'?")
    }
    guard onnx != nil || safetensors != nil || c != nil else {
      throw ValidationError("expected --onnx FILE, --safetensors FILE or --c FILE, found none")
    }
    for (option, value) in [("--name", name), ("--test", test)] where value != nil && c == nil {
      throw ValidationError("\(option): expected it with --c FILE")
    }
    for (option, value) in [("--data", data), ("--data-dir", dataDir)]
    where value != nil && test == nil {
      throw ValidationError("\(option): expected it with --test FILE")
    }
  }

  func run() throws {
    var files = OutputFiles()
    files.add(model, "the model")
    try files.write(onnx, "--onnx")
    try files.write(safetensors, "--safetensors")
    try files.write(c, "--c")
    try files.write(test, "--test")
    let file = try Model.file(at: URL(fileURLWithPath: self.model))
    let tensors = try Model.tensors(at: file)
    let model = try Model(tensors, file: file.path)
    let names = try classNames.names(for: model.network)
    let shape = model.network.input
    let source = try c.map {
      try CSource(of: model, name: name ?? CSource.name(for: URL(fileURLWithPath: $0)))
    }
    // All contents are made before any file is written.
    var contents: [(data: Data, url: URL)] = []
    var lines: [String] = []
    func add(_ data: Data, _ path: String, _ words: String) {
      contents.append((data, URL(fileURLWithPath: path)))
      lines.append("\(path): \(words)")
    }
    if let onnx {
      add(
        try model.onnx(classNames: names), onnx,
        "input \(model.takesFloats ? "float32" : "uint8") [N, \(shape.channels)"
          + (shape.isTable ? "], " : ", \(shape.height), \(shape.width)], ")
          + "output logits [N, \(names.count)]")
    }
    if let safetensors {
      add(
        try model.stateDict(file: safetensors).encoded(), safetensors,
        "\(model.parameters.slots.count) parameters and the statistics of batch norm; the network "
          + "takes \(model.inputWords)")
    }
    if let c, let source {
      add(
        Data(source.code.utf8), c,
        "\(source.constantBytes) bytes of constants, \(source.memoryBytes) bytes of memory, "
          + (source.floatReason.map { "floats from \($0)" } ?? "integers alone"))
      if let words = withIntegers(model, source) { lines.append(words) }
    }
    if let test, let source {
      // Before data are read in vain.
      try source.requireClasses()
      let data = try testData(model, tensors, file)
      let program = try source.test(with: data.test.images, name: data.name)
      add(Data(program.utf8), test, "a test of the C file")
    }
    try AtomicFile.write(contents)
    for line in lines { say(line) }
  }

  /// What the C file would be if the pixels were read in another way; `nil` if they do not decide it.
  private func withIntegers(_ model: Model, _ source: CSource) -> String? {
    guard source.floatReason?.hasPrefix("input:") == true, !model.takesFloats,
      model.network.hasDiscreteWeights
    else { return nil }
    // What reads the pixels can be chosen anew; the layers are as they are.
    var other = model
    other.normalization = Normalization(
      mean: [Float](repeating: 0, count: model.network.input.channels), divisor: 256)
    // One that no C file can compute in integers would be none.
    guard let made = try? CSource(of: other, name: source.name) else { return nil }
    return "trained with --normalize integers, it would have "
      + (made.floatReason.map { "floats from \($0)" } ?? "integers alone")
  }

  /// The data that the options name, or that the model was trained on.
  private func testData(_ model: Model, _ tensors: SafeTensors, _ file: URL) throws -> Dataset {
    var options = try EvaluatedDataOptions.parse([])
    (options.data, options.dataDir) = (data, dataDir)
    let data = try options.dataset(
      for: model, .test, Checkpoint.data(in: tensors, file: file.path))
    guard data.test.shape == model.network.input else {
      throw RSOError(
        self.model,
        "expects images of \(model.network.input), found \(data.test.shape) in \(data.name)",
        hint: "name its data: --data or --data-dir")
    }
    return data
  }

  private func say(_ line: String) { if !quiet { Console.line(line) } }
}
