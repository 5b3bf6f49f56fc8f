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

    /// - Parameters:
    ///   - command: the name of the setting.
    ///   - patience: that of the timeout.
    /// - Throws: `RSOError` if there is nothing to run, or no time to wait.
    package func validate(
      command: String = "`lossCommand`", patience: String = "`lossTimeout`"
    ) throws {
      guard line.contains(where: { !$0.isWhitespace }) else {
        throw RSOError(command, "expected a command, found '\(line)'")
      }
      guard timeout > 0, timeout <= 1e6 else {
        throw RSOError(
          patience, "expected seconds above 0 and up to 1,000,000, found \(timeout)")
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
    try ask(Self.frame(outputs), candidates: outputs.candidates, patience: "`lossTimeout`")
  }

  /// - Parameter patience: the name of the setting of the timeout.
  private func ask(_ frame: [UInt8], candidates: Int, patience: String) throws -> [Double] {
    try child.withLock { child in
      do {
        let running = try child ?? ChildProcess(command.line)
        child = running
        let answer = try running.exchange(
          frame, answer: 8 * candidates, timeout: command.timeout, hint: "more time: \(patience)")
        let losses = answer.withUnsafeBytes { bytes in
          (0..<candidates).map { index in
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
    append(header, to: &bytes)
    append(outputs.samples, to: &bytes)
    append(outputs.labels, to: &bytes)
    append(outputs.targets, to: &bytes)
    append(outputs.values, to: &bytes)
    return bytes
  }

  /// All machines that Swift runs on are little-endian.
  private static func append(_ values: [some BitwiseCopyable], to bytes: inout [UInt8]) {
    values.withUnsafeBytes { bytes.append(contentsOf: $0) }
  }
}

// MARK: - Without a network

extension LossProgram: VectorLoss {
  /// - Throws: as for outputs.
  public func losses(of candidates: Candidates) throws -> [Double] {
    try ask(Self.frame(candidates), candidates: candidates.count, patience: "`timeout`")
  }

  static let vectorMagic: UInt32 = 0x564F_5352  // "RSOV"

  /// The vectors as the program reads them; docs/search.md describes the frame.
  static func frame(_ candidates: Candidates) -> [UInt8] {
    let header: [UInt32] = [
      vectorMagic, 1, UInt32(candidates.count), UInt32(candidates.length), candidates.seed,
      candidates.changed == nil ? 1 : 0, UInt32(candidates.changed?.tensor ?? 0),
      UInt32(candidates.changed?.element ?? 0),
    ]
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 * (headerCount + candidates.values.count))
    append(header, to: &bytes)
    append(candidates.values, to: &bytes)
    return bytes
  }
}
