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
      operations. The peak is what fused multiply-adds in registers reach on all threads, in this run.

        rso benchmark
        rso benchmark --network cifar10
        rso benchmark --batch 1000 --threads 1 --seconds 1 --json
      """)

  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Network") var network: NetworkOptions
  @OptionGroup(title: "Search") var search: SearchOptions
  @OptionGroup(title: "Device") var device: DeviceOptions

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Time for the proposals of a tensor, about.", valueName: "s"))
  var seconds = 3.0

  @Flag(help: "Print JSON.")
  var json = false

  private struct Answer: Encodable {
    var kernels: String
    var threads: Int
    var batch: Int
    var batches: Int
    var checkedLosses: Int
    var largestDifference: Double
    var peakOperationsPerSecond: Double
    var sweeps: [Sweep]
    var evaluationSeconds: Double
    /// Every sweep with its cache and the evaluation after it.
    var cycleSeconds: Double
    var cycleMultiplyAdds: Int
    var peakMemoryBytes: Int?

    struct Sweep: Encodable {
      var parameter: String
      var proposals: Int
      var timed: Int
      var secondsPerProposal: Double
      var multiplyAddsPerProposal: Double
      var operationsPerSecond: Double
      var shareOfPeak: Double
      var cacheSeconds: Double
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

  /// Prints each line when it is known, unless JSON is wanted.
  private func measure() throws -> Answer {
    guard seconds > 0, seconds <= 3600 else {
      throw RSOError("--seconds", "expected more than 0 and at most 3600, found \(seconds)")
    }
    guard case .cpu(let asked) = try device.resolved() else {
      throw RSOError(
        "--device", "expected cpu, found reference",
        hint: "the reference engine is slow on purpose")
    }
    let threads = asked ?? ProcessInfo.processInfo.activeProcessorCount
    let paper = self.data.paper(self.network)
    let data = try images()
    let network = try network.network(for: data, paperLayers: paper.layers)
    let settings = try search.settings(over: paper.settings, network: network)
    try settings.validate(samples: data.train.count, network: network)
    let batches = data.train.count / settings.batchSize
    let kernels = Kernels.available[0].name

    let check = try EngineComparison(
      network: network, data: data, seed: settings.seed, threads: threads)
    say(
      "\(check.losses) losses are the reference engine's, to \(scientific(check.largest)) of the loss"
    )
    let peak = try CPUEngine.measurePeak(threads: threads)
    say(
      "peak: \(fixed(peak / 1e9, 1)) GFLOP/s (\(kernels), \(threads) "
        + "thread\(threads == 1 ? "" : "s"))")
    say(
      "\(data.name): \(grouped(batches)) mini-batches of \(grouped(settings.batchSize)) images\n")

    let measurement = try SpeedMeasurement(
      network: network, data: data, settings: settings, threads: threads)
    let evaluation = try measurement.timeEvaluation()
    let width = max(measurement.model.sweeps.map(\.parameter.count).max() ?? 0, 6)
    say(
      Self.row(
        "tensor", ["proposals", "timed", "ms each", "M mul-adds", "GFLOP/s", "of peak", "cache s"],
        width))
    // A tensor that is swept several times in a cycle is measured once.
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
            percent(timing.operationsPerSecond / peak, 1), fixed(timing.cacheSeconds, 2),
          ], width))
    }
    let cycle = timings.reduce(0.0) {
      $0 + $1.secondsPerProposal * Double($1.proposals) + $1.cacheSeconds + evaluation
    }
    let answer = Answer(
      kernels: kernels, threads: threads, batch: settings.batchSize, batches: batches,
      checkedLosses: check.losses, largestDifference: check.largest, peakOperationsPerSecond: peak,
      sweeps: timings.map {
        .init(
          parameter: $0.parameter, proposals: $0.proposals, timed: $0.timed,
          secondsPerProposal: $0.secondsPerProposal,
          multiplyAddsPerProposal: $0.multiplyAddsPerProposal,
          operationsPerSecond: $0.operationsPerSecond,
          shareOfPeak: $0.operationsPerSecond / peak, cacheSeconds: $0.cacheSeconds)
      },
      evaluationSeconds: evaluation, cycleSeconds: cycle,
      cycleMultiplyAdds: measurement.model.total, peakMemoryBytes: peakMemory())
    let rate = 2 * Double(answer.cycleMultiplyAdds) / cycle
    say(
      "\na cycle: \(fixed(cycle, 1)) s, \(fixed(Double(answer.cycleMultiplyAdds) / 1e12, 3)) T "
        + "multiply-adds, \(fixed(rate / 1e9, 1)) GFLOP/s, \(percent(rate / peak, 1)) of the peak")
    say("an evaluation: \(fixed(evaluation, 2)) s")
    if let memory = answer.peakMemoryBytes {
      say(
        "memory: \(bytes(memory)) at most (expected: about \(bytes(measurement.model.memory)))")
    }
    return answer
  }

  /// The images asked for. For the paper's CIFAR-10 network, where its images are not here, others of that size: the work
  /// is the same.
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
    return try Dataset(
      name: "noise", train: split(50_000), test: split(10_000), trainLimit: data.trainLimit,
      testLimit: data.testLimit)
  }

  private func say(_ line: String) { if !json { Console.line(line) } }

  private static func row(_ name: String, _ cells: [String], _ width: Int) -> String {
    name.padded(width) + cells.map { $0.padded(12, right: true) }.joined()
  }

  private func scientific(_ value: Double) -> String { String(format: "%.1e", value) }
}

/// The most memory this process has had, in bytes; `nil` where the system does not say.
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
