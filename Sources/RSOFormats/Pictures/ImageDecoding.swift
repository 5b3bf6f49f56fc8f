import Foundation
import RSO

extension Image {
  /// File formats for one picture.
  public enum Format: String, Sendable {
    case png = "PNG"
    case jpeg = "JPEG"

    /// The format by the first bytes; `nil` for anything else.
    public init?(of bytes: some Sequence<UInt8>) {
      if bytes.starts(with: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]) {
        self = .png
      } else if bytes.starts(with: [0xff, 0xd8, 0xff]) {
        self = .jpeg
      } else {
        return nil
      }
    }
  }

  /// Decodes a PNG or JPEG file into the requested channels: 1 for grey, 3 for colour.
  ///
  /// The values are those of Pillow, within one level: transparent areas become white, grey is ITU-R 601's sum of
  /// red, green and blue, samples of 16 bits are divided by 257, and the picture is turned as its Exif orientation says.
  ///
  /// Uses libpng or libjpeg-turbo, which must be installed.
  ///
  /// - Parameter name: the file's name, for errors.
  /// - Throws: `RSOError` naming the file and what is wrong with it, or the library that was not found.
  public init(decoding bytes: [UInt8], channels: Int, name: String) throws {
    self = try Self.decode(bytes, channels: channels, name: name).image
  }

  /// As `init(decoding:channels:name:)`, with descriptions of the changes made, such as "made grey".
  package static func decode(
    _ bytes: [UInt8], channels: Int, name: String
  ) throws -> (image: Image, changes: [String]) {
    guard channels == 1 || channels == 3 else {
      throw RSOError(name, "a picture has 1 or 3 channels, and the network takes \(channels)")
    }
    var picture: DecodedPicture
    let orientation: Orientation
    switch Format(of: bytes) {
    case .png:
      picture = try PNGDecoder.shared.get().decode(bytes, name: name)
      orientation = Orientation(ofPNG: bytes)
    case .jpeg:
      let segments = JPEGSegments(bytes)
      picture = try JPEGDecoder.shared.get().decode(segments, name: name)
      orientation = Orientation(of: segments)
    case nil: throw RSOError(name, "expected a PNG or JPEG file, found something else")
    }
    var changes = picture.changes
    if picture.isColoured != (channels == 3) {
      changes.insert(channels == 1 ? "made grey" : "made of three equal colours", at: 0)
    }
    if orientation != .upright { changes.append("turned upright") }
    if picture.putOnWhite() { changes.append("put on white") }
    return (try picture.image(channels: channels, orientation), changes)
  }
}

/// A picture as a decoder found it.
struct DecodedPicture {
  let height: Int
  let width: Int
  /// `[height][width][4]`: red, green, blue, opacity.
  var pixels: [UInt8]
  /// Whether the file has colours, rather than shades of grey.
  let isColoured: Bool
  /// What the decoder had to change.
  var changes: [String] = []

  /// Replaces transparency by white.
  ///
  /// - Returns: whether any pixel was transparent.
  mutating func putOnWhite() -> Bool {
    var found = false
    for start in stride(from: 0, to: pixels.count, by: 4) where pixels[start + 3] != 255 {
      found = true
      let opacity = Int(pixels[start + 3])
      for index in start..<start + 3 {
        let sum = Int(pixels[index]) * opacity + 255 * (255 - opacity)
        pixels[index] = UInt8((sum + 127) / 255)
      }
    }
    return found
  }

  /// The picture in 1 channel or 3, turned upright.
  func image(channels: Int, _ orientation: Orientation) throws -> Image {
    let size = orientation.size(height: height, width: width)
    let area = height * width
    var result = [UInt8](repeating: 0, count: channels * area)
    for row in 0..<size.height {
      for column in 0..<size.width {
        let place = orientation.source(row, column, height: height, width: width)
        let start = 4 * (place.row * width + place.column)
        let index = row * size.width + column
        if channels == 1 {
          result[index] = Self.grey(pixels[start], pixels[start + 1], pixels[start + 2])
        } else {
          for channel in 0..<3 { result[channel * area + index] = pixels[start + channel] }
        }
      }
    }
    return try Image(
      pixels: result, shape: Shape(channels: channels, height: size.height, width: size.width))
  }

  /// ITU-R 601: 0.299 of red, 0.587 of green and 0.114 of blue, in Pillow's integers.
  static func grey(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> UInt8 {
    let sum: Int = Int(red) * 19595 + Int(green) * 38470 + Int(blue) * 7471
    return UInt8((sum + 0x8000) >> 16)
  }

  /// A small file can claim to have any size; longer sides and larger areas are refused.
  static let longestSide = 20_000
  static let largestArea = 180_000_000

  static func checkSize(_ width: Int, _ height: Int, _ name: String) throws {
    guard (1...longestSide).contains(width), (1...longestSide).contains(height),
      width * height <= largestArea
    else {
      throw RSOError(
        name,
        "expected a picture of at most \(longestSide) pixels a side and \(largestArea / 1_000_000) "
          + "million in all, found \(width)×\(height)")
    }
  }
}
