import Foundation
import RSO
import Synchronization

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// One try to download a file over HTTP, resuming where an earlier try ended.
///
/// It uses `URLSession`, which comes with the toolchain.
struct Download {
  /// Why a try ended without the file.
  enum Failure: Error, Hashable {
    /// The connection broke or stalled: resuming may help.
    case broken(String)
    /// The server would answer the same again.
    case refused(String)
    /// The user asked to stop.
    case stopped
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
  var isStopped: @Sendable () -> Bool

  /// - Throws: `Failure`, or `RSOError` if the disk is at fault.
  func run() throws {
    guard ["http", "https"].contains(url.scheme ?? "") else {
      throw Failure.refused("expected http or https, found '\(url.scheme ?? "")'")
    }
    let manager = FileManager.default
    if !manager.fileExists(atPath: part.path) { try AtomicFile.write(Data(), to: part) }
    let attributes = try? manager.attributesOfItem(atPath: part.path)
    let have = attributes?[.size] as? Int ?? 0

    var request = URLRequest(url: url, timeoutInterval: stallSeconds)
    // Bytes are counted and compared, so nothing may decompress them on the way.
    request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
    request.setValue("rso", forHTTPHeaderField: "User-Agent")
    if have > 0 { request.setValue("bytes=\(have)-", forHTTPHeaderField: "Range") }

    let receiver = try Receiver(self, have: have)
    let configuration = URLSessionConfiguration.ephemeral
    configuration.timeoutIntervalForRequest = stallSeconds
    configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
    let session = URLSession(configuration: configuration, delegate: receiver, delegateQueue: nil)
    defer { session.invalidateAndCancel() }
    let task = session.dataTask(with: request)
    task.resume()
    while receiver.done.wait(timeout: .now() + .milliseconds(50)) == .timedOut {
      if isStopped() { receiver.fail(Failure.stopped, task) }
      if receiver.secondsIdle > stallSeconds {
        receiver.fail(Failure.broken("nothing came for \(fixed(stallSeconds, 0)) s"), task)
      }
    }
    try receiver.result()
  }
}

/// Writes received data to the file.
///
/// The session calls it from one queue at a time; the lock is for the waiting thread.
private final class Receiver: NSObject, URLSessionDataDelegate, Sendable {
  private struct State {
    var received: Int
    var expected: Int?
    var file: FileHandle
    var error: (any Error)?
    /// Whether the partial file was complete already.
    var isWhole = false
    var redirections = 0
    var heard = ContinuousClock.now
  }

  let done = DispatchSemaphore(value: 0)
  private let download: Download
  private let have: Int
  private let state: Mutex<State>

  init(_ download: Download, have: Int) throws {
    self.download = download
    self.have = have
    let file = try reported(download.part) { try FileHandle(forWritingTo: download.part) }
    state = Mutex(State(received: 0, file: file))
  }

  var secondsIdle: Double { state.withLock { (.now - $0.heard) / .seconds(1) } }

  /// Records an error, keeping the first, and cancels the task.
  func fail(_ error: any Error, _ task: URLSessionTask) {
    state.withLock { $0.error = $0.error ?? error }
    task.cancel()
  }

  func result() throws {
    try state.withLock { state in
      try reported(download.part) { try state.file.close() }
      if let error = state.error, !state.isWhole { throw error }
    }
  }

  func urlSession(
    _ session: URLSession, task: URLSessionTask,
    willPerformHTTPRedirection response: HTTPURLResponse,
    newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
  ) {
    let count = state.withLock { state in
      state.heard = .now
      state.redirections += 1
      return state.redirections
    }
    if count > 10 {
      // Do not cancel here: the session does not expect that while it waits for the answer.
      state.withLock {
        $0.error = $0.error ?? Download.Failure.refused("the server redirects without end")
      }
    }
    completionHandler(count > 10 ? nil : request)
  }

  func urlSession(
    _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
    completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
  ) {
    do {
      try begin(response)
      completionHandler(.allow)
    } catch {
      fail(error, dataTask)
      completionHandler(.cancel)
    }
  }

  /// Checks the response's headers, and seeks in the file to where the body belongs.
  private func begin(_ response: URLResponse) throws {
    guard let response = response as? HTTPURLResponse else {
      throw Download.Failure.refused("the answer is not HTTP")
    }
    let length = response.expectedContentLength >= 0 ? Int(response.expectedContentLength) : nil
    let range = response.value(forHTTPHeaderField: "Content-Range") ?? ""
    try state.withLock { state in
      state.heard = .now
      switch response.statusCode {
      case 200:
        try reported(download.part) { try state.file.truncate(atOffset: 0) }
        state.received = 0
      case 206 where range.hasPrefix("bytes \(have)-"):
        try reported(download.part) { _ = try state.file.seekToEnd() }
        state.received = have
      case 206: throw Download.Failure.refused("asked for bytes from \(have), it sends '\(range)'")
      case 416 where range == "bytes */\(have)":
        state.isWhole = true
        throw Download.Failure.broken("the file is whole already")
      case 416:
        // The server's file has changed since the part was downloaded.
        try reported(download.part) { try state.file.truncate(atOffset: 0) }
        throw Download.Failure.broken("what was loaded before is not a part of the file")
      case 408, 429, 500...599:
        throw Download.Failure.broken("the server answered \(response.statusCode)")
      default: throw Download.Failure.refused("the server answered \(response.statusCode)")
      }
      state.expected = length.map { state.received + $0 }
    }
  }

  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    do {
      let (received, expected) = try state.withLock { state in
        state.heard = .now
        guard state.error == nil else { return (state.received, state.expected) }
        guard state.received + data.count <= download.largest else {
          throw Download.Failure.refused("it sends more than \(bytes(download.largest))")
        }
        try reported(download.part) { try state.file.write(contentsOf: data) }
        state.received += data.count
        return (state.received, state.expected)
      }
      download.progress(received, expected)
    } catch {
      fail(error, dataTask)
    }
  }

  func urlSession(
    _ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?
  ) {
    state.withLock { state in
      if state.error == nil {
        if let expected = state.expected, state.received != expected {
          state.error = Download.Failure.broken(
            "the connection ended after \(state.received) of \(expected) bytes")
        } else if let error {
          state.error = Download.Failure.broken(error.localizedDescription)
        }
      }
    }
    done.signal()
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
