import Foundation
import Testing

@testable import RSO

/// Every reader, with damaged inputs: each is read or refused, and nothing ends the program.
@Suite(.serialized) struct FuzzTests {
  static let network = """
    {"input": {"channels": 2, "height": 8, "width": 6}, "layers": [
      {"name": "conv", "type": "conv2d", "channels": 3, "kernel": 3, "stride": 2, "padding": 1},
      {"name": "bn", "type": "batchNorm", "epsilon": 0.001},
      {"name": "depth", "type": "depthwiseConv2d", "kernel": 3, "padding": 1, "bias": true},
      {"name": "relu", "type": "relu", "input": "bn"},
      {"name": "add", "type": "add", "of": "depth"},
      {"name": "pool", "type": "averagePool", "kernel": 2, "stride": 1, "padding": 1},
      {"name": "most", "type": "maxPool", "kernel": 2},
      {"name": "flat", "type": "flatten"},
      {"name": "fc", "type": "linear", "features": 3, "bias": true, "proposalDeviation": 0.5}]}
    """

  private static func checkpoint() throws -> Checkpoint {
    let shape = Shape(channels: 2, height: 8, width: 6)
    let split = try Split(
      images: (0..<30 * shape.count).map { UInt8(truncatingIfNeeded: $0 * $0) },
      labels: (0..<30).map { Int32($0 % 3) }, shape: shape)
    let data = try Dataset(name: "d", train: split, test: split)
    let network = try Network(json: Data(network.utf8), name: "n")
    var settings = SearchSettings()
    settings.batchSize = 10
    settings.firstBatches = [.init(size: 5, cycles: 2)]
    settings.firstRounds = [.init(span: .elements(3), cycles: 1)]
    settings.hold = .elements(4)
    settings.only = ["conv*", "fc.weight"]
    settings.sweeps = ["fc": 2]
    var search = try RandomSearch(network: network, data: data, settings: settings)
    _ = try search.evaluate()
    var checkpoint = Checkpoint(
      search.content,
      configuration: RunConfiguration(
        data: try DataDescription(data, directory: "/d"), network: network, settings: settings,
        trace: "t"))
    checkpoint.position = .init(cycle: 1, sweep: 1)
    checkpoint.best = .init(accuracy: 0.5, cycle: 0, parameter: "fc.weight")
    return checkpoint
  }

  @Test func networks() {
    Fuzzer.run("network", [Array(Self.network.utf8)], count: 1500) { text in
      let network = try Network(json: Data(text), name: "n")
      _ = Parameters.slots(of: network)
      _ = try network.json()
    }
  }

  /// A text of a checkpoint's metadata at a time; the file around it is sound.
  @Test func checkpoints() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("c")
      try Self.checkpoint().write(to: url)
      let whole = try SafeTensors(contentsOf: url)
      // Any text names a trace.
      let texts = whole.metadata.filter { $0.key != "trace" }.sorted { $0.key < $1.key }
      for (key, text) in texts {
        Fuzzer.run(key, [Array(text.utf8)], count: 150) { damaged in
          var tensors = whole
          tensors.metadata[key] = String(decoding: damaged, as: UTF8.self)
          try tensors.encoded().write(to: url)
          let read = try Checkpoint(contentsOf: url)
          // What resuming and describing make of it.
          let settings = read.configuration.settings
          try settings.validate(samples: 30, network: read.model.network)
          _ = try CostModel(network: read.model.network, settings: settings, train: 30, test: 30)
            .total
          _ = settings.deviation(of: 1, cycle: read.position.cycle)
        }
      }
    }
  }

  @Test func safeTensors() throws {
    let file = Array(try Self.checkpoint().model.safeTensors(file: "m").encoded())
    Fuzzer.run("safetensors", [file]) {
      _ = try Model(SafeTensors(data: Data($0), name: "f"), file: "f")
    }
    let length = file.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    let (header, body) = (Array(file[8..<8 + length]), Array(file[(8 + length)...]))
    Fuzzer.run("header", [header]) { damaged in
      let size = withUnsafeBytes(of: UInt64(damaged.count).littleEndian) { Array($0) }
      _ = try Model(SafeTensors(data: Data(size + damaged + body), name: "f"), file: "f")
    }
    let network = try Network(json: Data(Self.network.utf8), name: "n")
    Fuzzer.run("state dict", [file]) {
      let tensors = try SafeTensors(data: Data($0), name: "f", skipping: StateDict.isCount)
      _ = try StateDict(tensors, for: network, file: "f")
    }
  }

  private static func npy(_ type: String, _ shape: String, _ content: [UInt8]) -> [UInt8] {
    let header = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(shape)), }\n"
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0] + Array(header.utf8)
      + content
  }

  /// As `--data-dir` and as `rso predict` read images.
  @Test func images() throws {
    let bytes = (0..<96).map { UInt8($0) }
    let idx: [UInt8] = [0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 4] + bytes
    let idx4: [UInt8] = [0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 4] + bytes
    let arrays = [
      Self.npy("|u1", "6, 4, 4", bytes), Self.npy("<f4", "2, 1, 4, 3", bytes),
      Self.npy("<i8", "12,", bytes),
    ]
    try withTemporaryFolder { folder in
      func write(_ name: String, _ content: [UInt8]) throws {
        try Data(content).write(to: folder.appendingPathComponent(name))
      }
      let url = folder.appendingPathComponent("a")
      for (name, samples) in [("npy", arrays), ("idx", [idx, idx4, Array(try gzip(Data(idx)))])] {
        Fuzzer.run("\(name) stream", samples) { damaged in
          try write("a", damaged)
          guard let stream = try ImageStream(FileReader(url), name: "a") else { return }
          while try stream.next(4) != nil {}
          throw RSOError("a", "read")
        }
      }
      try write("train_labels.npy", Self.npy("|u1", "6,", [0, 1, 2, 0, 1, 2]))
      try write("test_images.npy", arrays[0])
      try write("test_labels.npy", Self.npy("|u1", "6,", [0, 1, 2, 0, 1, 2]))
      Fuzzer.run("npy folder", arrays) { damaged in
        try write("train_images.npy", damaged)
        _ = try Dataset.folder(folder)
      }
      try write("train_images.npy", arrays[0])
      Fuzzer.run("npy labels", [Self.npy("<i2", "6,", [0, 0, 1, 0, 2, 0, 0, 0, 1, 0, 2, 0])]) {
        try write("train_labels.npy", $0)
        _ = try Dataset.folder(folder)
      }
    }
  }

  @Test func compressedData() throws {
    let samples = try [
      Array(gzip(Data(repeating: 7, count: 3000))), Array(gzip(Data([1])) + gzip(Data([2, 3]))),
    ]
    Fuzzer.run("gzip", samples) { _ = try Gzip.inflate($0, name: "z") }
  }

  @Test func metrics() {
    let old = """
      {"cycle":1,"parameter":"fc.weight","keptShare":0.5,"meanLoss":null,"testLoss":1.5,\
      "testAccuracy":0.25,"bestAccuracy":0.5,"seconds":0.125,"evaluationSeconds":0}

      """
    let new = """
      {"cycle":0,"parameter":null,"keptShare":null,"meanLoss":null,"validationLoss":1.5,\
      "validationAccuracy":0.25,"bestAccuracy":null,"seconds":0,"evaluationSeconds":0.25,\
      "batch":100,"sigma":0.5,"proposals":9,"evaluations":27,"totalSeconds":0.25}

      """
    Fuzzer.run("metrics", [Array(old.utf8), Array(new.utf8)]) {
      _ = try Metrics.read($0, count: 1, file: "m")
    }
  }
}
