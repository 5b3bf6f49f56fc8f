import CCurl
import Foundation
import RSO

/// One try to download a file over HTTP, resuming where an earlier try ended.
struct Download {
  /// Why a try ended without the file.
  enum Failure: Error, Hashable {
    /// The connection broke or stalled: resuming may help.
    case broken(String)
    /// The server would answer the same again.
    case refused(String)
  }

  var url: URL
  /// The file for what has arrived so far.
  var part: URL
  /// How long to wait for more bytes.
  var stallSeconds: Double
  /// The size limit: a larger file cannot be the right one.
  var largest: Int
  /// Called with the number of bytes so far and, if the server says so, the total.
  var progress: @Sendable (_ received: Int, _ expected: Int?) -> Void

  /// - Throws: `Failure`, `Stopped`, or `RSOError` if the disk is at fault or there is no libcurl.
  func run() throws {
    guard ["http", "https"].contains(url.scheme ?? "") else {
      throw Failure.refused("expected http or https, found '\(url.scheme ?? "")'")
    }
    let curl = try Curl.load()
    let manager = FileManager.default
    if !manager.fileExists(atPath: part.path) { try AtomicFile.write(Data(), to: part) }
    let attributes = try? manager.attributesOfItem(atPath: part.path)
    let have = attributes?[.size] as? Int ?? 0

    // Bytes are counted and compared, so nothing may decompress them on the way.
    var headers = ["Accept-Encoding: identity"]
    if have > 0 { headers.append("Range: bytes=\(have)-") }
    let receiver = try Receiver(self, have: have)
    let failure = curl.get(
      url.absoluteString, headers: headers, connectSeconds: stallSeconds, mostRedirections: 10,
      receiver)
    try receiver.finish(failure)
  }
}

/// Writes received data to the file.
private final class Receiver: Curl.Receiver {
  private let download: Download
  private let have: Int
  private let file: FileHandle
  private var received = 0
  private var expected: Int?
  private var error: (any Error)?
  /// Whether the partial file was complete already.
  private var isWhole = false
  private var heard = ContinuousClock.now
  private var answer = Answer()

  /// The header of the answer that is being received.
  private struct Answer {
    var status = 0
    var length: Int?
    var range = ""
    var isRedirection = false
  }

  init(_ download: Download, have: Int) throws {
    self.download = download
    self.have = have
    file = try reported(download.part) { try FileHandle(forWritingTo: download.part) }
  }

  /// Runs `body`; an error ends the transfer.
  private func attempt(_ body: () throws -> Void) -> Bool {
    do {
      heard = .now
      try body()
      return true
    } catch {
      self.error = error
      return false
    }
  }

  func header(_ line: String) -> Bool {
    attempt {
      let text = line.trimmingCharacters(in: .whitespacesAndNewlines)
      if text.hasPrefix("HTTP/") {
        answer = Answer()
        answer.status = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
      } else if text.isEmpty {
        let isLast = answer.status >= 200 && !(300..<400 ~= answer.status && answer.isRedirection)
        if isLast { try begin() }
      } else if let colon = text.firstIndex(of: ":") {
        let value = text[text.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        switch text[..<colon].lowercased() {
        case "content-length": answer.length = Int(value).flatMap { $0 >= 0 ? $0 : nil }
        case "content-range": answer.range = value
        case "location": answer.isRedirection = true
        default: break
        }
      }
    }
  }

  /// Checks the answer's header, and seeks in the file to where the body belongs.
  private func begin() throws {
    let part = download.part
    switch answer.status {
    case 200:
      try reported(part) { try file.truncate(atOffset: 0) }
      received = 0
    case 206 where answer.range.hasPrefix("bytes \(have)-"):
      try reported(part) { _ = try file.seekToEnd() }
      received = have
    case 206:
      throw Download.Failure.refused("asked for bytes from \(have), it sends '\(answer.range)'")
    case 416 where answer.range == "bytes */\(have)":
      isWhole = true
      throw Download.Failure.broken("the file is whole already")
    case 416:
      // The server's file has changed since the part was downloaded.
      try reported(part) { try file.truncate(atOffset: 0) }
      throw Download.Failure.broken("what was loaded before is not a part of the file")
    case 408, 429, 500...599:
      throw Download.Failure.broken("the server answered \(answer.status)")
    default: throw Download.Failure.refused("the server answered \(answer.status)")
    }
    expected = answer.length.flatMap { length in
      let (sum, overflow) = received.addingReportingOverflow(length)
      return overflow ? nil : sum
    }
  }

  func body(_ content: UnsafeRawBufferPointer) -> Bool {
    attempt {
      guard received + content.count <= download.largest else {
        throw Download.Failure.refused("it sends more than \(bytes(download.largest))")
      }
      try reported(download.part) { try file.write(contentsOf: Data(content)) }
      received += content.count
      download.progress(received, expected)
    }
  }

  func tick() -> Bool {
    let idle = (.now - heard) / .seconds(1)
    do {
      try StopRequest.check()
      guard idle <= download.stallSeconds else {
        throw Download.Failure.broken("nothing came for \(fixed(download.stallSeconds, 0)) s")
      }
      return true
    } catch {
      self.error = error
      return false
    }
  }

  /// - Parameter failure: libcurl's code and message, if it failed.
  /// - Throws: the first error of the transfer.
  func finish(_ failure: (code: Int, message: String)?) throws {
    try reported(download.part) { try file.close() }
    if let error {
      if isWhole { return }
      throw error
    }
    if let expected, received != expected {
      throw Download.Failure.broken(
        "the connection ended after \(received) of \(expected) bytes")
    }
    guard let failure else { return }
    switch failure.code {
    case ccurl_too_many_redirections:
      throw Download.Failure.refused("the server redirects without end")
    case ccurl_unsupported_protocol, ccurl_malformed_url:
      throw Download.Failure.refused(failure.message)
    default: throw Download.Failure.broken(failure.message)
    }
  }
}

/// Runs `body` on the file; errors name the file.
func reported<Value>(_ file: URL, _ body: () throws -> Value) throws -> Value {
  do {
    return try body()
  } catch {
    throw RSOError(
      file.path, "cannot be written: \(error.localizedDescription)",
      hint: "is the disk full, or the folder not yours?")
  }
}
