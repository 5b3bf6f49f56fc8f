import Foundation
import RSO
import Testing

/// Each kind of bad input: the exit code, an error that says what is wrong, and nothing left behind.
struct BadInputTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var arguments: [String]
    var code: Int32
    var errors: [String]
    /// Makes the input bad.
    var prepare: @Sendable (Workplace) throws -> Void = { _ in }

    var testDescription: String { arguments.joined(separator: " ") }
  }

  /// Of `rso train` on the tiny data with one more option.
  static func option(_ arguments: [String], _ code: Int32, _ errors: String...) -> Case {
    Case(
      arguments: ["train"] + Workplace.options + ["--cycles", "1", "--run", "r"] + arguments,
      code: code, errors: errors)
  }

  static let settings: [Case] = [
    option(["--cycles", "0"], 64, "--cycles: expected 1 to 1,000,000, found 0"),
    option(["--epochs", "-3"], 64, "--cycles: expected 1 to 1,000,000, found -3"),
    option(["--batch", "0"], 64, "--batch: expected 1 or more, found 0"),
    option(["--batch-size", "-1"], 64, "--batch: expected 1 or more, found -1"),
    option(["--sample_batch", "-1"], 64, "--batch: expected 1 or more, found -1"),
    option(
      ["--batch", "91"], 64,
      "--batch: expected at most the 90 training samples, found 91 (use --batch 90 or less)"),
    option(
      ["--batch", "30:1,91"], 64, "--batch: expected at most the 90 training samples, found 91"),
    option(["--batch", "30:0,45"], 64, "--batch 30: expected 1 to 1,000,000 cycles, found 0"),
    option(["--batch", "30:1"], 64, "The value '30:1' is invalid for '--batch <n>'"),
    option(["--hold", "0"], 64, "--hold: expected 1 or more elements, or channel, found 0"),
    option(["--hold", "row"], 64, "The value 'row' is invalid for '--hold <n|channel>'"),
    option(["--rule", "worst"], 64, "--rule: expected best, leader:keep=K", "found 'worst'"),
    option(
      ["--rule", "slope:c=0"], 64, "--rule: expected best, leader:keep=K", "found 'slope:c=0'"),
    option(["--round", "0"], 64, "--round: expected 1 or more elements, or channel, found 0"),
    option(["--round", "channel:1"], 64, "The value 'channel:1' is invalid for '--round"),
    option(
      ["--round", "1:0,channel"], 64,
      "--round 1: expected 1 to 1,000,000 cycles, found 0 (a schedule such as"),
    option(
      ["--anneal", "-1"], 64, "--anneal: expected a fraction from 0 to 1, found -1.0 (it is what"),
    option(["--batch", "ten"], 64, "The value 'ten' is invalid for '--batch <n>'"),
    option(["--anneal", "1.5"], 64, "--anneal: expected a fraction from 0 to 1, found 1.5"),
    option(["--anneal", "nan"], 64, "--anneal: expected a fraction from 0 to 1, found nan"),
    option(["--wd", "-0.1"], 64, "--weight-decay: expected 0 or more", "found -0.1"),
    option(["--weight-decay", "1"], 64, "--weight-decay: expected 0 or more", "found 1.0"),
    option(["--sigma-scale", "0"], 64, "--sigma-scale: expected a number above 0, found 0.0"),
    option(["--seed", "-1"], 64, "The value '-1' is invalid for '--seed <n>'"),
    option(["--threads", "0"], 64, "--threads: expected 1 to 1024, found 0"),
    option(
      ["--threads", "2", "--device", "reference"], 64, "--threads: the reference has one thread"),
    option(["--device", "tpu"], 64, "The value 'tpu' is invalid", "reference", "cuda:0"),
    option(["--device", "cuda:x"], 64, "The value 'cuda:x' is invalid"),
    // No machine has so many.
    option(["--gpu", "99"], 1, "rso: error: cuda:99: "),
    option(["--device", "cuda:99"], 1, "rso: error: cuda:99: "),
    option(["--gpu", "-1"], 64, "--gpu: expected a GPU's number from 0 on, found -1"),
    option(["--gpu", "0", "--device", "cpu"], 64, "--gpu: expected it without another --device"),
    option(
      ["--precision", "tf32"], 64, "--precision: it is for a GPU, found tf32 with --device cpu"),
    option(["--precision", "fp8", "--gpu", "0"], 64, "--precision"),
    option(["--gpu", "0", "--threads", "2"], 64, "--threads: it is for the CPU, found 2"),
    option(["--train-limit", "0"], 64, "--train-limit: expected 1 to 90, found 0"),
    option(["--test-limit", "31"], 64, "--test-limit: expected 1 to 30, found 31"),
    option(["--sweeps", "conv9=1"], 64, "--sweeps: expected the name", "'conv9'", "conv0"),
    option(["--sweeps", "conv0"], 64, "--sweeps: expected", "conv0=0,fc=2, found 'conv0'"),
    option(["--sweeps", "conv0=-1"], 64, "--sweeps conv0: expected 0 to 1000 times, found -1"),
    option(
      ["--only", "fc.weight", "--only", "conv9*"], 64,
      "--only: expected a pattern of the names of parameters, found 'conv9*', which matches none",
      "(there are conv0.weight, bn0.weight, "),
    option(
      ["--only", "fc.*", "--sweeps", "fc=0"], 64, "--sweeps: expected a layer to sweep", "--only"),
    option(["--sweeps", "fc=1,fc=2"], 64, "--sweeps: expected each layer once, found 'fc' again"),
    option(["--sweeps", "conv0=0,conv1=0,fc=0"], 64, "--sweeps: expected a layer to sweep"),
    option(["--layers", "6"], 64, "--network: expected it without --layers, found both"),
    option(
      ["--data", "mnist"], 1,
      "digits: expected images of 1×28×28 in 10 classes, as mnist has, found 1×8×8 in 3"),
    option(["--tensor-order", "up"], 64, "'output-to-input' and 'input-to-output'"),
    option(["--preset", "slow"], 64, "The value 'slow' is invalid", "quick"),
    option(["--nonsense"], 64, "Unknown option '--nonsense'"),
    option(["--resume", "--from", "m"], 64, "--from: a run that goes on has begun already"),
    Case(arguments: ["train", "--resume"], code: 64, errors: ["--resume: expected --run DIR"]),
    Case(
      arguments: ["train", "--layers", "7"], code: 64,
      errors: ["--layers: expected 6 (the paper's MNIST network) or 9"]),
    Case(
      arguments: ["train", "--data", "c10", "--run", "r"], code: 1,
      errors: [
        "cifar10: the data set is not on this machine ",
        "(fetch it with: rso data fetch cifar10)",
      ]),
    Case(
      arguments: ["train", "--data", "C10", "--layers", "9", "--epochs", "500"], code: 1,
      errors: ["rso data fetch cifar10"]),
    Case(
      arguments: ["train", "--network", "cifar10"], code: 1, errors: ["rso data fetch cifar10"]),
    Case(
      arguments: ["train", "--data", "mnits"], code: 64,
      errors: [
        "--data: expected mnist, fashion-mnist, kmnist, cifar10, found 'mnits'", "--data-dir DIR",
      ]),
  ]

  /// Of `rso train` on data or a network that `prepare` made bad.
  static func files(
    _ errors: [String], _ prepare: @escaping @Sendable (Workplace) throws -> Void
  ) -> Case {
    Case(
      arguments: ["train"] + Workplace.options + ["--run", "r"], code: 1, errors: errors,
      prepare: prepare)
  }

  static let inputs: [Case] = [
    files(["digits: expected train-images-idx3-ubyte", "the folder does not exist"]) {
      try FileManager.default.removeItem(at: $0.file("digits"))
    },
    files(["digits: expected t10k-labels-idx1-ubyte"]) {
      try FileManager.default.removeItem(at: $0.file("digits/t10k-labels-idx1-ubyte"))
    },
    files(["train-images-idx3-ubyte: expected 90×8×8 bytes", "found 4984", "cut short"]) {
      let file = $0.file("digits/train-images-idx3-ubyte")
      try Data(contentsOf: file).prefix(5000).write(to: file)
    },
    files(["train-images-idx3-ubyte: expected magic 2051, found 2049", "swapped"]) {
      let images = $0.file("digits/train-images-idx3-ubyte")
      let labels = $0.file("digits/train-labels-idx1-ubyte")
      try FileManager.default.removeItem(at: images)
      try FileManager.default.moveItem(at: labels, to: images)
      try Data(contentsOf: images).write(to: labels)
    },
    files(["network: gives 3 classes, found 8 in digits"]) {
      let file = $0.file("digits/train-labels-idx1-ubyte")
      var labels = try Data(contentsOf: file)
      labels[20] = 7
      try labels.write(to: file)
    },
    files(["net.json: cannot be read: No such file or directory"]) {
      try FileManager.default.removeItem(at: $0.file("net.json"))
    },
    files([
      "net.json, line 8, column 49: expected ',' or '}', found the end of the text (cut short?)"
    ]) {
      try Data(Workplace.network.utf8.dropLast(3)).write(to: $0.file("net.json"))
    },
    files(["net.json, line 6, column 19, layer bn1: unknown type 'layerNorm'", "here is batchNorm"])
    {
      try $0.edit(
        "net.json", "\"bn1\", \"type\": \"batchNorm\"", "\"bn1\", \"type\": \"layerNorm\"")
    },
    files([
      "net.json, line 5, column 54, layer conv1: a conv2d has no 'strides' (here it is 'stride')"
    ]) {
      try $0.edit("net.json", "\"channels\": 4,", "\"channels\": 4, \"strides\": 2,")
    },
    files([
      "net.json, line 5, column 3, layer conv1: a kernel of 30 with padding 1 does not fit into 3×8×8"
    ]) {
      try $0.edit("net.json", "\"channels\": 4, \"kernel\": 3", "\"channels\": 4, \"kernel\": 30")
    },
    files(["net.json, line 8, column 3, layer fc: a linear layer takes a flat input, found 4×8×8"])
    {
      try $0.edit("net.json", "\"globalMaxPool\"", "\"relu\"")
    },
    files(["network: expects images of 1×9×8, found 1×8×8 in digits"]) {
      try $0.edit("net.json", "\"height\": 8", "\"height\": 9")
    },
  ]

  static func folder(
    _ arguments: [String], _ errors: [String],
    _ prepare: @escaping @Sendable (Workplace) throws -> Void
  ) -> Case {
    Case(
      arguments: ["train"] + Workplace.options + arguments, code: 1, errors: errors,
      prepare: prepare)
  }

  static let folders: [Case] = [
    folder(["--run", "r"], ["/r: expected an empty folder, found notes.txt", "--run DIR"]) {
      try $0.makeFolder("r")
      try Data().write(to: $0.file("r/notes.txt"))
    },
    folder(["--run", "r"], ["/r: expected a folder, found a file", "--run DIR"]) {
      try Data().write(to: $0.file("r"))
    },
    folder(["--run", "r/s/t"], ["/r: expected a folder, found a file"]) {
      try Data().write(to: $0.file("r"))
    },
    folder(["--run", "/proc/none/r"], ["the folder cannot be made", "--run DIR"]) { _ in },
    folder(["--run", "r/s", "--resume"], ["/r/s: expected a run to resume, found no checkpoint"]) {
      _ in
    },
    folder(["--run", "r", "--resume"], ["/r: expected a run to resume, found no checkpoint"]) {
      try $0.makeFolder("r")
    },
    folder(["--run", "r/s", "--save-initial", "none/m"], ["none/m: cannot be written"]) { _ in },
    folder(["--run", "r/s", "--trace", "digits"], ["digits: cannot be written: Is a directory"]) {
      _ in
    },
    folder(["--run", "r", "--from", "m"], ["/m: cannot be read: No such file"]) { _ in },
    folder(["--run", "r", "--from", "net.json"], ["net.json", "safetensors"]) { _ in },
    folder(
      ["--run", "r", "--from", "m"],
      ["m: expected the tensors of the network, found no conv0.weight, bn0.weight, ", "fc.weight"]
    ) {
      try SafeTensors(tensors: []).write(to: $0.file("m"))
    },
    Case(
      arguments: ["train", "--data-dir", "digits", "--from", "m"], code: 1,
      errors: ["m: expected a model of rso, found weights without their network", "--network"]
    ) {
      try $0.writeModel("m") { $0.metadata = [:] }
    },
    folder(
      ["--run", "r", "--from", "m"], ["m: expected finite values, found nan at conv1.weight[5]"]
    ) {
      try $0.writeModel("m") { $0["conv1.weight"]?.values[5] = .nan }
    },
    folder(["--run", "r", "--from", "m"], ["m: expected", "of all values"]) {
      try $0.writeModel("m") { _ in }
      try Data(contentsOf: $0.file("m")).dropLast(4).write(to: $0.file("m"))
    },
    folder(
      ["--run", "r", "--from", "m"],
      ["m: expected {\"bias\":false,\"channels\":5,", "found {\"bias\":false,\"channels\":4,"]
    ) {
      try $0.writeModel("m") { _ in }
      try $0.edit("net.json", "\"channels\": 4", "\"channels\": 5")
    },
  ]

  @Test(arguments: settings + inputs + folders)
  func isRefused(_ test: Case) throws {
    try Workplace.with { place in
      try test.prepare(place)
      let before = try place.files()
      let result = try place.run(test.arguments)
      #expect(result.code == test.code)
      #expect(result.output == "")
      #expect(
        result.errors.hasPrefix(result.errors.contains("Usage:") ? "Error: " : "rso: error: "))
      for text in test.errors {
        #expect(result.errors.contains(text), "no '\(text)' in: \(result.errors)")
      }
      #expect(try place.files() == before)
    }
  }
}

extension Workplace {
  func makeFolder(_ path: String) throws {
    try FileManager.default.createDirectory(at: file(path), withIntermediateDirectories: true)
  }

  /// Replaces a part of a file, which must be in it.
  func edit(_ path: String, _ old: String, _ new: String) throws {
    let text = try text(path)
    try #require(text.contains(old))
    try Data(text.replacingOccurrences(of: old, with: new).utf8).write(to: file(path))
  }

  /// An untrained model of the tiny network, changed by `change`.
  func writeModel(_ path: String, _ change: (inout SafeTensors) -> Void) throws {
    let data = try Dataset.idx(directory: file("digits"))
    let network = try Network(json: Data(Self.network.utf8), name: "net.json")
    var settings = SearchSettings()
    settings.batchSize = 30
    var search = try RandomSearch(network: network, data: data, settings: settings)
    _ = try search.evaluate()
    try search.model.write(to: file(path))
    var tensors = try SafeTensors(contentsOf: file(path))
    change(&tensors)
    try tensors.write(to: file(path))
  }
}
