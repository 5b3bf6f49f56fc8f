import ArgumentParser
import Foundation
import RSO

/// `rso predict`
struct Predict: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say what images or rows of a table show.",
    discussion: """
      Images are PNG or JPEG files, or files of many, plain or .gz: IDX, and .npy of uint8 or floats, \
      [N, H, W] or [N, C, H, W]. Tables are .npy [N, F], or comma-separated numbers with or without a \
      header line. A picture is made grey or coloured as the network takes it, what is \
      transparent becomes white, and it is resized to the network's size: standard error says each. \
      Images are read in pieces, however many there are.

        rso predict runs/five/best.safetensors seven.png
        rso predict model.safetensors t10k-images-idx3-ubyte.gz --csv > predictions.csv
        rso predict pets.safetensors *.jpg --class-names cat,dog --json
        rso predict runs/patients table.csv --class-names ill,well
        rso predict runs/prices table.npy --csv       numbers, of a model that was trained on targets
      """)

  @Argument(
    help: "A model that rso has written, or the folder of a run, whose best model it then is.",
    completion: .file())
  var model: String

  @Argument(help: "Files of images, or tables.", completion: .file())
  var images: [String]

  @OptionGroup var classNames: ClassNameOptions

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Classes to tell, the most probable first (default: 3).", valueName: "n"))
  var top: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Threads of the CPU (default: one per core).", valueName: "n"))
  var threads: Int?

  @Flag(help: "Print a line of JSON for every image, with the logits of all classes.")
  var json = false

  @Flag(help: "Print comma-separated values.")
  var csv = false

  func validate() throws {
    guard !(json && csv) else { throw ValidationError("--json: expected it without --csv") }
    if let top, top < 1 { throw ValidationError("--top: expected 1 or more, found \(top)") }
  }

  func run() throws {
    let model = try Model(contentsOf: URL(fileURLWithPath: model))
    let names = try classNames.names(for: model.network)
    let predictor = try Predictor(model, threads: threads)
    let top = min(top ?? 3, names.count)
    let files = ImageFiles(paths: images, shape: model.network.input, kind: model.images) {
      Console.note($0)
    }
    if !model.hasClasses, self.top != nil {
      throw RSOError("--top", "expected a model of classes, found one whose outputs are numbers")
    }
    let table = Table(
      names: names, top: top, hasClasses: model.hasClasses, width: images.map(\.count).max() ?? 0)
    var isFirst = true
    try files.read { names, pixels in
      var text = ""
      if isFirst { text += json ? "" : csv ? table.csvHead : table.head }
      isFirst = false
      for (name, prediction) in zip(names, try predictor.predict(pixels)) {
        text +=
          json
          ? try table.json(name, prediction)
          : csv ? table.csvRow(name, prediction) : table.row(name, prediction)
      }
      // The reader has gone, which is no error.
      if !Console.write(text) { throw ExitCode(0) }
    }
  }
}

/// Predictions as text, each ending with a line feed.
private struct Table {
  /// The names of the classes.
  let names: [String]
  let top: Int
  /// Whether the outputs tell classes; if not, they are shown as they are.
  let hasClasses: Bool
  /// The width of the file names.
  let width: Int

  // MARK: For people

  var head: String {
    guard hasClasses else { return "sample".padded(width) + "  outputs\n" }
    return line("image", "class", "share", top > 1 ? "runners-up" : "")
  }

  func row(_ name: ImageFiles.Name, _ prediction: Prediction) -> String {
    guard hasClasses else {
      return (name.file + (name.index.map { "[\($0)]" } ?? "")).padded(width) + "  "
        + prediction.logits.map { "\($0)" }.joined(separator: "  ") + "\n"
    }
    let shares = prediction.probabilities
    let others = prediction.ranking[1..<top].map { "\(names[$0]) \(percent(shares[$0]))" }
    return line(
      name.file + (name.index.map { "[\($0)]" } ?? ""), names[prediction.label],
      percent(shares[prediction.label]), others.joined(separator: ", "))
  }

  private func line(_ image: String, _ label: String, _ share: String, _ others: String) -> String {
    let longest = max(names.map(\.count).max() ?? 0, 5)
    let cells = [
      image.padded(width), label.padded(longest), share.padded(9, right: true), others,
    ]
    return String(cells.joined(separator: "  ").reversed().drop { $0 == " " }.reversed()) + "\n"
  }

  // MARK: For programs

  private struct Answer: Encodable {
    struct Class: Encodable {
      var number: Int
      var name: String
      var probability: Double
    }
    var image: String
    var index: Int?
    /// The classes, most probable first.
    var classes: [Class]?
    /// The logit of every class, in order.
    var logits: [Float]?
    /// In place of both, if the outputs are numbers of their own.
    var outputs: [Float]?

    enum CodingKeys: String, CodingKey { case image, index, classes, logits, outputs }
  }

  func json(_ name: ImageFiles.Name, _ prediction: Prediction) throws -> String {
    let shares = prediction.probabilities
    var answer = Answer(image: name.file, index: name.index)
    if hasClasses {
      answer.classes = prediction.ranking.prefix(top).map {
        .init(number: $0, name: names[$0], probability: shares[$0])
      }
      answer.logits = prediction.logits
    } else {
      answer.outputs = prediction.logits
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try encoder.encode(answer), as: UTF8.self) + "\n"
  }

  var csvHead: String {
    guard hasClasses else {
      return csvLine(["image", "index"] + names.map { "output \($0)" }) + "\n"
    }
    let columns = (1...top).flatMap {
      $0 == 1 ? ["class", "probability"] : ["class \($0)", "probability \($0)"]
    }
    return csvLine(["image", "index"] + columns) + "\n"
  }

  func csvRow(_ name: ImageFiles.Name, _ prediction: Prediction) -> String {
    guard hasClasses else {
      return csvLine(
        [name.file, name.index.map(String.init) ?? ""] + prediction.logits.map { "\($0)" }) + "\n"
    }
    let shares = prediction.probabilities
    return csvLine(
      [name.file, name.index.map(String.init) ?? ""]
        + prediction.ranking.prefix(top).flatMap { [names[$0], "\(shares[$0])"] }) + "\n"
  }
}
