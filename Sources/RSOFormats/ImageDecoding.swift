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
  /// Uses libpng or libjpeg-turbo, which must be installed. Transparent areas become white.
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
    switch Format(of: bytes) {
    case .png:
      return try PNGDecoder.shared.get().decode(bytes, channels: channels, name: name)
    case .jpeg:
      return try JPEGDecoder.shared.get().decode(bytes, channels: channels, name: name)
    case nil: throw RSOError(name, "expected a PNG or JPEG file, found something else")
    }
  }

  fileprivate static func change(ofColours isColoured: Bool, _ channels: Int) -> String? {
    if isColoured { return channels == 1 ? "made grey" : nil }
    return channels == 3 ? "made of three equal colours" : nil
  }

  /// Longer sides are refused: a small file can claim to have any size.
  fileprivate static let longestSide = 20_000

  fileprivate static func checkSize(_ width: Int, _ height: Int, _ name: String) throws {
    guard (1...longestSide).contains(width), (1...longestSide).contains(height) else {
      throw RSOError(
        name, "expected a picture of at most \(longestSide) pixels a side, found \(width)×\(height)"
      )
    }
  }
}

/// The simplified interface of libpng 1.6.
private struct PNGDecoder: Sendable {
  static let shared = Result { try PNGDecoder() }

  private typealias Begin =
    @convention(c) (UnsafeMutableRawPointer, UnsafeRawPointer?, Int) -> Int32
  private typealias Finish =
    @convention(c) (
      UnsafeMutableRawPointer, UnsafeRawPointer?, UnsafeMutableRawPointer?, Int32,
      UnsafeMutableRawPointer?
    ) -> Int32
  private typealias Free = @convention(c) (UnsafeMutableRawPointer) -> Void

  private let begin: Begin
  private let finish: Finish
  private let free: Free

  /// `png_image`: a pointer, seven 32-bit words, a message of 64 bytes. Byte offsets:
  private enum Place {
    static let version = 8
    static let width = 12
    static let height = 16
    static let format = 20
    static let message = 36
    static let size = 104
  }

  init() throws {
    let library = try SharedLibrary(
      ["libpng16.so.16", "libpng16.dylib", "/opt/homebrew/lib/libpng16.dylib"],
      hint: "install it (Debian: apt-get install libpng16-16), or give .npy or IDX files")
    begin = try library.function("png_image_begin_read_from_memory", as: Begin.self)
    finish = try library.function("png_image_finish_read", as: Finish.self)
    free = try library.function("png_image_free", as: Free.self)
  }

  func decode(
    _ bytes: [UInt8], channels: Int, name: String
  ) throws -> (image: Image, changes: [String]) {
    let image = UnsafeMutableRawPointer.allocate(byteCount: Place.size, alignment: 8)
    defer { image.deallocate() }
    image.initializeMemory(as: UInt8.self, repeating: 0, count: Place.size)
    image.storeBytes(of: 1, toByteOffset: Place.version, as: UInt32.self)
    func failure() -> RSOError {
      let message = (image + Place.message).assumingMemoryBound(to: CChar.self)
      return RSOError(name, "the PNG file cannot be decoded: \(String(cString: message))")
    }
    func word(_ place: Int) -> Int { Int(image.load(fromByteOffset: place, as: UInt32.self)) }
    return try bytes.withUnsafeBytes { bytes in
      defer { free(image) }
      guard begin(image, bytes.baseAddress, bytes.count) != 0 else { throw failure() }
      let (width, height) = (word(Place.width), word(Place.height))
      try Image.checkSize(width, height, name)
      // The format is a sum of flags: 1 transparency, 2 colours, 4 sixteen bits.
      let found = word(Place.format)
      let changes = [
        Image.change(ofColours: found & 2 != 0, channels), found & 1 != 0 ? "put on white" : nil,
        found & 4 != 0 ? "reduced to 8 bits" : nil,
      ]
      // 0: grey bytes, 2: red, green, blue.
      image.storeBytes(of: channels == 3 ? 2 : 0, toByteOffset: Place.format, as: UInt32.self)
      var pixels = [UInt8](repeating: 0, count: width * height * channels)
      let white: [UInt8] = [255, 255, 255]
      let status = pixels.withUnsafeMutableBytes { pixels in
        white.withUnsafeBytes { finish(image, $0.baseAddress, pixels.baseAddress, 0, nil) }
      }
      guard status != 0 else { throw failure() }
      let shape = Shape(channels: channels, height: height, width: width)
      return (try Image(interleaved: pixels, shape: shape), changes.compactMap { $0 })
    }
  }
}

/// libjpeg-turbo's own interface.
private struct JPEGDecoder: Sendable {
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
  private typealias End = @convention(c) (UnsafeMutableRawPointer) -> Int32

  private let start: Start
  private let header: Header
  private let decompress: Decompress
  private let message: Message
  private let end: End

  init() throws {
    let library = try SharedLibrary(
      ["libturbojpeg.so.0", "libturbojpeg.dylib", "/opt/homebrew/lib/libturbojpeg.dylib"],
      hint: "install it (Debian: apt-get install libturbojpeg0), or give PNG, .npy or IDX files")
    start = try library.function("tjInitDecompress", as: Start.self)
    header = try library.function("tjDecompressHeader3", as: Header.self)
    decompress = try library.function("tjDecompress2", as: Decompress.self)
    message = try library.function("tjGetErrorStr2", as: Message.self)
    end = try library.function("tjDestroy", as: End.self)
  }

  func decode(
    _ bytes: [UInt8], channels: Int, name: String
  ) throws -> (image: Image, changes: [String]) {
    guard let handle = start() else { throw RSOError(name, "libjpeg-turbo could not be started") }
    defer { _ = end(handle) }
    func check(_ status: Int32) throws {
      guard status != 0 else { return }
      let reason = message(handle).map { String(cString: $0) } ?? "an unknown error"
      throw RSOError(name, "the JPEG file cannot be decoded: \(reason)")
    }
    return try bytes.withUnsafeBufferPointer { bytes in
      var (width, height, sampling, colours): (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
      try check(
        header(
          handle, bytes.baseAddress, UInt(bytes.count), &width, &height, &sampling, &colours))
      try Image.checkSize(Int(width), Int(height), name)
      var pixels = [UInt8](repeating: 0, count: Int(width) * Int(height) * channels)
      // 0: red, green, blue; 6: grey.
      let format: Int32 = channels == 3 ? 0 : 6
      try check(
        pixels.withUnsafeMutableBufferPointer {
          decompress(
            handle, bytes.baseAddress, UInt(bytes.count), $0.baseAddress, width, 0, height, format,
            0)
        })
      let shape = Shape(channels: channels, height: Int(height), width: Int(width))
      // 2: the file is grey.
      let change = Image.change(ofColours: colours != 2, channels)
      return (try Image(interleaved: pixels, shape: shape), [change].compactMap { $0 })
    }
  }
}
