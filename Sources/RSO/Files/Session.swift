import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The version of this library and of `rso`.
package let rsoVersion = "0.1.0"

/// A program's work on a run, from when it begins or resumes it: a line of `sessions.jsonl`.
///
/// A run's results depend on its configuration and, by rounding, on the kernels or card; a session says which.
package struct Session: Hashable, Codable, Sendable {
  /// The version of `rso`.
  package var version: String
  /// The commit that the program was built from, with `-modified` if the checkout had changes; `nil` if it is not known.
  package var commit: String?
  /// As `--device` takes it; `program` if a program of the user's judged.
  package var device: String
  /// The card's name, if the device is one.
  package var card: String?
  /// The precision of a card's whole layers.
  package var precision: String?
  /// The instruction set of the CPU's kernels.
  package var kernels: String?
  /// The CPU's threads.
  package var threads: Int?
  package var host: String
  /// When it began, as in `2026-01-31T23:59:59Z`.
  package var started: String

  /// A session that begins now.
  ///
  /// - Parameters:
  ///   - device: `nil` if a program of the user's judges.
  ///   - commit: that of the program; `nil` if it is not known.
  /// - Throws: `RSOError` if the kernels asked for do not exist.
  package init(
    on device: Device?, commit: String? = nil, host: String? = nil, started: Date = Date()
  ) throws {
    version = rsoVersion
    self.commit = commit
    switch device {
    case nil: self.device = "program"
    case .cpu(let threads):
      self.device = "cpu"
      kernels = try Kernels.preferred().name
      self.threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
    case .reference: self.device = "reference"
    case .cuda(let number, let precision):
      self.device = "cuda:\(number)"
      let cards = try? CUDACard.all(.load())
      card = cards.flatMap { $0.indices.contains(number) ? $0[number].name : nil }
      self.precision = "\(precision)"
    }
    self.host = host ?? Self.hostName
    self.started = started.formatted(.iso8601)
  }

  /// This machine's name; asking the system does not ask the network.
  private static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The program in words.
  package var program: String { "rso \(version)" + (commit.map { ", commit \($0)" } ?? "") }

  /// Device and host in words.
  package var words: String {
    let parts = [
      device + (card.map { " (\($0))" } ?? ""), precision, kernels, threadsInWords,
    ].compactMap { $0 }
    return parts.joined(separator: ", ") + " on \(host)"
  }

  private var threadsInWords: String? {
    threads.map { "\($0) thread\($0 == 1 ? "" : "s")" }
  }

  /// What `rso --version` prints.
  package var lines: String {
    let lines = [
      "rso \(version)", "commit: \(commit ?? "unknown")", kernels.map { "kernels: \($0)" },
      "device: \(device)" + (threadsInWords.map { ", \($0)" } ?? ""), "host: \(host)",
    ]
    return lines.compactMap { $0 }.joined(separator: "\n")
  }

  /// The sessions in a file, oldest first; none if there is no file. A damaged line is left out: it is only a record.
  package static func read(_ url: URL) throws -> [Session] {
    guard FileManager.default.fileExists(atPath: url.path) else { return [] }
    return try readFile(url).split(separator: UInt8(ascii: "\n")).compactMap {
      try? JSONDecoder().decode(Session.self, from: Data($0))
    }
  }
}

extension RunFolder {
  /// Adds a session to the run's record.
  package func record(_ session: Session) throws {
    let file = url.appendingPathComponent(Name.sessions)
    let lines = try (Session.read(file) + [session]).map { try compactJSON($0) + "\n" }
    try AtomicFile.write(Data(lines.joined().utf8), to: file)
  }
}
