import Foundation
import RSO

/// The filters of a network's first layer, side by side in one picture.
///
/// Zero is grey, and the largest absolute weight is black or white, on one scale for all filters. Filters of one
/// input channel are grey, those of three are coloured; with any other number, each channel is a separate picture.
struct FilterSheet {
  let pixels: [UInt8]
  let width: Int
  let height: Int
  /// 1 (grey) or 3 (RGB).
  let channels: Int
  /// The parameter shown.
  let name: String

  /// Screen pixels for each weight of a small filter.
  private static let zoom = 8
  private static let mostTiles = 64

  /// `nil` if the weights of the first layer that has some are no picture of its input.
  init?(_ network: Network, _ parameters: Parameters) {
    guard let slot = parameters.slots.first(where: { $0.role == .weight }) else { return nil }
    let input: Shape
    if slot.shape.count == 4 {
      input = Shape(channels: slot.shape[1], height: slot.shape[2], width: slot.shape[3])
    } else if slot.shape[1] == network.input.count {
      input = network.input
    } else {
      return nil
    }
    guard input.area > 1 else { return nil }
    name = slot.name
    channels = input.channels == 3 ? 3 : 1
    let values = Array(parameters.values[slot.range])
    let largest = values.reduce(1e-30) { max($0, abs($1)) }
    let tiles = min(slot.count / (input.area * channels), Self.mostTiles)
    let columns = Int(Double(tiles).squareRoot().rounded(.up))
    let zoom = input.area > 200 ? 2 : Self.zoom
    let (tileHeight, tileWidth) = (input.height * zoom + 2, input.width * zoom + 2)
    width = columns * tileWidth
    height = (tiles + columns - 1) / columns * tileHeight

    // The space between the filters is white.
    var pixels = [UInt8](repeating: 255, count: width * height * channels)
    for tile in 0..<tiles {
      let (top, left) = (tile / columns * tileHeight + 1, tile % columns * tileWidth + 1)
      for row in 0..<(input.height * zoom) {
        for column in 0..<(input.width * zoom) {
          let place = row / zoom * input.width + column / zoom
          for channel in 0..<channels {
            let weight = values[(tile * channels + channel) * input.area + place]
            let level = 127.5 * (1 + weight / largest)
            let pixel = ((top + row) * width + left + column) * channels + channel
            pixels[pixel] = UInt8(min(max(level.rounded(), 0), 255))
          }
        }
      }
    }
    self.pixels = pixels
  }

  func png() throws -> Data {
    try PNG.encode(pixels, width: width, height: height, channels: channels)
  }
}
