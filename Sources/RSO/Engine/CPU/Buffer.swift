import CRSO

/// Zeroed, aligned memory that lives as long as the object.
final class Buffer<Element>: @unchecked Sendable {
  let pointer: UnsafeMutablePointer<Element>
  let count: Int
  private let bytes: Int

  /// - Throws: `RSOError` when there is not that much memory.
  init(_ count: Int) throws {
    let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(
      by: MemoryLayout<Element>.stride)
    guard !overflow, let memory = rso_allocate(bytes) else {
      throw RSOError(
        "memory", "could not allocate \(bytes / 1_000_000) MB",
        hint: "use a smaller --batch, or fewer samples with --train-limit")
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

/// A split's pixels where kernels read them.
enum ImageMemory {
  case bytes(Buffer<UInt8>)
  case floats(Buffer<Float>)

  init(_ pixels: Pixels) throws {
    switch pixels {
    case .bytes(let bytes): self = .bytes(try Buffer(bytes))
    case .floats(let floats): self = .floats(try Buffer(floats))
    }
  }
}

/// Memory that one sweep after another cuts into pieces.
///
/// Gigabytes that go back to the system between sweeps cost seconds when they come again.
final class Arena {
  typealias Memory = UnsafeMutablePointer<Float>

  private var buffer: Buffer<Float>?
  private var used = 0

  /// Takes back every piece and makes room for `count` floats in all; what they hold is arbitrary.
  func reset(count: Int) throws {
    used = 0
    if let buffer, buffer.count >= count { return }
    // First the old one goes: there may not be room for both.
    buffer = nil
    buffer = try Buffer(count)
  }

  func take(_ count: Int) throws -> Memory {
    guard let buffer, used + count <= buffer.count else {
      throw RSOError("memory", "a sweep asked for more than it had said")
    }
    defer { used += count }
    return buffer.pointer + used
  }
}
