import ArgumentParser
import Foundation
import RSO

/// `rso benchmark`
struct Benchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure the speed of every tensor's proposals.",
    discussion: """
      First some losses of every tensor are compared with the reference engine's; if they differ, \
      nothing is timed. Then proposals of each tensor are timed one by one, in the order and on the \
      mini-batches of a training run, and the median of each kind is weighted by how often it occurs \
      in the whole sweep: a proposal costs more when its mini-batch comes round in another output \
      channel, and what is kept for it must be brought up to date. The first proposal of a kind, which \
      also allocates memory, is left out. No weight changes.

      Multiply-adds are those that the exact method needs, each counted once; one is two floating-point \
      operations. The peak is what fused multiply-adds in registers reach on all threads, and the bandwidth \
      what reading or copying much memory reaches, both in this run. From them follows a floor for every \
      tensor: the longer of its operations at the peak and the bytes it must stream at the bandwidth.

        rso benchmark
        rso benchmark --network cifar10
        rso benchmark --batch 1000 --threads 1 --seconds 1 --json > before.json
        rso benchmark --batch 1000 --threads 1 --seconds 1 --compare before.json
      """)

  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Network") var network: NetworkOptions
  @OptionGroup(title: "Search") var search: SearchOptions
  @OptionGroup(title: "Device") var device: DeviceOptions

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Time for the proposals of a tensor, about.", valueName: "s"))
  var seconds = 3.0

  @Flag(help: "Show the parts of each tensor's proposals: kernels, time and share of the peak.")
  var parts = false

  @Flag(help: "Print JSON.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "Compare with what an earlier run with --json printed: earlier time per time now.",
      valueName: "file.json"))
  var compare: String?

  private struct Answer: Encodable {
    var kernels: String
    var threads: Int
    var batch: Int
    var batches: Int
    var checkedLosses: Int
    /// Largest differences, as a fraction of the loss and of the rounding bound.
    var largestDifference: Double
    var largestDifferenceOfBound: Double
    var peakOperationsPerSecond: Double
    var bandwidth: Bandwidth
    var sweeps: [Sweep]
    var evaluationSeconds: Double
    /// Every sweep, including its cache and the evaluation after it.
    var cycleSeconds: Double
    var cycleMultiplyAdds: Int
    /// `nil` if the system does not say, or if measuring the bandwidth took more than everything else.
    var peakMemoryBytes: Int?
    var comparison: EarlierBenchmark.Comparison?

    /// Bytes per second.
    struct Bandwidth: Encodable {
      var read: Double
      var copy: Double
    }

    struct Sweep: Encodable {
      var parameter: String
      var proposals: Int
      var timed: Int
      var secondsPerProposal: Double
      var multiplyAddsPerProposal: Double
      var operationsPerSecond: Double
      var shareOfPeak: Double
      var bytesPerProposal: Double
      var floorSeconds: Double
      /// The floor's share of the time: 1 if nothing is left to gain.
      var shareOfFloor: Double
      var cacheSeconds: Double
      /// The parts of the timed proposals: the upkeep, then each pass over the mini-batch.
      var parts: [Part]
    }
    struct Part: Encodable {
      var steps: String
      var multiplyAddsPerProposal: Int
      var secondsPerProposal: Double
    }
  }

  func run() throws {
    #if DEBUG
      throw RSOError(
        "benchmark",
        "expected a release build, found a debug build, which says nothing about speed",
        hint: "swift run -c release rso benchmark")
    #else
      let answer = try measure()
      if json {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        Console.line(String(decoding: try encoder.encode(answer), as: UTF8.self))
      }
    #endif
  }

  /// Prints each line as soon as it is known, unless JSON was requested.
  private func measure() throws -> Answer {
    guard seconds > 0, seconds <= 3600 else {
      throw RSOError("--seconds", "expected more than 0 and at most 3600, found \(seconds)")
    }
    guard case .cpu(let asked) = try device.resolved() else {
      throw RSOError(
        "--device", "expected cpu, found \(device.name.text)",
        hint: "the reference engine is slow on purpose; for a GPU there is rso devices --check")
    }
    let threads = asked ?? ProcessInfo.processInfo.activeProcessorCount
    let paper = self.data.paper(self.network)
    let images = try images()
    let network = try network.network(for: images, paperLayers: paper.layers)
    let data = try self.network.normalized(images, for: network)
    let settings = try search.settings(
      over: paper.settings, network: network, samples: data.train.count)
    try settings.validate(samples: data.train.count, network: network)
    let batches = data.train.count / settings.batchSize
    let kernels = try Kernels.preferred().name
    // Reports results that cannot be compared before measuring anything.
    let earlier = try compare.map { try EarlierBenchmark(contentsOf: $0) }
    try earlier?.check(
      batch: settings.batchSize,
      sweeps: CostModel(network: network, settings: settings, data: data).sweeps)

    let check = try EngineComparison(
      network: network, data: data, seed: settings.seed, threads: threads)
    say(check.summary)
    let peak = try CPUEngine.measurePeak(threads: threads)
    say(
      "peak: \(fixed(peak / 1e9, 1)) GFLOP/s (\(kernels), \(threads) "
        + "thread\(threads == 1 ? "" : "s"))")
    let bandwidth = try Bandwidth(measuredOn: threads)
    let memoryBefore = peakMemory()
    say(
      "bandwidth: reads \(fixed(bandwidth.read / 1e9, 1)) GB/s, "
        + "copies \(fixed(bandwidth.copy / 1e9, 1)) GB/s")
    say(
      "\(data.name): \(grouped(batches)) mini-batches of \(grouped(settings.batchSize)) images\n")

    let measurement = try SpeedMeasurement(
      network: network, data: data, settings: settings, threads: threads)
    let evaluation = try measurement.timeEvaluation()
    let width = max(measurement.model.sweeps.map(\.parameter.count).max() ?? 0, 6)
    let head = [
      "proposals", "timed", "ms each", "M mul-adds", "GFLOP/s", "of peak", "floor ms", "of floor",
      "cache s",
    ]
    say(Self.row("tensor", head + (earlier == nil ? [] : ["earlier ms", "speed-up"]), width))
    func floor(_ timing: SpeedMeasurement.Timing) -> Double {
      timing.floor(peak: peak, bandwidth: bandwidth.most)
    }
    // A tensor swept several times in a cycle is measured once.
    var found: [Int: SpeedMeasurement.Timing] = [:]
    var timings: [SpeedMeasurement.Timing] = []
    for (index, cost) in measurement.model.sweeps.enumerated() {
      if let timing = found[cost.slot] {
        timings.append(timing)
        continue
      }
      let timing = try measurement.time(index, seconds: seconds)
      found[cost.slot] = timing
      timings.append(timing)
      say(
        Self.row(
          timing.parameter,
          [
            grouped(timing.proposals), grouped(timing.timed),
            fixed(1000 * timing.secondsPerProposal, 3),
            fixed(timing.multiplyAddsPerProposal / 1e6, 2),
            fixed(timing.operationsPerSecond / 1e9, 1),
            percent(timing.operationsPerSecond / peak, 1), fixed(1000 * floor(timing), 3),
            percent(floor(timing) / timing.secondsPerProposal, 1), fixed(timing.cacheSeconds, 2),
          ]
            + (earlier.map {
              [
                fixed(1000 * $0.secondsPerProposal(index), 3),
                fixed($0.secondsPerProposal(index) / timing.secondsPerProposal, 2),
              ]
            } ?? []), width))
      if parts { say(lines(of: timing, batch: settings.batchSize, peak: peak)) }
    }
    let cycle =
      timings.reduce(0.0) {
        $0 + $1.secondsPerProposal * Double($1.proposals) + $1.cacheSeconds
      }
      + evaluation * Double(settings.evaluations == .tensor ? timings.count : 1)
    let answer = Answer(
      kernels: kernels, threads: threads, batch: settings.batchSize, batches: batches,
      checkedLosses: check.losses, largestDifference: check.largest,
      largestDifferenceOfBound: check.largestOfBound, peakOperationsPerSecond: peak,
      bandwidth: .init(read: bandwidth.read, copy: bandwidth.copy),
      sweeps: timings.map {
        .init(
          parameter: $0.parameter, proposals: $0.proposals, timed: $0.timed,
          secondsPerProposal: $0.secondsPerProposal,
          multiplyAddsPerProposal: $0.multiplyAddsPerProposal,
          operationsPerSecond: $0.operationsPerSecond,
          shareOfPeak: $0.operationsPerSecond / peak, bytesPerProposal: $0.bytesPerProposal,
          floorSeconds: floor($0), shareOfFloor: floor($0) / $0.secondsPerProposal,
          cacheSeconds: $0.cacheSeconds,
          parts: $0.parts.map {
            .init(
              steps: $0.steps, multiplyAddsPerProposal: $0.multiplyAdds * settings.batchSize,
              secondsPerProposal: $0.seconds)
          })
      },
      evaluationSeconds: evaluation, cycleSeconds: cycle,
      cycleMultiplyAdds: measurement.model.total,
      peakMemoryBytes: peakMemory().flatMap { $0 > memoryBefore ?? 0 ? $0 : nil },
      comparison: earlier?.comparison(
        secondsPerProposal: timings.map(\.secondsPerProposal), cycleSeconds: cycle))
    let rate = 2 * Double(answer.cycleMultiplyAdds) / cycle
    say(
      "\na cycle: \(fixed(cycle, 1)) s, \(fixed(Double(answer.cycleMultiplyAdds) / 1e12, 3)) T "
        + "multiply-adds, \(fixed(rate / 1e9, 1)) GFLOP/s, \(percent(rate / peak, 1)) of the peak")
    say("an evaluation: \(fixed(evaluation, 2)) s")
    if let earlier, let comparison = answer.comparison {
      say(
        "\(earlier.description()): a cycle: \(fixed(comparison.cycleSeconds, 1)) s, "
          + "now \(fixed(comparison.cycleSpeedUp, 2)) times as fast")
    }
    if let memory = answer.peakMemoryBytes {
      say(
        "memory: \(bytes(memory)) at most (expected: about \(bytes(measurement.model.memory)))")
    }
    return answer
  }

  /// The requested images. If the paper's CIFAR-10 network was requested and CIFAR-10 is not on this machine,
  /// noise images of the same size: the work is the same.
  private func images() throws -> Dataset {
    guard !data.isGiven, network.paperData == "cifar10",
      KnownData.named("cifar10")?.folder() == nil
    else { return try data.dataset(network) }
    say("CIFAR-10 is not on this machine: measuring with noise of its size")
    func split(_ count: Int) throws -> Split {
      let shape = Shape(channels: 3, height: 32, width: 32)
      return try Split(
        images: (0..<count * shape.count).map {
          UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13)
        },
        labels: (0..<count).map { Int32($0 % 10) }, shape: shape)
    }
    return try data.held(
      Dataset(
        name: "noise", train: split(50_000), test: split(10_000), trainLimit: data.trainLimit,
        testLimit: data.testLimit))
  }

  private func say(_ line: String) { if !json { Console.line(line) } }

  /// The parts of a tensor's proposals: milliseconds, and the share of the peak that the multiply-adds of a direct
  /// convolution would reach in that time.
  private func lines(
    of timing: SpeedMeasurement.Timing, batch: Int, peak: Double
  ) -> String {
    timing.parts.map { part in
      let rate = 2 * Double(part.multiplyAdds * batch) / part.seconds
      return fixed(1000 * part.seconds, 3).padded(12, right: true)
        + (part.multiplyAdds == 0 ? "" : percent(rate / peak, 1)).padded(10, right: true)
        + "  " + part.steps
    }.joined(separator: "\n")
  }

  private static func row(_ name: String, _ cells: [String], _ width: Int) -> String {
    name.padded(width) + cells.map { $0.padded(12, right: true) }.joined()
  }

}

/// The peak memory of this process in bytes; `nil` if the system does not say.
private func peakMemory() -> Int? {
  var usage = rusage()
  // Darwin counts bytes, Linux kilobytes; glibc wraps the constant in a type of its own.
  #if canImport(Darwin)
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : nil
  #else
    return getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0
      ? usage.ru_maxrss * 1024 : nil
  #endif
}
