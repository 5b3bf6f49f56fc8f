import Foundation
import RSO
import Testing

@testable import RSOFormats

/// Pictures of kinds that decoders read differently, and their values in Pillow 13, as far as it reads the kind; else by
/// the standard of PNG. `Tests/Independent/pictures.py` compares many more.
struct PictureTests {
  struct Known: CustomTestStringConvertible, Sendable {
    let title: String
    let file: [UInt8]
    let shape: Shape
    let pixels: [Int]

    init(
      _ title: String, channels: Int, height: Int, width: Int, _ base64: String, _ pixels: [Int]
    ) {
      self.title = title
      file = Array(Data(base64Encoded: base64) ?? Data())
      shape = Shape(channels: channels, height: height, width: width)
      self.pixels = pixels
    }

    var testDescription: String { title }
  }

  static let known = [
    Known(
      "16-bit grey", channels: 1, height: 2, width: 3,
      """
      iVBORw0KGgoAAAANSUhEUgAAAAMAAAACEAAAAADoj+WFAAAAFklEQVR4nGNgYBAUVFJiMDZ2cQkNBQAIwQH/JN\
      jsNwAAAABJRU5ErkJggg==
      """,
      [0, 17, 34, 51, 68, 85]),
    Known(
      "16-bit grey, interlaced, gAMA", channels: 1, height: 5, width: 3,
      """
      iVBORw0KGgoAAAANSUhEUgAAAAMAAAAFEAAAAAGCjeWrAAAABGdBTUEAAYagMeiWXwAAADFJREFUeJxjOL+PYT\
      4Hg+57BueTDPfauMQYRN8yTOVgqFrMYDNfL/esAoOERCh33kMADPoM30UwwnkAAAAASUVORK5CYII=
      """,
      [207, 22, 46, 60, 46, 204, 222, 148, 10, 24, 85, 110, 158, 122, 68]),
    Known(
      "16-bit colour, interlaced", channels: 3, height: 3, width: 3,
      """
      iVBORw0KGgoAAAANSUhEUgAAAAMAAAADEAIAAAH+3c49AAAAR0lEQVR4nAE8AMP/ACjksQC8DQBkJ+NIhEkASM\
      FR6qYHSu/wUgBhAAheHRlzvgCmfrI73ocAa4xuPaqUljgsPrziwbn0zclEyjYaGDqRDBcAAAAASUVORK5CYII=
      """,
      [
        40, 8, 100, 107, 150, 193, 72, 166, 74, 177, 29, 227, 110, 44, 244, 81, 178, 240, 188, 115,
        132, 170, 188, 201, 166, 222, 0,
      ]),
    Known(
      "16-bit grey with opacity", channels: 1, height: 2, width: 3,
      """
      iVBORw0KGgoAAAANSUhEUgAAAAMAAAACEAQAAABn7XLSAAAAI0lEQVR4nGMQ3vDT5OMinxTlZQGJDNwcT9xXLp\
      l61m5xxXIAkxQLm6WhK0MAAAAASUVORK5CYII=
      """,
      [26, 251, 186, 38, 205, 164]),
    Known(
      "colour with opacity, sRGB", channels: 3, height: 2, width: 3,
      """
      iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAYAAACddGYaAAAAAXNSR0IArs4c6QAAACNJREFUeJxjMDhaye64pT\
      XeQXz2SobWd29NZy+096nZ67UDAIvtC4ElDv0OAAAAAElFTkSuQmCC
      """,
      [249, 184, 128, 230, 225, 160, 253, 227, 101, 251, 227, 207, 251, 210, 189, 251, 198, 124]),
    Known(
      "2-bit grey with a transparent level", channels: 1, height: 3, width: 5,
      """
      iVBORw0KGgoAAAANSUhEUgAAAAUAAAADAgAAAAA07YKFAAAAAnRSTlMAAQGU/a4AAAARSURBVHicY3A/wNBxgO\
      G+AwAPJwNvfQ0pjgAAAABJRU5ErkJggg==
      """,
      [255, 0, 255, 255, 255, 170, 0, 170, 0, 255, 255, 255, 255, 255, 255]),
    Known(
      "palette with opacities, interlaced", channels: 3, height: 2, width: 4,
      """
      iVBORw0KGgoAAAANSUhEUgAAAAQAAAACBAMAAAH6gVDGAAAAMFBMVEXLkMx6T8u8Yq8udiWGx2s2phHMsp3wlc\
      xOHL9KDizzoK75At87bfslZ+9+Rod3LYaAt2+xAAAACXRSTlMAw9KPSf7yZb+SuaL5AAAAEUlEQVR4nGN4wCDA\
      kMlwKw8ACy8ComtvywIAAAAASUVORK5CYII=
      """,
      [
        126, 207, 153, 74, 37, 243, 207, 126, 70, 182, 120, 14, 103, 160, 182, 70, 135, 162, 215,
        44, 239, 174, 162, 135,
      ]),
    Known(
      "red, green, blue made grey", channels: 1, height: 1, width: 3,
      """
      iVBORw0KGgoAAAANSUhEUgAAAAMAAAABCAIAAACUgoPjAAAADklEQVR4nGP4z8DAAMYADvsC/gkcFjQAAAAASU\
      VORK5CYII=
      """,
      [76, 150, 29]),
    Known(
      "red JPEG made grey", channels: 1, height: 4, width: 4,
      """
      /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ\
      EBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQH/2wBDAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\
      AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQH/wAARCAAEAAQDAREAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAA\
      AAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0Kx\
      wRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhI\
      WGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP0\
      9fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAx\
      EEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RV\
      VldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyM\
      nK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwD8X6/ynP8Av4P/2Q==
      """,
      [76, 76, 76, 76, 76, 76, 76, 76, 76, 76, 76, 76, 76, 76, 76, 76]),
    Known(
      "CMYK JPEG", channels: 3, height: 1, width: 1,
      """
      /9j/7gAOQWRvYmUAZAAAAAAA/9sAQwABAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ\
      EBAQEBAQEBAQEBAQEBAQEBAQEBAQEB/8AAFAgAAQABBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAA\
      AAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUt\
      HwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeI\
      iYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/\
      j5+v/aAA4EQwBNAFkASwAAPwD+riv0or+bev7CK//Z
      """,
      [190, 146, 49]),
  ]

  @Test(.enabled(if: ImageTests.hasPNG && ImageTests.hasJPEG), arguments: known)
  func valuesArePillows(_ picture: Known) throws {
    let image = try Image(
      decoding: picture.file, channels: picture.shape.channels, name: picture.title)
    #expect(image.shape == picture.shape)
    for (index, (found, expected)) in zip(image.pixels, picture.pixels).enumerated() {
      #expect(abs(Int(found) - expected) <= 1, "\(index): \(found), expected \(expected)")
    }
  }

  // MARK: Orientation

  /// Pillow's `exif_transpose` of the numbers 0 to 5 in two rows.
  static let turned: [Int: [[UInt8]]] = [
    1: [[0, 1, 2], [3, 4, 5]],
    2: [[2, 1, 0], [5, 4, 3]],
    3: [[5, 4, 3], [2, 1, 0]],
    4: [[3, 4, 5], [0, 1, 2]],
    5: [[0, 3], [1, 4], [2, 5]],
    6: [[3, 0], [4, 1], [5, 2]],
    7: [[5, 2], [4, 1], [3, 0]],
    8: [[2, 5], [1, 4], [0, 3]],
  ]

  /// A TIFF header with one entry.
  private static func exif(_ orientation: Int, bigEndian: Bool = false) -> [UInt8] {
    func word(_ value: Int, _ count: Int) -> [UInt8] {
      let bytes = (0..<count).map { UInt8(value >> (8 * $0) & 255) }
      return bigEndian ? bytes.reversed() : bytes
    }
    var bytes = Array((bigEndian ? "MM" : "II").utf8)
    for (value, count) in [
      (42, 2), (8, 4), (1, 2), (274, 2), (3, 2), (1, 4), (orientation, 2), (0, 2), (0, 4),
    ] {
      bytes += word(value, count)
    }
    return bytes
  }

  /// A PNG of the numbers 0 to 5 with a chunk after its header; its checksum is left at zero, which libpng overlooks
  /// in what it does not need.
  private static func png(_ type: String, _ content: [UInt8]) throws -> [UInt8] {
    let png = Array(try PNG.encode([0, 1, 2, 3, 4, 5], width: 3, height: 2, channels: 1))
    let chunk = [0, 0, 0, UInt8(content.count)] + Array(type.utf8) + content + [0, 0, 0, 0]
    return Array(png.prefix(33)) + chunk + Array(png.dropFirst(33))
  }

  @Test(.enabled(if: ImageTests.hasPNG), arguments: 1...8)
  func pngIsTurned(orientation: Int) throws {
    let expected = try #require(Self.turned[orientation])
    for isBig in [false, true] {
      let file = try Self.png("eXIf", Self.exif(orientation, bigEndian: isBig))
      let (image, changes) = try Image.decode(file, channels: 1, name: "p")
      #expect(image.shape == Shape(channels: 1, height: expected.count, width: expected[0].count))
      #expect(image.pixels == expected.flatMap { $0 })
      #expect(changes == (orientation == 1 ? [] : ["turned upright"]))
    }
  }

  @Test(.enabled(if: ImageTests.hasPNG)) func orientationOfXMP() throws {
    let text = "XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation=\"6\"/>"
    let image = try Image(
      decoding: Self.png("iTXt", Array(text.utf8)), channels: 1, name: "p")
    #expect(image.pixels == [3, 0, 4, 1, 5, 2])
  }

  /// A number that Exif does not have, a directory beyond the end, an entry cut short: the picture is read as it is.
  @Test(.enabled(if: ImageTests.hasPNG)) func damagedExifIsOverlooked() throws {
    let exif = Self.exif(6)
    var beyond = exif
    beyond[7] = 0xff
    for exif in [Self.exif(0), Self.exif(9), beyond, Array(exif.prefix(15)), [], [73, 73]] {
      let image = try Image(decoding: Self.png("eXIf", exif), channels: 1, name: "p")
      #expect(image.pixels == [0, 1, 2, 3, 4, 5])
    }
  }

  /// The segment is where cameras write it. The left half is black: turned right, it is the upper half.
  @Test(.enabled(if: ImageTests.hasJPEG)) func jpegIsTurned() throws {
    let segment = Array("Exif\0\0".utf8) + Self.exif(6)
    let file =
      ImageTests.jpeg.prefix(2) + [0xff, 0xe1, 0, UInt8(segment.count + 2)] + segment
      + ImageTests.jpeg.dropFirst(2)
    let image = try Image(decoding: Array(file), channels: 1, name: "j")
    #expect(image.shape == Shape(channels: 1, height: 16, width: 8))
    for (index, value) in image.pixels.enumerated() {
      #expect(index < 64 ? value < 12 : value > 243)
    }
  }

  // MARK: Damage

  /// Bytes that belong to nothing, between the segments or after the data, change nothing.
  @Test(.enabled(if: ImageTests.hasJPEG)) func strayBytesAreSkipped() throws {
    let jpeg = Array(ImageTests.jpeg)
    let expected = try Image(decoding: jpeg, channels: 1, name: "j")
    let stray = [UInt8](repeating: 0, count: 40)
    for place in [20, jpeg.count - 2, jpeg.count] {
      let file = jpeg.prefix(place) + stray + jpeg.suffix(jpeg.count - place)
      #expect(try Image(decoding: Array(file), channels: 1, name: "j") == expected, "at \(place)")
    }
  }

  /// Also if stray bytes come before the damage or after it.
  @Test(.enabled(if: ImageTests.hasJPEG)) func truncatedFilesAreErrors() throws {
    let jpeg = Array(ImageTests.jpeg)
    let data = try #require(jpeg.indices.last { jpeg[$0] == 0xff && jpeg[$0 + 1] == 0xda }) + 10
    let stray = [UInt8](repeating: 0, count: 9)
    let cut = Array(jpeg.prefix(data + 1))
    let strayed = Array(jpeg.prefix(20)) + stray + Array(cut.dropFirst(20))
    for file in [cut, cut + [0xff, 0xd9], strayed] {
      #expect(
        errorText { _ = try Image(decoding: file, channels: 1, name: "j") }?
          .hasPrefix("j: the JPEG file cannot be decoded: ") == true)
    }
  }

  /// A header of a few bytes must not make the program take gigabytes.
  @Test(.enabled(if: ImageTests.hasPNG)) func areaIsLimited() throws {
    var png = Array(try PNG.encode([0], width: 1, height: 1, channels: 1))
    png.replaceSubrange(16..<24, with: [0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20])
    // The header's checksum.
    png.replaceSubrange(29..<33, with: try PNG.checksum(Array(png[12..<29])))
    #expect(
      errorText { _ = try Image(decoding: png, channels: 1, name: "p") }
        == "p: expected a picture of at most 20000 pixels a side and 180 million in all, "
        + "found 20000×20000")
  }
}
