import Foundation
import Testing

@testable import RSO

/// Runs `body` with a folder of its own, which goes afterwards.
func withTemporaryFolder(_ body: (URL) throws -> Void) throws {
  let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("rso-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  try body(folder)
}

/// What `body` throws, as a user reads it; `nil` if it throws nothing.
func errorText(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return "\(error)"
  }
}

private func text(_ url: URL) throws -> String {
  String(decoding: try readFile(url), as: UTF8.self)
}

private func names(in folder: URL) throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
}

struct AtomicFileTests {
  @Test func replacesTheFileAndLeavesNothingElse() throws {
    try withTemporaryFolder { folder in
      let file = folder.appendingPathComponent("a")
      for content in ["first, and longer", "second"] {
        try AtomicFile.write(Data(content.utf8), to: file)
        #expect(try text(file) == content)
        #expect(try names(in: folder) == ["a"])
      }
    }
  }

  @Test func anOpenReaderKeepsTheOldContent() throws {
    try withTemporaryFolder { folder in
      let file = folder.appendingPathComponent("a")
      try AtomicFile.write(Data("old".utf8), to: file)
      let reader = try FileHandle(forReadingFrom: file)
      try AtomicFile.write(Data("new".utf8), to: file)
      #expect(try reader.readToEnd() == Data("old".utf8))
    }
  }

  @Test func followsALink() throws {
    try withTemporaryFolder { folder in
      let (file, link) = (folder.appendingPathComponent("a"), folder.appendingPathComponent("l"))
      try AtomicFile.write(Data("old".utf8), to: file)
      try FileManager.default.createSymbolicLink(
        atPath: link.path, withDestinationPath: file.path)
      try AtomicFile.write(Data("new".utf8), to: link)
      #expect(try text(file) == "new")
    }
  }

  /// A named pipe stands in for `/dev/null`, which a broken program run as root would replace.
  @Test func neverReplacesADevice() throws {
    try withTemporaryFolder { folder in
      let pipe = folder.appendingPathComponent("pipe")
      #expect(mkfifo(pipe.path, 0o600) == 0)
      #expect(
        errorText { try AtomicFile.write(Data(), to: pipe) }
          == "\(pipe.path): expected a regular file, found a device, a pipe or a socket")
    }
  }

  /// A folder in the place of the file fails when the temporary one is there.
  @Test func removesTheTemporaryAfterAnError() throws {
    try withTemporaryFolder { folder in
      let file = folder.appendingPathComponent("a")
      try FileManager.default.createDirectory(at: file, withIntermediateDirectories: false)
      #expect(
        errorText { try AtomicFile.write(Data(), to: file) }
          == "\(file.path): cannot be replaced: Is a directory")
      #expect(try names(in: folder) == ["a"])
    }
  }

  /// Several files: all or none, whatever is wrong with one of them.
  @Test func replacesSeveralFilesOrNone() throws {
    try withTemporaryFolder { folder in
      let (a, b) = (folder.appendingPathComponent("a"), folder.appendingPathComponent("b"))
      try AtomicFile.write(Data("old".utf8), to: a)
      let inner = folder.appendingPathComponent("inner")
      try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: false)
      let wrong = [
        (inner, "cannot be replaced: Is a directory"),
        (folder.appendingPathComponent("none/c"), "cannot be written: No such file or directory"),
        (a.appendingPathComponent("c"), "cannot be written: Not a directory"),
      ]
      for (url, problem) in wrong {
        let new = Data("new".utf8)
        let error = errorText { try AtomicFile.write([(new, a), (new, b), (new, url)]) }
        #expect(error?.hasPrefix("\(url.path): \(problem)") == true, "\(error ?? "none")")
        #expect(try names(in: folder) == ["a", "inner"])
        #expect(try text(a) == "old")
      }
      try AtomicFile.write([(Data("1".utf8), a), (Data("2".utf8), b)])
      #expect(try text(a) == "1" && text(b) == "2")
      #expect(try names(in: folder) == ["a", "b", "inner"])
    }
  }

  @Test func saysWhyAFolderTakesNoFile() throws {
    try withTemporaryFolder { folder in
      let file = folder.appendingPathComponent("a")
      try AtomicFile.write(Data(), to: file)
      let below = file.appendingPathComponent("b")
      #expect(
        errorText { try AtomicFile.write(Data(), to: below) }
          == "\(below.path): cannot be written: Not a directory "
          + "(a part of the path is a file, not a folder)")
      let nowhere = folder.appendingPathComponent("none/b")
      #expect(
        errorText { try AtomicFile.write(Data(), to: nowhere) }
          == "\(nowhere.path): cannot be written: No such file or directory "
          + "(check the path: does the folder exist?)")
      #expect(
        errorText { _ = try readFile(nowhere) }
          == "\(nowhere.path): cannot be read: No such file or directory "
          + "(check the path: does the folder exist?)")
      #expect(
        errorText { _ = try readFile(folder) } == "\(folder.path): cannot be read: Is a directory")
    }
  }
}

struct AppendingFileTests {
  @Test func appendsCutsAndCounts() throws {
    try withTemporaryFolder { url in
      let url = url.appendingPathComponent("metrics.jsonl")
      var file: AppendingFile? = try AppendingFile(url)
      try file?.append("one")
      #expect(file?.length == 4)
      #expect(try text(url) == "")
      try file?.flush()
      #expect(try text(url) == "one\n")
      try file?.append("zwölf")
      #expect(file?.length == 11)
      file = nil
      #expect(try text(url) == "one\nzwölf\n")

      file = try AppendingFile(url, keeping: 4)
      #expect(file?.length == 4)
      try file?.append("two")
      try file?.synchronize()
      #expect(try text(url) == "one\ntwo\n")

      file = try AppendingFile(url)
      #expect(file?.length == 8)
      file = try AppendingFile(url, keeping: 0)
      #expect(try text(url) == "")
    }
  }

  @Test func writesAFullBuffer() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("a")
      let file = try AppendingFile(url)
      try file.append(String(repeating: "x", count: 65534))
      #expect(try readFile(url).count == 0)
      try file.append("")
      #expect(try readFile(url).count == 65536)
      #expect(file.length == 65536)
    }
  }

  @Test func refusesAFileThatShrank() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("a")
      try Data("1234".utf8).write(to: url)
      #expect(
        errorText { _ = try AppendingFile(url, keeping: 5) }
          == "\(url.path): expected at least 5 bytes, found 4 "
          + "(was it changed since the checkpoint was written?)")
      #expect(
        errorText { _ = try AppendingFile(url, keeping: -1) }
          == "\(url.path): expected a length to keep of at least 0, found -1")
      #expect(
        errorText { _ = try AppendingFile(url.appendingPathComponent("b")) }
          == "\(url.path)/b: cannot be written: Not a directory "
          + "(a part of the path is a file, not a folder)")
    }
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full")))
  func saysThatTheDiskIsFullAndKeepsTheLine() throws {
    // A device keeps nothing of what was written, and goes on where it was.
    let device = try AppendingFile(URL(fileURLWithPath: "/dev/null"), keeping: 1000)
    try device.append("a")
    #expect(device.length == 1002)
    let file = try AppendingFile(URL(fileURLWithPath: "/dev/full"))
    let full =
      "/dev/full: cannot be written: No space left on device "
      + "(the disk is full: make room, then run it again)"
    try file.append("a")
    #expect(errorText { try file.flush() } == full)
    #expect(errorText { try file.synchronize() } == full)
    #expect(errorText { try file.append(String(repeating: "x", count: 65536)) } == full)
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/null")))
  func whatCannotBeSyncedNeedNotBe() throws {
    let file = try AppendingFile(URL(fileURLWithPath: "/dev/null"))
    try file.append("a")
    #expect(errorText { try file.synchronize() } == nil)
  }
}
