import ArgumentParser
import Foundation
import RSO
import RSOFormats

/// `rso import`
struct Import: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a model of a network that PyTorch trained.",
    discussion: """
      The weights are a state_dict as a safetensors file; --network describes the layers, under the \
      names of PyTorch's modules and with "epsilon": 1e-5 in a batch norm. The model keeps the running \
      statistics, so rso evaluates and predicts what PyTorch does in eval mode. num_batches_tracked is \
      ignored, and 'module.' and '_orig_mod.' are left out of the tensors' names. --mean and --std are \
      those of torchvision's Normalize, for pixels / 255.

        rso import weights.safetensors --network net.json -o model.safetensors
        rso import weights.safetensors --network net.json --mean 0.1307 --std 0.3081 -o model.safetensors
        rso import resnet.safetensors --network resnet.json --mean 0.485,0.456,0.406 \
                   --std 0.229,0.224,0.225 -o model.safetensors
        rso evaluate model.safetensors

      Written from Python with: safetensors.torch.save_file(model.state_dict(), "weights.safetensors")
      """)

  @Argument(help: "A state_dict as a safetensors file.", completion: .file())
  var weights: String

  @Option(
    help: ArgumentHelp(
      "The network as JSON, or mnist or cifar10 for the paper's.", valueName: "file.json"),
    completion: .file(extensions: ["json"]))
  var network: String

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What to subtract from pixels / 255: a number for every channel, or one for all (default: 0).",
      valueName: "x,…"))
  var mean: NumbersArgument?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What to divide the difference by: a number for every channel, or one for all (default: 1).",
      valueName: "x,…"))
  var std: NumbersArgument?

  @Flag(help: "The network takes floats as they are, not pixels / 255.")
  var floats = false

  @Option(
    name: .shortAndLong, help: ArgumentHelp("Write the model here.", valueName: "file"),
    completion: .file())
  var output: String

  @Flag(name: .shortAndLong, help: "Say nothing.")
  var quiet = false

  func run() throws {
    var files = OutputFiles()
    files.add(weights, "the weights")
    files.add(network, "the network")
    try files.write(output, "--output")
    let network = try NetworkOptions.network(self.network)
    let normalization = try normalization(channels: network.input.channels)
    let file = URL(fileURLWithPath: weights)
    let tensors = try StateDict.tensors(at: file, name: weights)
    guard !Model.isClaimed(by: tensors) else {
      throw RSOError(
        weights, "expected weights without their network, found a model of rso",
        hint: "use it as it is: rso evaluate \(weights)")
    }
    let stateDict = try StateDict(tensors, for: network, file: weights)
    let model = try Model(
      stateDict, network, normalization, floats ? .floats(nil) : .bytes, file: weights)
    if !quiet { stateDict.sayWrappers(weights) }
    let standard = network.nodes.filter { $0.layer == .batchNorm(epsilon: 1e-3) }
    if let first = standard.first, !quiet {
      Console.note(
        "\(self.network): \(first.name) has an epsilon of 0.001, the standard here; PyTorch's is 1e-5: \"epsilon\": 1e-5"
      )
    }
    try model.write(to: URL(fileURLWithPath: output))
    if quiet { return }
    let norms = model.statistics.moments.count
    Console.line(
      "\(output): \(model.parameters.slots.count) parameters and the running statistics of "
        + "\(norms) batch norm\(norms == 1 ? "" : "s"); the network takes \(model.inputWords) and "
        + "gives \(network.classes) classes")
  }

  /// `nil` if no option says anything about it.
  private func normalization(channels: Int) throws -> Normalization? {
    if mean == nil && std == nil { return nil }
    func numbers(_ option: String, _ given: NumbersArgument?, _ standard: Double) throws -> [Double]
    {
      let values = given?.values ?? [standard]
      guard values.count == 1 || values.count == channels else {
        throw RSOError(
          option, "expected \(channels) numbers, one for each channel, found \(values.count)")
      }
      let all = values.count == 1 ? [Double](repeating: values[0], count: channels) : values
      guard all.allSatisfy({ Float($0).isFinite && (option == "--mean" || Float($0) > 0) }) else {
        let expected = option == "--mean" ? "finite numbers" : "numbers above 0"
        throw RSOError(option, "expected \(expected), found \(given?.text ?? "")")
      }
      return all
    }
    return try Normalization(
      mean: numbers("--mean", mean, 0).map { Float($0) },
      deviation: numbers("--std", std, 1).map { Float($0) })
  }
}

/// `0.485,0.456,0.406`: numbers with commas between them.
struct NumbersArgument: ExpressibleByArgument {
  var values: [Double]
  var text: String

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    values = parts.compactMap { Double($0.trimmingCharacters(in: .whitespaces)) }
    text = argument
    guard values.count == parts.count else { return nil }
  }
}

extension Model {
  /// What the network takes, in words: `(pixels / 255 − 0.1307) / 0.3081`.
  var inputWords: String {
    let source = takesFloats ? "floats" : "pixels / \(Int(normalization.divisor))"
    guard mean.count <= 4 else {
      return (normalization.divides ? "(\(source) − mean) / deviation" : "\(source) − mean")
        + " of each of \(mean.count) channels"
    }
    func words(_ values: [Float]) -> String {
      Set(values).count == 1
        ? "\(values[0])" : "[\(values.map { "\($0)" }.joined(separator: ", "))]"
    }
    let isCentred = mean.contains { $0 != 0 }
    let difference = isCentred ? "\(source) − \(words(mean))" : source
    if !normalization.divides { return difference }
    return (isCentred || !takesFloats ? "(\(difference))" : difference)
      + " / \(words(normalization.deviation))"
  }
}
