import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Keeps other programs out of a folder while the lock exists; the system releases it when the process ends.
final class FolderLock {
  private let file: Int32

  init(
    _ url: URL, hint: String = "wait until it has ended, or use another folder: --run DIR"
  ) throws {
    file = open(url.path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      throw RSOError(url.path, "cannot be opened: \(String(cString: strerror(errno)))")
    }
    // A file system without locks (some network folders) must not prevent a run.
    if flock(file, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
      close(file)
      throw RSOError(url.path, "another rso is using this folder", hint: hint)
    }
  }

  deinit { close(file) }
}
