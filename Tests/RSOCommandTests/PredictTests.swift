import Foundation
import RSO
import Testing

@testable import RSOFormats

struct PredictTests {
  private struct Answer: Decodable {
    struct Class: Decodable {
      var number: Int
      var name: String
      var probability: Double
    }
    var image: String
    var index: Int?
    var classes: [Class]
    var logits: [Float]
  }

  private static let images = "digits/t10k-images-idx3-ubyte"
  private static let hasPNG = dlopen("libpng16.so.16", RTLD_NOW) != nil

  private static func answers(_ output: String) throws -> [Answer] {
    try output.split(separator: "\n").map {
      try JSONDecoder().decode(Answer.self, from: Data($0.utf8))
    }
  }

  @Test func saysWhatEvaluateCounts() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "2", "--run", "r"]).code == 0)
      let model = "r/best.safetensors"
      let result = try place.run(["predict", model, Self.images, "--json"])
      #expect(result.errors == "")
      #expect(result.code == 0)
      let answers = try Self.answers(result.output)
      #expect(answers.map(\.index) == (0..<30).map { $0 })
      let best = try #require(try place.metrics("r").compactMap(\.accuracy).max())
      let correct = answers.enumerated().count { $1.classes[0].number == $0 % 3 }
      #expect(abs(Double(correct) / 30 - best) < 1e-9)
      for answer in answers {
        #expect(answer.image == Self.images && answer.logits.count == 3)
        #expect(abs(answer.classes.reduce(0) { $0 + $1.probability } - 1) < 1e-9)
        #expect(
          answer.classes.map(\.probability) == answer.classes.map(\.probability).sorted(by: >))
      }

      let csv = try place.run([
        "predict", model, Self.images, "--csv", "--top", "1", "--class-names", "a,\"b,c",
      ])
      let lines = csv.output.split(separator: "\n")
      #expect(lines[0] == "image,index,class,probability")
      #expect(lines.count == 31)
      let names = ["a", "\"\"\"b\"", "c"]
      for (line, answer) in zip(lines.dropFirst(), answers) {
        let first = answer.classes[0]
        #expect(
          line == "\(Self.images),\(answer.index ?? -1),\(names[first.number]),\(first.probability)"
        )
      }

      let table = try place.run(["predict", model, Self.images]).output.split(separator: "\n")
      #expect(table.count == 31 && table[0].hasPrefix("image "))
      #expect(table[1].hasPrefix("\(Self.images)[0]  \(answers[0].classes[0].number) "))
    }
  }

  /// A PNG of an image gives what the image in the IDX file gives; another size is resized and said.
  @Test(.enabled(if: hasPNG)) func picturesAreConverted() throws {
    try Workplace.with { place in
      try place.writeModel("m") { _ in }
      let data = try Dataset.idx(directory: place.file("digits")).test
      guard case .bytes(let images) = data.images else { return }
      let pixels = Array(images.prefix(64))
      try PNG.encode(pixels, width: 8, height: 8, channels: 1).write(to: place.file("a.png"))
      try PNG.encode(pixels.flatMap { [$0, $0, $0] }, width: 8, height: 8, channels: 3)
        .write(to: place.file("b.png"))
      // Every pixel twice in each direction.
      let large = (0..<256).map { (place: Int) -> UInt8 in
        let (row, column) = (place / 16, place % 16)
        return pixels[row / 2 * 8 + column / 2]
      }
      try PNG.encode(large, width: 16, height: 16, channels: 1).write(to: place.file("c.png"))
      let result = try place.run(["predict", "m", "a.png", Self.images, "b.png", "c.png", "--json"])
      #expect(
        result.errors
          == "rso: note: b.png: made grey\nrso: note: c.png: resized from 16×16 to 8×8 pixels\n")
      let answers = try Self.answers(result.output)
      #expect(
        answers.map(\.image) == ["a.png"] + [String](repeating: Self.images, count: 30) + [
          "b.png", "c.png",
        ])
      #expect(answers[0].logits == answers[1].logits)
      // Grey of equal red, green and blue is the same.
      #expect(answers[0].logits == answers[31].logits)
      #expect(answers[32].logits != answers[0].logits)
    }
  }

  /// A `.npy` file as NumPy writes it.
  static func npy(_ shape: String, type: String = "|u1", _ bytes: [UInt8]) -> Data {
    var header = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(shape)), }"
    header += String(repeating: " ", count: 117 - header.count) + "\n"
    return Data([0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0] + Array(header.utf8) + bytes)
  }

  @Test func arraysOfNumPy() throws {
    try Workplace.with { place in
      try place.writeModel("m") { _ in }
      let data = try Dataset.idx(directory: place.file("digits")).test
      guard case .bytes(let pixels) = data.images else { return }
      try Self.npy("30, 8, 8", pixels).write(to: place.file("a.npy"))
      try Self.npy("30, 1, 8, 8", pixels).write(to: place.file("b.npy"))
      let expected = try Self.answers(place.run(["predict", "m", Self.images, "--json"]).output)
      for file in ["a.npy", "b.npy"] {
        let answers = try Self.answers(place.run(["predict", "m", file, "--json"]).output)
        #expect(answers.map(\.logits) == expected.map(\.logits))
      }
    }
  }

  /// More than one piece of a file, plain and compressed: each image has the answer that it has alone.
  @Test func filesAreReadInPieces() throws {
    try Workplace.with { place in
      try place.writeModel("m") { _ in }
      let pixels = (0..<1200 * 64).map { UInt8(truncatingIfNeeded: $0 * $0 >> 5) }
      let head: [UInt8] = [0, 0, 8, 3, 0, 0, 4, 0xb0, 0, 0, 0, 8, 0, 0, 0, 8]
      try Data(head + pixels).write(to: place.file("many"))
      try gzip(Data(head + pixels)).write(to: place.file("many.gz"))
      try Self.npy("1, 8, 8", Array(pixels[(1100 * 64)..<(1101 * 64)])).write(to: place.file("one"))
      let plain = try Self.answers(place.run(["predict", "m", "many", "--json"]).output)
      #expect(plain.map(\.index) == (0..<1200).map { $0 })
      let one = try Self.answers(place.run(["predict", "m", "one", "--json"]).output)
      #expect(plain[1100].logits == one[0].logits && plain[0].logits != one[0].logits)
      let zipped = try Self.answers(place.run(["predict", "m", "many.gz", "--json"]).output)
      #expect(zipped.map(\.logits) == plain.map(\.logits))
    }
  }

  /// Floats from 0 to 1 are what the bytes are that the model was trained on; that they are taken so is said.
  @Test func floatsAreTakenAsTheyAre() throws {
    try Workplace.with { place in
      try place.writeModel("m") { _ in }
      let data = try Dataset.idx(directory: place.file("digits")).test
      guard case .bytes(let pixels) = data.images else { return }
      let floats = pixels.flatMap { pixel in
        withUnsafeBytes(of: (Float(pixel) / 255).bitPattern.littleEndian) { Array($0) }
      }
      try Self.npy("30, 8, 8", type: "<f4", floats).write(to: place.file("f.npy"))
      let expected = try Self.answers(place.run(["predict", "m", Self.images, "--json"]).output)
      let result = try place.run(["predict", "m", "f.npy", "--json"])
      #expect(
        result.errors
          == "rso: note: f.npy: floats from 0 to 1, taken as the bytes / 255 that the model was trained on\n"
      )
      for (found, expected) in zip(try Self.answers(result.output), expected) {
        for (a, b) in zip(found.logits, expected.logits) { #expect(abs(a - b) < 1e-4) }
      }
    }
  }

  static let cases: [BadInputTests.Case] = [
    .init(
      arguments: ["predict", "m", "a.npy"], code: 1,
      errors: ["a.npy: expected uint8 or floats, found the type '<c8' (convert it: images.astype"]
    ) { try npy("1, 8, 8", type: "<c8", []).write(to: $0.file("a.npy")) },
    .init(
      arguments: ["predict", "m", "a.npy"], code: 1,
      errors: [
        "a.npy: expected 1×8×8 values of 1 bytes after the header, found 63 bytes (it was cut"
      ]
    ) { try npy("1, 8, 8", [UInt8](repeating: 0, count: 63)).write(to: $0.file("a.npy")) },

    .init(
      arguments: ["predict", "m", "a.gz"], code: 1, errors: ["a.gz: the gzip data end too early"]
    ) {
      let content = try Data(contentsOf: $0.file(Self.images))
      try gzip(content).dropLast(30).write(to: $0.file("a.gz"))
    },
    .init(
      arguments: ["predict", "m"], code: 64, errors: ["Missing expected argument '<images> ...'"]),
    .init(arguments: ["predict", "m", "none.png"], code: 1, errors: ["none.png: cannot be read"]),
    .init(
      arguments: ["predict", "m", "digits"], code: 1, errors: ["digits: cannot be read: Is a dir"]),
    .init(
      arguments: ["predict", "m", "net.json"], code: 1,
      errors: ["net.json: expected a PNG, JPEG, .npy or IDX file, found something else"]),
    .init(
      arguments: ["predict", "net.json", Self.images], code: 1, errors: ["not a safetensors file?"]),
    .init(
      arguments: ["predict", "m", "digits/t10k-labels-idx1-ubyte"], code: 1,
      errors: ["expected magic 2051, found 2049"]),
    .init(
      arguments: ["predict", "m", "large"], code: 1,
      errors: ["large: expected images of 1×8×8, found images of 1×2×32"]
    ) {
      try Data(
        [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 32] + [UInt8](repeating: 7, count: 64)
      )
      .write(to: $0.file("large"))
    },
    .init(
      arguments: ["predict", "m", "bad.png"], code: 1,
      errors: hasPNG ? ["bad.png: the PNG file cannot be decoded"] : []
    ) {
      try Data([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2, 3]).write(
        to: $0.file("bad.png"))
    },
    .init(
      arguments: ["predict", "m", Self.images, "--top", "0"], code: 64,
      errors: ["--top: expected 1"]),
    .init(
      arguments: ["predict", "m", Self.images, "--json", "--csv"], code: 64, errors: ["--json"]),
    .init(
      arguments: ["predict", "m", Self.images, "--threads", "0"], code: 64,
      errors: ["--threads: expected"]),
    .init(
      arguments: ["predict", "m", Self.images, "--class-names", "a,b"], code: 64,
      errors: ["--class-names: expected 3 names with commas between them, found 2"]),
    .init(
      arguments: ["export", "m"], code: 64,
      errors: ["expected --onnx FILE, --safetensors FILE or --c FILE, found none"]),
    .init(
      arguments: ["export", "m", "--c", "none/m.c"], code: 1,
      errors: ["none/m.c: cannot be written: No such file or directory (check the path"]),
    .init(
      arguments: ["export", "m", "--onnx", "m.onnx", "--c", "m.c", "--name", "7th"], code: 64,
      errors: ["--name: expected a name of letters, digits and '_' that begins with a letter"]),
    .init(
      arguments: ["export", "m", "--onnx", "m.onnx", "--name", "net"], code: 64,
      errors: ["--name: expected it with --c FILE"]),
    .init(
      arguments: ["export", "m", "--onnx", "m.onnx", "--test", "t.c"], code: 64,
      errors: ["--test: expected it with --c FILE"]),
    .init(
      arguments: ["export", "m", "--c", "m.c", "--data", "mnist"], code: 64,
      errors: ["--data: expected it with --test FILE"]),
    .init(
      arguments: ["export", "m", "--c", "m.c", "--test", "t.c", "--data-dir", "nowhere"], code: 1,
      errors: ["nowhere"]),
    .init(
      arguments: ["export", "m", "--onnx", "none/m.onnx"], code: 1,
      errors: ["none/m.onnx: cannot be written: No such file or directory (check the path"]),
    .init(
      arguments: ["export", "m", "--safetensors", "none/w"], code: 1,
      errors: ["none/w: cannot be written"]),
    .init(
      arguments: ["export", "m", "--onnx", "m.onnx", "--class-names", "a"], code: 64,
      errors: ["--class-names: expected 3 names"]),
    .init(
      arguments: ["export", "none", "--onnx", "m.onnx"], code: 1, errors: ["none: cannot be read"]),
  ]

  @Test(arguments: cases)
  func refusesBadInput(_ test: BadInputTests.Case) throws {
    try Workplace.with { place in
      try place.writeModel("m") { _ in }
      try test.prepare(place)
      let before = try place.files()
      let result = try place.run(test.arguments)
      #expect(result.code == test.code)
      #expect(result.output == "")
      for text in test.errors {
        #expect(result.errors.contains(text), "no '\(text)' in: \(result.errors)")
      }
      #expect(try place.files() == before)
    }
  }

  /// What is exported as weights alone starts a run that has the same weights.
  @Test func exportedWeightsComeBack() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "1", "--run", "r"]).code == 0)
      let result = try place.run([
        "export", "r/best.safetensors", "--safetensors", "w", "--onnx", "m.onnx",
      ])
      #expect(result.errors == "")
      #expect(result.output.contains("m.onnx: input uint8 [N, 1, 8, 8], output logits [N, 3]\n"))
      #expect(result.output.contains("w: 7 parameters and the statistics"))
      let (model, weights) = try (place.tensors("r/best.safetensors"), place.tensors("w"))
      #expect(weights.tensors.map(\.name) == model.tensors.map(\.name))
      #expect(weights.tensors.map(\.tensor) == model.tensors.map(\.tensor))
      #expect(Set(weights.metadata.keys) == ["format", "mean"])
      #expect(
        try place.train(["--cycles", "1", "--run", "s", "--from", "w", "--save-initial", "i"]).code
          == 0)
      let initial = try place.tensors("i")
      for (name, tensor) in model.tensors where !name.contains("running") {
        #expect(initial[name] == tensor, "\(name)")
      }
    }
  }
}
