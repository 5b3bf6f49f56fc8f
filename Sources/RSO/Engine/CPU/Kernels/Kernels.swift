import CRSO
import Foundation

/// The kernels of one instruction set.
package struct Kernels: @unchecked Sendable {
  let table: UnsafePointer<rso_kernels>

  package var name: String { String(cString: table.pointee.name) }

  /// Whether there are kernels for layers of integers.
  package var hasIntegers: Bool { table.pointee.integer_layer != nil }

  /// The kernels that this machine can run, fastest first.
  package static let available: [Kernels] = {
    var found: [Kernels] = []
    while let table = rso_kernels_at(Int32(found.count)) { found.append(Kernels(table: table)) }
    return found
  }()

  /// The kernels that the environment variable `RSO_KERNELS` names, or else the fastest. Set it to time an instruction
  /// set, or to get the same bits as a machine that has no better one.
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
