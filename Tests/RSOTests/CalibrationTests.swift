import Foundation
import Testing

@testable import RSO

/// `quantize` in place of ReLU in a trained network.
struct CalibrationTests {
  /// A pool between the norm and the activation, one behind it, and a depthwise layer.
  static func network(_ domain: Domain = .float) throws -> Network {
    try Network(input: Shape(channels: 1, height: 8, width: 8)) {
      Node.conv2d("conv0", channels: 6, kernel: 3, padding: 1, weights: domain)
      Node.batchNorm("bn0")
      Node.averagePool("pool0", kernel: 2)
      Node.relu("relu0")
      Node.depthwiseConv2d("depth", kernel: 3, padding: 1, bias: true, weights: domain)
      Node.batchNorm("bn1")
      Node.relu("relu1")
      Node.maxPool("pool1", kernel: 2)
      Node.conv2d("conv2", channels: 5, kernel: 2, weights: domain)
      Node.globalAveragePool("pool2")
      Node.batchNorm("bn2")
      Node.relu("relu2")
      Node.linear("fc", features: 4, bias: true)
    }
  }

  /// A model whose norms and biases are not 1 and 0, and its data.
  private static func model(_ domain: Domain = .float) throws -> (Model, Dataset) {
    let network = try network(domain)
    let data = try Sample.dataset(network.input, classes: 4, train: 120, test: 60)
    var parameters = Parameters(initialFor: network, seed: 0)
    for slot in parameters.slots where slot.role != .weight {
      for (index, place) in slot.range.enumerated() {
        parameters.values[place] += [0.5, -0.25, 1.5, 0.75, 2, -0.125][index]
      }
    }
    return (try PredictionTests.model(network, data, parameters), data)
  }

  /// The least errors of `np.round(np.minimum(v / r, 1) * n) / n * r` over the same 64 ranges, in NumPy 2.4.
  @Test(arguments: [
    (8, 3.0, 0.002893), (4, 2.872810, 0.045715), (2, 1.783811, 0.150516), (1, 1.317189, 0.360914),
  ])
  func findsTheBestRange(bits: Int, range: Double, error: Double) throws {
    let values = (0..<200).map { Float($0 * $0 % 211) / 211 * 2 } + [3, 0, 0]
    let found = try Model.range(of: values, bits: bits, layer: "relu")
    #expect(abs(found.range - range) < 1e-5, "\(found)")
    #expect(abs(found.error - error) < 1e-5, "\(found)")
    let nothing = try Model.range(of: [0, 0], bits: bits, layer: "relu")
    #expect(nothing.range == 1 && nothing.error == 0)
    #expect(
      errorText { _ = try Model.range(of: [1, .nan], bits: bits, layer: "relu") }
        == "relu: expected finite numbers from the layers before it, found nan")
  }

  /// With 8 bits nothing changes but by the levels' width; with fewer, the difference grows.
  @Test(arguments: [Domain.float, .ternary, .integer(bits: 4)])
  func keepsWhatTheNetworkComputes(domain: Domain) throws {
    let (model, data) = try Self.model(domain)
    let before = try model.predict(data.test.images).flatMap(\.logits)
    let size = before.reduce(0) { $0 + Double($1) * Double($1) }
    var errors: [Double] = []
    for bits in [8, 4, 2] {
      let network = try model.network.quantizingActivations(to: bits)
      let (found, calibrations) = try model.calibrated(to: network, on: data.train.images)
      #expect(found.network == network)
      #expect(found.parameters.slots == Parameters(zerosFor: network).slots)
      try found.parameters.checkLevels()
      #expect(calibrations.map(\.layer) == ["relu0", "relu1", "relu2"])
      #expect(calibrations.allSatisfy { $0.bits == bits && $0.range > 0.3 })
      let after = try found.predict(data.test.images).flatMap(\.logits)
      let error = zip(before, after).reduce(0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
      errors.append((error / size).squareRoot())
      // The levels' highest is less than 1: numbers behind it would all be smaller.
      let product = zip(before, after).reduce(0) { $0 + Double($1.0) * Double($1.1) }
      #expect(bits == 2 || abs(product / size - 1) < 0.05, "\(product / size)")
    }
    #expect(errors[0] < 0.03 && errors[1] < 0.25 && errors[2] < 0.9, "\(errors)")
    #expect(errors[0] < errors[1] / 4 && errors[1] < errors[2] / 2, "\(errors)")
  }

  /// Levels change what later layers read: with one bit, ranges fit the statistics that the network then has.
  @Test func renewsStatistics() throws {
    let (model, data) = try Self.model()
    let network = try model.network.quantizingActivations(to: 1)
    let images = data.train.images
    let found = try model.calibrated(to: network, on: images)
    let expected = try PredictionTests.model(network, data, found.model.parameters).statistics
    for (norm, moments) in expected.moments {
      let own = try #require(found.model.statistics.moments[norm])
      for (a, b) in zip(own.mean + own.variance, moments.mean + moments.variance) {
        #expect(abs(a - b) < 1e-4 * max(abs(b), 0.1), "norm \(norm): \(a), \(b)")
      }
    }
    let kept = try model.calibrated(to: network, on: images, renewsStatistics: false)
    #expect(kept.model.statistics == model.statistics)
    #expect(kept.calibrations.map(\.range) != found.calibrations.map(\.range))
  }

  /// Without a batch norm behind them, discrete weights take up a range only if it is a power of two of the highest level.
  @Test func leavesNoFactorInTheMiddle() throws {
    let network = try Network(input: Shape(channels: 1, height: 4, width: 4)) {
      Node.conv2d("conv0", channels: 3, kernel: 3, padding: 1, weights: .ternary)
      Node.batchNorm("bn0")
      Node.relu("relu0")
      Node.conv2d("conv1", channels: 3, kernel: 4, weights: .ternary)
      Node.activation("tanh", .tanh)
      Node.linear("fc", features: 3)
    }
    let data = try Sample.dataset(network.input, classes: 3, train: 20, test: 20)
    let model = try PredictionTests.model(network, data)
    let (found, calibrations) = try model.calibrated(
      to: network.quantizingActivations(to: 8), on: data.train.images)
    let range = try #require(calibrations.first).range / (255.0 / 256)
    #expect(Float(range).significand == 1, "\(range)")
    let logits = try [model, found].map {
      try $0.predict(data.test.images).flatMap(\.logits).map { Double($0) }
    }
    let size = logits[0].reduce(0) { $0 + $1 * $1 }
    let error = zip(logits[0], logits[1]).reduce(0) { $0 + pow($1.0 - $1.1, 2) }
    #expect((error / size).squareRoot() < 0.03)
  }

  /// Outputs that are numbers must stay what they are, and logits need not.
  @Test func theLastLayer() throws {
    let values = (0..<300).map { Float($0) / 100 }
    let unit = 15.0 / 16
    let (range, error) = try Model.range(of: values, bits: 4, layer: "relu", unit: unit)
    #expect(range == 2 * unit || range == 4 * unit)
    // The better of the two, by hand.
    let errors = [1.0, 2, 4].map { factor -> Double in
      let range = factor * unit
      return values.reduce(0) { sum, value in
        let level = (min(Double(value) / range, 1) * 15).rounded(.toNearestOrEven) / 15
        return sum + pow(Double(value) - level * range, 2)
      }
    }
    let size = values.reduce(0) { $0 + Double($1) * Double($1) }
    #expect(abs(error - ((errors.min() ?? 0) / size).squareRoot()) < 1e-4)

    let network = try Network(input: Shape(channels: 4, height: 1, width: 1)) {
      Node.linear("fc0", features: 8)
      Node.batchNorm("bn0")
      Node.relu("relu0")
      Node.linear("fc1", features: 2, bias: true, weights: .integer(bits: 8))
    }
    let data = try Sample.dataset(network.input, classes: 2, train: 60, test: 20)
    var model = try PredictionTests.model(network, data)
    func ratio() throws -> Float {
      let found = try model.calibrated(
        to: network.quantizingActivations(to: 8), on: data.train.images)
      return Float(try #require(found.calibrations.first).range / (255.0 / 256))
    }
    #expect(try ratio().significand != 1)
    model.hasClasses = false
    #expect(try ratio().significand == 1)
  }

  /// A layer's range does not depend on what the powers of two of the layers before it have left over.
  @Test(arguments: [Domain.float, .ternary, .integer(bits: 4)])
  func findsTheRangesOfSingleLayers(domain: Domain) throws {
    let (model, data) = try Self.model(domain)
    let all = try model.calibrated(
      to: model.network.quantizingActivations(to: 8), on: data.train.images
    ).calibrations
    for calibration in all {
      let alone = try model.calibrated(
        to: model.network.quantizingActivations(to: 8, matching: calibration.layer),
        on: data.train.images
      ).calibrations
      #expect(alone.count == 1)
      let ratio = calibration.range / (alone.first?.range ?? 0)
      #expect(abs(ratio - 1) < 0.05, "\(calibration.layer): \(ratio)")
    }
  }

  /// Levels of levels: from 8 bits to 4, as from none to 4 but for the first levels' width.
  @Test func quantizesFurther() throws {
    let (model, data) = try Self.model()
    let eight = try model.calibrated(
      to: model.network.quantizingActivations(to: 8), on: data.train.images
    ).model
    let network = try model.network.quantizingActivations(to: 4)
    let (twice, calibrations) = try eight.calibrated(to: network, on: data.train.images)
    let once = try model.calibrated(to: network, on: data.train.images).model
    #expect(twice.network == network && calibrations.count == 3)
    let logits = try [model, once, twice].map {
      try $0.predict(data.test.images).flatMap(\.logits).map(Double.init)
    }
    func distance(_ a: [Double], _ b: [Double]) -> Double {
      zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
    }
    #expect(distance(logits[0], logits[2]) < 1.2 * distance(logits[0], logits[1]))
    // From 16 levels to 256: what became 15 / 16 becomes 1 again, so norms change by ranges as fractions of it.
    let (finer, found) = try once.calibrated(
      to: model.network.quantizingActivations(to: 8), on: data.train.images)
    for (name, calibration) in zip(["bn0", "bn1", "bn2"], found) {
      let ratios = try zip(once.parameters.values(of: name), finer.parameters.values(of: name)).map
      {
        Double($0) / Double($1)
      }
      let expected = calibration.range / 0.9375
      #expect(ratios.allSatisfy { abs($0 / expected - 1) < 1e-5 }, "\(ratios), \(expected)")
    }
    // The same levels again: nothing to do.
    let same = try twice.calibrated(to: network, on: data.train.images)
    #expect(same.calibrations.isEmpty && same.model.parameters == twice.parameters)
  }

  @Test func namesLayers() throws {
    let network = try Self.network()
    let some = try network.quantizingActivations(to: 3, matching: "relu[12]")
    #expect(
      some.nodes.filter { $0.layer == .activation(.quantize(bits: 3)) }.map(\.name)
        == ["relu1", "relu2"])
    #expect(
      errorText { _ = try network.quantizingActivations(to: 3, matching: "bn*") }
        == "`activations`: expected a pattern of the names of ReLUs, found 'bn*', which matches none "
        + "(there are relu0, relu1, relu2)")
    #expect(
      errorText { _ = try network.quantizingActivations(to: 9) }
        == "relu0: expected 1 to 8 bits, found 9")
  }

  /// What has no norm in front, or nothing behind that takes the range up, is named.
  @Test func refusesWhatItCannotFit() throws {
    let network = try Network(input: Shape(channels: 1, height: 4, width: 4)) {
      Node.conv2d("conv0", channels: 3, kernel: 3, padding: 1)
      Node.relu("relu0")
      Node.conv2d("conv1", channels: 3, kernel: 3, padding: 1)
      Node.batchNorm("bn1")
      Node.relu("relu1")
      Node.conv2d("conv2", channels: 3, kernel: 3, padding: 1)
      Node.batchNorm("bn2")
      Node.relu("relu2")
      Node.add("add", "relu1")
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 3)
    }
    let data = try Sample.dataset(network.input, classes: 3, train: 20, test: 20)
    let model = try PredictionTests.model(network, data)
    func text(_ pattern: String) -> String? {
      errorText {
        _ = try model.calibrated(
          to: network.quantizingActivations(to: 4, matching: pattern), on: data.train.images)
      }
    }
    #expect(
      text("relu0")
        == "relu0: expected a batch norm in front of it that nothing else reads, to fit its levels; "
        + "found none (those of no layer here can be fitted)")
    #expect(
      text("relu1")
        == "relu1: expected layers with weights behind it, and no others, to fit its levels; found "
        + "conv2, add (those of no layer here can be fitted)")
    #expect(text("relu2")?.hasPrefix("relu2: expected layers with weights behind it") == true)
    let other = try Self.network().quantizingActivations(to: 4)
    #expect(
      errorText { _ = try model.calibrated(to: other, on: data.train.images) }
        == "network: expected the layers of the model, found others")
  }
}

extension Parameters {
  /// The scales of a batch norm.
  fileprivate func values(of norm: String) throws -> ArraySlice<Float> {
    values[slots[try #require(slot(named: "\(norm).weight"))].range]
  }
}
