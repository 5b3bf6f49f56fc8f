import ArgumentParser
import Foundation
import RSO

/// `rso describe`
struct Describe: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show a network and what training it will cost.",
    discussion: """
      The options are those of train. The time is told from some seconds of measuring on this machine, \
      the memory from the sizes of what the engine keeps. Multiply-adds are those of convolutions and \
      linear layers, for one image. Lines beside the layers are shortcuts.

        rso describe                               the paper's MNIST run
        rso describe --layers 9 --batch 1000
        rso describe --network net.json --no-time  your own, shortcuts drawn beside the layers
        rso describe --json --no-time > net.json   a network to change and train with --network
        rso describe runs/five                     the best model of a run, with the run's settings
      """)

  @Argument(
    help: "A model that rso has written, or the folder of a run, whose best model it then is.",
    completion: .file())
  var model: String?

  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Network") var network: NetworkOptions
  @OptionGroup(title: "Search") var search: SearchOptions
  @OptionGroup(title: "Device") var device: DeviceOptions

  @Flag(inversion: .prefixedNo, help: "Measure how long a cycle will take.")
  var time = true

  @Flag(help: "Print JSON; --network reads it.")
  var json = false

  func run() throws {
    let device = try device.resolved()
    let found = try model.map(ofModel) ?? ofOptions()
    let (network, data) = (found.network, found.data)
    let settings = try search.settings(
      over: found.settings, network: network, samples: data.train.count)
    try settings.validate(samples: data.train.count, network: network)
    let model = CostModel(network: network, settings: settings, data: data)
    var estimate: CycleEstimate?
    if time, case .cpu(let threads) = device {
      estimate = try CycleEstimate(
        network: network, data: data, settings: settings,
        threads: threads ?? ProcessInfo.processInfo.activeProcessorCount)
    }
    let description = NetworkDescription(
      network: network, data: data, settings: settings, model: model, estimate: estimate)
    if let words = found.words, !json { Console.line(words) }
    Console.line(json ? try description.json() : description.table)
  }

  private typealias Found = (
    network: Network, data: Dataset, settings: SearchSettings, words: String?
  )

  /// The network that the options describe.
  private func ofOptions() throws -> Found {
    let paper = data.paper(network)
    let images = try data.dataset(network)
    let network = try network.network(for: images, paperLayers: paper.layers)
    return (network, try self.network.normalized(images, for: network), paper.settings, nil)
  }

  /// The network of a model, with the data and settings of its run.
  private func ofModel(_ path: String) throws -> Found {
    let given = [
      ("--network", network.network != nil), ("--layers", network.layers != nil),
      ("--weights", !network.weights.isEmpty), ("--activations", !network.activations.isEmpty),
      ("--normalize", network.normalize != nil),
    ]
    if let (option, _) = given.first(where: \.1) {
      throw RSOError(option, "expected it without a model, which has its own, found \(path), too")
    }
    let file = try Model.file(at: URL(fileURLWithPath: path))
    let tensors = try Model.tensors(at: file)
    let model = try Model(tensors, file: file.path)
    let own = try Checkpoint.data(in: tensors, file: file.path)
    var images = try data.completed(by: own).dataset(ofModel: !data.isGiven)
    if let kind = model.images { images = try images.adapted(to: kind).data }
    guard model.network.input == images.train.shape else {
      throw RSOError(
        path,
        "expects images of \(model.network.input), found \(images.train.shape) in \(images.name)",
        hint: "name its data: --data or --data-dir")
    }
    let run = try own == nil ? nil : Checkpoint(contentsOf: file)
    let words = run?.best.map { best in
      "\(path): its run's best came after \(best.parameter) of cycle \(best.cycle + 1), \(best.split ?? .test) "
        + (best.accuracy.map { "accuracy \(percent($0))" }
          ?? "loss \(best.loss.map { fixed($0, 4) } ?? "not finite")")
    }
    return (
      model.network, images.normalized(model.normalization),
      run?.configuration.settings ?? SearchSettings(), words
    )
  }
}

/// A network and its cost, as a table and as JSON.
struct NetworkDescription {
  let network: Network
  let data: Dataset
  let settings: SearchSettings
  let model: CostModel
  let estimate: CycleEstimate?

  /// What was measured of each sweep of `model`; `nil` for those of scales.
  private var measured: [CycleEstimate.Sweep?] {
    var rest = (estimate?.sweeps ?? [])[...]
    return model.sweeps.map { $0.isOfScales ? nil : rest.popFirst() }
  }

  private struct Layer: Encodable {
    var name: String
    var type: String
    var shape: [Int]
    var elements: Int
    /// What they take on a device.
    var bytes: Int
    var multiplyAdds: Int
    /// Widths σ of the first cycle's proposals, by parameter.
    var proposalDeviations: [String: Double]
  }

  private func shape(_ shape: Shape) -> String {
    "\(shape.channels)×\(shape.height)×\(shape.width)"
  }

  private var layers: [Layer] {
    let slots = Parameters(zerosFor: network).slots
    return network.nodes.indices.map { index in
      let (node, shape) = (network.nodes[index], network.shapes[index + 1])
      let own = slots.filter { $0.node == index }
      return Layer(
        name: node.name, type: node.layer.kind,
        shape: shape.area == 1
          ? [shape.channels] : [shape.channels, shape.height, shape.width],
        elements: own.reduce(0) { $0 + $1.count },
        bytes: own.reduce(0) { $0 + $1.packedBytes }, multiplyAdds: network.multiplyAdds[index],
        proposalDeviations: Dictionary(
          own.map { ($0.name, settings.deviation(of: $0.proposalDeviation, cycle: 0)) },
          uniquingKeysWith: { first, _ in first }))
    }
  }

  /// The memory in bytes, with the largest mini-batch of the run.
  private var memory: Int {
    var largest = settings
    largest.batchSize = settings.firstBatches.reduce(settings.batchSize) { max($0, $1.size) }
    guard largest.batchSize > settings.batchSize else { return model.memory }
    return CostModel(network: network, settings: largest, data: data).memory
  }

  // MARK: JSON

  /// The keys of a network, and its known properties beside them.
  private struct Answer: Encodable {
    var network: Network
    var outputs: [Layer]
    var data: Data
    var settings: SearchSettings
    var cycle: Cycle

    struct Data: Encodable {
      var name: String
      var train: Int
      var validation: Int?
      var test: Int
      var classes: Int
    }
    struct Cycle: Encodable {
      var multiplyAdds: Int
      var memoryBytes: Int
      var sweeps: [Sweep]
      /// `nil` if it was not measured.
      var seconds: Double?
    }
    struct Sweep: Encodable {
      var parameter: String
      var proposals: Int
      /// The average over the sweep, including the upkeep of what is kept for every mini-batch.
      var multiplyAddsPerProposal: Double
      var multiplyAdds: Int
      var secondsPerProposal: Double?
      var seconds: Double?
    }
    enum Keys: String, CodingKey { case outputs, data, settings, cycle }

    func encode(to encoder: any Encoder) throws {
      try network.encode(to: encoder)
      var container = encoder.container(keyedBy: Keys.self)
      try container.encode(outputs, forKey: .outputs)
      try container.encode(data, forKey: .data)
      try container.encode(settings, forKey: .settings)
      try container.encode(cycle, forKey: .cycle)
    }
  }

  func json() throws -> String {
    let sweeps = zip(model.sweeps, measured).map { sweep, measured in
      Answer.Sweep(
        parameter: sweep.parameter, proposals: sweep.proposals,
        multiplyAddsPerProposal: sweep.averagePerProposal, multiplyAdds: sweep.total,
        secondsPerProposal: measured?.secondsPerProposal, seconds: measured?.seconds)
    }
    let answer = Answer(
      network: network, outputs: layers,
      data: .init(
        name: data.name, train: data.train.count, validation: data.validation?.count,
        test: data.test.count, classes: data.classes),
      settings: settings,
      cycle: .init(
        multiplyAdds: model.total, memoryBytes: memory, sweeps: sweeps,
        seconds: estimate?.seconds))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(answer), as: UTF8.self)
  }

  // MARK: Table

  var table: String {
    let batches = data.train.count / settings.batchSize
    var lines = [
      "\(data.name): \(grouped(data.train.count)) training"
        + (data.validation.map { ", \(grouped($0.count)) validation" } ?? "")
        + " and \(grouped(data.test.count)) test \(data.train.shape.sampleWords), \(data.classes) \(data.hasLabels ? "classes" : "targets")",
      "",
    ]
    // If there are shortcuts, their lines stand between names and kinds.
    let drawing = shortcutDrawing(network)
    let isDrawn = drawing.contains { $0.contains { $0 != " " } }
    func row(_ name: String, _ value: Int?, _ cells: [String]) -> [String] {
      [name] + (isDrawn ? [value.map { drawing[$0] } ?? ""] : []) + cells
    }
    func bits(_ node: Node) -> String {
      guard case .activation(.quantize(let bits, _)) = node.layer else { return "" }
      return bits == 1 ? ", 1 bit" : ", \(bits) bits"
    }
    var layout = TextTable(
      row("layer", nil, ["type", "output", "elements", "multiply-adds", "σ"]),
      left: isDrawn ? 4 : 3)
    layout.add(row("input", 0, ["", shape(network.input), "", "", ""]))
    for (index, layer) in layers.enumerated() {
      let domain = network.nodes[index].weights
      layout.add(
        row(
          layer.name, index + 1,
          [
            layer.type + (domain.isDiscrete ? ", \(domain)" : "")
              + bits(network.nodes[index]),
            layer.shape.map(String.init).joined(separator: "×"),
            layer.elements == 0 ? "" : grouped(layer.elements),
            layer.multiplyAdds == 0 ? "" : grouped(layer.multiplyAdds),
            Set(layer.proposalDeviations.values.map { fixed($0, 4) }).sorted().joined(
              separator: " "),
          ]))
    }
    let multiplyAdds = network.multiplyAdds.reduce(0, +)
    layout.add(
      row(
        "total", nil,
        ["", "", grouped(layers.reduce(0) { $0 + $1.elements }), grouped(multiplyAdds), ""]))
    lines += layout.lines + [""]
    let slots = Parameters(zerosFor: network).slots
    let packed = slots.filter { $0.domain.isDiscrete }.reduce(0) { $0 + $1.packedBytes }
    lines.append(
      "on a device: \(grouped(layers.reduce(0) { $0 + $1.bytes })) bytes"
        + (packed > 0 ? ", \(grouped(packed)) of them weights packed to their bits" : " of floats"))
    lines.append("")

    var sweeps = TextTable(
      ["sweep", "proposals", "M multiply-adds each"]
        + (estimate == nil ? [] : ["ms each", "seconds"]), left: 1)
    for (sweep, measured) in zip(model.sweeps, measured) {
      var row = [
        sweep.parameter, grouped(sweep.proposals), fixed(sweep.averagePerProposal / 1e6, 2),
      ]
      if estimate != nil {
        row.append(measured.map { fixed(1000 * $0.secondsPerProposal, 2) } ?? "")
        row.append(measured.map { fixed($0.seconds, 1) } ?? "")
      }
      sweeps.add(row)
    }
    lines += sweeps.lines + [""]
    let proposals = model.sweeps.reduce(0) { $0 + $1.proposals }
    lines.append(
      "a cycle: \(grouped(proposals)) proposals, on \(grouped(batches)) mini-batches of "
        + "\(grouped(settings.batchSize)); \(fixed(Double(model.total) / 1e12, 3)) T multiply-adds")
    if let estimate {
      lines.append(
        "time: about \(duration(estimate.seconds)) a cycle, "
          + "\(duration(estimate.seconds * settings.cost(ofCycles: 0..<settings.cycles))) for "
          + "\(settings.cycles)\(settings.firstBatches.isEmpty ? "" : " of \(settings.batchWords)") "
          + "(measured with mini-batches of \(grouped(estimate.measuredBatch)))")
    }
    lines.append("memory: about \(bytes(memory))")
    let installed = Int(clamping: ProcessInfo.processInfo.physicalMemory)
    if memory > installed {
      lines.append(
        "  more than this machine's \(bytes(installed)): use a smaller --batch or --train-limit")
    }
    return lines.joined(separator: "\n")
  }
}

/// `1,234,567`
func grouped(_ number: Int) -> String {
  var digits = String(number.magnitude)
  var groups: [String] = []
  while digits.count > 3 {
    groups.insert(String(digits.suffix(3)), at: 0)
    digits.removeLast(3)
  }
  return (number < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
}

/// `3.2 GB`, `17 MB`
func bytes(_ count: Int) -> String {
  count >= 1_000_000_000
    ? fixed(Double(count) / 1e9, 2) + " GB" : fixed((Double(count) / 1e6).rounded(.up), 0) + " MB"
}
