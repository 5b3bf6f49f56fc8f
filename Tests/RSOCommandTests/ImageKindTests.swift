import Foundation
import RSO
import Testing

/// Images of another kind than a model was trained on, and the data that `rso evaluate` takes.
struct ImageKindTests {
  /// The tiny data as float32 in a folder of NumPy files: (byte − 60) / 40.
  private static func writeFloats(_ place: Workplace, _ folder: String, scale: Float? = nil) throws
  {
    let data = try Dataset.idx(directory: place.file("digits"))
    try FileManager.default.createDirectory(
      at: place.file(folder), withIntermediateDirectories: true)
    for (name, split) in [("train", data.train), ("test", data.test)] {
      guard case .bytes(let bytes) = split.images else { return }
      let floats = bytes.flatMap { byte in
        let value = scale.map { Float(byte) / $0 } ?? (Float(byte) - 60) / 40
        return withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
      }
      try PredictTests.npy("\(split.count), 8, 8", type: "<f4", floats)
        .write(to: place.file("\(folder)/\(name)_images.npy"))
      try PredictTests.npy("\(split.count),", split.labels.map { UInt8($0) })
        .write(to: place.file("\(folder)/\(name)_labels.npy"))
    }
  }

  private static func train(_ place: Workplace, _ folder: String, _ run: String) throws
    -> Tool.Result
  {
    try place.run([
      "train", "--data-dir", folder, "--network", "net.json", "--batch", "30", "--cycles", "1",
      "--run", run,
    ])
  }

  @Test func modelsOfFloatsTakeNoBytes() throws {
    try Workplace.with { place in
      try Self.writeFloats(place, "floats")
      #expect(try Self.train(place, "floats", "r").code == 0)
      let model = "r/best.safetensors"
      let own = try place.run(["predict", model, "floats/test_images.npy", "--csv"])
      #expect(own.code == 0 && own.errors == "" && own.output.split(separator: "\n").count == 31)

      let images = "digits/t10k-images-idx3-ubyte"
      let problem = "expected floats like those that the model was trained on, -1.5 to "
      let predicted = try place.run(["predict", model, images])
      #expect(predicted.code == 1 && predicted.output == "")
      #expect(predicted.errors.hasPrefix("rso: error: \(images): \(problem)"))
      let evaluated = try place.run(["evaluate", model, "--data-dir", "digits"])
      #expect(evaluated.code == 1 && evaluated.output == "")
      #expect(evaluated.errors.contains("train-images-idx3-ubyte: \(problem)"))

      let exported = try place.run(["export", model, "--onnx", "m.onnx", "--safetensors", "w"])
      #expect(exported.output.contains("m.onnx: input float32 [N, 1, 8, 8], output"))
      #expect(exported.output.contains("the network takes floats − "))
    }
  }

  @Test func modelsOfBytesTakeNoOtherFloats() throws {
    try Workplace.with { place in
      try Self.writeFloats(place, "floats")
      try Self.writeFloats(place, "scaled", scale: 255)
      try place.writeModel("m") { _ in }
      let problem = "expected bytes, or floats from 0 to 1, because the model was trained on bytes"
      let predicted = try place.run(["predict", "m", "floats/test_images.npy"])
      #expect(predicted.code == 1 && predicted.output == "")
      #expect(predicted.errors.hasPrefix("rso: error: floats/test_images.npy: \(problem)"))
      let evaluated = try place.run(["evaluate", "m", "--data-dir", "floats"])
      #expect(evaluated.code == 1 && evaluated.errors.contains(problem))
      // The same images as floats from 0 to 1: the same answer, and said.
      let scaled = try place.run(["evaluate", "m", "--data-dir", "scaled"])
      #expect(
        scaled.errors
          == "rso: note: scaled: floats from 0 to 1, taken as the bytes / 255 that the model "
          + "was trained on\n")
      let bytes = try place.run(["evaluate", "m", "--data-dir", "digits"])
      #expect(bytes.errors == "" && bytes.code == 0)
      #expect(
        scaled.output.split(separator: "\n").dropFirst(2)
          == bytes.output.split(separator: "\n").dropFirst(2))
    }
  }

  /// 0 to 255 as float32 is what a careless conversion of uint8 gives.
  @Test func unscaledFloatsAreSaid() throws {
    try Workplace.with { place in
      try Self.writeFloats(place, "unscaled", scale: 0.86)
      let result = try Self.train(place, "unscaled", "r")
      #expect(result.code == 0)
      #expect(result.errors.hasPrefix("rso: note: unscaled: floats from 0.0 to 25"))
      #expect(result.errors.hasSuffix("taken as they are; bytes (uint8) are divided by 255\n"))
    }
  }

  @Test func integersAreToBeBytes() throws {
    try Workplace.with { place in
      try place.writeModel("m") { _ in }
      let words = (0..<64).flatMap { [UInt8($0 * 4)] + [UInt8](repeating: 0, count: 7) }
      try PredictTests.npy("1, 8, 8", type: "<i8", words).write(to: place.file("b.npy"))
      let bytes = words.enumerated().filter { $0.offset % 8 == 0 }.map(\.element)
      try PredictTests.npy("1, 8, 8", bytes).write(to: place.file("c.npy"))
      let (ours, theirs) = try (
        place.run(["predict", "m", "b.npy"]), place.run(["predict", "m", "c.npy"])
      )
      #expect(ours.errors == "rso: note: b.npy: integers from 0 to 255, taken as bytes\n")
      #expect(ours.output == theirs.output.replacingOccurrences(of: "c.npy", with: "b.npy"))
      let few = words.map { $0 > 1 ? 1 : $0 }
      try PredictTests.npy("1, 8, 8", type: "<i8", few).write(to: place.file("a.npy"))
      let errors = try place.run(["predict", "m", "a.npy"]).errors
      #expect(
        errors
          == "rso: error: a.npy: expected uint8 or floats, found the type '<i8' with values from 0 "
          + "to 1 (pixels from 0 to 255: images.astype('uint8'); others: scale them to 0 to 1, as float32)\n"
      )
    }
  }

  // MARK: Which data

  @Test func evaluatesOnTheDataOfTheRun() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "1", "--test-limit", "20", "--run", "r"]).code == 0)
      let model = "r/best.safetensors"
      let result = try place.run(["evaluate", model])
      #expect(result.errors == "" && result.output.hasPrefix("digits, test: 30 images\n"))
      let few = try place.run(["evaluate", model, "--test-limit", "10"])
      #expect(few.errors == "" && few.output.hasPrefix("digits, test: 10 images\n"))
      // The same images elsewhere are the same.
      try FileManager.default.copyItem(at: place.file("digits"), to: place.file("copy"))
      #expect(try place.run(["evaluate", model, "--data-dir", "copy"]).errors == "")

      try place.writeData("other", shift: 1)
      let other = try place.run(["evaluate", model, "--data-dir", "other"])
      #expect(other.code == 0 && other.output.hasPrefix("other, test: 30 images\n"))
      #expect(
        other.errors.hasPrefix(
          "rso: note: other: other data than the model was trained on, \(place.file("digits").path) of "
        ))
      // The data of the run have changed.
      try place.writeData("digits", shift: 1)
      let changed = try place.run(["evaluate", model])
      #expect(changed.code == 0)
      #expect(
        changed.errors.hasPrefix("rso: note: digits: other data than the model was trained on"))

      try FileManager.default.removeItem(at: place.file("digits"))
      let missing = try place.run(["evaluate", model])
      #expect(missing.code == 1 && missing.output == "")
      #expect(
        missing.errors
          == "rso: error: \(place.file("digits").path): the data that the model was trained on are "
          + "not there (say where they are: --data-dir DIR, or --data NAME)\n")
    }
  }
}
