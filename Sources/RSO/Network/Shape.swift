/// The shape of what one sample holds at one point of a network: channels, rows, columns.
///
/// A linear layer's output has one row and one column.
public struct Shape: Hashable, Codable, Sendable, CustomStringConvertible {
  public var channels: Int
  public var height: Int
  public var width: Int

  public init(channels: Int, height: Int = 1, width: Int = 1) {
    self.channels = channels
    self.height = height
    self.width = width
  }

  /// Values per sample.
  public var count: Int { channels * height * width }
  /// Positions in one channel.
  public var area: Int { height * width }

  public var description: String {
    area == 1 ? "\(channels)" : "\(channels)×\(height)×\(width)"
  }
}
