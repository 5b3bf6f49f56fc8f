import CRSO
import Foundation

/// A system library that is looked up on use, so that neither the build nor anything else depends on it.
package struct SharedLibrary: @unchecked Sendable {
  private let handle: UnsafeMutableRawPointer
  /// The name or path under which it was found.
  package let name: String

  /// - Parameters:
  ///   - names: file names or paths to try, in that order.
  ///   - hint: how to install it.
  /// - Throws: `RSOError`, which also says why an existing file cannot be loaded.
  package init(_ names: [String], hint: String) throws {
    var reasons: [String] = []
    for name in names {
      if let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) {
        self.handle = handle
        self.name = name
        return
      }
      if FileManager.default.fileExists(atPath: name), let reason = dlerror() {
        reasons.append(String(cString: reason))
      }
    }
    throw RSOError(
      names.first ?? "library",
      reasons.isEmpty
        ? "the library was not found"
        : "the library cannot be loaded: \(reasons.joined(separator: "; "))", hint: hint)
  }

  /// Loads, from the library's own folder, libraries that it will open by name and might not find.
  package static func preload(_ prefix: String, beside path: String) {
    guard path.contains("/") else { return }
    let folder = URL(filePath: path).deletingLastPathComponent().path(percentEncoded: false)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    for name in names.sorted() where name.hasPrefix(prefix) {
      _ = dlopen(folder + "/" + name, RTLD_NOW | RTLD_LOCAL)
    }
  }

  /// The file that a function comes from; `nil` if the loader does not say.
  package func path(of symbol: String) -> String? {
    dlsym(handle, symbol).flatMap { rso_library_path($0) }.map { String(cString: $0) }
  }

  /// A function of the library; `Function` is its C type.
  package func function<Function>(_ symbol: String, as type: Function.Type) throws -> Function {
    guard let address = dlsym(handle, symbol) else {
      throw RSOError(name, "expected a function \(symbol), found none", hint: "another version?")
    }
    return unsafeBitCast(address, to: type)
  }
}
