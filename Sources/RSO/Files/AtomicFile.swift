import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Replaces a file as a whole: a reader, or a run after a crash, finds the old content or the new, never
/// part of one.
package enum AtomicFile {
  /// Writes a temporary file beside `url`, syncs it, renames it over `url` and syncs the folder.
  ///
  /// Follows symbolic links. Refuses a device such as `/dev/null` rather than replace it.
  /// - Throws: `RSOError` with the path and the system's reason. The temporary file is then gone, and `url` is
  ///   unchanged unless only the folder could not be synced.
  package static func write(_ data: Data, to url: URL) throws { try write([(data, url)]) }

  /// Replaces several files: the temporary ones of all are written and synced before the first is renamed, so where one
  /// cannot be written, for want of a folder, of a permission or of space, all files stay as they are.
  ///
  /// - Throws: as for one file.
  package static func write(_ files: [(data: Data, url: URL)]) throws {
    var made: [(url: URL, target: URL, temporary: URL)] = []
    do {
      for (data, url) in files {
        let target = url.resolvingSymlinksInPath()
        made.append((url, target, try writeTemporary(data, to: url, beside: target)))
      }
      if let file = made.first(where: { isFolder($0.target) }) {
        throw RSOError(file.url.path, "cannot be replaced: Is a directory")
      }
      for file in made {
        try checkFile(file.url, "cannot be replaced") {
          rename(file.temporary.path, file.target.path)
        }
      }
    } catch {
      for file in made { unlink(file.temporary.path) }
      throw error
    }
    for folder in Set(made.map { $0.target.deletingLastPathComponent() }) {
      let directory = try checkFile(folder, "cannot be synced") {
        open(folder.path, O_RDONLY | O_CLOEXEC)
      }
      defer { close(directory) }
      try synchronizeFile(directory, at: folder)
    }
  }

  /// A synced file beside `target`, with a name of its own.
  private static func writeTemporary(
    _ data: Data, to url: URL, beside target: URL
  ) throws -> URL {
    let folder = target.deletingLastPathComponent()
    var status = stat()
    if stat(target.path, &status) == 0, ![S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT) {
      throw RSOError(url.path, "expected a regular file, found a device, a pipe or a socket")
    }
    let suffix = String(UInt64.random(in: 0 ... .max), radix: 36)
    let temporary = folder.appendingPathComponent(".\(target.lastPathComponent).\(suffix).tmp")
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
    let file = try checkFile(url, "cannot be written") { open(temporary.path, flags, 0o666) }
    do {
      defer { close(file) }
      try data.withUnsafeBytes { try writeAll($0, to: file, at: url) }
      try synchronizeFile(file, at: url)
    } catch {
      unlink(temporary.path)
      throw error
    }
    return temporary
  }
}

/// A file of lines or records that grows at its end: metrics, a trace, events.
///
/// Lines wait in a buffer until it holds 64 KiB, or until `flush()` or `synchronize()`. An error loses nothing:
/// what was not written stays in the buffer, and the next flush continues from there.
package final class AppendingFile {
  private static let capacity = 65536
  private let url: URL
  private let file: Int32
  private var buffer: [UInt8] = []
  /// Bytes in the file plus those waiting in the buffer. A checkpoint records it, for `keeping` on resume.
  package private(set) var length: Int

  /// Opens `url` for appending, and creates it if it does not exist.
  ///
  /// - Parameter length: how many bytes of the file to keep; `nil` to keep all.
  /// - Throws: `RSOError` if the file cannot be opened or holds fewer bytes than `length`.
  package init(_ url: URL, keeping length: Int? = nil) throws {
    guard length ?? 0 >= 0 else {
      throw RSOError(url.path, "expected a length to keep of at least 0, found \(length ?? 0)")
    }
    let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC
    let file = try checkFile(url, "cannot be written") { open(url.path, flags, 0o666) }
    do {
      var status = stat()
      try checkFile(url, "cannot be written") { fstat(file, &status) }
      // A device or a pipe has no length: what was written to it is gone, and more may follow.
      let isRegular = status.st_mode & S_IFMT == S_IFREG
      let found = isRegular ? Int(status.st_size) : length ?? 0
      self.length = length ?? found
      if let length, length != found {
        guard length < found else {
          throw RSOError(
            url.path, "expected at least \(length) bytes, found \(found)",
            hint: "was it changed since the checkpoint was written?")
        }
        try checkFile(url, "cannot be cut to \(length) bytes") { ftruncate(file, off_t(length)) }
      }
    } catch {
      close(file)
      throw error
    }
    self.url = url
    self.file = file
  }

  deinit {
    try? flush()
    close(file)
  }

  /// Appends `line` and a line feed.
  package func append(_ line: String) throws {
    try append(bytes: Array(line.utf8) + [UInt8(ascii: "\n")])
  }

  /// Appends bytes.
  package func append(bytes: some Collection<UInt8>) throws {
    buffer.append(contentsOf: bytes)
    length += bytes.count
    if buffer.count >= Self.capacity { try flush() }
  }

  /// Writes the buffer to the system.
  package func flush() throws {
    var written = 0
    defer { buffer.removeFirst(written) }
    try buffer.withUnsafeBytes { try writeAll($0, to: file, at: url, written: &written) }
  }

  /// Flushes, and waits until everything is on disk.
  package func synchronize() throws {
    try flush()
    try synchronizeFile(file, at: url)
  }
}

/// The whole content of a file.
package func readFile(_ url: URL) throws -> [UInt8] {
  let file = try openFile(url)
  defer { close(file) }
  var bytes: [UInt8] = []
  let what = "the content of \(url.path)"
  if let size = fileSize(file) {
    try Memory.require(size, for: what, hint: Memory.imagesHint)
    bytes.reserveCapacity(size)
  }
  while case let piece = try readFile(file, 1 << 20, url), !piece.isEmpty {
    try bytes.append(piece, for: what)
    try StopRequest.check()
  }
  return bytes
}

/// Opens a file for reading.
func openFile(_ url: URL) throws -> Int32 {
  try checkFile(url, "cannot be read") { open(url.path, O_RDONLY | O_CLOEXEC) }
}

/// The next `count` bytes; fewer at the end.
func readFile(_ file: Int32, _ count: Int, _ url: URL) throws -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: count)
  var done = 0
  while done < count {
    let more = try bytes.withUnsafeMutableBytes { bytes in
      let room = UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
      return try checkFile(url, "cannot be read") { read(file, room.baseAddress, room.count) }
    }
    if more == 0 { break }
    done += more
  }
  bytes.removeLast(count - done)
  return bytes
}

/// The size of a regular file in bytes; `nil` for a pipe or a device.
func fileSize(_ file: Int32) -> Int? {
  var status = stat()
  guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
  return Int(status.st_size)
}

func closeFile(_ file: Int32) { close(file) }

private func writeAll(_ bytes: UnsafeRawBufferPointer, to file: Int32, at url: URL) throws {
  var written = 0
  try writeAll(bytes, to: file, at: url, written: &written)
}

private func writeAll(
  _ bytes: UnsafeRawBufferPointer, to file: Int32, at url: URL, written: inout Int
) throws {
  while written < bytes.count {
    let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
    written += try checkFile(url, "cannot be written") {
      write(file, rest.baseAddress, rest.count)
    }
  }
}

/// Syncs a file. Pipes, devices and some network folders cannot be synced (`EINVAL`) and need no sync.
private func synchronizeFile(_ file: Int32, at url: URL) throws {
  try checkFile(url, "cannot be synced") { fsync(file) == 0 || errno == EINVAL ? 0 : -1 }
}

/// The single path for the C library's file functions. Repeats a call that a signal interrupted, and turns −1 into
/// an error with the file, the system's reason and, if there is one, a remedy.
@discardableResult
private func checkFile<Result: SignedInteger>(
  _ url: URL, _ problem: String, _ call: () -> Result
) throws -> Result {
  while true {
    let result = call()
    if result >= 0 { return result }
    let code = errno
    if code == EINTR { continue }
    let hint: String? =
      switch code {
      case ENOSPC, EDQUOT: "the disk is full: make room, then run it again"
      case EACCES, EPERM, EROFS: "check its permissions, or choose another folder"
      case ENOENT:
        isFolder(url.deletingLastPathComponent())
          ? "its folder is there: check the name" : "check the path: does the folder exist?"
      case ENOTDIR: "a part of the path is a file, not a folder"
      default: nil
      }
    throw RSOError(url.path, "\(problem): \(String(cString: strerror(code)))", hint: hint)
  }
}

private func isFolder(_ url: URL) -> Bool {
  var isFolder: ObjCBool = false
  return FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder)
    && isFolder.boolValue
}
