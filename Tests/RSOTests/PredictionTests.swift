import Foundation
import Testing

@testable import RSO

struct PredictionTests {
  /// A model of drawn weights, or those given, with running statistics from the data.
  static func model(
    _ network: Network, _ data: Dataset, _ parameters: Parameters? = nil
  ) throws -> Model {
    var settings = SearchSettings()
    settings.batchSize = 10
    var search = try RandomSearch(
      network: network, data: data, settings: settings, device: .reference, parameters: parameters)
    _ = try search.evaluate()
    return try search.model
  }

  /// The same classes and the same loss as the definition finds, for every kind of layer.
  @Test(arguments: Sample.networks.indices)
  func agreesWithTheReference(index: Int) throws {
    let network = try Sample.networks[index].network()
    let data = try Sample.dataset(
      network.input, classes: network.classes, train: 60, test: 75)
    let model = try Self.model(network, data)
    let expected = try model.evaluate(on: data, device: .reference)
    let found = try model.predict(data.test.images, threads: 2)
    #expect(found.count == 75)
    var loss = 0.0
    var confusion = expected.confusion.map { $0.map { _ in 0 } }
    for (prediction, label) in zip(found, data.test.labels) {
      loss -= log(prediction.probabilities[Int(label)])
      confusion[Int(label)][prediction.label] += 1
    }
    #expect(confusion == expected.confusion)
    #expect(abs(loss - expected.loss) < 1e-5 * expected.loss)
  }

  /// More images than are computed at once, and one alone: each as if it were the only one.
  @Test func numberAndPlaceDoNotMatter() throws {
    let network = try Network(input: Shape(channels: 1, height: 3, width: 3)) {
      Node.conv2d("conv", channels: 4, kernel: 3, bias: true)
      Node.batchNorm("bn")
      Node.linear("fc", features: 3)
    }
    let count = 2 * Predictor.batch + 5
    let data = try Sample.dataset(network.input, classes: 3, train: 20, test: count)
    let predictor = try Predictor(Self.model(network, data), threads: 1)
    guard case .bytes(let images) = data.test.images else { return }
    let all = try predictor.predict(images)
    #expect(all.count == count)
    #expect(Set(all.map(\.logits)).count > 100)
    for index in [0, 15, 16, Predictor.batch - 1, Predictor.batch, count - 1] {
      #expect(try predictor.predict(Array(images[(index * 9)..<(index * 9 + 9)])) == [all[index]])
    }
    #expect(try predictor.predict([]) == [])
    #expect(
      errorText { _ = try predictor.predict([1, 2, 3]) }
        == "images: expected whole images of 1×3×3, found 3 values")
  }

  /// Bytes, and what they become as floats with the same mean.
  @Test func bytesAndFloats() throws {
    let network = try Network(input: Shape(channels: 1, height: 3, width: 3)) {
      Node.conv2d("conv", channels: 4, kernel: 3, bias: true)
      Node.linear("fc", features: 3)
    }
    let data = try Sample.dataset(network.input, classes: 3, train: 20, test: 7)
    guard case .bytes(let images) = data.test.images else { return }
    let predictor = try Predictor(Self.model(network, data), threads: 1)
    let bytes = try predictor.predict(images)
    let floats = try predictor.predict(.floats(images.map { Float(Double($0) / 255) }))
    for (a, b) in zip(bytes, floats) {
      for (x, y) in zip(a.logits, b.logits) { #expect(abs(x - y) < 1e-5) }
    }
    #expect(bytes.count == floats.count)
  }

  @Test func ranksClasses() {
    let prediction = Prediction(logits: [1, 3, 3, -2])
    #expect(prediction.label == 1)
    #expect(prediction.ranking == [1, 2, 0, 3])
    let probabilities = prediction.probabilities
    #expect(abs(probabilities.reduce(0, +) - 1) < 1e-12)
    #expect(abs(probabilities[1] / probabilities[0] - exp(2)) < 1e-9)
    // Large logits do not overflow.
    #expect(Prediction(logits: [1000, 0]).probabilities == [1, 0])
  }
}
