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
      .replay(0), TensorCost(network: network, slot: Parameters(zerosFor: network).slots[0]))
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
      let expected = Double(sweep.proposals * sweep.perProposal + sweep.upkeep)
      #expect(abs(whole - expected) <= 1e-9 * expected)
      // In no time at all, a few.
      #expect(try measurement.time(index, seconds: 0).timed < 7)
    }
    #expect(try measurement.timeEvaluation() > 0)
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

  // MARK: The comparison before a benchmark

  @Test func enginesAgree() throws {
    let data = try SearchTests.data(train: 34)
    let found = try EngineComparison(
      network: SearchTests.network(), data: data, seed: 1, threads: 2)
    // Three candidates of three elements; of two for β and γ, whose second is the next channel's.
    #expect(found.losses == 3 * 9 + 4 * 6)
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
}
