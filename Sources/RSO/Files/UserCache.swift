import Foundation

/// Where the user's programs keep files that can be recreated.
package enum UserCache {
  /// The user's cache folder, following the XDG base directory specification.
  package static func folder(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> URL {
    // The specification says to ignore a relative path.
    let base: URL
    if let path = environment["XDG_CACHE_HOME"], path.hasPrefix("/") {
      base = URL(fileURLWithPath: path)
    } else {
      let home = environment["HOME"].map { URL(fileURLWithPath: $0) }
      base = (home ?? FileManager.default.homeDirectoryForCurrentUser)
        .appendingPathComponent(".cache")
    }
    return base.appendingPathComponent("rso")
  }
}
