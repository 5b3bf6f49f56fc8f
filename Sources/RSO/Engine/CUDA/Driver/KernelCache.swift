import Foundation

/// Compiled kernels on disk, one file for each combination of source, options, compiler and driver.
///
/// A file holds its whole key and a CRC-32 of the rest, so that a damaged file, or a different key with the same file
/// name, is detected and compiled again.
package struct KernelCache: Sendable {
  /// The folder of the files; `nil`: nothing is kept.
  package let folder: URL?

  package init(folder: URL?) { self.folder = folder }

  /// A cache in the user's cache folder.
  package static var user: KernelCache {
    KernelCache(folder: UserCache.folder().appendingPathComponent("cuda"))
  }

  /// The image stored under `key`, or else the result of `compile`, which is then stored.
  ///
  /// If the folder cannot be written, nothing is stored.
  package func image(_ key: String, compile: () throws -> [UInt8]) throws -> [UInt8] {
    guard let folder else { return try compile() }
    let url = folder.appendingPathComponent(Self.fileName(key))
    if let data = try? Data(contentsOf: url), let image = try Self.decoded(Array(data), key) {
      return image
    }
    let image = try compile()
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let file = try Self.encoded(image, key)
    try? AtomicFile.write(Data(file), to: url)
    return image
  }

  /// The engine's kernels, for a card.
  func kernels(for card: CUDACard) throws -> [UInt8] {
    let nvrtc = try NVRTC.load(driver: card.driverVersion)
    let (files, options) = (NVRTC.kernels, NVRTC.options(card.architecture))
    let (major, minor) = try nvrtc.version()
    let key = Self.key(
      files, options: options, compiler: "\(major).\(minor)", driver: card.driverVersion)
    return try image(key) { try nvrtc.compile(files, options: options).image }
  }

  /// The key of the engine's kernels.
  package static func key(_ files: [NVRTC.File], options: [String], compiler: String, driver: Int)
    -> String
  {
    (["NVRTC \(compiler)", "driver \(driver)"] + options
      + files.flatMap { [$0.name, $0.text] }).joined(separator: "\n")
  }

  /// FNV-1a, 64 bits.
  static func fileName(_ key: String) -> String {
    let hash = key.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01b3
    }
    return String(hash, radix: 16) + ".cubin"
  }

  private static let magic = Array("rso kernels 1\n".utf8)

  /// The magic, the CRC-32 of the rest, the length of the key, the key, the image.
  static func encoded(_ image: [UInt8], _ key: String) throws -> [UInt8] {
    let rest = word(UInt32(key.utf8.count)) + Array(key.utf8) + image
    return try magic + word(checksum(rest)) + rest
  }

  static func decoded(_ bytes: [UInt8], _ key: String) throws -> [UInt8]? {
    let start = magic.count + 4
    guard bytes.count > start, Array(bytes[..<magic.count]) == magic else { return nil }
    let rest = Array(bytes[start...])
    let head = word(UInt32(key.utf8.count)) + Array(key.utf8)
    guard try Array(bytes[magic.count..<start]) == word(checksum(rest)), rest.starts(with: head),
      rest.count > head.count
    else { return nil }
    return Array(rest[head.count...])
  }

  private static func word(_ value: UInt32) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  private static func checksum(_ bytes: [UInt8]) throws -> UInt32 {
    let zlib = try ZLib.load()
    return bytes.withUnsafeBytes { zlib.crc32($0) }
  }
}
