/// Memory on a card, freed once, when the last reference goes away.
final class DeviceMemory<Element> {
  let context: CUDAContext
  let address: UInt64
  /// Number of elements.
  let count: Int

  /// Allocates zeroed memory.
  init(_ context: CUDAContext, count: Int) throws {
    let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(
      by: MemoryLayout<Element>.stride)
    guard !overflow else {
      throw RSOError(context.name, "\(count) values are more than any memory holds")
    }
    var address: UInt64 = 0
    let status = context.driver.cuMemAlloc(&address, bytes)
    if status == 2, let free = try? context.memory().free {
      throw RSOError(
        context.name,
        "cuMemAlloc failed: expected room for \(megabytes(bytes)), found \(megabytes(free)) free",
        hint: CUDADriver.hint(2))
    }
    try context.check("cuMemAlloc", status)
    self.context = context
    self.address = address
    self.count = count
    try context.check(
      "cuMemsetD8Async", context.driver.cuMemsetD8Async(address, 0, bytes, context.stream))
  }

  /// - Throws: `RSOError` if there is not enough memory.
  convenience init(_ context: CUDAContext, _ values: [Element]) throws {
    try self.init(context, count: values.count)
    try set(values)
  }

  deinit { _ = context.driver.cuMemFree(address) }

  /// Copies values to the card, starting at element `start`.
  func set(_ values: [Element], at start: Int = 0) throws {
    guard !values.isEmpty else { return }
    precondition(start >= 0 && start + values.count <= count)
    let size = MemoryLayout<Element>.stride
    try values.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      try context.check(
        "cuMemcpyHtoDAsync",
        context.driver.cuMemcpyHtoDAsync(
          address + UInt64(start * size), base, bytes.count, context.stream))
      // The array may go away when this returns.
      try context.synchronize()
    }
  }

  /// Copies the first `count` values from the card after all queued work is done.
  func values(_ count: Int? = nil) throws -> [Element] {
    let count = min(count ?? self.count, self.count)
    return try [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      guard count > 0, let base = buffer.baseAddress else { return }
      try context.check(
        "cuMemcpyDtoHAsync",
        context.driver.cuMemcpyDtoHAsync(
          base, address, count * MemoryLayout<Element>.stride, context.stream))
      try context.synchronize()
      initialized = count
    }
  }
}

/// Memory of this machine that a card copies to by itself, beside other work.
final class HostMemory<Element> {
  private let context: CUDAContext
  private let pointer: UnsafeMutableRawPointer
  /// Number of elements.
  let count: Int

  init(_ context: CUDAContext, count: Int) throws {
    var pointer: UnsafeMutableRawPointer?
    try context.check(
      "cuMemAllocHost",
      context.driver.cuMemAllocHost(&pointer, max(count, 1) * MemoryLayout<Element>.stride))
    guard let pointer else {
      throw RSOError(context.name, "cuMemAllocHost returned no memory")
    }
    self.context = context
    self.pointer = pointer
    self.count = count
  }

  deinit { _ = context.driver.cuMemFreeHost(pointer) }

  /// Queues a copy of the first `count` elements at an address of the card.
  func fetch(_ address: UInt64, count: Int) throws {
    try context.check(
      "cuMemcpyDtoHAsync",
      context.driver.cuMemcpyDtoHAsync(
        pointer, address, count * MemoryLayout<Element>.stride, context.stream))
  }

  /// What was fetched, once all queued work is done.
  var values: UnsafeBufferPointer<Element> {
    UnsafeBufferPointer(start: pointer.assumingMemoryBound(to: Element.self), count: count)
  }
}

/// Formats a size such as `1,234 MB`.
func megabytes(_ bytes: Int) -> String {
  let digits = String((bytes + 999_999) / 1_000_000)
  let groups = stride(from: digits.count, to: 0, by: -3).map { end in
    digits.dropLast(digits.count - end).suffix(3)
  }
  return groups.reversed().joined(separator: ",") + " MB"
}
