import Foundation

/// Reads IDX files of unsigned bytes, the format of MNIST and its relatives.
///
/// A file is a big-endian magic number (0x0000 08dd for dd dimensions of unsigned bytes), dd big-endian 32-bit
/// dimensions, then the bytes in row-major order. Labels are `[N]`, images `[N, H, W]` or `[N, C, H, W]`.
/// Either may be gzipped, whatever its name says.
///
/// Source: http://yann.lecun.com/exdb/mnist, "File formats for the MNIST database".
package enum IDX {
  static let labelsMagic = 2049
  static let grayImagesMagic = 2051
  static let imagesMagic = 2052

  /// The images and labels named `prefix` (`train` or `t10k`) in a folder.
  ///
  /// - Throws: `RSOError` naming the folder and what was looked for, or the file and what is wrong with it.
  static func split(_ prefix: String, in directory: URL) throws -> Split {
    try split(
      images: find("\(prefix)-images", dimensions: [3, 4], in: directory),
      labels: find("\(prefix)-labels", dimensions: [1], in: directory))
  }

  static func split(images imagesURL: URL, labels labelsURL: URL) throws -> Split {
    let names = (images: imagesURL.lastPathComponent, labels: labelsURL.lastPathComponent)
    let expected = names.images.contains("idx4") ? imagesMagic : grayImagesMagic
    let (dimensions, images) = try array(readFile(imagesURL), name: names.images, magic: expected)
    let (_, labels) = try array(readFile(labelsURL), name: names.labels, magic: labelsMagic)
    return try Split(
      images: images, labels: labels.map(Int32.init), shape: shape(dimensions), names: names)
  }

  /// Images without labels: `[N, C, H, W]` and the shape of one.
  ///
  /// - Parameter bytes: of the file, plain or gzipped.
  package static func images(
    _ bytes: [UInt8], name: String
  ) throws -> (pixels: [UInt8], shape: Shape) {
    let (dimensions, pixels) = try array(bytes, name: name, magic: grayImagesMagic)
    return (pixels, shape(dimensions))
  }

  /// Whether a file may be one of these: by its first bytes.
  package static func isPossible(_ bytes: [UInt8]) -> Bool {
    Gzip.isGzip(bytes) || bytes.starts(with: [0, 0, 8])
  }

  /// Of one image, by the dimensions of the file.
  private static func shape(_ dimensions: [Int]) -> Shape {
    Shape(
      channels: dimensions.count == 4 ? dimensions[1] : 1,
      height: dimensions[dimensions.count - 2], width: dimensions[dimensions.count - 1])
  }

  /// The first file of the usual names, with `-` or `.` before `idx`, plain or `.gz`.
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

  /// The dimensions and the bytes of one file; `magic` says what it should hold.
  private static func array(
    _ bytes: [UInt8], name: String, magic: Int
  ) throws -> (dimensions: [Int], bytes: [UInt8]) {
    var bytes = bytes
    if Gzip.isGzip(bytes) { bytes = try Gzip.inflate(bytes, name: name) }

    /// The big-endian 32-bit word at a position counted in words.
    func word(_ index: Int) throws -> Int {
      guard bytes.count >= 4 * index + 4 else {
        throw RSOError(name, "expected a header, found a file of \(bytes.count) bytes")
      }
      return bytes[(4 * index)..<(4 * index + 4)].reduce(0) { $0 << 8 | Int($1) }
    }
    let found = try word(0)
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
    let dimensions = try (1...(found & 0xff)).map(word)
    let sizes = dimensions.map(String.init).joined(separator: "×")
    guard !dimensions.contains(0) else {
      throw RSOError(name, "expected dimensions above zero, found \(sizes)")
    }
    let header = 4 + 4 * dimensions.count
    guard let count = product(of: dimensions), bytes.count - header == count else {
      let difference = product(of: dimensions).map { bytes.count - header - $0 }
      let problem =
        switch difference {
        case .some(1...): "surplus bytes at its end"
        default: "it was cut short"
        }
      throw RSOError(
        name, "expected \(sizes) bytes after the header, found \(bytes.count - header)",
        hint: problem)
    }
    bytes.removeFirst(header)
    return (dimensions, bytes)
  }
}

/// The product of dimensions that came from outside; `nil` where one is negative or the product overflows.
package func product(of dimensions: [Int]) -> Int? {
  var product = 1
  for dimension in dimensions {
    let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
    guard dimension >= 0, !overflow else { return nil }
    product = next
  }
  return product
}
