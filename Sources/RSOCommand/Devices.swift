import ArgumentParser
import Foundation
import RSO

/// `rso devices`
struct Devices: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List what can be computed on, and why not on what cannot.",
    discussion: """
      A GPU needs NVIDIA's driver and NVRTC, NVIDIA's run-time compiler; both are looked for when they are needed: in \
      RSO_CUDA_PATH, CUDA_HOME, the Python environment that is active, and the system's folders.

      It takes a card of compute capability 8.0 or more. --check holds one against the reference engine, which takes a minute on many cores.

        rso devices
        rso devices --json
        rso devices --check cuda:0
        rso devices --check cuda:0 --precision fp16
        rso devices --compile-kernels sm_90
      """)

  @Flag(help: "Print JSON.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "Compile the GPU kernels for this kind of card and print what the compiler says; needs NVRTC, but no card.",
      valueName: "sm_90"))
  var compileKernels: [String] = []

  @Option(
    help: ArgumentHelp(
      "Compare losses of every tensor of the paper's networks, computed on this device, with the reference engine's, and "
        + "other losses with their definitions.",
      valueName: "device"))
  var check: DeviceOptions.Name?

  @Option(
    help: ArgumentHelp(
      "What --check compares (default: fp32): fp32 or halves, which are exact to rounding; or tf32 or fp16, where factors "
        + "of 11 bits allow larger differences.",
      valueName: "precision"))
  var precision: CUDAPrecision?

  func validate() throws {
    guard precision != nil else { return }
    guard case .cuda? = check else {
      throw ValidationError("--precision: expected it with --check cuda:0, found no such device")
    }
  }

  func run() throws {
    guard compileKernels.isEmpty else { return try compile() }
    if let check { return try compare(check) }
    let devices = DeviceDescription.all()
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      Console.line(String(decoding: try encoder.encode(devices), as: UTF8.self))
      return
    }
    var table = TextTable(["device", "", ""], left: 3)
    for device in devices {
      table.add([device.name, device.available ? "yes" : "no", device.description])
      if let hint = device.hint { table.add(["", "", hint]) }
    }
    for line in table.lines.dropFirst() { Console.line(line) }
    Console.line(
      "\nrso devices --check cuda:0 holds a GPU against the reference engine.")
  }

  private func compile() throws {
    let architectures = try compileKernels.map { name in
      guard let architecture = NVRTC.Architecture(name) else {
        throw RSOError("--compile-kernels", "expected a name such as sm_90, found '\(name)'")
      }
      return architecture
    }
    let nvrtc = try NVRTC.load()
    let version = try nvrtc.version()
    Console.line("NVRTC \(version.major).\(version.minor): \(nvrtc.path)")
    for architecture in architectures {
      let result = try nvrtc.compile(NVRTC.kernels, options: NVRTC.options(architecture))
      if !result.log.isEmpty { Console.line(result.log) }
      Console.line("\(architecture): \(result.image.count) bytes")
    }
  }

  private func compare(_ name: DeviceOptions.Name) throws {
    for layers in [6, 9] {
      let data = try Dataset.mnist(trainLimit: 100, testLimit: 1)
      let network = try Network.paper(
        layers: layers, input: data.train.shape, classes: data.classes)
      let check = try EngineComparison(
        network: network, data: data, seed: 0, device: name.device(precision: precision),
        threads: min(ProcessInfo.processInfo.activeProcessorCount, 8))
      Console.line("\(layers) layers: \(found(check))")
    }
    try compareLosses(name)
  }

  /// What a comparison found. Numbers of 11 bits are worth comparing with what their rounding allows.
  private func found(_ check: EngineComparison) -> String {
    guard let precision, !precision.isExact else { return check.summary }
    return check.summary
      + ", \(String(format: "%.2g", check.largestOfBound)) of what \(precision.rawValue) allows"
  }

  /// Compares losses of one's own, of samples and of mini-batches.
  private func compareLosses(_ name: DeviceOptions.Name) throws {
    let data = try Dataset.mnist(trainLimit: 100, testLimit: 1)
    let network = try Network.paper(layers: 6, input: data.train.shape, classes: data.classes)
    let outputs = try EngineComparison(
      network: network, data: data, seed: 0, device: name.device(precision: precision),
      loss: LossComparison.Definition(.crossEntropy),
      threads: min(ProcessInfo.processInfo.activeProcessorCount, 8))
    Console.line("a loss of one's own: \(found(outputs))")
    let check = try LossComparison(
      network: network, data: data, seed: 0, device: name.device(precision: precision))
    Console.line(
      "other losses: \(check.losses) are what the definitions say, to "
        + "\(String(format: "%.1e", check.largest))")
  }
}
