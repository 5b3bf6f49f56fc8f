import Foundation
import RSO
import Testing

@testable import RSOFormats

/// What a run left behind, as two runs are compared: all but the seconds.
struct RunFiles: Equatable {
  var checkpoint: Data
  var best: Data
  var configuration: Data
  var trace: Data?
  var metrics: [Metrics]
  /// TensorBoard's, without any times.
  var events: [TensorBoardEvent]

  init(_ place: Workplace, _ folder: String) throws {
    func data(_ name: String) throws -> Data {
      try Data(contentsOf: place.file("\(folder)/\(name)"))
    }
    checkpoint = try data("checkpoint.safetensors")
    best = try data("best.safetensors")
    configuration = try data("config.json")
    trace = try? data("trace.jsonl")
    metrics = try place.metricsLines(folder).map { line in
      var line = line
      line.seconds = 0
      line.evaluationSeconds = 0
      line.totals?.seconds = 0
      return line
    }
    events = try place.events(folder).map { event in
      var event = event
      event.wallTime = 0
      event.summary.value.removeAll { $0.tag.contains("seconds") }
      return event
    }
  }

  /// The names of those that differ.
  func differences(from other: RunFiles) -> [String] {
    [
      ("checkpoint", checkpoint == other.checkpoint), ("best", best == other.best),
      ("configuration", configuration == other.configuration), ("trace", trace == other.trace),
      ("metrics", metrics == other.metrics), ("events", events == other.events),
    ].filter { !$0.1 }.map(\.0)
  }
}

extension Workplace {
  /// The metrics of every finished tensor.
  func metrics(_ folder: String) throws -> [Metrics] {
    try metricsLines(folder).filter { $0.parameter != nil }
  }

  /// All metrics, those of the untrained network first.
  func metricsLines(_ folder: String) throws -> [Metrics] {
    try text("\(folder)/metrics.jsonl").split(separator: "\n").map {
      try JSONDecoder().decode(Metrics.self, from: Data($0.utf8))
    }
  }

  /// Every whole event of a run; the file must have nothing else.
  func events(_ folder: String) throws -> [TensorBoardEvent] {
    let bytes = try readFile(file("\(folder)/\(RunFolder.eventsName)"))
    var events: [TensorBoardEvent] = []
    var place = 0
    while place < bytes.count {
      let content = try #require(EventFile.content(of: bytes, at: place))
      events.append(try TensorBoardEvent(serializedBytes: Array(content)))
      place += content.count + 16
    }
    return events
  }

  func tensors(_ path: String) throws -> SafeTensors {
    try SafeTensors(contentsOf: file(path))
  }

  func traceLines(_ path: String) throws -> [TraceLine] {
    try text(path).split(separator: "\n").map {
      try JSONDecoder().decode(TraceLine.self, from: Data($0.utf8))
    }
  }

  func settings(_ folder: String) throws -> SearchSettings {
    try Checkpoint(contentsOf: file("\(folder)/checkpoint.safetensors")).configuration.settings
  }
}

/// A line of a trace as an independent program reads it.
struct TraceLine: Decodable {
  var cycle: Int
  var parameter: String
  var index: Int
  var batch: Int
  var delta: Double
  var candidates: [Double]
  var losses: [Double?]
  var choice: Int
}
