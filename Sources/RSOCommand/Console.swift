import Foundation
import RSO
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Writes to the standard streams, unbuffered, so that lines keep their order and appear at once.
enum Console {
  /// The system's number of the error that lost output; 0 if none did. A reader that goes away loses nothing.
  private static let failure = Atomic<Int32>(0)

  /// - Returns: whether everything was written; false if the reader has gone or the output was lost, which `check` tells.
  @discardableResult
  static func write(_ text: String, to file: Int32 = STDOUT_FILENO) -> Bool {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      #if canImport(Darwin)
        let count = bytes.withUnsafeBytes { Darwin.write(file, $0.baseAddress, $0.count) }
      #else
        let count = bytes.withUnsafeBytes { Foundation.write(file, $0.baseAddress, $0.count) }
      #endif
      if count < 0 {
        if errno == EINTR { continue }
        if errno != EPIPE, file == STDOUT_FILENO { failure.store(errno, ordering: .relaxed) }
        return false
      }
      bytes = bytes.dropFirst(count)
    }
    return true
  }

  @discardableResult
  static func line(_ text: String) -> Bool { write(text + "\n") }

  /// - Throws: `RSOError` with the system's reason, if output was lost.
  static func check() throws {
    let code = failure.load(ordering: .relaxed)
    guard code != 0 else { return }
    throw RSOError(
      "standard output", "cannot be written: \(String(cString: strerror(code)))",
      hint: code == ENOSPC ? "the disk is full: make room, then run it again" : nil)
  }

  /// Closes standard output, which is when some file systems say that it was lost.
  ///
  /// - Throws: `RSOError` with the system's reason, if output was lost.
  static func finish() throws {
    if close(STDOUT_FILENO) != 0, errno != EBADF { failure.store(errno, ordering: .relaxed) }
    try check()
  }

  /// Something to know that is no error; standard output stays as it is for programs.
  static func note(_ text: String) { write("rso: note: \(text)\n", to: STDERR_FILENO) }

  static func error(_ text: String) { write("rso: error: \(text)\n", to: STDERR_FILENO) }
}
