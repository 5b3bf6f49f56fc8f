import Foundation
import RSO

/// Fetches a known data set into the user's cache folder.
///
/// Files are downloaded, checked and unpacked in `NAME.partial`, beside the data set's own folder, which appears
/// only when everything is complete. After a broken connection, what has arrived stays there for the next try, along
/// with the finished files. If a mirror had a wrong file and no mirror left even a part of the right one, everything
/// is removed: nothing else from such a place can be trusted.
struct DataFetch {
  var known: KnownData
  /// Addresses of folders that hold the files, in the order to try them.
  var mirrors: [String]
  /// The folder that contains all data sets.
  var cache: URL
  var stallSeconds = 30.0
  /// How often to resume a broken connection, as long as every try receives something.
  var tries = 20
  var report: @Sendable (Event) -> Void = { _ in }

  enum Event: Hashable {
    case loading(file: String, received: Int, expected: Int?)
    /// A mirror was given up.
    case failed(url: String, why: String)
    case finished(file: String)
  }

  private var folder: URL { cache.appendingPathComponent(known.name) }
  private var partial: URL { cache.appendingPathComponent(known.name + ".partial") }

  /// - Returns: the data set's folder.
  /// - Throws: `RSOError` saying what each mirror did, or `Stopped`.
  func run() throws -> URL {
    let manager = FileManager.default
    try reported(partial) {
      try manager.createDirectory(at: partial, withIntermediateDirectories: true)
    }
    // If nothing arrived, nothing stays. (`rmdir` does not remove a folder with content.)
    defer { rmdir(partial.path) }
    for file in known.files { try fetch(file) }
    guard known.isComplete(partial) else {
      try? manager.removeItem(at: partial)
      throw RSOError(known.name, "the archive does not hold the files that it should")
    }
    try reported(folder) {
      if manager.fileExists(atPath: folder.path) { try manager.removeItem(at: folder) }
      try manager.moveItem(at: partial, to: folder)
    }
    return folder
  }

  private func fetch(_ file: KnownData.File) throws {
    if isThere(file) { return }
    let part = partial.appendingPathComponent(file.name + ".part")
    var failures: [String] = []
    var isWrong = false
    for mirror in mirrors {
      let address = mirror + (mirror.hasSuffix("/") ? "" : "/") + file.name
      guard let url = URL(string: address) else {
        throw RSOError("--mirror", "expected the address of a folder, found '\(mirror)'")
      }
      guard let failure = try fetch(file, from: url, part) else {
        report(.finished(file: file.name))
        return
      }
      let why = failure.words
      if case .wrong = failure { isWrong = true }
      failures.append("\(address): \(why)")
      report(.failed(url: address, why: why))
    }
    let isLeft = size(part) > 0
    if !isLeft { try? FileManager.default.removeItem(at: isWrong ? partial : part) }
    throw RSOError(
      known.name, "\(file.name) could not be fetched: \(failures.joined(separator: "; "))",
      hint: isLeft
        ? "what came is kept: run it again to go on"
        : "are you online? another place that has the files: --mirror URL")
  }

  /// Why a mirror was given up.
  private enum Failure {
    /// It lacks the file, or did not send all of it.
    case absent(String)
    /// It has a different file.
    case wrong(String)

    var words: String {
      switch self {
      case .absent(let words), .wrong(let words): words
      }
    }
  }

  /// - Returns: `nil` if the file was fetched.
  private func fetch(_ file: KnownData.File, from url: URL, _ part: URL) throws -> Failure? {
    var tries = tries
    while true {
      let before = size(part)
      let download = Download(
        url: url, part: part, stallSeconds: stallSeconds, largest: 2 * known.downloadSize,
        progress: { report(.loading(file: file.name, received: $0, expected: $1)) })
      do {
        try download.run()
      } catch Download.Failure.refused(let why) {
        return .absent(why)
      } catch Download.Failure.broken(let why) {
        tries -= 1
        if tries > 0, size(part) > before { continue }
        return .absent(why)
      }
      do {
        try accept(file, part)
        return nil
      } catch let error as WrongDigest {
        try? FileManager.default.removeItem(at: part)
        // The beginning may have come from another mirror: try once more, from the start.
        if before > 0 { continue }
        return .wrong(error.description)
      }
    }
  }

  private struct WrongDigest: Error, CustomStringConvertible {
    var expected: String
    var found: String
    var description: String { "expected a file of digest \(expected), found \(found)" }
  }

  /// Whether an earlier try fetched a file; it was then checked, too.
  private func isThere(_ file: KnownData.File) -> Bool {
    FileManager.default.fileExists(atPath: partial.appendingPathComponent(plainName(file)).path)
  }

  private func plainName(_ file: KnownData.File) -> String {
    file.name.hasSuffix(".gz") ? String(file.name.dropLast(3)) : file.name
  }

  /// Checks and unpacks what was downloaded.
  private func accept(_ file: KnownData.File, _ part: URL) throws {
    let loaded = try readFile(part)
    func content() throws -> [UInt8] {
      Gzip.isGzip(loaded) ? try Gzip.inflate(loaded, name: file.name) : loaded
    }
    switch file.digest {
    case .content(let expected):
      // Damaged gzip data have no content and count as a wrong digest.
      let bytes: [UInt8]?
      do { bytes = try content() } catch is RSOError { bytes = nil }
      let found = try bytes.map { try digest($0, by: "sha256sum") }
      guard let bytes, found == expected else {
        throw WrongDigest(expected: expected, found: found ?? "damaged gzip data")
      }
      try AtomicFile.write(Data(bytes), to: partial.appendingPathComponent(plainName(file)))
    case .archive(let expected):
      let found = try digest(loaded, by: "md5sum")
      guard found == expected else { throw WrongDigest(expected: expected, found: found) }
      if file.name.hasSuffix(".tar.gz") {
        try unpack(part)
      } else {
        try AtomicFile.write(
          Data(try content()), to: partial.appendingPathComponent(plainName(file)))
      }
    }
    try reported(part) { try FileManager.default.removeItem(at: part) }
  }

  /// Unpacks an archive in place, with the system's `tar`.
  private func unpack(_ archive: URL) throws {
    _ = try systemTool(["tar", "-xzf", archive.path, "-C", partial.path])
  }

  /// A digest in hexadecimal, from the system's `sha256sum` or `md5sum`.
  private func digest(_ bytes: [UInt8], by tool: String) throws -> String {
    String(try systemTool([tool], input: bytes).prefix { $0.isHexDigit })
  }

  /// The output of a system program.
  private func systemTool(_ arguments: [String], input: [UInt8] = []) throws -> String {
    let process = Process()
    let (given, written, errors) = (Pipe(), Pipe(), Pipe())
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.standardInput = given
    process.standardOutput = written
    process.standardError = errors
    do {
      try process.run()
      // All these programs read their input before they write.
      try? given.fileHandleForWriting.write(contentsOf: input)
      try given.fileHandleForWriting.close()
    } catch {
      throw RSOError(arguments[0], "cannot be run: \(error.localizedDescription)")
    }
    let output = written.fileHandleForReading.readDataToEndOfFile()
    let said = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    // Control-C ends these programs, too.
    try StopRequest.check()
    guard process.terminationStatus == 0 else {
      throw RSOError(
        arguments[0],
        "failed on \(known.name): \(said.split(separator: "\n").joined(separator: "; "))",
        hint: "is it installed, and is there room on the disk?")
    }
    return String(decoding: output, as: UTF8.self)
  }

  private func size(_ file: URL) -> Int {
    (try? FileManager.default.attributesOfItem(atPath: file.path))?[.size] as? Int ?? 0
  }
}
