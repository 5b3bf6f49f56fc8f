import Foundation
import Testing

/// Libraries of the system that are loaded when they are needed.
struct SystemLibraryTests {
  /// Runs `rso` where the loader finds a file that is no library under each of the names.
  private func run(_ arguments: [String], without names: [String]) throws -> Tool.Result {
    var result: Tool.Result?
    try Workplace.with { place in
      let folder = place.file("lib")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      for name in names {
        try Data("no library".utf8).write(to: folder.appendingPathComponent(name))
      }
      let path = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"].map { ":" + $0 } ?? ""
      result = try Tool.Running(
        arguments, in: place.url, environment: ["LD_LIBRARY_PATH": folder.path + path]
      ).wait()
    }
    return try #require(result)
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self/exe")))
  func whatIsMissingIsNamed() throws {
    let zlib = try run(
      ["train"] + Workplace.options + ["--cycles", "1", "--run", "r"], without: ["libz.so.1"])
    #expect(zlib.code == 1 && zlib.output == "")
    #expect(
      zlib.errors
        == "rso: error: libz.so.1: the library was not found (install zlib (Debian: apt-get install "
        + "zlib1g))\n")
    let curl = try run(
      ["data", "fetch", "cifar10"], without: ["libcurl.so.4", "libcurl-gnutls.so.4"])
    #expect(curl.code == 1 && curl.output == "")
    #expect(
      curl.errors
        == "rso: error: libcurl.so.4: the library was not found (install libcurl (Debian: apt-get "
        + "install libcurl4), or put the data set's files in a folder: --data NAME --data-dir DIR)\n"
    )
    // Nothing else needs them.
    let none = try run(
      ["data", "list"], without: ["libz.so.1", "libcurl.so.4", "libcurl-gnutls.so.4"])
    #expect(none.code == 0 && none.errors == "")
  }
}
