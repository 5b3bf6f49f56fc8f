import CRSO
import Foundation

/// Zeroed, aligned memory that lives as long as the object.
final class Buffer<Element>: @unchecked Sendable {
  let pointer: UnsafeMutablePointer<Element>
  let count: Int
  private let bytes: Int

  /// - Throws: `RSOError` if there is not enough memory.
  init(_ count: Int) throws {
    let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(
      by: MemoryLayout<Element>.stride)
    // The system may promise more than there is, and end the program when it is used.
    guard !overflow, bytes <= Int(clamping: ProcessInfo.processInfo.physicalMemory),
      let memory = rso_allocate(bytes)
    else {
      throw RSOError(
        "memory", "could not allocate \(bytes / 1_000_000) MB",
        hint: "use a smaller `batchSize`, or fewer samples with `trainLimit`")
    }
    pointer = memory.bindMemory(to: Element.self, capacity: max(count, 1))
    self.count = count
    self.bytes = bytes
  }

  convenience init(_ values: [Element]) throws {
    try self.init(values.count)
    for (index, value) in values.enumerated() { pointer[index] = value }
  }

  deinit { rso_free(pointer, bytes) }
}
