import Foundation
import RSO
import Testing

struct EvaluateTests {
  private struct Answer: Decodable {
    struct Class: Decodable {
      var label: Int
      var samples: Int
      var correct: Int
      var accuracy: Double?
    }
    var model: String
    var data: String
    var split: String
    var samples: Int
    var loss: Double?
    var accuracy: Double
    var correct: Int
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
        for row in answer.classes {
          let share = String(format: "%.2f %%", 100 * (row.accuracy ?? 0))
          let line = table.split(separator: "\n").first { $0.hasPrefix("    \(row.label) ") }
          #expect(line?.hasSuffix(share) == true, "\(table)")
        }
      }
      let train = try place.run(
        ["evaluate", "r/best.safetensors", "--split", "train", "--device", "reference"] + Self.data)
      #expect(train.output.hasPrefix("digits, train: 90 images\n"))
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
