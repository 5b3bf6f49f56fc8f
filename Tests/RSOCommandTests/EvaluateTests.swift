import Foundation
import RSO
import Testing

struct EvaluateTests {
  private struct Answer: Decodable {
    struct Class: Decodable {
      var label: Int
      var samples: Int
      var predicted: Int
      var correct: Int
      var precision: Double?
      var recall: Double?
      var f1: Double?
    }
    var model: String
    var data: String
    var split: String
    var samples: Int
    var loss: Double?
    var accuracy: Double
    var correct: Int
    var macroPrecision: Double
    var macroRecall: Double
    var macroF1: Double
    var auc: Double?
    var classes: [Class]
    var confusion: [[Int]]
  }

  private static let data = ["--data-dir", "digits"]

  @Test func findsWhatTheRunFound() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "2", "--run", "r"]).code == 0)
      let last = try #require(try place.metrics("r").last)
      let best = try #require(try place.metrics("r").compactMap(\.accuracy).max())
      for (name, accuracy, loss) in [
        ("checkpoint", last.accuracy, last.loss), ("best", best, nil),
      ] {
        let model = "r/\(name).safetensors"
        let result = try place.run(["evaluate", model, "--json"] + Self.data)
        #expect(result.code == 0)
        #expect(result.errors == "")
        let answer = try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
        #expect(answer.model == model)
        #expect(answer.data == "digits")
        #expect(answer.split == "test")
        #expect(answer.samples == 30)
        #expect(answer.accuracy == accuracy)
        // The file's running statistics have 24 bits, those of the run 53.
        if let loss { #expect(abs((answer.loss ?? 0) - loss) <= 1e-5 * loss) }
        #expect(answer.classes.map(\.label) == [0, 1, 2])
        #expect(answer.classes.map(\.samples) == [10, 10, 10])
        #expect(answer.classes.map(\.correct).reduce(0, +) == answer.correct)
        #expect(answer.confusion.map { $0.reduce(0, +) } == [10, 10, 10])

        let table = try place.run(["evaluate", model] + Self.data).output
        #expect(table.contains("digits, test: 30 images\n"))
        // The arithmetic is compared with scikit-learn in ClassScoresTests; here, that it is about this matrix.
        let scores = ClassScores(confusion: answer.confusion)
        #expect(answer.macroF1 == scores.macroF1 && answer.macroRecall == scores.macroRecall)
        #expect(answer.macroPrecision == scores.macroPrecision && answer.auc == nil)
        let measured = try place.run(
          ["evaluate", model, "--csv", "--metric", "kappa", "--metric", "auc"] + Self.data
        ).output.split(separator: "\n")
        let plain = try place.run(["evaluate", model, "--csv"] + Self.data).output
          .split(separator: "\n")
        let metrics = try place.run(
          ["evaluate", model, "--json", "--metric", "kappa", "--metric", "auc"] + Self.data
        ).output
        #expect(measured[0] == plain[0] + ",auc,kappa")
        #expect(measured[1..<4].elementsEqual(plain[1...].map { $0 + ",," }))
        let all = try #require(measured.last).split(separator: ",")
        #expect(measured.count == 5 && all.prefix(4) == ["all", "30", "30", "\(answer.correct)"])
        for (name, value) in zip(["auc", "kappa"], all.suffix(2)) {
          #expect(metrics.contains("\"\(name)\" : \(value)"), "\(name): \(value)")
        }
        let csv = try place.run(["evaluate", model, "--csv"] + Self.data).output
        var rows = csv.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(rows.removeFirst() == "class,images,predicted,correct,precision,recall,f1")
        #expect(rows.removeLast() == "")
        func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
        func share(_ value: Double?) -> String {
          value.map { String(format: "%.2f %%", 100 * $0) } ?? "–"
        }
        func cells(_ line: Substring) -> [String] {
          line.replacing(" %", with: "%").split(separator: " ").map {
            $0.replacingOccurrences(of: "%", with: " %")
          }
        }
        let lines = table.split(separator: "\n")
        for (label, row) in answer.classes.enumerated() {
          let own = scores.classes[label]
          #expect(row.precision == own.precision && row.recall == own.recall && row.f1 == own.f1)
          #expect(row.predicted == own.predicted)
          #expect(
            rows[label]
              == "\(label),10,\(row.predicted),\(row.correct),\(number(row.precision)),"
              + "\(number(row.recall)),\(number(row.f1))")
          let ownLines = lines.filter { $0.hasPrefix("\(label) ") }.map(cells)
          #expect(
            ownLines.first == [
              "\(label)", "10", "\(row.correct)", share(row.precision), share(row.recall),
              share(row.f1),
            ], "\(table)")
          // The confusion matrix comes below.
          #expect(
            ownLines.last == ["\(label)"] + answer.confusion[label].map { "\($0)" }, "\(table)")
        }
        let average = try #require(lines.first { $0.hasPrefix("macro average ") })
        #expect(
          cells(average).dropFirst(2) == [
            share(scores.macroPrecision), share(scores.macroRecall), share(scores.macroF1),
          ])
      }
      let train = try place.run(
        ["evaluate", "r/best.safetensors", "--split", "train", "--device", "reference"] + Self.data)
      #expect(train.output.hasPrefix("digits, train: 90 images\n"))
    }
  }

  /// A network of two classes has an area under its ROC curve, here that of the model's own logits.
  @Test func twoClassesHaveACurve() throws {
    try Workplace.with { place in
      for name in ["train", "t10k"] {
        let file = place.file("digits/\(name)-labels-idx1-ubyte")
        var labels = try Data(contentsOf: file)
        for index in 8..<labels.count { labels[index] = labels[index] == 2 ? 1 : labels[index] }
        try labels.write(to: file)
      }
      try place.edit("net.json", #""features": 3"#, #""features": 2"#)
      #expect(try place.train(["--cycles", "1", "--run", "r"]).code == 0)
      let result = try place.run(["evaluate", "r", "--json", "--class-names", "bar,\"x\""])
      #expect(result.errors == "")
      let answer = try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
      let model = try Model(contentsOf: place.file("r"))
      let data = try Dataset.idx(directory: place.file("digits"))
      let scores = try model.predict(data.test.images).map {
        Double($0.logits[1] - $0.logits[0])
      }
      let area = try #require(
        areaUnderROCCurve(scores: scores, labels: data.test.labels.map(Int.init)))
      #expect(answer.auc == area && area > 0.5 && area < 1)
      #expect(result.output.contains(#""name" : "bar""#))
      let table = try place.run(["evaluate", "r"]).output
      #expect(table.contains(String(format: "\nAUC       %.6f\n", area)), "\(table)")
      // Each figure stands there once, also where it was asked for as a metric.
      let asked = try place.run([
        "evaluate", "r", "--metric", "accuracy", "--metric", "auc", "--metric", "kappa",
      ]).output
      let heads = asked.split(separator: "\n").compactMap { $0.split(separator: " ").first }
      for (name, times) in [("accuracy", 1), ("AUC", 1), ("auc", 0), ("kappa", 1)] {
        #expect(heads.count { $0 == name } == times, "\(name): \(asked)")
      }
      let csv = try place.run(["evaluate", "r", "--csv", "--class-names", "bar,\"x\""]).output
      #expect(csv.contains("\nbar,10,") && csv.contains("\n\"\"\"x\"\"\",20,"))
      // Images of one class have no curve, which is no error.
      let one = try place.run(["evaluate", "r", "--test-limit", "1"])
      #expect(one.code == 0 && one.output.contains("AUC       – (it needs images of both classes)"))
    }
  }

  /// Arguments after `evaluate`, of a run with 60 training and 30 validation images and of one with 90, and the note.
  @Test(arguments: [
    ("v --split validation", nil), ("v --split validation --validation 10", nil),
    ("v --split train", nil), ("v", nil),
    ("v --split validation --validation 45", "the model was trained on 15 of these 45 validation"),
    ("v --split validation --train-limit 70", "the model was trained on 20 of these 30 validation"),
    (
      "v --split validation --train-limit 40 --validation 10", "on 10 of these 10 validation images"
    ),
    ("v --split train --validation 10", "20 of the 80 training images had no part"),
    (
      "a --split validation --validation 30",
      "of these 30 validation images (the run kept none out)"
    ),
    ("a --split train", nil),
    ("v --split validation --data-dir digits --train-limit 40 --validation 9", "on 9 of these 9 "),
    (
      "v --split validation --data-dir others --validation 30",
      "other data than the model was trained on"
    ),
  ])
  func saysWhatASplitIs(arguments: String, note: String?) throws {
    try Workplace.with { place in
      try place.writeData("others", shift: 1)
      let options = ["--cycles", "1", "--only", "fc*", "--quiet"]
      #expect(try place.train(options + ["--run", "v", "--validation", "30"]).code == 0)
      #expect(try place.train(options + ["--run", "a"]).code == 0)
      let result = try place.run(["evaluate"] + arguments.split(separator: " ").map(String.init))
      #expect(result.code == 0)
      if let note {
        #expect(result.errors.hasPrefix("rso: note: ") && result.errors.contains(note), "\(result)")
        #expect(result.errors.count { $0 == "\n" } == 1)
      } else {
        #expect(result.errors == "")
      }
    }
  }

  /// Arguments after the model `m`, code, error, and what makes it bad.
  static let cases: [BadInputTests.Case] = [
    .init(arguments: [], code: 64, errors: ["Missing expected argument '<model>'"]),
    .init(arguments: ["m"], code: 1, errors: ["/m: cannot be read: No such file or directory"]),
    .init(
      arguments: ["digits"], code: 1,
      errors: ["/digits: expected a model or the folder of a run, found a folder without best."]),
    .init(arguments: ["net.json"], code: 1, errors: ["net.json", "not a safetensors file?"]),
    .init(
      arguments: ["m"], code: 1,
      errors: ["network: expects images of 1×8×8, found 1×28×28 in mnist"]
    ) { try $0.writeModel("m") { _ in } },
    .init(
      arguments: ["m", "--data-dir", "digits", "--gpu", "99"], code: 1,
      errors: ["cuda:99: "]
    ) { try $0.writeModel("m") { _ in } },
    .init(
      arguments: ["m", "--json", "--csv"], code: 64, errors: ["--json: expected it without --csv"]),
    .init(
      arguments: ["m", "--data-dir", "digits", "--class-names", "a,b"], code: 64,
      errors: ["--class-names: expected 3 names"]
    ) { try $0.writeModel("m") { _ in } },
    .init(
      arguments: ["m", "--split", "dev"], code: 64, errors: ["The value 'dev' is invalid"]),
    .init(
      arguments: ["m", "--data-dir", "digits"], code: 1,
      errors: ["network: gives 3 classes, found 10 in digits"]
    ) {
      try $0.writeModel("m") { _ in }
      let file = $0.file("digits/t10k-labels-idx1-ubyte")
      var labels = try Data(contentsOf: file)
      labels[12] = 9
      try labels.write(to: file)
    },
    .init(
      arguments: ["m"], code: 1, errors: ["/m: expected finite values, found nan at bn0.bias[1]"]
    ) { try $0.writeModel("m") { $0["bn0.bias"]?.values[1] = .nan } },
  ]

  @Test(arguments: cases.indices)
  func refusesBadInput(index: Int) throws {
    let test = Self.cases[index]
    try Workplace.with { place in
      try test.prepare(place)
      let before = try place.files()
      let result = try place.run(["evaluate"] + test.arguments)
      #expect(result.code == test.code)
      #expect(result.output == "")
      for text in test.errors {
        #expect(result.errors.contains(text), "no '\(text)' in: \(result.errors)")
      }
      #expect(try place.files() == before)
    }
  }
}
