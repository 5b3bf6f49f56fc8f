import Foundation

/// Finds the data sets that ship with the library.
///
/// `Bundle.module` would do this, but it ends the program if the folder is missing; this type says where it looked.
enum BuiltInData {
  /// The folder of a built-in data set.
  ///
  /// - Throws: `RSOError` listing the folders tried.
  static func folder(_ name: String) throws -> URL {
    let folders = candidates(name)
    let found = folders.first { FileManager.default.fileExists(atPath: $0.path) }
    return try found ?? { throw missing(name, folders) }()
  }

  static func missing(_ name: String, _ folders: [URL]) -> RSOError {
    RSOError(
      name, "the built-in data are in none of \(folders.map(\.path).joined(separator: ", "))",
      hint: "keep \(bundleNames[0]) in the same folder as the program")
  }

  #if canImport(Darwin)
    private static let bundleNames = ["rso_RSO.bundle", "rso_RSO.bundle/Contents/Resources"]
  #else
    private static let bundleNames = ["rso_RSO.resources"]
  #endif

  /// Beside the program, even if it was started through a link; beside any loaded bundle (for tests); in the source.
  static func candidates(_ name: String) -> [URL] {
    let program = Bundle.main.executableURL?.resolvingSymlinksInPath()
    let process = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let neighbours = [program, process].compactMap { $0 } + Bundle.allBundles.map(\.bundleURL)
    let roots =
      [Bundle.main.bundleURL] + neighbours.map { $0.deletingLastPathComponent() }
    let source = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Resources")
    let folders =
      roots.flatMap { root in bundleNames.map { root.appendingPathComponent($0) } } + [source]
    var seen: Set<String> = []
    return folders.map { $0.appendingPathComponent(name).standardizedFileURL }
      .filter { seen.insert($0.path).inserted }
  }
}
