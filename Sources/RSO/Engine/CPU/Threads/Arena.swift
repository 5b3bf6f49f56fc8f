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
