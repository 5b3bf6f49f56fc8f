import CRSO
import Foundation
import Testing

@testable import RSO

@Suite struct SpeedMeasurementTests {
  typealias Kind = SpeedMeasurement.Kind

  private static func kind(_ multiplyAdds: Int) -> Kind {
    let network = try? Network(input: Shape(channels: 1)) { Node.linear("fc", features: 2) }
    // A kind is its multiply-adds; which tensor they come from does not matter here.
    guard let network else { preconditionFailure() }
    var kind = Kind(
      .costing(),
      TensorCost(network: network, slot: Parameters(zerosFor: network).slots[0]),
      baseline: .computed)
    kind.multiplyAdds = multiplyAdds
    return kind
  }

  /// Medians without the first; what was not timed lies on the line through the medians.
  @Test func expectedTimes() {
    let (a, b, c, d) = (Self.kind(0), Self.kind(10), Self.kind(20), Self.kind(40))
    let times: [Kind: [Double]] = [a: [9, 1, 5, 1], b: [7, 2, 2], d: [5]]
    let found = SpeedMeasurement.expected(times, [a, b, c, d])
    #expect(found[a] == 1)
    #expect(found[b] == 2)
    #expect(found[d] == 5)
    // 1, 2 and 5 at 0, 10 and 40 are on one line.
    #expect(abs((found[c] ?? 0) - 3) < 1e-12)
    // One kind alone says what there is to say; and more work never takes less time.
    #expect(SpeedMeasurement.expected([a: [3]], [a, b]) == [a: 3, b: 3])
    #expect(SpeedMeasurement.expected([a: [3], b: [1]], [a, b, c]) == [a: 3, b: 1, c: 2])
  }

  /// Every sweep is timed, whole where there is time, and the weights stay as they are.
  @Test func timings() throws {
    let settings = SearchTests.settings { $0.batchSize = 11 }
    let data = try SearchTests.data()
    let measurement = try SpeedMeasurement(
      network: SearchTests.network(), data: data, settings: settings, threads: 1)
    #expect(measurement.model.sweeps.map(\.proposals) == [9, 54, 3, 3, 18, 2, 2])
    for (index, sweep) in measurement.model.sweeps.enumerated() {
      let timing = try measurement.time(index, seconds: 30)
      #expect(timing.parameter == sweep.parameter)
      #expect(timing.timed == sweep.proposals && timing.proposals == sweep.proposals)
      #expect(timing.secondsPerProposal > 0)
      let whole = timing.multiplyAddsPerProposal * Double(sweep.proposals)
      let expected = Double(sweep.judging + sweep.upkeep)
      #expect(abs(whole - expected) <= 1e-9 * expected)
      // In no time at all, a few.
      #expect(try measurement.time(index, seconds: 0).timed < 7)
    }
    #expect(try measurement.timeEvaluation() > 0)
  }

  /// The parts of a proposal have the multiply-adds that the cost model counts for its candidates.
  @Test func parts() throws {
    let network = try Network.mnist()
    let data = try Dataset.mnist(trainLimit: 96, testLimit: 10)
    var settings = SearchSettings()
    settings.batchSize = 48
    let measurement = try SpeedMeasurement(
      network: network, data: data, settings: settings, threads: 1)
    for (index, sweep) in measurement.model.sweeps.enumerated()
    where sweep.parameter.hasSuffix("weight") && !sweep.parameter.hasPrefix("bn") {
      let parts = try measurement.time(index, seconds: 0.01).parts
      let counted = parts.reduce(0) { $0 + $1.multiplyAdds }
      // Mixing is done once for the moments and again to go on, the changed tap in every pass until then.
      #expect(counted >= 3 * sweep.perImage, "\(sweep.parameter)")
      #expect(counted < 3 * sweep.perImage * 5 / 4 + 3 * 9 * 784, "\(sweep.parameter)")
      #expect(parts.first?.steps == "upkeep")
      #expect(parts.last?.steps.hasSuffix("loss") == true)
    }
  }

  @Test func cycleEstimate() throws {
    let settings = SearchTests.settings {
      $0.batchSize = 11
      $0.sweeps = ["fc": 2]
    }
    let data = try SearchTests.data()
    let estimate = try CycleEstimate(
      network: SearchTests.network(), data: data, settings: settings, threads: 1, budget: 0.1)
    #expect(estimate.measuredBatch == 11)
    #expect(estimate.sweeps.count == 8)
    #expect(estimate.sweeps.last?.parameter == "fc.weight")
    for sweep in estimate.sweeps {
      #expect(sweep.seconds >= sweep.secondsPerProposal * Double(sweep.proposals))
    }
    // Nothing to sweep costs nothing.
    let nothing = SearchTests.settings { $0.sweeps = ["fc": 0, "conv0": 0, "conv1": 0] }
    #expect(
      try CycleEstimate(
        network: SearchTests.network(), data: data, settings: nothing, threads: 1
      ).seconds == 0)
  }

  @Test func peakIsPlausible() throws {
    let one = try CPUEngine.measurePeak(threads: 1)
    // Between a tenth of a GFLOP/s and ten times what any core reaches.
    #expect(one > 1e8 && one < 1e13)
  }

  @Test func bandwidthIsPlausible() throws {
    for threads in [1, 3] {
      let found = try Bandwidth(measuredOn: threads)
      // From what memory of thirty years ago did to far more than any does.
      #expect(1e8...1e13 ~= found.read && 1e8...1e13 ~= found.copy)
      #expect(found.most == max(found.read, found.copy))
    }
  }

  /// Every number is touched once.
  @Test func streams() throws {
    let x = try Buffer<UInt64>((0..<64).map { UInt64($0) })
    let y = try Buffer<UInt64>(65)
    #expect(rso_stream_read(x.pointer, 64) == 63 * 32)
    rso_stream_copy(x.pointer, y.pointer, 64)
    #expect((0..<64).allSatisfy { y.pointer[$0] == ~UInt64($0) } && y.pointer[64] == 0)
  }

  /// Counted by hand: per sample, in numbers.
  @Test func streamedBytes() throws {
    let network = try Network.paper(
      layers: 6, input: Shape(channels: 1, height: 28, width: 28), classes: 10)
    let folded = network.foldingAveragePools()
    func numbers(_ parameter: String) throws -> Int {
      let slots = Parameters(zerosFor: folded).slots
      let slot = try #require(slots.first { $0.name == parameter })
      let bytes = TensorCost(network: folded, slot: slot).streamedBytes(batch: 5000)
      #expect(bytes.isMultiple(of: 4 * 5000))
      return bytes / 4 / 5000
    }
    // The logit under test, the input that its weight multiplies, and all logits.
    #expect(try numbers("fc.weight") == 1 + 1 + 10)
    // 7 × 7 channels: one under test and one read, for its batch norm and to go on; logits are the rest.
    #expect(try numbers("conv5.weight") == 2 * 2 * 49 + 10)
    // The same twice more for conv5's rest; nothing above is stored.
    #expect(try numbers("conv4.weight") == 3 * 2 * 49 + 2 * 16 * 49)
    // A batch norm's weights need no input.
    #expect(try numbers("bn4.weight") == 3 * 49 + 2 * 16 * 49)
    // conv3 makes 7 × 7 of the 15 × 15 sums that the pooling folded into it reads; conv5 is stored for three
    // candidates, written and read.
    #expect(
      try numbers("conv3.weight") == 3 * (15 * 15 + 49) + 2 * 16 * 49 + 2 * 3 * 16 * 49)
    // A convolution without batch norm above it is made once.
    let plain = try Network(input: Shape(channels: 2, height: 4, width: 4)) {
      Node.conv2d("a", channels: 3, kernel: 3, padding: 1)
      Node.conv2d("b", channels: 5, kernel: 3, padding: 1)
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 2)
    }
    let cost = TensorCost(network: plain, slot: Parameters(zerosFor: plain).slots[0])
    #expect(cost.streamedBytes(batch: 1) == 4 * (16 + 16 + 5 * 16))
  }

  @Test func floorOfATime() {
    let timing = SpeedMeasurement.Timing(
      parameter: "fc.weight", proposals: 1, timed: 1, secondsPerProposal: 1,
      multiplyAddsPerProposal: 30, bytesPerProposal: 100, parts: [], cacheSeconds: 0)
    #expect(timing.floor(peak: 20, bandwidth: 1000) == 3)
    #expect(timing.floor(peak: 20, bandwidth: 10) == 10)
  }

  // MARK: The comparison before a benchmark

  @Test func enginesAgree() throws {
    let data = try SearchTests.data(train: 34)
    let found = try EngineComparison(
      network: SearchTests.network(), data: data, seed: 1, threads: 2)
    // Three candidates of four elements; of two and three for β and γ, which have no more.
    #expect(found.losses == 3 * 12 + 2 * 6 + 2 * 9)
    #expect(found.largest > 0 && found.largestOfBound > 0 && found.largestOfBound <= 1)
  }

  /// An engine that is wrong by a thousandth in one weight is found out, and the place is named.
  @Test func aWrongEngineIsFoundOut() throws {
    let network = try SearchTests.network()
    let data = try SearchTests.data(train: 34)
    let parameters = Parameters(initialFor: network, seed: 1)
    var wrong = parameters
    wrong.values[parameters.slots[0].offset + 4] *= 1.001
    for (tensor, slot) in parameters.slots.enumerated() {
      var reference = ReferenceEngine(
        network: network, data: data, parameters: parameters)
      var engine: any Engine = ReferenceEngine(network: network, data: data, parameters: wrong)
      let found = try EngineComparison(
        &engine, with: &reference, of: network, tensor: tensor, batch: 17, count: 34, seed: 1)
      #expect(found.largestOfBound > 1)
      #expect(found.place.hasPrefix(slot.name + "["))
    }
  }

  /// Where sums are exact, few losses may differ, and an engine with other weights is found out. Where they round, steps
  /// tell nothing, and the line says how many losses differ.
  @Test(arguments: [Domain.ternary, .float])
  func stepsMayMoveLosses(weights: Domain) throws {
    let network = try Network(input: Shape(channels: 1, height: 8, width: 8)) {
      Node.conv2d("conv", channels: 4, kernel: 3, padding: 1, weights: weights)
      Node.batchNorm("bn")
      Node.activation("step", .quantize(bits: 4))
      Node.flatten("flat")
      Node.linear("fc", features: 3, weights: weights)
    }
    let data = try Sample.dataset(network.input, classes: 3, train: 34, test: 1)
      .normalized(by: .integers)
    #expect(network.hasExactSums(of: data) == (weights == .ternary))
    #expect(try !network.hasExactSums(of: data.normalized(by: .mean)))
    let parameters = Parameters(initialFor: network, seed: 1)
    for isWrong in [false, true] {
      var other = parameters
      // All the same factor would be taken out by batch norm.
      for element in 0..<9 where isWrong && element.isMultiple(of: 2) {
        other.values[element] *= weights == .ternary ? -1 : 1.2
      }
      let own = other
      let found = Result {
        try EngineComparison(
          network: network, data: data, parameters: parameters, seed: 1, threads: 1
        ) { ReferenceEngine(network: network, data: data, parameters: own) }
      }
      switch found {
      case .success(let found):
        #expect(!isWrong || weights == .float)
        #expect((found.moved > 0) == isWrong && found.losses > 20)
        #expect(found.summary.hasSuffix("where rounding decides a step") == isWrong)
      case .failure(let error):
        #expect(isWrong && weights == .ternary && "\(error)".contains("decides a step"), "\(error)")
      }
    }
  }

  /// The images are read as the data says: whole numbers have exact sums, and no rounding decides a step.
  @Test func theNormalizationIsTheDatas() throws {
    let network = try Network(input: Shape(channels: 1, height: 28, width: 28)) {
      Node.conv2d("conv0", channels: 6, kernel: 3, padding: 1, weights: .binary)
      Node.batchNorm("bn0")
      Node.activation("step0", .sign)
      Node.conv2d("conv1", channels: 6, kernel: 3, padding: 1, weights: .ternary)
      Node.batchNorm("bn1")
      Node.activation("step1", .sign)
      Node.flatten("flat")
      Node.linear("fc", features: 10, weights: .ternary)
    }
    let data = try Dataset.mnist(trainLimit: 34, testLimit: 1).normalized(by: .integers)
    let found = try EngineComparison(network: network, data: data, seed: 0, threads: 2)
    #expect(found.moved == 0 && found.losses > 40)
  }
}
