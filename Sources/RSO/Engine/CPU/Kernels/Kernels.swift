import CRSO
import Foundation

/// The kernels of one instruction set.
package struct Kernels: @unchecked Sendable {
  let table: UnsafePointer<rso_kernels>

  package var name: String { String(cString: table.pointee.name) }

  /// Those that this machine can run, fastest first.
  package static let available: [Kernels] = {
    var found: [Kernels] = []
    while let table = rso_kernels_at(Int32(found.count)) { found.append(Kernels(table: table)) }
    return found
  }()

  /// Those that the environment variable `RSO_KERNELS` names, else the fastest: for timing an instruction
  /// set, or for the bits of a machine that has no better one.
  package static func preferred() throws -> Kernels {
    guard let name = ProcessInfo.processInfo.environment["RSO_KERNELS"] else { return available[0] }
    guard let kernels = available.first(where: { $0.name == name }) else {
      throw RSOError(
        "RSO_KERNELS",
        "expected \(available.map(\.name).joined(separator: " or ")), found \(name)",
        hint: "unset it")
    }
    return kernels
  }

  /// Samples per block, innermost in memory.
  static let block = 16
}
