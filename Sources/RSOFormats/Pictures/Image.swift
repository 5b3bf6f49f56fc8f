import Foundation
import RSO

/// A picture of bytes.
public struct Image: Hashable, Sendable {
  /// `[channels][height][width]`, as a network reads it.
  public let pixels: [UInt8]
  /// Channels are 1 (grey) or 3 (red, green, blue).
  public let shape: Shape

  /// - Throws: `RSOError` if the pixels do not fill the shape.
  public init(pixels: [UInt8], shape: Shape) throws {
    guard pixels.count == shape.count, shape.count > 0 else {
      throw RSOError("image", "expected the pixels of \(shape), found \(pixels.count)")
    }
    self.pixels = pixels
    self.shape = shape
  }

  /// The same picture in another size.
  ///
  /// Every new pixel is a mean of the pixels around it, weighted by a triangle two pixels wide, measured in the
  /// coarser of the two pictures: reducing smooths, enlarging interpolates.
  public func resized(height: Int, width: Int) -> Image {
    if height == shape.height && width == shape.width { return self }
    let rows = Self.weights(from: shape.height, to: height)
    let columns = Self.weights(from: shape.width, to: width)
    var result: [UInt8] = []
    result.reserveCapacity(shape.channels * height * width)
    for channel in 0..<shape.channels {
      let base = channel * shape.area
      // Columns first: [old height][width].
      var wide: [Double] = []
      for row in 0..<shape.height {
        for (first, weights) in columns {
          wide.append(
            weights.indices.reduce(0) {
              $0 + weights[$1] * Double(pixels[base + row * shape.width + first + $1])
            })
        }
      }
      for (first, weights) in rows {
        for column in 0..<width {
          let value = weights.indices.reduce(0) {
            $0 + weights[$1] * wide[(first + $1) * width + column]
          }
          result.append(UInt8(min(max(value.rounded(), 0), 255)))
        }
      }
    }
    let size = Shape(channels: shape.channels, height: height, width: width)
    return (try? Image(pixels: result, shape: size)) ?? self
  }

  /// For every new position, the first old position and the weights from there, which add up to 1.
  private static func weights(from old: Int, to new: Int) -> [(first: Int, weights: [Double])] {
    let scale = Double(old) / Double(new)
    let reach = max(scale, 1)
    return (0..<new).map { place in
      let centre = (Double(place) + 0.5) * scale - 0.5
      let first = max(Int((centre - reach).rounded(.up)), 0)
      let last = min(Int((centre + reach).rounded(.down)), old - 1)
      let weights = (first...last).map { 1 - abs(Double($0) - centre) / reach }
      let sum = weights.reduce(0, +)
      return (first, weights.map { $0 / sum })
    }
  }
}
