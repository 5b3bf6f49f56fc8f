import CRSO
import Foundation

/// Asks the system for memory before an array takes it: an array without memory would end the program.
package enum Memory {
  /// What must be left for everything small that follows.
  private static let reserve = 32 << 20
  /// Pieces that the reserve covers.
  private static let small = 1 << 20

  /// - Parameters:
  ///   - what: what the memory is for, such as `the weights`.
  ///   - hint: what to lower.
  /// - Throws: `RSOError` that says how much was wanted, if the system does not give it.
  package static func require(_ bytes: Int, for what: String, hint: String) throws {
    guard bytes > small else { return }
    let (wanted, overflow) = bytes.addingReportingOverflow(reserve)
    // The system may promise more than there is, and end the program when it is used.
    guard !overflow, bytes <= Int(clamping: ProcessInfo.processInfo.physicalMemory),
      let memory = rso_allocate(wanted)
    else { throw error(bytes, for: what, hint: hint) }
    rso_free(memory, wanted)
  }

  /// The same for `count` values of a type.
  package static func require<Value>(
    _ count: Int, of type: Value.Type, for what: String, hint: String
  ) throws {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Value>.stride)
    try require(overflow ? .max : bytes, for: what, hint: hint)
  }

  static func error(_ bytes: Int, for what: String, hint: String) -> RSOError {
    var limit = rlimit()
    let isLimited = getrlimit(rlimitAddressSpace, &limit) == 0 && limit.rlim_cur < 1 << 60
    let found =
      isLimited
      ? "less under this process's limit of \(megabytes(Int(limit.rlim_cur)))"
      : "less: the machine has \(megabytes(Int(clamping: ProcessInfo.processInfo.physicalMemory)))"
    return RSOError(
      "memory", "expected \(megabytes(bytes)) for \(what), found \(found)",
      hint: hint + (isLimited ? "; or raise the limit: ulimit -v" : ""))
  }

  /// What to do about images that do not fit.
  package static let imagesHint = "use fewer or smaller images"
  /// What to do about what grows with mini-batches and samples.
  static let samplesHint = "use a smaller `batchSize`, or fewer samples: `trainLimit`, `testLimit`"
  /// What to do about what grows with the weights.
  static let networkHint = "use a network with fewer weights"
}

#if canImport(Glibc)
  private let rlimitAddressSpace = __rlimit_resource_t(RLIMIT_AS.rawValue)
#else
  private let rlimitAddressSpace = RLIMIT_AS
#endif

extension Array where Element: BitwiseCopyable {
  /// Appends values, and asks for memory if the array has to grow.
  mutating func append(_ more: [Element], for what: String) throws {
    let wanted = count + more.count
    if wanted > capacity {
      // The old values and the new; an array grows to twice its size.
      try Memory.require(
        capacity + 2 * wanted, of: Element.self, for: what, hint: Memory.imagesHint)
    }
    append(contentsOf: more)
  }
}
