import CRSO

/// Zeroed, aligned memory that lives as long as the object.
final class Buffer<Element>: @unchecked Sendable {
  let pointer: UnsafeMutablePointer<Element>
  let count: Int
  private let bytes: Int

  /// - Throws: `RSOError` if there is not enough memory.
  init(_ count: Int) throws {
    let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(
      by: MemoryLayout<Element>.stride)
    let (what, hint) = ("values of the samples", Memory.samplesHint)
    try Memory.require(overflow ? .max : bytes, for: what, hint: hint)
    guard let memory = rso_allocate(bytes) else {
      throw Memory.error(bytes, for: what, hint: hint)
    }
    pointer = memory.bindMemory(to: Element.self, capacity: max(count, 1))
    self.count = count
    self.bytes = bytes
  }

  convenience init(_ values: [Element]) throws {
    try self.init(values.count)
    values.withUnsafeBufferPointer { values in
      if let first = values.baseAddress { pointer.update(from: first, count: values.count) }
    }
  }

  deinit { rso_free(pointer, bytes) }
}
