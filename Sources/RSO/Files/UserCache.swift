import Foundation

/// Where programs of this user keep what can be made again.
package enum UserCache {
  /// The user's cache folder, as the XDG base directory specification has it.
  package static func folder(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> URL {
    // A relative path is to be ignored.
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
