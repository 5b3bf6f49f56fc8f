import Foundation

/// Reads NumPy's `.npy` files: images `[N, H, W]` or `[N, C, H, W]` of `uint8` or floats, tables `[N, F]` of numbers,
/// labels `[N]` of whole numbers.
///
/// A file is the magic bytes, a version, the length of a header, the header (a Python dictionary with the element
/// type, the order and the shape), and the elements. Only little-endian files in C order are supported: one line
/// of Python converts anything else, and the error shows it.
///
/// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
enum NumPy {
  static let names = [
    "train_images.npy", "train_labels.npy", "train_targets.npy", "test_images.npy",
    "test_labels.npy", "test_targets.npy",
  ]

  /// The arrays `train_images.npy` and `train_labels.npy`, or those of `test`, in a folder; beside or instead of labels
  /// `train_targets.npy`, `[N, K]` or `[N]`.
  ///
  /// - Throws: `RSOError` naming the file, what is wrong with it and how to convert it.
  static func split(_ prefix: String, in folder: URL) throws -> Split {
    let names = (images: "\(prefix)_images.npy", labels: "\(prefix)_labels.npy")
    let images = try Array(contentsOf: folder.appendingPathComponent(names.images))
    let shape = try images.imageShape()
    let targets = folder.appendingPathComponent("\(prefix)_targets.npy")
    if FileManager.default.fileExists(atPath: targets.path) {
      return try split(images, shape, targets, in: folder, names)
    }
    let other = "\(prefix == "train" ? "test" : "train")_targets.npy"
    if FileManager.default.fileExists(atPath: folder.appendingPathComponent(other).path) {
      throw RSOError(
        targets.lastPathComponent, "expected targets as in \(other), found no such file",
        hint: "the samples to train on and those to test with need the same")
    }
    let labels = try Array(contentsOf: folder.appendingPathComponent(names.labels))
    var split = try Split(
      images: images.pixels(), labels: labels.header.labels(labels.bytes), shape: shape,
      names: names)
    split.note = images.header.note
    return split
  }

  /// A split with targets, and with labels if there are any.
  private static func split(
    _ images: Array, _ shape: Shape, _ file: URL, in folder: URL,
    _ names: (images: String, labels: String)
  ) throws -> Split {
    let targets = try Array(contentsOf: file)
    guard (1...2).contains(targets.header.shape.count) else {
      throw RSOError(
        targets.header.name,
        "expected targets [N, K] or [N], found the shape \(targets.header.shape)")
    }
    let found = targets.header
    guard found.shape[0] == images.header.shape[0] else {
      throw RSOError(
        found.name,
        "expected targets of \(images.header.shape[0]) samples, as many as in \(names.images), "
          + "found the shape \(found.shape)")
    }
    guard found.number != nil else {
      throw RSOError(
        found.name, "expected numbers, found the type '\(found.type)'",
        hint: "convert it: targets.astype('float32')")
    }
    // A table of numbers of any type.
    let header = Header(
      name: found.name, type: found.type, kind: found.kind,
      shape: found.shape.count == 1 ? found.shape + [1] : found.shape)
    let values: [Float] =
      switch try Array(header: header, bytes: targets.bytes).pixels() {
      case .floats(let floats): floats
      case .bytes(let bytes): bytes.map(Float.init)
      }
    let labelled = folder.appendingPathComponent(names.labels)
    let labels =
      FileManager.default.fileExists(atPath: labelled.path)
      ? try Array(contentsOf: labelled) : nil
    var split = try Split(
      images: images.pixels(), targets: values,
      labels: labels.map { try $0.header.labels($0.bytes) }, shape: shape, names: names,
      targetsName: targets.header.name)
    split.note = images.header.note
    return split
  }

  private static let magic: [UInt8] = [0x93] + "NUMPY".utf8

  /// Whether a file's first bytes could be those of an `.npy` file.
  static func isPossible(_ bytes: [UInt8]) -> Bool { bytes.starts(with: magic) }

  /// A file's description of its elements.
  struct Header {
    let name: String
    /// The element type as the file writes it, such as `<f4`.
    let type: String
    /// The kind and the bytes of an element, such as `f4`.
    let kind: String
    let shape: [Int]
  }

  /// The content of a file.
  struct Array {
    let header: Header
    /// The bytes after the header: the elements in C order.
    let bytes: [UInt8]
  }
}

// MARK: - What is in the arrays

extension NumPy.Header {
  func imageShape() throws -> Shape {
    if isTable { return Shape(channels: shape[1]) }
    guard (3...4).contains(shape.count) else {
      throw RSOError(
        name,
        "expected images [N, H, W] or [N, C, H, W], or a table [N, F], found the shape \(shape)",
        hint: "convert it: images.reshape(-1, channels, height, width)")
    }
    try checkChannelOrder(
      shape, name: name, toChannelFirst: "images.transpose(0, 3, 1, 2).copy()",
      toRow: "images.transpose(0, 1, 3, 2).copy()")
    return Shape(
      channels: shape.count == 4 ? shape[1] : 1, height: shape[shape.count - 2],
      width: shape[shape.count - 1])
  }

  /// - Parameter found: the number of bytes after the header.
  func checkLength(_ found: Int, elementSize: Int) throws {
    let expected = product(of: shape + [elementSize])
    guard found != expected else { return }
    throw RSOError(
      name,
      "expected \(shape.map(String.init).joined(separator: "×")) values of \(elementSize) bytes "
        + "after the header, found \(found) bytes",
      hint: expected.map { found > $0 } ?? false ? "surplus bytes at its end" : "it was cut short")
  }

  /// The indices of an element, such as `[3, 0, 5, 7]`.
  func place(_ index: Int) -> String {
    var (left, place) = (index, [Int]())
    for size in shape.reversed() {
      place.insert(left % size, at: 0)
      left /= size
    }
    return "\(place)"
  }
}

extension NumPy.Array {
  fileprivate func imageShape() throws -> Shape { try header.imageShape() }

  fileprivate func pixels() throws -> Pixels {
    try header.checkLength(bytes.count, elementSize: header.pixelType().size)
    return try header.pixels(bytes, from: 0)
  }
}

// MARK: - The file

extension NumPy.Array {
  init(contentsOf url: URL) throws {
    try self.init(try readFile(url), name: url.lastPathComponent)
  }

  /// - Throws: `RSOError` naming the file and what is wrong with it.
  init(_ file: [UInt8], name: String) throws {
    var rest = file[...]
    header = try NumPy.Header(name: name) { count in
      defer { rest = rest.dropFirst(count) }
      return Swift.Array(rest.prefix(count))
    }
    try Memory.require(rest.count, for: "the values of \(name)", hint: Memory.imagesHint)
    bytes = Swift.Array(rest)
  }
}
