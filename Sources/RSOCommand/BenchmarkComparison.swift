import Foundation
import RSO

/// An earlier result of `rso benchmark --json`, to compare with.
struct EarlierBenchmark {
  /// The fields needed from it.
  private struct Answer: Decodable {
    struct Sweep: Decodable {
      var parameter: String
      var proposals: Int
      var secondsPerProposal: Double
    }
    var kernels: String
    var threads: Int
    var batch: Int
    var sweeps: [Sweep]
    var cycleSeconds: Double
  }

  private let answer: Answer
  private let path: String

  /// - Throws: `RSOError` naming the file and what is missing.
  init(contentsOf path: String) throws {
    let bytes = try readFile(URL(fileURLWithPath: path))
    self.path = path
    let hint = "write one with: rso benchmark --json > \(path)"
    do {
      answer = try JSONDocument(bytes, name: path).decode()
    } catch let error as RSOError {
      // What is wrong with the JSON does not matter as much as what the file was to be.
      throw RSOError(error.subject, error.problem, hint: hint)
    }
    let times = answer.sweeps.map(\.secondsPerProposal) + [answer.cycleSeconds]
    guard times.allSatisfy({ $0 > 0 }) else {
      throw RSOError(path, "expected times above 0, found another", hint: hint)
    }
  }

  /// Checks that both measured the same tensors and mini-batch. Threads and instruction set may differ.
  ///
  /// - Throws: `RSOError` naming the file and the difference.
  func check(batch: Int, sweeps: [CostModel.Sweep]) throws {
    guard answer.batch == batch else {
      throw RSOError(
        path, "expected a result for batch \(batch), found \(answer.batch)",
        hint: "measure with --batch \(answer.batch)")
    }
    for index in 0..<max(sweeps.count, answer.sweeps.count) {
      let expected =
        index < sweeps.count ? Self.name(sweeps[index].parameter, sweeps[index].proposals) : nil
      let found =
        index < answer.sweeps.count
        ? Self.name(answer.sweeps[index].parameter, answer.sweeps[index].proposals) : nil
      guard expected == found else {
        throw RSOError(
          path,
          "expected sweep \(index + 1) to be \(expected ?? "none"), found \(found ?? "none")",
          hint: "a result of another network, data set or --sweeps")
      }
    }
  }

  private static func name(_ parameter: String, _ proposals: Int) -> String {
    "\(parameter) of \(proposals) elements"
  }

  /// The comparison in the newer run's JSON.
  struct Comparison: Encodable {
    var file: String
    var kernels: String
    var threads: Int
    /// Per sweep.
    var secondsPerProposal: [Double]
    /// The earlier seconds divided by the current ones, per sweep: above 1 means faster.
    var speedUps: [Double]
    var cycleSeconds: Double
    var cycleSpeedUp: Double
  }

  func secondsPerProposal(_ sweep: Int) -> Double { answer.sweeps[sweep].secondsPerProposal }

  func comparison(secondsPerProposal now: [Double], cycleSeconds: Double) -> Comparison {
    let earlier = answer.sweeps.map(\.secondsPerProposal)
    return Comparison(
      file: path, kernels: answer.kernels, threads: answer.threads, secondsPerProposal: earlier,
      speedUps: zip(earlier, now).map { $0 / $1 }, cycleSeconds: answer.cycleSeconds,
      cycleSpeedUp: answer.cycleSeconds / cycleSeconds)
  }

  /// The earlier result's file, instruction set and threads, for the reader.
  func description() -> String {
    "\(path) (\(answer.kernels), \(answer.threads) thread\(answer.threads == 1 ? "" : "s"))"
  }
}
