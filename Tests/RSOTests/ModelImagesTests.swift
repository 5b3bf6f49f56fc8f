import Foundation
import Testing

@testable import RSO

/// A model takes images as it was trained on them.
struct ModelImagesTests {
  private static func words(_ trained: Model.Images, _ pixels: Pixels) -> String {
    do {
      let (adapted, note) = try trained.adapted(pixels, name: "p")
      return (adapted == pixels ? "" : "\(adapted) ") + (note ?? "as they are")
    } catch {
      return "\(error)"
    }
  }

  /// A model that divides bytes by 256 takes floats as the bytes / 255 that they are, also where one of them is none.
  @Test func dividedByAnother() throws {
    let (pixels, _) = try Model.Images.bytes.adapted(
      .floats([0, 1, 0.3, 51 / 255]), name: "p", divisor: 256)
    guard case .floats(let floats) = pixels else {
      Issue.record("\(pixels)")
      return
    }
    for (value, expected) in zip(floats, [0, 255 / 256, 0.3 * 255 / 256, 51 / 256] as [Float]) {
      #expect(abs(value - expected) < 1e-6)
    }
    let (same, _) = try Model.Images.bytes.adapted(
      .floats([0, 1, 51 / 255]), name: "p", divisor: 256)
    #expect(same == .bytes([0, 255, 51]))
  }

  static let cases: [(Model.Images, Pixels, String)] = [
    (.bytes, .bytes([0, 255]), "as they are"),
    (
      .bytes, .floats([0, 1, 51 / 255]),
      "bytes([0, 255, 51]) floats from 0 to 1, taken as the bytes / 255 that the model was trained on"
    ),
    (
      .bytes, .floats([0, 1, 0.3]),
      "floats from 0 to 1, taken as the bytes / 255 that the model was trained on"
    ),
    (
      .bytes, .floats([-0.5, 2.75]),
      "p: expected bytes, or floats from 0 to 1, because the model was trained on bytes / 255, "
        + "found floats from -0.5 to 2.75 (give the pixels as they are: images.astype('uint8'), "
        + "or images / 255)"
    ),
    (
      .bytes, .floats([0, 255]),
      "p: expected bytes, or floats from 0 to 1, because the model was trained on bytes / 255, "
        + "found floats from 0.0 to 255.0 (give the pixels as they are: images.astype('uint8'), "
        + "or images / 255)"
    ),
    (
      .floats(0...1), .bytes([0, 255]),
      "bytes, divided by 255: the model was trained on floats from 0.0 to 1.0"
    ),
    (
      .floats(0...255), .bytes([0, 255]),
      "floats([0.0, 255.0]) bytes, not divided: the model was trained on floats from 0.0 to 255.0"
    ),
    (
      .floats(-0.5...2.75), .bytes([0, 255]),
      "p: expected floats like those that the model was trained on, -0.5 to 2.75, found bytes "
        + "(convert them as the training images were, and save them as float32 in an .npy file)"
    ),
    (
      .floats(0...0.5), .bytes([0, 255]),
      "p: expected floats like those that the model was trained on, 0.0 to 0.5, found bytes "
        + "(convert them as the training images were, and save them as float32 in an .npy file)"
    ),
    (.floats(-0.5...2.75), .floats([-1, 3.5]), "as they are"),
    (
      .floats(-0.5...2.75), .floats([0, 255]),
      "floats from 0.0 to 255.0: the model was trained on -0.5 to 2.75"
    ),
    (.floats(-3e38...3e38), .floats([-3.4e38, 3.4e38]), "as they are"),
    (.floats(nil), .floats([-0.5, 255]), "as they are"),
    (
      .floats(nil), .bytes([0, 255]),
      "p: expected floats, which the model takes, found bytes "
        + "(convert them as the training images were, and save them as float32 in an .npy file)"
    ),
    (.floats(0...1), .floats([.nan, 0.5, .infinity]), "as they are"),
  ]

  @Test(arguments: cases.indices)
  func takesWhatItWasTrainedOn(index: Int) {
    let (trained, pixels, expected) = Self.cases[index]
    #expect(Self.words(trained, pixels) == expected)
  }

  @Test func unscaledBytesAreDoubtful() {
    #expect(
      Model.Images.floats(0...255).doubt
        == "floats from 0.0 to 255.0, taken as they are; bytes (uint8) are divided by 255")
    for images: Model.Images in [.bytes, .floats(0...1), .floats(-1...255), .floats(0...90)] {
      #expect(images.doubt == nil)
    }
  }

  // MARK: Files

  private static func data(_ values: [Float]?) throws -> Dataset {
    let shape = Shape(channels: 1, height: 1, width: 2)
    let pixels = values.map { Pixels.floats($0) } ?? .bytes([0, 51, 255, 102])
    let split = try Split(images: pixels, labels: [0, 1], shape: shape)
    return try Dataset(name: "d", train: split, test: split)
  }

  private static func model(_ data: Dataset) throws -> Model {
    let network = try Network(input: data.train.shape) {
      Node.flatten("flat")
      Node.linear("fc", features: 2)
    }
    var settings = SearchSettings()
    settings.batchSize = 2
    return try RandomSearch(network: network, data: data, settings: settings).model
  }

  @Test func theFileSaysIt() throws {
    for (values, text) in [
      (nil, #"{"kind":"bytes"}"#),
      ([-0.25, 1.5, 2.75, 0], #"{"greatest":2.75,"kind":"floats","least":-0.25}"#),
    ] as [([Float]?, String)] {
      let model = try Self.model(Self.data(values))
      let tensors = try model.safeTensors(file: "m")
      #expect(tensors.metadata["images"] == text)
      let read = try Model(tensors, file: "m")
      #expect(read.images == model.images && read.images != nil)
    }
    #expect(try compactJSON(Model.Images.floats(nil)) == #"{"kind":"floats"}"#)
    let unknown: Model.Images = try decodeJSON(#"{"kind":"floats"}"#, "images", "m")
    #expect(unknown == .floats(nil))
    // Values that only an exact decimal form brings back.
    let model = try Self.model(Self.data([0.1, 1 / 3, 3e-30, 1.1e30]))
    #expect(try Model(model.safeTensors(file: "m"), file: "m").images == .floats(3e-30...1.1e30))
  }

  /// Files of earlier versions do not say it; such a model takes either, as before.
  @Test func earlierFilesAreRead() throws {
    let data = try Self.data(nil)
    var tensors = try Self.model(data).safeTensors(file: "m")
    tensors.metadata["images"] = nil
    let model = try Model(tensors, file: "m")
    #expect(model.images == nil)
    #expect(try model.predict(.floats([-3, 700])).count == 1)
    #expect(try model.safeTensors(file: "m").metadata["images"] == nil)
    #expect(throws: Never.self) { try model.evaluate(on: Self.data([-3, 700, 0, 1])) }
  }

  @Test(arguments: [
    "{}", #"{"kind":"words"}"#, #"{"kind":"floats","least":1}"#,
    #"{"kind":"floats","greatest":1}"#, #"{"kind":"floats","least":1,"greatest":0}"#,
    #"{"kind":"floats","least":0,"greatest":1e300}"#, "",
  ])
  func refusesWhatItCannotRead(text: String) throws {
    var tensors = try Self.model(Self.data(nil)).safeTensors(file: "m")
    tensors.metadata["images"] = text
    #expect(errorText { _ = try Model(tensors, file: "m") }?.hasPrefix("m, images: ") == true)
  }

  @Test func theLibraryRefusesTheOtherKind() throws {
    let (bytes, floats) = try (Self.data(nil), Self.data([-0.25, 1.5, 2.75, 0]))
    let (ofBytes, ofFloats) = try (Self.model(bytes), Self.model(floats))
    #expect(throws: RSOError.self) { try ofBytes.predict(.floats([-1, 0])) }
    #expect(throws: RSOError.self) { try ofFloats.predict(.bytes([1, 0])) }
    #expect(throws: RSOError.self) { try ofBytes.evaluate(on: floats) }
    #expect(throws: RSOError.self) { try ofFloats.evaluate(on: bytes) }
    #expect(try ofBytes.evaluate(on: bytes).count == 2)
    // Floats from 0 to 1 are what bytes / 255 are.
    let scaled = try ofBytes.predict(.floats([0.2, 1]))[0].logits
    for (a, b) in zip(scaled, try ofBytes.predict(.bytes([51, 255]))[0].logits) {
      #expect(abs(a - b) < 1e-6)
    }
    // Trained on bytes as floats, it takes bytes undivided.
    let unscaled = try Self.model(Self.data([0, 255, 51, 102]))
    #expect(try unscaled.predict(.bytes([51, 255])) == unscaled.predict(.floats([51, 255])))
  }
}
