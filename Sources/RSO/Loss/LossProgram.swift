import Foundation
import Synchronization

/// A loss that another program computes: one child process, which reads outputs and answers numbers.
///
/// docs/losses.md describes the frames; `Examples/loss.py` reads and writes them. The program is started at the first
/// proposal, and ends when this object does, because its standard input then ends.
public final class LossProgram: BatchLoss {
  /// What to run, and how long to wait.
  public struct Command: Hashable, Codable, Sendable {
    /// A command line for the shell.
    public var line: String
    /// Seconds to wait for an answer.
    public var timeout: Double
    /// A minute by default.
    public init(_ line: String, timeout: Double = 60) {
      self.line = line
      self.timeout = timeout
    }

    /// - Throws: `RSOError` if there is nothing to run, or no time to wait.
    func validate() throws {
      guard line.contains(where: { !$0.isWhitespace }) else {
        throw RSOError("`lossCommand`", "expected a command, found '\(line)'")
      }
      guard timeout > 0, timeout <= 1e6 else {
        throw RSOError(
          "`lossTimeout`", "expected seconds above 0 and up to 1,000,000, found \(timeout)")
      }
    }
  }

  private let command: Command
  private let child = Mutex<ChildProcess?>(nil)

  /// - Throws: `RSOError` if the command is empty or the timeout is not above 0.
  public init(_ command: Command) throws {
    try command.validate()
    self.command = command
  }

  /// - Throws: `RSOError` with the program's last words, if it ends, answers something else than one number for each
  ///   candidate, or is silent for too long.
  public func losses(of outputs: Outputs) throws -> [Double] {
    try child.withLock { child in
      do {
        let running = try child ?? ChildProcess(command.line)
        child = running
        let answer = try running.exchange(
          Self.frame(outputs), answer: 8 * outputs.candidates, timeout: command.timeout)
        let losses = answer.withUnsafeBytes { bytes in
          (0..<outputs.candidates).map { index in
            Double(
              bitPattern: UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)))
          }
        }
        guard !losses.contains(where: \.isNaN) else {
          throw running.failure("expected a number for each candidate, found NaN")
        }
        return losses
      } catch {
        // What it would answer next belongs to another question.
        child = nil
        throw error
      }
    }
  }

  /// The numbers before the arrays of a frame.
  static let headerCount = 8
  static let magic: UInt32 = 0x4C4F_5352  // "RSOL"

  /// The outputs as the program reads them: all numbers little-endian.
  static func frame(_ outputs: Outputs) -> [UInt8] {
    let split: UInt32 =
      switch outputs.split {
      case .train: 0
      case .validation: 1
      case .test: 2
      }
    let samples = outputs.samples.count
    let header: [UInt32] = [
      magic, 1, UInt32(outputs.candidates), UInt32(samples), UInt32(outputs.width), split,
      outputs.labels.isEmpty ? 0 : 1,
      UInt32(samples == 0 ? 0 : outputs.targets.count / samples),
    ]
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 * (headerCount + outputs.values.count + 3 * samples))
    func append<Value: BitwiseCopyable>(_ values: [Value]) {
      values.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }
    // All machines that Swift runs on are little-endian.
    append(header)
    append(outputs.samples)
    append(outputs.labels)
    append(outputs.targets)
    append(outputs.values)
    return bytes
  }
}
