import Foundation

/// An estimate of how long a cycle takes on this machine, from a few seconds of measuring.
///
/// Some proposals of every tensor are timed on smaller mini-batches (as many mini-batches as the cycle has) and scaled
/// by the number of samples. Caches and evaluations are scaled by their multiply-adds.
package struct CycleEstimate: Hashable, Sendable {
  package struct Sweep: Hashable, Sendable {
    package var parameter: String
    package var proposals: Int
    package var secondsPerProposal: Double
    /// For the whole sweep: cache, proposals, and the evaluation after it.
    package var seconds: Double
  }

  /// Of elements; the few proposals of scales are not measured.
  package var sweeps: [Sweep]
  package var model: CostModel
  /// The mini-batch size used for measuring.
  package var measuredBatch: Int
  /// For a cycle with mini-batches of `settings.batchSize`.
  package var seconds: Double { sweeps.reduce(0) { $0 + $1.seconds } }

  /// - Parameter budget: approximate seconds to spend on measuring.
  package init(
    network: Network, data: Dataset, settings: SearchSettings, threads: Int, budget: Double = 8
  ) throws {
    try settings.validate(samples: data.train.count, network: network)
    var settings = settings
    settings.scales = .fixed
    // Statistics that are kept take no time, but belong to weights that are not here.
    settings.statistics = .renew
    model = CostModel(network: network, settings: settings, data: data)
    guard !model.sweeps.isEmpty else {
      (sweeps, measuredBatch) = ([], settings.batchSize)
      return
    }
    let batches = data.train.count / settings.batchSize
    measuredBatch = Self.batch(model, settings, threads: threads, budget: budget)

    var small = settings
    small.batchSize = measuredBatch
    let part = try Dataset(
      name: data.name, train: data.train.prefix(measuredBatch * batches),
      test: (data.validation ?? data.test).prefix(1000), classes: data.classes)
    let measurement = try SpeedMeasurement(
      network: network, data: part, settings: small, threads: threads)
    let evaluation = try measurement.timeEvaluation()
    let perSweep = budget / 2 / Double(model.sweeps.count)
    let scale = Double(settings.batchSize) / Double(measuredBatch)
    // A tensor that a cycle sweeps several times is measured once.
    var found: [Int: SpeedMeasurement.Timing] = [:]
    var sweeps: [Sweep] = []
    for (index, cost) in model.sweeps.enumerated() {
      let timing = try found[cost.slot] ?? measurement.time(index, seconds: perSweep)
      found[cost.slot] = timing
      let partial = measurement.model.sweeps[index]
      let perProposal = timing.secondsPerProposal * scale
      sweeps.append(
        Sweep(
          parameter: cost.parameter, proposals: cost.proposals, secondsPerProposal: perProposal,
          seconds: perProposal * Double(cost.proposals)
            + timing.cacheSeconds * Self.ratio(cost.cache, partial.cache)
            + evaluation * Self.ratio(cost.evaluation, partial.evaluation)))
    }
    self.sweeps = sweeps
  }

  private static func ratio(_ whole: Int, _ part: Int) -> Double {
    part == 0 ? 0 : Double(whole) / Double(part)
  }

  /// Samples per mini-batch for which measuring every sweep takes about `budget` seconds. The guess is based on the
  /// multiply-adds of some proposals of each tensor and of the caches.
  private static func batch(
    _ model: CostModel, _ settings: SearchSettings, threads: Int, budget: Double
  ) -> Int {
    var perSample = 0.0
    for sweep in model.sweeps {
      let proposals = Double(min(sweep.proposals, 8))
      perSample +=
        (proposals * sweep.averagePerProposal + Double(sweep.cache)) / Double(settings.batchSize)
    }
    // A modest speed: 10 G multiply-adds per second and thread.
    let samples = budget / 2 * 1e10 * Double(threads) / max(perSample, 1)
    // In chunks of 48 samples, as the engine distributes them.
    let fitting = max(Int(min(samples, 1e9)) / 48, 1) * 48
    return min(settings.batchSize, max(fitting, 96))
  }
}
