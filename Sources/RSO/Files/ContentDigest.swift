/// The digest of a safetensors file's content: CRC-32 of the metadata and the tensors, each in the order of names.
///
/// It does not depend on the order of tensors and offsets in the file, so a program that copies the content keeps it right.
struct ContentDigest {
  /// Its place among the metadata, and how its value begins. Each tells that there is a digest, should the other be
  /// damaged.
  static let key = "content_crc32"
  private static let prefix = "crc32:"

  private let zlib: ZLib
  private var sum: UInt32 = 0

  /// Begins with the metadata, which must not hold a digest.
  ///
  /// - Throws: `RSOError` if this machine has no zlib.
  init(_ metadata: [String: String]) throws {
    zlib = try ZLib.load()
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      add("\(quoted(key)):\(quoted(value))\n")
    }
  }

  /// Adds a tensor; they come in the order of their names.
  ///
  /// - Parameter bytes: the values as in the file.
  mutating func add(
    _ name: String, _ type: String, _ shape: [Int], _ bytes: UnsafeRawBufferPointer
  ) {
    add("\(quoted(name)):\(type)\(shape)\n")
    sum = zlib.crc32(bytes, after: sum)
  }

  private mutating func add(_ text: String) {
    sum = Array(text.utf8).withUnsafeBytes { zlib.crc32($0, after: sum) }
  }

  /// The digest as the metadata hold it: `crc32:` and eight digits.
  var text: String {
    let digits = String(sum, radix: 16)
    return Self.prefix + String(repeating: "0", count: 8 - digits.count) + digits
  }

  /// Removes the digest from metadata.
  ///
  /// - Returns: `nil` if there is none.
  /// - Throws: `RSOError` if it is damaged.
  static func take(from metadata: inout [String: String], file: String) throws -> String? {
    if let entry = metadata.first(where: { $0.key != key && $0.value.hasPrefix(prefix) }) {
      throw error("\(key) \(entry.value)", "\(entry.key) \(entry.value)", file)
    }
    return metadata.removeValue(forKey: key)
  }

  static func error(_ expected: String, _ found: String, _ file: String) -> RSOError {
    RSOError(
      file, "expected content of digest \(expected), found \(found)",
      hint: "the file is damaged: take a copy of it, or another model of the run; to change it on "
        + "purpose, remove \(key)")
  }
}
