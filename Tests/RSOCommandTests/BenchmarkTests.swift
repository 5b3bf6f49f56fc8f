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
      var cacheSeconds: Double
    }
    var kernels: String
    var threads: Int
    var batch: Int
    var batches: Int
    var checkedLosses: Int
    var largestDifference: Double
    var largestDifferenceOfBound: Double
    var peakOperationsPerSecond: Double
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
        #expect(["avx512", "avx2", "portable"].contains(found.kernels))
        // Three candidates of three elements; of two for β and γ.
        #expect(found.checkedLosses == 3 * 9 + 4 * 6)
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
        }
        let seconds = found.sweeps.reduce(0) {
          $0 + $1.secondsPerProposal * Double($1.proposals) + $1.cacheSeconds
            + found.evaluationSeconds
        }
        #expect(abs(seconds - found.cycleSeconds) <= 1e-9 * seconds)
        #expect(found.cycleMultiplyAdds > 0)
      }
    }

    @Test func table() throws {
      try Workplace.with { place in
        let result = try place.run(["benchmark", "--seconds", "0.01"] + Workplace.options)
        #expect(result.code == 0)
        let lines = result.output.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines[0].contains(" losses are the reference engine's, to "))
        #expect(lines[1].hasPrefix("peak: ") && lines[1].contains(" GFLOP/s ("))
        #expect(lines[2] == "digits: 3 mini-batches of 30 images")
        #expect(lines[4].hasPrefix("tensor "))
        #expect(lines[5].hasPrefix("fc.weight ") && lines[5].contains(" % "))
        #expect(lines[11].hasPrefix("bn0.weight "))
        #expect(lines[13].hasPrefix("a cycle: ") && lines[13].hasSuffix(" of the peak"))
        #expect(lines[14].hasPrefix("an evaluation: "))
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
