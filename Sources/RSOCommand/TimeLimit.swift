import ArgumentParser
import Foundation
import RSO

/// How long a run may take this time.
struct TimeLimit: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Stop after so many minutes, save, and say how to go on; it is not an error.", valueName: "n")
  )
  var minutes: Double?

  func validate() throws {
    guard let minutes, !(minutes > 0 && minutes <= 525_600) else { return }
    throw ValidationError(
      "--minutes: expected a number above 0 and at most 525600, a year, found \(Self.text(minutes))"
    )
  }

  /// Begins to count.
  func begin() { if let minutes { Interrupts.stop(after: minutes) } }

  /// Says that a run was stopped at the end of its time.
  ///
  /// - Parameters:
  ///   - path: the folder to go on with; `nil` if there is none yet.
  ///   - isTensors: whether it is that of a search without a network.
  /// - Throws: `RSOError` if no run has begun.
  func sayStopped(
    _ path: String?, isTensors: Bool = false, output: TrainingSession.Output
  ) throws {
    let time = Self.text(minutes ?? 0)
    guard let path else {
      throw RSOError(
        "--minutes", "expected time to load the data and evaluate the start, found \(time)",
        hint: "no run has begun; give it more")
    }
    let command = TrainingSession.resumeCommand(path, isTensors: isTensors)
    guard output != .json else {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      Console.line(
        String(decoding: try encoder.encode(["run": path, "goOn": command]), as: UTF8.self))
      return
    }
    Console.line(
      "stopped after \(time) minute\(time == "1" ? "" : "s"); go on with: \(command) --minutes \(time)"
    )
  }

  /// Without a zero after the point.
  private static func text(_ minutes: Double) -> String {
    let text = "\(minutes)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}
