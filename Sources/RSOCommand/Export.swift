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

  @OptionGroup var classNames: ClassNameOptions

  @Flag(name: .shortAndLong, help: "Say nothing.")
  var quiet = false

  func validate() throws {
    guard onnx != nil || safetensors != nil else {
      throw ValidationError("expected --onnx FILE or --safetensors FILE, found neither")
    }
  }

  func run() throws {
    var files = OutputFiles()
    files.add(model, "the model")
    try files.write(onnx, "--onnx")
    try files.write(safetensors, "--safetensors")
    let model = try Model(contentsOf: URL(fileURLWithPath: model))
    let names = try classNames.names(for: model.network)
    let shape = model.network.input
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
  }

  private func say(_ line: String) { if !quiet { Console.line(line) } }
}
