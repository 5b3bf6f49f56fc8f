import CRSO

/// zlib 1, which inflates, deflates and computes CRC-32. It is looked for when it is needed first.
package struct ZLib: Sendable {
  typealias Stream = UnsafeMutablePointer<rso_zlib_stream>

  /// Values of zlib's interface (`zlib.h`).
  static let (ok, streamEnd, bufferError) = (Int32(0), Int32(1), Int32(-5))
  private static let (largestWindow, gzipOnly, bestCompression) = (Int32(15), Int32(16), Int32(9))

  private let inflateInit: @convention(c) (Stream, Int32, UnsafePointer<CChar>, Int32) -> Int32
  private let inflateStream: @convention(c) (Stream, Int32) -> Int32
  let inflateReset: @convention(c) (Stream) -> Int32
  let inflateEnd: @convention(c) (Stream) -> Int32
  private let crc: @convention(c) (UInt, UnsafePointer<UInt8>?, UInt32) -> UInt
  private let compressBound: @convention(c) (UInt) -> UInt
  private let compress:
    @convention(c) (
      UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt>, UnsafePointer<UInt8>?, UInt, Int32
    ) -> Int32

  private static let shared = Result { try ZLib() }

  /// - Throws: `RSOError` if this machine has no zlib.
  package static func load() throws -> ZLib { try shared.get() }

  /// - Parameter names: file names or paths to try.
  init(_ names: [String] = ["libz.so.1", "libz.1.dylib", "/usr/lib/libz.1.dylib"]) throws {
    let file = try SharedLibrary(names, hint: "install zlib (Debian: apt-get install zlib1g)")
    func find<Function>(_ name: String) throws -> Function {
      try file.function(name, as: Function.self)
    }
    inflateInit = try find("inflateInit2_")
    inflateStream = try find("inflate")
    inflateReset = try find("inflateReset")
    inflateEnd = try find("inflateEnd")
    crc = try find("crc32")
    compressBound = try find("compressBound")
    compress = try find("compress2")
  }

  /// Begins to inflate gzip data.
  ///
  /// - Parameter stream: zeroed; it must stay where it is until `inflateEnd`.
  func beginGzip(_ stream: Stream) -> Int32 {
    // zlib compares the first character of the version, and the size.
    inflateInit(
      stream, Self.gzipOnly + Self.largestWindow, "1", Int32(MemoryLayout<rso_zlib_stream>.size))
  }

  func inflate(_ stream: Stream) -> Int32 { inflateStream(stream, 0) }

  /// CRC-32 of bytes, or of what gave `sum` followed by them. It differs for any two contents of the same length that
  /// differ in one bit or in a run of at most 32 bits.
  package func crc32(_ bytes: UnsafeRawBufferPointer, after sum: UInt32 = 0) -> UInt32 {
    var sum = UInt(sum)
    for start in stride(from: 0, to: bytes.count, by: 1 << 30) {
      let part = UnsafeRawBufferPointer(rebasing: bytes[start...].prefix(1 << 30))
      sum = crc(sum, part.bindMemory(to: UInt8.self).baseAddress, UInt32(part.count))
    }
    return UInt32(truncatingIfNeeded: sum)
  }

  /// Bytes in zlib's format, as small as zlib makes them.
  ///
  /// - Throws: `RSOError` if memory runs out.
  package func deflate(_ bytes: [UInt8]) throws -> [UInt8] {
    var size = compressBound(UInt(bytes.count))
    var result = [UInt8](repeating: 0, count: Int(size))
    let status = bytes.withUnsafeBufferPointer { from in
      result.withUnsafeMutableBufferPointer { to in
        compress(to.baseAddress, &size, from.baseAddress, UInt(from.count), Self.bestCompression)
      }
    }
    guard status == Self.ok else {
      throw RSOError("image", "cannot be compressed: zlib's error \(status)")
    }
    return Array(result.prefix(Int(size)))
  }
}
