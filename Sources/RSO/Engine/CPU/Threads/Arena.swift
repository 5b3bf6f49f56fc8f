/// Memory that successive sweeps divide into pieces.
///
/// Returning gigabytes to the system and allocating them again for every sweep would take seconds.
final class Arena {
  typealias Memory = UnsafeMutablePointer<Float>

  private var buffer: Buffer<Float>?
  private var used = 0

  /// Takes back every piece and makes room for `count` floats in all; their contents are arbitrary.
  func reset(count: Int) throws {
    used = 0
    if let buffer, buffer.count >= count { return }
    // Free the old buffer first: there may not be room for both.
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
