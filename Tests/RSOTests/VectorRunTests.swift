import Foundation
import Testing

@testable import RSO

/// Runs of searches without a network, in their folders.
struct VectorRunTests {
  private typealias Sample = VectorSearchTests

  private static let files = ["checkpoint.safetensors", "best.safetensors", "initial.safetensors"]

  private static func begin(
    _ url: URL, _ rule: Rule = .best
  ) throws -> (RandomSearch, RunFolder) {
    var search = try RandomSearch(Sample.start(), settings: Sample.settings(rule)) {
      Sample.noisy($0, $1)
    }
    let folder = try RunFolder(beginning: &search, at: url)
    return (search, folder)
  }

  @Test(arguments: [Rule.best, .slope()])
  func aStoppedRunEndsWithTheSameBits(rule: Rule) throws {
    try withTemporaryFolder { place in
      func url(_ name: String) -> URL { place.appendingPathComponent(name) }
      do {
        var (search, folder) = try Self.begin(url("whole"), rule)
        try search.run(in: folder)
      }
      for stop in 0..<6 {
        let name = "stopped-\(stop)"
        do {
          var (search, folder) = try Self.begin(url(name), rule)
          // In the middle of a tensor: nothing of it is kept.
          try search.run(in: folder) { event in
            if case .judged(let judged) = event, judged.cycle * 2 + judged.sweep == stop {
              return .stop
            }
            return .goOn
          }
          #expect(search.position.cycle * 2 + search.position.sweep == stop)
        }
        let folder = try RunFolder(resuming: url(name))
        var search = try folder.search { Sample.noisy($0, $1) }
        try search.run(in: folder)
        for file in Self.files {
          #expect(
            try Data(contentsOf: url("whole/\(file)")) == Data(contentsOf: url("\(name)/\(file)")),
            "\(file), stopped at \(stop)")
        }
      }
    }
  }

  @Test func theBestHasTheTensorsOfTheStart() throws {
    try withTemporaryFolder { place in
      let url = place.appendingPathComponent("r")
      var (search, folder) = try Self.begin(url)
      var losses: [Double] = []
      var best: [Float] = []
      try search.run(in: folder) { event in
        guard case .swept(let report) = event, let loss = report.evaluation?.meanLoss else {
          return .goOn
        }
        if loss < losses.min() ?? .infinity { best = folder.checkpoint.content.parameters.values }
        losses.append(loss)
        return .goOn
      }
      let file = try SafeTensors(contentsOf: folder.url.appendingPathComponent("best.safetensors"))
      #expect(file.tensors.map(\.name) == ["a", "b"])
      #expect(file.tensors.map(\.tensor.shape) == [[2, 3], []])
      #expect(file.tensors.flatMap(\.tensor.values) == best)
      #expect(
        folder.checkpoint.best?.loss == losses.min() && folder.checkpoint.best?.accuracy == nil)
      // It starts another search, and is no model.
      _ = try Parameters(file)
      #expect {
        _ = try Model(contentsOf: folder.url)
      } throws: {
        "\($0)".contains("best.safetensors: expected a network, found a search without one")
      }
      #expect(throws: RSOError.self) { try folder.checkpoint.model }
      #expect(throws: RSOError.self) { try folder.checkpoint.configuration.network }
      let record = try #require(
        try? Metrics.read(
          readFile(folder.url.appendingPathComponent("metrics.jsonl")), count: 6, file: "m"
        ).metrics)
      #expect(record.compactMap(\.loss).dropFirst() == losses[...])
      #expect(record.allSatisfy { $0.accuracy == nil })
    }
  }

  @Test func whatAFolderRefuses() throws {
    try withTemporaryFolder { place in
      let url = place.appendingPathComponent("r")
      do { _ = try Self.begin(url) }
      let data = try Dataset.mnist(trainLimit: 10, testLimit: 10)
      do {
        let folder = try RunFolder(resuming: url)
        #expect(throws: RSOError.self) { try folder.search(on: data) }
      }
      // Metadata that do not fit the tensors.
      let file = url.appendingPathComponent("checkpoint.safetensors")
      let sound = try SafeTensors(contentsOf: file)
      for (key, value, problem) in [
        ("widths", #"{"a":1}"#, "widths: expected a number above 0 for each tensor"),
        ("widths", #"{"a":1,"b":0}"#, "widths: expected a number above 0 for each tensor"),
        ("widths", nil, "expected 'widths' in its metadata, found none"),
        ("format_version", "2", "expected format version 1, found 2"),
        ("position", #"{"cycle":0,"sweep":2}"#, "expected a position within 3 cycles of 2 sweeps"),
        ("settings", nil, "expected 'settings' in its metadata, found none"),
      ] {
        var damaged = sound
        damaged.metadata[key] = value
        try damaged.write(to: file)
        #expect {
          _ = try Checkpoint(contentsOf: file)
        } throws: {
          "\($0)".contains(problem)
        }
      }
    }
  }

  /// A text of a checkpoint's metadata at a time; the file around it is sound.
  @Test func damagedMetadata() throws {
    try withTemporaryFolder { place in
      let url = place.appendingPathComponent("r")
      do {
        var (search, folder) = try Self.begin(url, .slope())
        try search.run(in: folder) { if case .swept = $0 { .stop } else { .goOn } }
      }
      let file = url.appendingPathComponent("checkpoint.safetensors")
      let sound = try SafeTensors(contentsOf: file)
      for (key, text) in sound.metadata.sorted(by: { $0.key < $1.key }) {
        Fuzzer.run(key, [Array(text.utf8)], count: 100) { damaged in
          var tensors = sound
          tensors.metadata[key] = String(decoding: damaged, as: UTF8.self)
          try tensors.encoded().write(to: file)
          let read = try Checkpoint(contentsOf: file)
          _ = try RandomSearch(
            read.content.parameters, settings: read.configuration.settings,
            position: read.position, ruleStates: read.ruleStates
          ) { _, _ in 0 }
        }
      }
    }
  }
}
