import ArgumentParser
import Foundation
import RSO

/// `rso evaluate`
struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Evaluate a trained network.",
    discussion: """
      The model's file is enough: it holds the network, the statistics of batch norm and what it \
      does to its input, and a run's model the place of its data. A checkpoint is a model, too.

        rso evaluate runs/five                        the best model of a run
        rso evaluate runs/five/checkpoint.safetensors the last one
        rso evaluate model.safetensors --split train
        rso evaluate model.safetensors --split validation --validation 5000
        rso evaluate model.safetensors --data-dir digits --json
      """)

  @Argument(
    help: "A model that rso has written, or the folder of a run, whose best model it then is.",
    completion: .file())
  var model: String

  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Device") var device: DeviceOptions

  @Option(help: "The images to evaluate (default: test).")
  var split: EvaluatedSplit?

  @Flag(help: "Print JSON.")
  var json = false

  private struct Result: Encodable {
    var model: String
    var data: String
    var split: String
    var samples: Int
    /// Per sample; `nil` unless it is finite, because JSON has no other numbers.
    var loss: Double?
    var accuracy: Double
    var correct: Int
    var classes: [Class]
    /// `confusion[label][predicted]`
    var confusion: [[Int]]

    struct Class: Encodable {
      var label: Int
      var samples: Int
      var correct: Int
      /// `nil` if the class has no samples.
      var accuracy: Double?
    }
  }

  func run() throws {
    let device = try device.resolved()
    let file = try Model.file(at: URL(fileURLWithPath: model))
    let tensors = try Model.tensors(at: file)
    let trained = try Model(tensors, file: file.path)
    let dataset = try dataset(for: trained, Checkpoint.data(in: tensors, file: file.path))
    let split = split ?? .test
    let found = try trained.evaluate(on: dataset, split, device: device)
    let result = Result(
      model: model, data: dataset.name, split: split.rawValue, samples: found.count,
      loss: found.meanLoss.isFinite ? found.meanLoss : nil, accuracy: found.accuracy,
      correct: found.correct,
      classes: found.confusion.enumerated().map { label, row in
        let count = row.reduce(0, +)
        return .init(
          label: label, samples: count, correct: row[label],
          accuracy: count == 0 ? nil : Double(row[label]) / Double(count))
      },
      confusion: found.confusion)
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      Console.line(String(decoding: try encoder.encode(result), as: UTF8.self))
    } else {
      Console.line(Self.table(result))
    }
  }

  /// The data that the options name, or those that the model was trained on, with images as it takes them.
  ///
  /// Other data than it was trained on are no error, but said.
  private func dataset(for trained: Model, _ own: DataDescription?) throws -> Dataset {
    let options = data.completed(by: own)
    if !data.isGiven, let folder = options.dataDir, !FileManager.default.fileExists(atPath: folder)
    {
      throw RSOError(
        folder, "the data that the model was trained on are not there",
        hint: "say where they are: --data-dir DIR, or --data NAME")
    }
    var dataset = try options.dataset()
    if let own, own.agrees(with: dataset) == false {
      Console.note("\(dataset.name): other data than the model was trained on, \(own.words)")
    }
    if let images = trained.images {
      let adapted = try dataset.adapted(to: images)
      if let note = adapted.note { Console.note("\(dataset.name): \(note)") }
      dataset = adapted.data
    }
    return dataset
  }

  private static func table(_ result: Result) -> String {
    var lines = [
      "\(result.data), \(result.split): \(result.samples) images",
      "loss      \(result.loss.map { fixed($0, 6) } ?? "not finite")",
      "accuracy  \(percent(result.accuracy)) (\(result.correct) correct)",
      "",
      "class     images   correct  accuracy",
    ]
    for row in result.classes {
      lines.append(
        "\(row.label)".padded(5, right: true) + "\(row.samples)".padded(11, right: true)
          + "\(row.correct)".padded(10, right: true)
          + (row.accuracy.map { percent($0) } ?? "–").padded(10, right: true))
    }
    return lines.joined(separator: "\n")
  }
}

extension EvaluatedSplit: ExpressibleByArgument {
  public static var allValueStrings: [String] { allCases.map(\.rawValue) }
}
