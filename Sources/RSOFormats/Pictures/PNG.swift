import Foundation
import RSO

/// Writes PNG files of grey or coloured bytes, compressed by zlib.
///
/// Source: https://www.w3.org/TR/png-3, sections 5, 9 and 11.
enum PNG {
  /// - Parameters:
  ///   - pixels: `[height][width][channels]`.
  ///   - channels: 1 (grey) or 3 (RGB).
  static func encode(_ pixels: [UInt8], width: Int, height: Int, channels: Int) throws -> Data {
    // Every row begins with its filter type: 0, none.
    var rows: [UInt8] = []
    rows.reserveCapacity(pixels.count + height)
    for row in 0..<height {
      rows.append(0)
      rows += pixels[(row * width * channels)..<((row + 1) * width * channels)]
    }
    var file = Data([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
    let colour: UInt8 = channels == 3 ? 2 : 0
    try append("IHDR", word(width) + word(height) + [8, colour, 0, 0, 0], to: &file)
    try append("IDAT", ZLib.load().deflate(rows), to: &file)
    try append("IEND", [], to: &file)
    return file
  }

  /// Length, type, content, and the checksum of the last two.
  private static func append(_ type: String, _ content: [UInt8], to file: inout Data) throws {
    let body = Array(type.utf8) + content
    file += try word(content.count) + body + checksum(body)
  }

  static func checksum(_ body: [UInt8]) throws -> [UInt8] {
    let zlib = try ZLib.load()
    return word(Int(body.withUnsafeBytes { zlib.crc32($0) }))
  }

  private static func word(_ value: Int) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }
}
