import Foundation
import RSO
import Testing

struct BenchmarkTests {
  private struct Answer: Decodable {
    struct Sweep: Decodable {
      var parameter: String
      var proposals: Int
      var timed: Int
      var secondsPerProposal: Double
      var multiplyAddsPerProposal: Double
      var operationsPerSecond: Double
      var shareOfPeak: Double
      var bytesPerProposal: Double
      var floorSeconds: Double
      var shareOfFloor: Double
      var cacheSeconds: Double
      var parts: [Part]
    }
    struct Part: Decodable {
      var steps: String
      var multiplyAddsPerProposal: Int
      var secondsPerProposal: Double
    }
    var kernels: String
    var threads: Int
    var batch: Int
    var batches: Int
    var checkedLosses: Int
    var largestDifference: Double
    var largestDifferenceOfBound: Double
    var peakOperationsPerSecond: Double
    struct Bandwidth: Decodable {
      var read: Double
      var copy: Double
    }
    var bandwidth: Bandwidth
    struct Comparison: Decodable {
      var secondsPerProposal: [Double]
      var speedUps: [Double]
      var cycleSeconds: Double
      var cycleSpeedUp: Double
    }
    var comparison: Comparison?
    var sweeps: [Sweep]
    var evaluationSeconds: Double
    var cycleSeconds: Double
    var cycleMultiplyAdds: Int
  }

  #if DEBUG
    @Test func aDebugBuildIsRefused() throws {
      try Workplace.with { place in
        let result = try place.run(["benchmark"] + Workplace.options)
        #expect(result.code == 1)
        #expect(result.output == "")
        #expect(
          result.errors == "rso: error: benchmark: expected a release build, found a debug build, "
            + "which says nothing about speed (swift run -c release rso benchmark)\n")
      }
    }
  #else
    @Test func json() throws {
      try Workplace.with { place in
        let result = try place.run(
          ["benchmark", "--json", "--seconds", "0.05", "--threads", "1"] + Workplace.options)
        #expect(result.code == 0)
        #expect(result.errors == "")
        let found = try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
        #expect(found.threads == 1 && found.batch == 30 && found.batches == 3)
        #expect(["avx512vnni", "avx512", "avxvnni", "avx2", "portable"].contains(found.kernels))
        // Three candidates of four elements; of three for β and γ.
        #expect(found.checkedLosses == 3 * 12 + 4 * 9)
        #expect(found.largestDifference > 0 && found.largestDifference < 1e-3)
        #expect(found.largestDifferenceOfBound > 0 && found.largestDifferenceOfBound <= 1)
        #expect(found.peakOperationsPerSecond > 1e8)
        #expect(
          found.sweeps.map(\.parameter) == [
            "fc.weight", "conv1.weight", "bn1.bias", "bn1.weight", "conv0.weight", "bn0.bias",
            "bn0.weight",
          ])
        #expect(found.sweeps.map(\.proposals) == [12, 108, 4, 4, 27, 3, 3])
        for sweep in found.sweeps {
          #expect(sweep.timed >= min(3, sweep.proposals), "\(sweep.parameter)")
          #expect(sweep.secondsPerProposal > 0, "\(sweep.parameter)")
          let rate = 2 * sweep.multiplyAddsPerProposal / sweep.secondsPerProposal
          #expect(abs(sweep.operationsPerSecond - rate) <= 1e-9 * rate)
          let share = sweep.operationsPerSecond / found.peakOperationsPerSecond
          #expect(abs(sweep.shareOfPeak - share) <= 1e-9 * share)
          // Multiply-adds counted are never more than the machine can do.
          #expect(sweep.shareOfPeak < 1, "\(sweep.parameter)")
          #expect(sweep.bytesPerProposal > 0)
          let floor = max(
            2 * sweep.multiplyAddsPerProposal / found.peakOperationsPerSecond,
            sweep.bytesPerProposal / max(found.bandwidth.read, found.bandwidth.copy))
          #expect(abs(sweep.floorSeconds - floor) <= 1e-9 * floor)
          #expect(abs(sweep.shareOfFloor * sweep.secondsPerProposal - floor) <= 1e-9 * floor)
        }
        // conv1: 3 candidates of 30 images; the changed tap, the mixing of a channel, fc whole.
        let conv1 = try #require(found.sweeps.first { $0.parameter == "conv1.weight" })
        #expect(conv1.parts.first?.steps == "upkeep")
        #expect(conv1.parts.contains { $0.steps.hasPrefix("shift, moments") })
        #expect(conv1.parts.last?.steps.hasSuffix("; loss") == true)
        #expect(conv1.parts.allSatisfy { $0.secondsPerProposal > 0 })
        let parts = conv1.parts.reduce(0) { $0 + $1.secondsPerProposal }
        // Of one proposal, not of all 108. They are means, and the other is a median: a busy machine tells them apart.
        #expect(parts < 50 * conv1.secondsPerProposal)
        let seconds = found.sweeps.reduce(0) {
          $0 + $1.secondsPerProposal * Double($1.proposals) + $1.cacheSeconds
            + found.evaluationSeconds
        }
        #expect(abs(seconds - found.cycleSeconds) <= 1e-9 * seconds)
        #expect(found.cycleMultiplyAdds > 0)
        #expect(found.comparison == nil)
      }
    }

    /// `RSO_KERNELS` chooses the instruction set, and says so where there is no such.
    @Test func instructionSet() throws {
      try Workplace.with { place in
        func run(_ kernels: String) throws -> Tool.Result {
          try Tool.Running(
            ["benchmark", "--json", "--seconds", "0.01", "--threads", "1"] + Workplace.options,
            in: place.url, environment: ["RSO_KERNELS": kernels]
          ).wait()
        }
        let result = try run("portable")
        #expect(result.code == 0 && result.errors == "")
        let found = try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
        #expect(found.kernels == "portable")
        let wrong = try run("sse9")
        #expect(wrong.code == 1 && wrong.output == "")
        #expect(wrong.errors.hasPrefix("rso: error: RSO_KERNELS: expected "))
        #expect(wrong.errors.hasSuffix("portable, found sse9 (unset it)\n"))
      }
    }

    @Test func comparison() throws {
      try Workplace.with { place in
        let options = ["benchmark", "--seconds", "0.01", "--threads", "1"] + Workplace.options
        let first = try place.run(options + ["--json"])
        try Data(first.output.utf8).write(to: place.url.appendingPathComponent("first.json"))
        let earlier = try JSONDecoder().decode(Answer.self, from: Data(first.output.utf8))

        let second = try place.run(options + ["--json", "--compare", "first.json"])
        #expect(second.code == 0 && second.errors == "")
        let found = try JSONDecoder().decode(Answer.self, from: Data(second.output.utf8))
        let comparison = try #require(found.comparison)
        #expect(comparison.secondsPerProposal == earlier.sweeps.map(\.secondsPerProposal))
        #expect(comparison.cycleSeconds == earlier.cycleSeconds)
        for (index, sweep) in found.sweeps.enumerated() {
          let ratio = earlier.sweeps[index].secondsPerProposal / sweep.secondsPerProposal
          #expect(abs(comparison.speedUps[index] - ratio) <= 1e-9 * ratio, "\(sweep.parameter)")
        }
        let ratio = earlier.cycleSeconds / found.cycleSeconds
        #expect(abs(comparison.cycleSpeedUp - ratio) <= 1e-9 * ratio)

        let table = try place.run(options + ["--compare", "first.json"])
        #expect(table.code == 0)
        let lines = table.output.split(separator: "\n").map(String.init)
        #expect(
          lines.contains { $0.hasPrefix("tensor ") && $0.hasSuffix("  earlier ms    speed-up") })
        let last = try #require(lines.first { $0.hasPrefix("first.json (") })
        #expect(last.contains(", 1 thread): a cycle: ") && last.hasSuffix(" times as fast"))
      }
    }

    /// A result of the tiny network with `fc` elements in its first tensor.
    private static func result(
      batch: Int = 30, fc: Int = 12, last: String = "bn0.weight", seconds: Double = 1
    ) -> String {
      let sweeps = [
        ("fc.weight", fc), ("conv1.weight", 108), ("bn1.bias", 4), ("bn1.weight", 4),
        ("conv0.weight", 27), ("bn0.bias", 3), (last, 3),
      ].map { "{\"parameter\": \"\($0)\", \"proposals\": \($1), \"secondsPerProposal\": 0.5}" }
      return """
        {"kernels": "avx2", "threads": 2, "batch": \(batch), "cycleSeconds": \(seconds),
         "sweeps": [\(sweeps.joined(separator: ","))]}
        """
    }

    private static let write = " (write one with: rso benchmark --json > earlier.json)\n"
    private static let another = " (a result of another network, data set or --sweeps)\n"

    /// Each is refused before anything is measured.
    @Test(arguments: [
      (nil, "cannot be read: No such file or directory"),
      ("", "earlier.json: expected JSON, found nothing\(write)"),
      ("not JSON", "earlier.json, line 1, column 1: expected a value, found 'not'\(write)"),
      ("[1]", "earlier.json, line 1, column 1: expected an object, found a list\(write)"),
      (
        #"{"kernels": "avx2"}"#,
        "earlier.json, line 1, column 1: expected 'threads', found none\(write)"
      ),
      (
        #"{"kernels": "avx2", "threads": "two"}"#,
        "earlier.json, line 1, column 32: expected a whole number for threads, found \"two\"\(write)"
      ),
      (result(seconds: -1), "earlier.json: expected times above 0, found another\(write)"),
      (result(batch: 60), "expected a result for batch 30, found 60 (measure with --batch 60)\n"),
      (
        result(fc: 11),
        "expected sweep 1 to be fc.weight of 12 elements, found fc.weight of 11 elements" + another
      ),
      (
        result(last: "bn9.weight"),
        "expected sweep 7 to be bn0.weight of 3 elements, found bn9.weight of 3 elements" + another
      ),
    ])
    func badComparison(content: String?, problem: String) throws {
      try Workplace.with { place in
        let file = place.url.appendingPathComponent("earlier.json")
        if let content { try Data(content.utf8).write(to: file) }
        let result = try place.run(
          ["benchmark", "--compare", "earlier.json"] + Workplace.options)
        #expect(result.code == 1)
        #expect(result.output == "")
        #expect(
          result.errors.hasPrefix("rso: error: ") && result.errors.contains("earlier.json")
            && result.errors.contains(problem), "\(result.errors)")
      }
    }

    @Test func table() throws {
      try Workplace.with { place in
        let result = try place.run(["benchmark", "--seconds", "0.01"] + Workplace.options)
        #expect(result.code == 0)
        let lines = result.output.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines[0].contains(" losses are the reference engine's, to "))
        #expect(lines[1].hasPrefix("peak: ") && lines[1].contains(" GFLOP/s ("))
        #expect(lines[2].hasPrefix("bandwidth: reads ") && lines[2].hasSuffix(" GB/s"))
        #expect(lines[3] == "digits: 3 mini-batches of 30 images")
        #expect(lines[5].hasPrefix("tensor "))
        #expect(lines[6].hasPrefix("fc.weight ") && lines[6].contains(" % "))
        #expect(lines[12].hasPrefix("bn0.weight "))
        #expect(lines[14].hasPrefix("a cycle: ") && lines[14].hasSuffix(" of the peak"))
        #expect(lines[15].hasPrefix("an evaluation: "))
      }
    }

    @Test(arguments: [
      (["--seconds", "0"], "--seconds: expected more than 0 and at most 3600, found 0.0"),
      (["--device", "reference"], "--device: expected cpu, found reference"),
      (["--threads", "0"], "--threads: expected 1 to 1024, found 0"),
    ])
    func badInput(options: [String], text: String) throws {
      try Workplace.with { place in
        let result = try place.run(["benchmark"] + Workplace.options + options)
        #expect(result.code == 64)
        #expect(result.output == "")
        #expect(result.errors.contains(text), "\(result.errors)")
      }
    }
  #endif
}
