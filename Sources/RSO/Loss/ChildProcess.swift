import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A program that answers questions: bytes to its standard input, bytes from its standard output.
final class ChildProcess {
  private let line: String
  private let process = Process()
  /// A socket, because writing to a pipe that nobody reads any more would raise a signal.
  private let input: FileHandle
  private let output = Pipe()
  private let errors = Pipe()
  /// The end of what the program wrote to its standard error.
  private var lastWords: [UInt8] = []

  /// Starts a command line of the shell.
  init(_ line: String) throws {
    self.line = line
    var ends = [Int32](repeating: -1, count: 2)
    #if canImport(Darwin)
      let kind = SOCK_STREAM
    #else
      let kind = Int32(SOCK_STREAM.rawValue)
    #endif
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
      throw RSOError(line, "cannot be started: \(String(cString: strerror(errno)))")
    }
    input = FileHandle(fileDescriptor: ends[0], closeOnDealloc: true)
    let far = FileHandle(fileDescriptor: ends[1], closeOnDealloc: true)
    #if canImport(Darwin)
      var on: Int32 = 1
      setsockopt(ends[0], SOL_SOCKET, SO_NOSIGPIPE, &on, socklen_t(MemoryLayout<Int32>.size))
    #endif
    for end in [
      ends[0], output.fileHandleForReading.fileDescriptor,
      errors.fileHandleForReading.fileDescriptor,
    ] {
      _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK)
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
    }
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", line]
    process.standardInput = far
    process.standardOutput = output
    process.standardError = errors
    do {
      try process.run()
    } catch {
      throw RSOError(line, "cannot be started: \(error.localizedDescription)")
    }
    try? far.close()
  }

  deinit {
    try? input.close()
    guard process.isRunning else { return }
    // The shell may have started others, which are in its group if it has one of its own.
    let id = process.processIdentifier
    if getpgid(id) == id { kill(-id, SIGTERM) } else { process.terminate() }
  }

  /// Sends a question and waits for the answer.
  ///
  /// - Parameters:
  ///   - count: the length of the answer in bytes.
  ///   - timeout: seconds of silence to bear.
  ///   - hint: what to do if the silence is longer.
  func exchange(
    _ question: [UInt8], answer count: Int, timeout: Double, hint: String
  ) throws -> [UInt8] {
    var answer: [UInt8] = []
    var sent = 0
    var last = ContinuousClock.now
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while answer.count < count || sent < question.count {
      try StopRequest.check()
      let left = timeout - (ContinuousClock.now - last) / .seconds(1)
      guard left > 0 else {
        throw failure(
          "expected an answer of \(count) bytes within \(short(timeout)) seconds, found "
            + (answer.isEmpty ? "none" : "\(answer.count)"),
          hint: hint)
      }
      var ends = [
        pollfd(fd: output.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: errors.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0),
        pollfd(
          fd: sent < question.count ? input.fileDescriptor : -1, events: Int16(POLLOUT), revents: 0),
      ]
      guard poll(&ends, 3, Int32(min(left * 1000 + 1, 1000))) >= 0 || errno == EINTR else {
        throw failure("cannot be asked: \(String(cString: strerror(errno)))")
      }
      if ends[2].revents != 0 {
        let count = question[sent...].withUnsafeBytes {
          send(input.fileDescriptor, $0.baseAddress, $0.count, Self.sendFlags)
        }
        if count > 0 {
          sent += count
          last = .now
        } else if errno != EAGAIN && errno != EINTR {
          throw ended()
        }
      }
      if ends[1].revents != 0 { readErrors(&buffer) }
      if ends[0].revents != 0 {
        let found = read(ends[0].fd, &buffer, buffer.count)
        if found > 0 {
          answer.append(contentsOf: buffer[..<found])
          last = .now
        } else if found == 0 || errno != EAGAIN && errno != EINTR {
          throw ended()
        }
        guard answer.count <= count, answer.count < count || sent == question.count else {
          throw failure(
            "expected an answer of \(count) bytes after the question, found more",
            hint: "its standard output is for answers; print elsewhere")
        }
      }
    }
    return answer
  }

  #if canImport(Darwin)
    private static let sendFlags: Int32 = 0
  #else
    private static let sendFlags = Int32(MSG_NOSIGNAL)
  #endif

  private func readErrors(_ buffer: inout [UInt8]) {
    while true {
      let found = read(errors.fileHandleForReading.fileDescriptor, &buffer, buffer.count)
      guard found > 0 else { return }
      lastWords = Array((lastWords + buffer[..<found]).suffix(2000))
    }
  }

  /// An error that says how the program ended.
  private func ended() -> RSOError {
    // Its standard output ends a moment before it does.
    for _ in 0..<200 where process.isRunning { usleep(5000) }
    guard !process.isRunning else {
      return failure("expected answers, found that it closed its standard output")
    }
    let status = process.terminationStatus
    let reason = process.terminationReason == .exit ? "exit status \(status)" : "signal \(status)"
    return failure("expected answers until it is told to stop, found that it ended (\(reason))")
  }

  /// An error with the program's last words.
  func failure(_ problem: String, hint: String? = nil) -> RSOError {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    readErrors(&buffer)
    let words = String(decoding: lastWords, as: UTF8.self)
      .split(separator: "\n").suffix(3).joined(separator: " | ")
    return RSOError(
      line, problem + (words.isEmpty ? "" : "; its last words: \(words)"), hint: hint)
  }
}
