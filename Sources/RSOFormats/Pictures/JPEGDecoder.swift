import Foundation
import RSO

/// libjpeg-turbo's own interface.
struct JPEGDecoder: Sendable {
  static let shared = Result { try JPEGDecoder() }

  private typealias Start = @convention(c) () -> UnsafeMutableRawPointer?
  private typealias Header =
    @convention(c) (
      UnsafeMutableRawPointer, UnsafePointer<UInt8>?, UInt, UnsafeMutablePointer<Int32>,
      UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int32>
    ) -> Int32
  private typealias Decompress =
    @convention(c) (
      UnsafeMutableRawPointer, UnsafePointer<UInt8>?, UInt, UnsafeMutablePointer<UInt8>?, Int32,
      Int32, Int32, Int32, Int32
    ) -> Int32
  private typealias Message =
    @convention(c) (UnsafeMutableRawPointer) -> UnsafePointer<CChar>?
  private typealias Code = @convention(c) (UnsafeMutableRawPointer) -> Int32
  private typealias End = @convention(c) (UnsafeMutableRawPointer) -> Int32

  private let start: Start
  private let header: Header
  private let decompress: Decompress
  private let message: Message
  private let code: Code
  private let end: End

  init() throws {
    let library = try SharedLibrary(
      ["libturbojpeg.so.0", "libturbojpeg.dylib", "/opt/homebrew/lib/libturbojpeg.dylib"],
      hint: "install it (Debian: apt-get install libturbojpeg0), or give PNG, .npy or IDX files")
    start = try library.function("tjInitDecompress", as: Start.self)
    header = try library.function("tjDecompressHeader3", as: Header.self)
    decompress = try library.function("tjDecompress2", as: Decompress.self)
    message = try library.function("tjGetErrorStr2", as: Message.self)
    code = try library.function("tjGetErrorCode", as: Code.self)
    end = try library.function("tjDestroy", as: End.self)
  }

  /// `tjcs`, the colour spaces of a file.
  private enum Colours {
    static let grey: Int32 = 2
    static let cmyk: Int32 = 3
    static let ycck: Int32 = 4
  }

  /// `TJPF`, the order of the values of a pixel.
  private enum Order {
    static let rgba: Int32 = 7
    static let cmyk: Int32 = 11
  }

  /// Warnings after which the picture is whole: bytes after a scan's data that decoders skip, and versions unknown to
  /// the library. All others mean that data are missing or damaged. The library tells only its first warning, and
  /// these come last, or are of no account.
  private static let harmlessWarnings = [
    "extraneous bytes before marker", "unknown JFIF revision number",
    "Unknown Adobe color transform code",
  ]

  func decode(_ file: JPEGSegments, name: String) throws -> DecodedPicture {
    guard let handle = start() else { throw RSOError(name, "libjpeg-turbo could not be started") }
    defer { _ = end(handle) }
    func check(_ status: Int32) throws {
      guard status != 0 else { return }
      let reason = message(handle).map { String(cString: $0) } ?? "an unknown error"
      // 0: a warning.
      let isHarmless = code(handle) == 0 && Self.harmlessWarnings.contains { reason.contains($0) }
      guard !isHarmless else { return }
      throw RSOError(name, "the JPEG file cannot be decoded: \(reason)")
    }
    return try file.cleaned.withUnsafeBufferPointer { bytes in
      var (width, height, sampling, colours): (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
      let count = UInt(bytes.count)
      try check(header(handle, bytes.baseAddress, count, &width, &height, &sampling, &colours))
      try DecodedPicture.checkSize(Int(width), Int(height), name)
      var pixels = [UInt8](repeating: 255, count: 4 * Int(width) * Int(height))
      let isCMYK = colours == Colours.cmyk || colours == Colours.ycck
      try check(
        pixels.withUnsafeMutableBufferPointer {
          decompress(
            handle, bytes.baseAddress, count, $0.baseAddress, width, 0, height,
            isCMYK ? Order.cmyk : Order.rgba, 0)
        })
      guard file.hasEnd else {
        throw RSOError(name, "the JPEG file cannot be decoded: it has no end, and was cut short")
      }
      if isCMYK { Self.makeRGB(&pixels) }
      return DecodedPicture(
        height: Int(height), width: Int(width), pixels: pixels,
        isColoured: colours != Colours.grey)
    }
  }

  /// Cyan, magenta, yellow and black, stored inverted as Adobe's programs do, as red, green, blue and opacity.
  private static func makeRGB(_ pixels: inout [UInt8]) {
    for start in stride(from: 0, to: pixels.count, by: 4) {
      let black = Int(pixels[start + 3])
      for index in start..<start + 3 {
        pixels[index] = UInt8((Int(pixels[index]) * black + 127) / 255)
      }
      pixels[start + 3] = 255
    }
  }
}
