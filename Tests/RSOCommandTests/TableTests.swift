import Foundation
import RSO
import Testing

/// Tables: rows of features in place of images.
struct TableTests {
  /// 60 rows to train on and 20 to test with, of three features of very different scales; the classes are apart in two.
  static func write(_ place: Workplace, _ folder: String = "table", type: String = "<f8") throws {
    try FileManager.default.createDirectory(
      at: place.file(folder), withIntermediateDirectories: true)
    for (name, count) in [("train", 60), ("test", 20)] {
      let rows = (0..<count).map(row)
      let content: [UInt8] = rows.joined().flatMap { value -> [UInt8] in
        type == "<f8"
          ? withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
          : withUnsafeBytes(of: Float(value).bitPattern.littleEndian) { Array($0) }
      }
      try PredictTests.npy("\(count), 3", type: type, content)
        .write(to: place.file("\(folder)/\(name)_images.npy"))
      // Labels are floats, as many programs have them.
      let labels = (0..<count).flatMap { index in
        withUnsafeBytes(of: Double(index % 2).bitPattern.littleEndian) { Array($0) }
      }
      try PredictTests.npy("\(count),", type: "<f8", labels)
        .write(to: place.file("\(folder)/\(name)_labels.npy"))
      let lines = rows.map { $0.map { "\($0)" }.joined(separator: ",") }
      try Data((["age,weight,\"size, in m\""] + lines).joined(separator: "\n").utf8)
        .write(to: place.file("\(folder)/\(name)-bad.csv"))
      try Data((["age,weight,size"] + lines).joined(separator: "\n").utf8)
        .write(to: place.file("\(folder)/\(name).csv"))
    }
  }

  private static func row(_ index: Int) -> [Double] {
    let noise = Double(index * 37 % 19) / 19
    let label = Double(index % 2)
    return [1000 * (label + noise), 0.001 * (noise - label), noise]
  }

  static let note =
    "rso: note: train_images.npy and test_images.npy: float64, rounded to 32 bits\n"

  /// Without a network there is one for tables, and the features are standardised.
  @Test func fromTheDataToPredictions() throws {
    try Workplace.with { place in
      try Self.write(place)
      let train = ["train", "--data-dir", "table", "--batch", "60", "--cycles", "6", "--run", "r"]
      let result = try place.run(train)
      #expect(result.code == 0 && result.errors == Self.note)
      #expect(result.output.contains("data: table, 60 rows of 3 features to train on, 20 to test"))
      let model = try Model(contentsOf: place.file("r"))
      #expect(model.network == (try .table(features: 3, classes: 2)))
      let data = try Dataset.numPy(directory: place.file("table"))
      #expect(model.normalization == data.normalization && model.normalization.divides)
      #expect(try model.evaluate(on: data).accuracy >= 0.95)
      #expect(try place.run(["evaluate", "r"]).output.contains("accuracy  "))

      let ofArray = try place.run(["predict", "r", "table/test_images.npy", "--json"])
      #expect(
        ofArray.errors == "rso: note: table/test_images.npy: float64, rounded to 32 bits\n")
      let ofText = try place.run(["predict", "r", "table/test.csv", "--json"])
      #expect(ofText.code == 0 && ofText.errors == "")
      #expect(ofText.output.split(separator: "\n").count == 20)
      #expect(
        ofText.output
          == ofArray.output.replacingOccurrences(of: "test_images.npy", with: "test.csv"))

      let exported = try place.run(["export", "r", "--onnx", "m.onnx", "--safetensors", "w"])
      #expect(exported.output.contains("m.onnx: input float32 [N, 3], output logits [N, 2]\n"))
      #expect(exported.output.contains("(floats − ["))
      let described = try place.run(["describe", "--data-dir", "table", "--no-time"])
      #expect(described.output.contains("table: 60 training and 20 test rows of 3 features, 2"))
      #expect(described.output.contains("fc0    linear  16"))
      let report = try place.run(["report", "r", "--quiet"])
      #expect(report.code == 0)
      #expect(try place.text("r/report.html").contains("Mistakes"))
    }
  }

  /// Whole numbers in a text are what the model was trained on: bytes, or floats.
  @Test func wholeNumbers() throws {
    try Workplace.with { place in
      try Self.write(place)
      try Self.write(place, "bytes")
      let rows = (UInt8(0)..<60).flatMap { index -> [UInt8] in
        [index % 2 * 90 + index, 255 - index, index % 3]
      }
      try PredictTests.npy("60, 3", rows).write(to: place.file("bytes/train_images.npy"))
      try PredictTests.npy("20, 3", Array(rows.prefix(60)))
        .write(to: place.file("bytes/test_images.npy"))
      for data in ["bytes", "table"] {
        let train = ["train", "--data-dir", data, "--batch", "60", "--cycles", "1", "--run"]
        #expect(try place.run(train + ["r-\(data)"]).code == 0)
      }
      try Data("0,255,0\n91,254,1\n".utf8).write(to: place.file("t.csv"))
      try PredictTests.npy("2, 3", [0, 255, 0, 91, 254, 1]).write(to: place.file("t.npy"))
      let (text, array) = try (
        place.run(["predict", "r-bytes", "t.csv"]), place.run(["predict", "r-bytes", "t.npy"])
      )
      #expect(text.code == 0 && text.errors == "" && array.errors == "")
      #expect(text.output == array.output.replacingOccurrences(of: "t.npy", with: "t.csv"))
      let floats = try place.run(["predict", "r-table", "t.csv"])
      #expect(floats.code == 0 && floats.errors == "")
      try Data("0.5,2,0\n".utf8).write(to: place.file("u.csv"))
      let others = try place.run(["predict", "r-bytes", "u.csv"])
      #expect(
        others.code == 1 && others.errors.contains("u.csv: expected bytes, or floats from 0 to 1"))
    }
  }

  /// What the options ask for is in the model, and the run goes on with it.
  @Test(arguments: [
    ("none", [Float](repeating: 0, count: 3), false), ("mean", nil, false), ("standard", nil, true),
  ])
  func normalizations(method: String, mean: [Float]?, divides: Bool) throws {
    try Workplace.with { place in
      try Self.write(place, type: "<f4")
      let options = ["train", "--data-dir", "table", "--batch", "60", "--run", "r"]
      #expect(try place.run(options + ["--normalize", method, "--cycles", "2"]).code == 0)
      let whole = try RunFiles(place, "r")
      let normalization = try Model(contentsOf: place.file("r")).normalization
      #expect(normalization.divides == divides)
      let data = try Dataset.numPy(directory: place.file("table"))
      #expect(normalization.mean == mean ?? data.mean)
      try FileManager.default.removeItem(at: place.file("r"))
      let running = try Tool.Running(
        options + ["--normalize", method, "--cycles", "2"], in: place.url)
      while running.process.isRunning,
        ((try? place.text("r/metrics.jsonl")) ?? "").count(where: { $0 == "\n" }) < 2
      {
        usleep(200)
      }
      running.send(SIGKILL)
      _ = try running.wait()
      let other = try place.run(["train", "--run", "r", "--resume", "--normalize", "pixels"])
      #expect(other.code == 64)
      #expect(other.errors.contains("--normalize: the run has \(method), found pixels"))
      #expect(
        try place.run(["train", "--run", "r", "--resume", "--normalize", method]).code == 0)
      #expect(whole.differences(from: try RunFiles(place, "r")) == [])
    }
  }

  /// Images: bytes / 255 without a mean, and standardised.
  @Test func ofImages() throws {
    try Workplace.with { place in
      let data = try Dataset.idx(directory: place.file("digits"))
      for (method, expected) in [
        ("pixels", Normalization(mean: [0])), ("mean", data.normalization),
        ("standard", try data.normalized(by: .standard).normalization),
      ] {
        #expect(
          try place.train(["--cycles", "1", "--run", method, "--normalize", method]).code == 0)
        #expect(try Model(contentsOf: place.file(method)).normalization == expected)
      }
      // The default has the bits that it always had.
      #expect(try place.train(["--cycles", "1", "--run", "plain"]).code == 0)
      let (plain, mean) = try (
        place.tensors("plain/best.safetensors"), place.tensors("mean/best.safetensors")
      )
      #expect(plain.metadata["mean"] == mean.metadata["mean"])
      #expect(plain.metadata["deviation"] == nil && plain.metadata["format_version"] == "1")
      // A start from a model may read something else, if it is asked for.
      let more = ["--from", "standard", "--cycles", "1"]
      #expect(try place.train(more + ["--run", "a"]).code == 0)
      #expect(try Model(contentsOf: place.file("a")).normalization.divides)
      #expect(try place.train(more + ["--run", "b", "--normalize", "mean"]).code == 0)
      #expect(try Model(contentsOf: place.file("b")).normalization == data.normalization)
    }
  }

  static let cases: [BadInputTests.Case] = [
    .init(
      arguments: ["predict", "r", "table/test-bad.csv"], code: 1,
      errors: [
        "table/test-bad.csv, line 1: expected 3 names, one for each feature, found 4"
      ]),
    .init(
      arguments: ["predict", "r", "wrong.csv"], code: 1,
      errors: ["wrong.csv, line 2, column 3: expected a number, found 'tall'"]
    ) { try Data("1,2,3\n4,5,tall\n".utf8).write(to: $0.file("wrong.csv")) },
    .init(
      arguments: ["predict", "r", "empty.csv"], code: 1,
      errors: ["empty.csv: expected rows of numbers, found none"]
    ) { try Data("a,b,c\n".utf8).write(to: $0.file("empty.csv")) },
    .init(
      arguments: ["predict", "m", "table/test.csv"], code: 1,
      errors: ["table/test.csv: expected a PNG, JPEG, .npy or IDX file, found a table"]
    ) { try $0.writeModel("m") { _ in } },
    .init(
      arguments: ["predict", "m", "flat.npy"], code: 1,
      errors: [
        "flat.npy: expected images of 1×8×8, found rows of 64 features "
          + "(convert them: array.reshape(-1, 1, 8, 8))"
      ]
    ) {
      try $0.writeModel("m") { _ in }
      try PredictTests.npy("1, 64", [UInt8](repeating: 9, count: 64)).write(to: $0.file("flat.npy"))
    },
    .init(
      arguments: ["train", "--data-dir", "table", "--normalize", "pixels", "--run", "x"], code: 64,
      errors: [
        "--normalize: pixels: expected bytes in train_images.npy, found floats "
          + "(none takes floats as they are)"
      ]),
    .init(
      arguments: ["train", "--data-dir", "table", "--normalize", "some", "--run", "x"], code: 64,
      errors: ["The value 'some' is invalid for '--normalize"]),
    .init(
      arguments: ["train", "--data-dir", "table", "--layers", "6", "--run", "x"], code: 1,
      errors: ["pool1"]),
  ]

  @Test func refuses() throws {
    try Workplace.with { place in
      try Self.write(place)
      let train = ["train", "--data-dir", "table", "--batch", "60", "--cycles", "1", "--run", "r"]
      #expect(try place.run(train).code == 0)
      for test in Self.cases {
        try test.prepare(place)
        let result = try place.run(test.arguments)
        #expect(result.code == test.code, "\(test.arguments)")
        for text in test.errors { #expect(result.errors.contains(text), "\(result.errors)") }
        #expect(!FileManager.default.fileExists(atPath: place.file("x").path))
      }
    }
  }
}
