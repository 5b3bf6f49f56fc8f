import Foundation
import RSO

/// The files that a command writes where the user says, held against those that it reads and one another.
struct OutputFiles {
  /// Every file so far: what it is, by its identity.
  private var known: [String: String] = [:]

  /// Adds a file that is read, or that the command writes itself.
  ///
  /// - Parameter what: what errors call it, such as "the model".
  mutating func add(_ path: String?, _ what: String) {
    guard let path else { return }
    let identity = Self.identity(path)
    known[identity] = known[identity] ?? "\(what) (\(path))"
  }

  /// Adds every file of a folder.
  mutating func add(folder path: String?, _ what: String, except suffix: String? = nil) {
    guard let path else { return }
    for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    where suffix.map({ !name.hasSuffix($0) }) ?? true {
      add("\(path)/\(name)", what)
    }
  }

  /// Adds a file that is to be written.
  ///
  /// - Parameter option: the option that names it.
  /// - Throws: `RSOError` naming the option, if it has no name, or the file is one of those added before, or one that a
  ///   run needs.
  mutating func write(_ path: String?, _ option: String) throws {
    guard let path else { return }
    // An empty path would be the current folder.
    guard !path.isEmpty else {
      throw RSOError(
        option, "expected the name of a file, found ''",
        hint: "is a variable of the shell empty?")
    }
    guard Self.canBeReplaced(path) else { return }
    if let what = known[Self.identity(path)] {
      throw RSOError(
        option, "expected a file of its own, found \(what)",
        hint: "it would be overwritten; choose another name")
    }
    if let run = RunFolder.run(whichNeeds: URL(fileURLWithPath: path)) {
      throw RSOError(
        option, "expected a file of its own, found a file of the run in \(run)",
        hint: "it would be overwritten; choose another name")
    }
    add(path, "the file of \(option)")
  }

  /// A device or a pipe, such as `/dev/null`, loses nothing.
  private static func canBeReplaced(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG
  }

  /// The same for every path of a file, through links, too. A file that does not exist is known by its folder and name.
  private static func identity(_ path: String) -> String {
    let url = URL(fileURLWithPath: path).standardizedFileURL.resolvingSymlinksInPath()
    var status = stat()
    if stat(url.path, &status) == 0 { return "\(status.st_dev):\(status.st_ino)" }
    guard stat(url.deletingLastPathComponent().path, &status) == 0 else { return url.path }
    return "\(status.st_dev):\(status.st_ino)/\(url.lastPathComponent)"
  }
}
