/// The shape of one sample at one point of a network: channels, rows, columns.
///
/// A linear layer's output has one row and one column.
public struct Shape: Hashable, Codable, Sendable, CustomStringConvertible {
  /// At least 1 in a network.
  public var channels: Int
  /// Rows.
  public var height: Int
  /// Columns.
  public var width: Int

  enum CodingKeys: String, CodingKey { case channels, height, width }

  /// A shape; without height and width, the shape of a linear layer's output.
  public init(channels: Int, height: Int = 1, width: Int = 1) {
    self.channels = channels
    self.height = height
    self.width = width
  }

  /// Values per sample.
  public var count: Int { channels * height * width }
  /// Positions in one channel.
  public var area: Int { height * width }

  /// Whether it is that of a table's row: features without places.
  package var isTable: Bool { area == 1 }
  /// What has the shape, in words: `images of 1×28×28`, or `rows of 30 features`.
  package var sampleWords: String {
    isTable ? "rows of \(channels) feature\(channels == 1 ? "" : "s")" : "images of \(self)"
  }

  /// For example `16×28×28`, or `10` if there is only one position.
  public var description: String {
    height == 1 && width == 1 ? "\(channels)" : "\(channels)×\(height)×\(width)"
  }
}
