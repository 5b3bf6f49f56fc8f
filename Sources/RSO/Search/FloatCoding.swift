import Foundation

// Many floats as one text: 32-bit floats, least significant byte first, in base 64. No bit is lost.

extension KeyedEncodingContainer {
  mutating func encode(floats: [Float], forKey key: Key) throws {
    var bytes = Data(capacity: 4 * floats.count)
    for value in floats {
      withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }
    try encode(bytes.base64EncodedString(), forKey: key)
  }
}

extension KeyedDecodingContainer {
  func decodeFloats(forKey key: Key) throws -> [Float] {
    guard let bytes = Data(base64Encoded: try decode(String.self, forKey: key)),
      bytes.count % 4 == 0
    else {
      throw DecodingError.dataCorruptedError(
        forKey: key, in: self, debugDescription: "expected 32-bit floats in base 64")
    }
    return stride(from: 0, to: bytes.count, by: 4).map { first in
      Float(
        bitPattern: bytes[first..<first + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    }
  }
}
