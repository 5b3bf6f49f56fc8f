import CRSO

/// Reads gzip data.
package enum Gzip {
  package static func isGzip(_ bytes: some Sequence<UInt8>) -> Bool {
    bytes.starts(with: [0x1f, 0x8b])
  }

  /// The content of gzip data of one or more members; zlib checks each member's length and CRC.
  ///
  /// - Parameter name: the file, for errors.
  /// - Throws: `RSOError` if `bytes` are not gzip data, end early, are corrupt or have other data after them.
  package static func inflate(_ bytes: [UInt8], name: String) throws -> [UInt8] {
    guard isGzip(bytes) else { throw RSOError(name, "expected gzip data, found something else") }
    var rest = bytes
    let inflater = try Inflater(name: name) {
      defer { rest = [] }
      return rest
    }
    var content: [UInt8] = []
    while true {
      let piece = try inflater.read(1 << 18)
      if piece.isEmpty { return content }
      try content.append(piece, for: "the inflated content of \(name)")
      try StopRequest.check()
    }
  }
}

/// Inflates gzip data piece by piece.
final class Inflater {
  /// On the heap, because zlib keeps its address.
  private let stream: ZLib.Stream
  private let zlib: ZLib
  private let name: String
  private let next: () throws -> [UInt8]
  private var input: [UInt8] = []
  private var consumed = 0
  private var isBetweenMembers = false

  /// - Parameter next: returns the next piece of gzip data, empty at the end.
  init(name: String, next: @escaping () throws -> [UInt8]) throws {
    self.name = name
    self.next = next
    zlib = try .load()
    stream = .allocate(capacity: 1)
    stream.initialize(to: rso_zlib_stream())
    guard zlib.beginGzip(stream) == ZLib.ok else {
      stream.deallocate()
      throw RSOError(name, "cannot be inflated: zlib is of another version or out of memory")
    }
  }

  deinit {
    _ = zlib.inflateEnd(stream)
    stream.deallocate()
  }

  /// The next `count` bytes of content; fewer at the end.
  func read(_ count: Int) throws -> [UInt8] {
    var content = [UInt8](repeating: 0, count: count)
    var produced = 0
    while produced < count {
      if consumed == input.count {
        (input, consumed) = (try next(), 0)
        if input.isEmpty {
          guard isBetweenMembers else {
            throw RSOError(name, "the gzip data end too early", hint: "fetch it again")
          }
          break
        }
      }
      if isBetweenMembers { try beginMember() }
      let status = inflate(into: &content, at: &produced)
      switch status {
      // zlib makes no progress without room or input; the loop checks for both.
      case ZLib.ok, ZLib.bufferError: break
      case ZLib.streamEnd: isBetweenMembers = true
      default:
        let reason = stream.pointee.message.map { String(cString: $0) } ?? "zlib's error \(status)"
        throw RSOError(name, "corrupt gzip data: \(reason)", hint: "fetch it again")
      }
    }
    content.removeLast(count - produced)
    return content
  }

  /// - Throws: `RSOError` if what follows a member is not another member.
  private func beginMember() throws {
    if input.count - consumed == 1 { input += try next() }
    guard Gzip.isGzip(input[consumed...]) else {
      var surplus = input.count - consumed
      while case let more = try next(), !more.isEmpty { surplus += more.count }
      throw RSOError(name, "\(surplus) surplus bytes after the gzip data")
    }
    _ = zlib.inflateReset(stream)
    isBetweenMembers = false
  }

  /// - Returns: zlib's status.
  private func inflate(into content: inout [UInt8], at produced: inout Int) -> Int32 {
    input.withUnsafeBufferPointer { input in
      content.withUnsafeMutableBufferPointer { content in
        stream.pointee.next_in = input.baseAddress.map { $0 + consumed }
        let offered = UInt32(min(input.count - consumed, 1 << 30))
        stream.pointee.avail_in = offered
        stream.pointee.next_out = content.baseAddress.map { $0 + produced }
        let room = UInt32(min(content.count - produced, 1 << 30))
        stream.pointee.avail_out = room
        let status = zlib.inflate(stream)
        consumed += Int(offered - stream.pointee.avail_in)
        produced += Int(room - stream.pointee.avail_out)
        return status
      }
    }
  }
}
