import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Writes to the standard streams, unbuffered, so that lines keep their order and appear at once.
enum Console {
  /// - Returns: whether everything was written; false if the reader has gone.
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
        return false
      }
      bytes = bytes.dropFirst(count)
    }
    return true
  }

  @discardableResult
  static func line(_ text: String) -> Bool { write(text + "\n") }

  /// Something to know that is no error; standard output stays as it is for programs.
  static func note(_ text: String) { write("rso: note: \(text)\n", to: STDERR_FILENO) }

  static func error(_ text: String) { write("rso: error: \(text)\n", to: STDERR_FILENO) }
}
