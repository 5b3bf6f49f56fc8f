import Foundation
import RSO
import Testing

/// Numbers to predict, from files to predictions.
struct TargetDataTests {
  /// The table of `TableTests` with targets instead of labels: the first feature in thousands, and 1 less.
  private static func write(
    _ place: Workplace, rows: [(String, Int)] = [("train", 60), ("test", 20)],
    shape: (Int) -> String = { "\($0), 2" }, scale: Float = 1
  ) throws {
    try TableTests.write(place)
    for (name, count) in rows {
      try FileManager.default.removeItem(at: place.file("table/\(name)_labels.npy"))
      let values = (0..<count).flatMap { index -> [Float] in
        let noise = Float(index * 37 % 19) / 19
        return [scale * (Float(index % 2) + noise), scale * (Float(index % 2) + noise - 1)]
      }
      let bytes = values.flatMap { value in
        withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
      }
      try PredictTests.npy(shape(count), type: "<f4", bytes)
        .write(to: place.file("table/\(name)_targets.npy"))
    }
  }

  private static let train = ["train", "--data-dir", "table", "--batch", "60"]

  @Test func fromTargetsToPredictions() throws {
    try Workplace.with { place in
      try Self.write(place)
      let result = try place.run(
        Self.train + [
          "--cycles", "20", "--rule", "slope", "--run", "r", "--metric", "absolute-error",
        ])
      #expect(result.code == 0, "\(result.errors)")
      #expect(
        result.errors == TableTests.note
          + "rso: note: loss squared-error: table has targets instead of classes\n")
      #expect(result.output.contains("2 outputs") && !result.output.contains("accuracy"))
      let metrics = try place.metrics("r")
      #expect(
        metrics.allSatisfy { $0.accuracy == nil && $0.loss != nil && $0.measures?.count == 1 })
      #expect((metrics.compactMap(\.loss).min() ?? 9) < 0.05)

      let evaluated = try place.run(["evaluate", "r"])
      #expect(evaluated.output.contains("(squared-error)\nabsolute-error  0."))
      let figures = try place.run(["evaluate", "r", "--json"]).output
      #expect(figures.contains("\"absolute-error\"") && figures.contains("\"samples\" : 20"))
      #expect(!figures.contains("classes") && !figures.contains("confusion"), "\(figures)")
      #expect(try place.run(["evaluate", "r", "--csv"]).errors.contains("--csv: expected classes"))
      // Predictions are the numbers themselves, near the targets.
      let predicted = try place.run(["predict", "r", "table/test.csv", "--csv"])
      let lines = predicted.output.split(separator: "\n")
      #expect(lines.count == 21 && lines[0] == "image,index,output 0,output 1")
      for (index, line) in lines.dropFirst().enumerated() {
        let numbers = line.split(separator: ",").suffix(2).compactMap { Float($0) }
        let target = Float(index % 2) + Float(index * 37 % 19) / 19
        #expect(abs(numbers[0] - target) < 0.8 && abs(numbers[1] - target + 1) < 0.8, "\(line)")
      }
      let json = try place.run(["predict", "r", "table/test.csv", "--json"])
      #expect(json.output.contains("\"outputs\":[") && !json.output.contains("classes"))
      #expect(try place.run(["predict", "r", "table/test.csv", "--top", "1"]).code != 0)
      #expect(try place.run(["report", "r"]).errors == TableTests.note)
      let page = try place.text("r/report.html")
      #expect(page.contains("squared-error") && !page.contains("Error on the test images"))
      #expect(page.contains("<th>best loss</th>") && page.contains("<th>absolute-error</th>"))

      let seeds = try place.run(Self.train + ["--cycles", "2", "--run", "s", "--seeds", "0..1"])
      #expect(seeds.output.contains("2 seeds, mean ± standard deviation: best loss 0."))
    }
  }

  @Test func whatIsWrongWithTargets() throws {
    func problem(_ change: (Workplace) throws -> Void) throws -> String {
      var found = ""
      try Workplace.with { place in
        try change(place)
        let result = try place.run(Self.train + ["--cycles", "1", "--run", "r"])
        #expect(result.code == 1)
        found = result.errors
      }
      return found
    }
    #expect(
      try problem { try Self.write($0, shape: { "\($0 / 2), 4" }) }.contains(
        "train_targets.npy: expected targets of 60 samples, as many as in train_images.npy, found the shape [30, 4]"
      ))
    #expect(
      try problem { try Self.write($0, shape: { "2, \($0)" }) }.contains("found the shape [2, 60]"))
    #expect(
      try problem { try Self.write($0, rows: [("train", 60)]) }.contains(
        "test_targets.npy: expected targets as in train_targets.npy, found no such file"))
  }

  @Test func whatIsDoubtfulAboutTargets() throws {
    try Workplace.with { place in
      try Self.write(place, scale: 1000)
      let far = try place.run(Self.train + ["--cycles", "1", "--run", "far"])
      #expect(far.errors.contains("the search fits numbers of about 1 best"))
      // Beside labels, cross entropy does not read them.
      let labels = (0..<60).map { UInt8($0 % 2) }
      try PredictTests.npy("60,", labels).write(to: place.file("table/train_labels.npy"))
      try PredictTests.npy("20,", Array(labels.prefix(20)))
        .write(to: place.file("table/test_labels.npy"))
      let both = try place.run(Self.train + ["--cycles", "1", "--run", "both"])
      #expect(both.code == 0)
      #expect(both.errors.contains("cross-entropy reads labels, not the targets beside them"))
    }
  }
}
