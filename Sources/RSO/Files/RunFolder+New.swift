import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension RunFolder {
  /// Makes a new folder, and its missing parents: at `path` or, if that exists, at `path-2`, `path-3` and so on. Programs
  /// that ask for the same path at the same time get folders of their own.
  ///
  /// - Returns: the path of the folder.
  package static func makeNew(_ path: String) throws -> String {
    _ = try makeFolder(URL(fileURLWithPath: path).deletingLastPathComponent())
    for number in 1...10_000 {
      let path = number == 1 ? path : "\(path)-\(number)"
      // The system makes a folder for one program only.
      if mkdir(path, 0o777) == 0 { return path }
      guard errno == EEXIST else {
        throw RSOError(
          path, "the folder cannot be made: \(String(cString: strerror(errno)))",
          hint: "choose another folder: --run DIR")
      }
    }
    throw RSOError(
      path, "expected a name that is free, found 10,000 such folders",
      hint: "choose another folder: --run DIR")
  }
}

extension RunFolder {
  /// Makes a folder and its missing parents.
  ///
  /// - Returns: the folders it made, outermost first.
  package static func make(_ url: URL) throws -> [URL] { try makeFolder(url) }
}

/// Makes a folder and its missing parents.
///
/// - Returns: the folders it made, outermost first.
func makeFolder(_ url: URL) throws -> [URL] {
  var made: [URL] = []
  var isDirectory: ObjCBool = false
  if FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory) {
    guard isDirectory.boolValue else {
      throw RSOError(
        url.path, "expected a folder, found a file", hint: "choose another folder: --run DIR")
    }
    return []
  }
  let parent = url.deletingLastPathComponent()
  if parent.path != url.path { made = try makeFolder(parent) }
  guard mkdir(url.path, 0o777) == 0 || errno == EEXIST else {
    let reason = String(cString: strerror(errno))
    for folder in made.reversed() { rmdir(folder.path) }
    throw RSOError(
      url.path, "the folder cannot be made: \(reason)", hint: "choose another folder: --run DIR")
  }
  return made + [url]
}
