import Foundation
import RSO

/// A library of the system that is looked for when it is needed, so that neither building nor all else depends on it.
struct SharedLibrary: @unchecked Sendable {
  private let handle: UnsafeMutableRawPointer
  private let name: String

  /// - Parameters:
  ///   - names: file names to try, in that order.
  ///   - hint: how to install it.
  init(_ names: [String], hint: String) throws {
    for name in names {
      if let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) {
        self.handle = handle
        self.name = name
        return
      }
    }
    throw RSOError(names[0], "the library was not found", hint: hint)
  }

  /// A function of the library; `Function` is its C type.
  func function<Function>(_ symbol: String, as type: Function.Type) throws -> Function {
    guard let address = dlsym(handle, symbol) else {
      throw RSOError(name, "expected a function \(symbol), found none", hint: "another version?")
    }
    return unsafeBitCast(address, to: type)
  }
}
