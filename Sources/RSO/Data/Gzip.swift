import CZlib

/// Reads gzip data.
package enum Gzip {
  package static func isGzip(_ bytes: some Sequence<UInt8>) -> Bool {
    bytes.starts(with: [0x1f, 0x8b])
  }

  /// The content of gzip data of one or more members; zlib checks each member's length and CRC.
  ///
  /// - Parameter name: the file, for errors.
  /// - Throws: `RSOError` if `bytes` are not gzip data, end too early, are corrupt or are followed by something else.
  package static func inflate(_ bytes: [UInt8], name: String) throws -> [UInt8] {
    guard isGzip(bytes) else { throw RSOError(name, "expected gzip data, found something else") }
    var stream = z_stream()
    let size = Int32(MemoryLayout<z_stream>.size)
    guard inflateInit2_(&stream, 16 + MAX_WBITS, ZLIB_VERSION, size) == Z_OK else {
      throw RSOError(name, "cannot be inflated: zlib is of another version or out of memory")
    }
    defer { inflateEnd(&stream) }

    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 18)
    var consumed = 0
    while true {
      let (status, produced) = bytes.withUnsafeBufferPointer { input in
        chunk.withUnsafeMutableBufferPointer { output in
          // zlib only reads its input; the C declaration lacks the const.
          stream.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress.map { $0 + consumed })
          stream.avail_in = uInt(min(bytes.count - consumed, 1 << 30))
          stream.next_out = output.baseAddress
          stream.avail_out = uInt(output.count)
          let offered = stream.avail_in
          let status = CZlib.inflate(&stream, Z_NO_FLUSH)
          consumed += Int(offered - stream.avail_in)
          return (status, output.count - Int(stream.avail_out))
        }
      }
      content.append(contentsOf: chunk[..<produced])
      switch status {
      case Z_OK: continue
      case Z_STREAM_END where consumed == bytes.count: return content
      case Z_STREAM_END where isGzip(bytes[consumed...]): inflateReset(&stream)
      case Z_STREAM_END:
        throw RSOError(name, "\(bytes.count - consumed) surplus bytes after the gzip data")
      case Z_BUF_ERROR:  // No progress was possible: the input ends here.
        throw RSOError(name, "the gzip data end too early", hint: "fetch it again")
      default:
        let reason = stream.msg.map { String(cString: $0) } ?? "zlib's error \(status)"
        throw RSOError(name, "corrupt gzip data: \(reason)", hint: "fetch it again")
      }
    }
  }
}
