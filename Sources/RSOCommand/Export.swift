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
    // What may fail comes before anything is written.
    let source = try c.map {
      try CSource(of: model, name: name ?? CSource.name(for: URL(fileURLWithPath: $0)))
    }
    let program = try test == nil ? nil : source?.test(with: testImages(model, tensors, file))
    if let onnx {
      try model.writeONNX(to: URL(fileURLWithPath: onnx), classNames: names)
      say(
        "\(onnx): input \(model.takesFloats ? "float32" : "uint8") [N, \(shape.channels)"
          + (shape.isTable ? "], " : ", \(shape.height), \(shape.width)], ")
          + "output logits [N, \(names.count)]")
    }
    if let safetensors {
      try model.writeStateDict(to: URL(fileURLWithPath: safetensors))
      say(
        "\(safetensors): \(model.parameters.slots.count) parameters and the statistics of batch "
          + "norm; the network takes \(model.inputWords)")
    }
    if let c, let source {
      try source.write(to: URL(fileURLWithPath: c))
      say(
        "\(c): \(source.constantBytes) bytes of constants, \(source.memoryBytes) bytes of memory, "
          + (source.floatReason.map { "floats from \($0)" } ?? "integers alone"))
      if source.floatReason?.hasPrefix("input:") == true, !model.takesFloats,
        model.network.hasDiscreteWeights
      {
        // What reads the pixels can be chosen anew; the layers are as they are.
        var other = model
        other.normalization = Normalization(
          mean: [Float](repeating: 0, count: shape.channels), divisor: 256)
        let reason = try CSource(of: other, name: source.name).floatReason
        say(
          "trained with --normalize integers, it would have "
            + (reason.map { "floats from \($0)" } ?? "integers alone"))
      }
    }
    if let test, let program {
      try AtomicFile.write(Data(program.utf8), to: URL(fileURLWithPath: test))
      say("\(test): a test of the C file")
    }
  }

  /// The test images of the data that the options name, or that the model was trained on.
  private func testImages(_ model: Model, _ tensors: SafeTensors, _ file: URL) throws -> Pixels {
    var options = try EvaluatedDataOptions.parse([])
    (options.data, options.dataDir) = (data, dataDir)
    return try options.dataset(for: model, .test, Checkpoint.data(in: tensors, file: file.path))
      .test.images
  }

  private func say(_ line: String) { if !quiet { Console.line(line) } }
}
