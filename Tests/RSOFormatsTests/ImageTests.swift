import Foundation
import RSO
import Testing

@testable import RSOFormats

func errorText(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return "\(error)"
  }
}

struct ImageTests {
  private static func isFound(_ library: String) -> Bool { dlopen(library, RTLD_NOW) != nil }
  static let hasPNG = isFound("libpng16.so.16")
  static let hasJPEG = isFound("libturbojpeg.so.0")

  /// `[height][width][channels]` of 5×7 pixels.
  static func pixels(_ channels: Int) -> [UInt8] {
    (0..<5 * 7 * channels).map { UInt8(truncatingIfNeeded: $0 * 37 + 11) }
  }

  /// libpng reads what we write.
  @Test(.enabled(if: hasPNG), arguments: [1, 3]) func pngReadsBack(channels: Int) throws {
    let pixels = Self.pixels(channels)
    let data = try PNG.encode(pixels, width: 7, height: 5, channels: channels)
    let image = try Image(decoding: Array(data), channels: channels, name: "p")
    #expect(image.shape == Shape(channels: channels, height: 5, width: 7))
    for (index, value) in pixels.enumerated() {
      #expect(image.pixels[index % channels * 35 + index / channels] == value)
    }
  }

  @Test(.enabled(if: hasPNG)) func pngIsConverted() throws {
    let grey = try PNG.encode([0, 100, 255, 7], width: 2, height: 2, channels: 1)
    let coloured = try Image(decoding: Array(grey), channels: 3, name: "p")
    #expect(coloured.pixels == [0, 100, 255, 7, 0, 100, 255, 7, 0, 100, 255, 7])
    let red = try PNG.encode([255, 0, 0, 255, 255, 255], width: 2, height: 1, channels: 3)
    #expect(try Image(decoding: Array(red), channels: 1, name: "p").pixels == [76, 255])
  }

  /// A JPEG of 16×8 pixels, the left half black and the right half white, made with libjpeg.
  static let jpeg =
    Data(
      base64Encoded: """
        /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJ\
        BwYGCAsICQoKCgoKBggLDAsKDAkKCgr/wAALCAAIABABAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACv/EABQQAQAA\
        AAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AP+f4/9k=
        """) ?? Data()

  @Test(.enabled(if: hasJPEG), arguments: [1, 3]) func jpeg(channels: Int) throws {
    let image = try Image(decoding: Array(Self.jpeg), channels: channels, name: "j")
    #expect(image.shape == Shape(channels: channels, height: 8, width: 16))
    for (index, value) in image.pixels.enumerated() {
      #expect(index % 16 < 8 ? value < 12 : value > 243)
    }
  }

  @Test(.enabled(if: hasPNG && hasJPEG)) func damagedFilesAreErrors() throws {
    let png = Array(try PNG.encode(Self.pixels(1), width: 7, height: 5, channels: 1))
    func text(_ bytes: [UInt8], channels: Int = 1) -> String? {
      errorText { _ = try Image(decoding: bytes, channels: channels, name: "f") }
    }
    #expect(text(Array(png.prefix(60)))?.hasPrefix("f: the PNG file cannot be decoded: ") == true)
    var flipped = png
    flipped[45] ^= 1
    #expect(text(flipped)?.hasPrefix("f: the PNG file cannot be decoded: ") == true)
    #expect(
      text(Array(Self.jpeg.prefix(150)))?.hasPrefix("f: the JPEG file cannot be decoded: ") == true)
    #expect(text([1, 2, 3]) == "f: expected a PNG or JPEG file, found something else")
    #expect(
      text(png, channels: 2) == "f: a picture has 1 or 3 channels, and the network takes 2")
    // A header that claims 4 billion pixels.
    var huge = png
    (huge[16], huge[20]) = (1, 1)
    #expect(text(huge) != nil)
  }

  @Test func missingLibrariesAreExplained() {
    #expect(
      errorText { _ = try SharedLibrary(["libnone.so.7"], hint: "install it") }
        == "libnone.so.7: the library was not found (install it)")
  }

  @Test func resizing() throws {
    func image(_ pixels: [UInt8], _ height: Int, _ width: Int) throws -> Image {
      try Image(pixels: pixels, shape: Shape(channels: 1, height: height, width: width))
    }
    // What is even stays even, in any size.
    for (height, width) in [(1, 1), (3, 9), (40, 2)] {
      let even = try image([UInt8](repeating: 77, count: 30), 5, 6)
      let found = even.resized(height: height, width: width)
      #expect(found.pixels == [UInt8](repeating: 77, count: height * width))
      #expect(found.shape == Shape(channels: 1, height: height, width: width))
    }
    // Halved: the triangle over two old pixels reaches half of each neighbour: weights 1, 3, 3, 1.
    let step = try image([0, 0, 0, 0, 80, 80, 80, 80], 1, 8)
    #expect(step.resized(height: 1, width: 4).pixels == [0, 10, 70, 80])
    #expect(try image([0, 100], 1, 2).resized(height: 1, width: 4).pixels == [0, 25, 75, 100])
    // Rows as columns, and every channel by itself.
    #expect(
      try image([0, 0, 0, 0, 80, 80, 80, 80], 8, 1).resized(height: 4, width: 1).pixels == [
        0, 10, 70, 80,
      ])
    let two = try Image(
      pixels: [0, 100, 9, 9], shape: Shape(channels: 2, height: 1, width: 2))
    #expect(two.resized(height: 1, width: 4).pixels == [0, 25, 75, 100, 9, 9, 9, 9])
  }
}
