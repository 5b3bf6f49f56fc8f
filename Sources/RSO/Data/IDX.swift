import Foundation

/// Reads IDX files of unsigned bytes, the format of MNIST and its relatives.
///
/// A file is a big-endian magic number (0x0000 08dd for dd dimensions of unsigned bytes), dd big-endian 32-bit
/// dimensions, then the bytes in row-major order. Labels are `[N]`, images `[N, H, W]` or `[N, C, H, W]`.
/// Either may be gzipped, whatever the file's name.
///
/// Source: http://yann.lecun.com/exdb/mnist, "File formats for the MNIST database".
package enum IDX {
  static let labelsMagic = 2049
  static let grayImagesMagic = 2051
  static let imagesMagic = 2052

  /// The images and labels named `prefix` (`train` or `t10k`) in a folder.
  ///
  /// - Throws: `RSOError` naming the folder and the files it lacks, or the file and what is wrong with it.
  static func split(_ prefix: String, in directory: URL) throws -> Split {
    try split(
      images: find("\(prefix)-images", dimensions: [3, 4], in: directory),
      labels: find("\(prefix)-labels", dimensions: [1], in: directory))
  }

  static func split(images imagesURL: URL, labels labelsURL: URL) throws -> Split {
    let names = (images: imagesURL.lastPathComponent, labels: labelsURL.lastPathComponent)
    let expected = names.images.contains("idx4") ? imagesMagic : grayImagesMagic
    let (header, images) = try array(readFile(imagesURL), name: names.images, magic: expected)
    let (_, labels) = try array(readFile(labelsURL), name: names.labels, magic: labelsMagic)
    return try Split(
      images: images, labels: labels.map(Int32.init), shape: header.imageShape(), names: names)
  }

  /// Whether a file's first bytes, once inflated, could be those of an IDX file.
  static func isPossible(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0, 0, 8]) }

  /// The first file found under the usual names, with `-` or `.` before `idx`, plain or `.gz`.
  private static func find(_ stem: String, dimensions: [Int], in directory: URL) throws -> URL {
    let names = dimensions.flatMap { ["\(stem)-idx\($0)-ubyte", "\(stem).idx\($0)-ubyte"] }
    for name in names.flatMap({ [$0, "\($0).gz"] }) {
      let url = directory.appendingPathComponent(name)
      if FileManager.default.fileExists(atPath: url.path) { return url }
    }
    let exists = FileManager.default.fileExists(atPath: directory.path)
    throw RSOError(
      directory.path, "expected \(names.joined(separator: " or ")), plain or .gz, found none",
      hint: exists ? nil : "the folder does not exist")
  }

  /// The header and the bytes of one file; `magic` states its expected content.
  private static func array(
    _ bytes: [UInt8], name: String, magic: Int
  ) throws -> (header: Header, bytes: [UInt8]) {
    let bytes = Gzip.isGzip(bytes) ? try Gzip.inflate(bytes, name: name) : bytes
    var rest = bytes[...]
    let header = try Header(name: name, magic: magic) { count in
      defer { rest = rest.dropFirst(count) }
      return Array(rest.prefix(count))
    }
    try header.checkLength(rest.count)
    try Memory.require(rest.count, for: "the values of \(name)", hint: Memory.imagesHint)
    return (header, Array(rest))
  }
}

extension IDX {
  /// The header before the bytes.
  struct Header {
    let name: String
    let dimensions: [Int]

    /// - Parameters:
    ///   - magic: states the file's expected content.
    ///   - read: returns the next bytes of the file; fewer at the end.
    /// - Throws: `RSOError` naming the file and what is wrong with it.
    init(name: String, magic: Int, read: (_ count: Int) throws -> [UInt8]) throws {
      var length = 0
      /// The next big-endian 32-bit word.
      func word() throws -> Int {
        let bytes = try read(4)
        length += bytes.count
        guard bytes.count == 4 else {
          throw RSOError(name, "expected a header, found a file of \(length) bytes")
        }
        return bytes.reduce(0) { $0 << 8 | Int($1) }
      }
      let found = try word()
      let isExpected =
        magic == labelsMagic
        ? found == labelsMagic : found == grayImagesMagic || found == imagesMagic
      guard isExpected else {
        let hint: String? =
          switch found {
          case labelsMagic: "a labels file? are the two paths swapped?"
          case grayImagesMagic, imagesMagic: "an images file? are the two paths swapped?"
          case 0x0900...0x0eff: "its values are not unsigned bytes"
          default: name.hasSuffix(".gz") ? "nor is it gzip data" : "not an IDX file?"
          }
        throw RSOError(name, "expected magic \(magic), found \(found)", hint: hint)
      }
      self.name = name
      dimensions = try (1...(found & 0xff)).map { _ in try word() }
      guard !dimensions.contains(0) else {
        throw RSOError(name, "expected dimensions above zero, found \(sizes)")
      }
    }

    private var sizes: String { dimensions.map(String.init).joined(separator: "×") }

    /// The shape of one image.
    ///
    /// - Throws: `RSOError` if the channels seem to come last.
    func imageShape() throws -> Shape {
      try checkChannelOrder(
        dimensions, name: name, toChannelFirst: "write the channels before rows and columns",
        toRow: "write them as \(dimensions.last ?? 1) rows")
      return Shape(
        channels: dimensions.count == 4 ? dimensions[1] : 1,
        height: dimensions[dimensions.count - 2], width: dimensions[dimensions.count - 1])
    }

    /// - Parameter found: the number of bytes after the header.
    func checkLength(_ found: Int) throws {
      let expected = product(of: dimensions)
      guard found != expected else { return }
      throw RSOError(
        name, "expected \(sizes) bytes after the header, found \(found)",
        hint: expected.map { found > $0 } ?? false ? "surplus bytes at its end" : "it was cut short"
      )
    }
  }
}

/// The product of dimensions from outside the program; `nil` if one is negative or the product overflows.
package func product(of dimensions: [Int]) -> Int? {
  var product = 1
  for dimension in dimensions {
    let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
    guard dimension >= 0, !overflow else { return nil }
    product = next
  }
  return product
}
