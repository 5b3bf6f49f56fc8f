import Foundation

/// Reads NumPy's `.npy` files: images `[N, H, W]` or `[N, C, H, W]` of `uint8` or `float32`, labels `[N]` of integers.
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
    let labels = try Array(contentsOf: folder.appendingPathComponent(names.labels))
    return try Split(
      images: images.pixels(), labels: labels.labels(), shape: shape, names: names)
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
    guard case .floats(let values) = try targets.pixels() else {
      throw RSOError(
        targets.header.name, "expected float32, found the type '\(targets.header.type)'",
        hint: "convert it: targets.astype('float32')")
    }
    let labelled = folder.appendingPathComponent(names.labels)
    let labels =
      FileManager.default.fileExists(atPath: labelled.path)
      ? try Array(contentsOf: labelled).labels() : nil
    return try Split(
      images: images.pixels(), targets: values, labels: labels, shape: shape, names: names,
      targetsName: targets.header.name)
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
    guard (3...4).contains(shape.count) else {
      throw RSOError(
        name, "expected images [N, H, W] or [N, C, H, W], found the shape \(shape)",
        hint: "convert it: images.reshape(-1, channels, height, width)")
    }
    try checkChannelOrder(
      shape, name: name, toChannelFirst: "images.transpose(0, 3, 1, 2).copy()",
      toRow: "images.transpose(0, 1, 3, 2).copy()")
    return Shape(
      channels: shape.count == 4 ? shape[1] : 1, height: shape[shape.count - 2],
      width: shape[shape.count - 1])
  }

  /// The number of bytes in a pixel.
  func pixelSize() throws -> Int {
    switch kind {
    case "u1": return 1
    case "f4": return 4
    default:
      throw RSOError(
        name, "expected uint8 or float32, found the type '\(type)'",
        hint: "iu".contains(kind.prefix(1))
          ? "pixels from 0 to 255: images.astype('uint8'); others: scale them to 0 to 1, as float32"
          : "convert it: images.astype('float32')")
    }
  }

  /// The pixels in `bytes`; their first element has index `first` in the array.
  func pixels(_ bytes: [UInt8], from first: Int) throws -> Pixels {
    guard try pixelSize() == 4 else { return .bytes(bytes) }
    try Memory.require(bytes.count, for: "the values of \(name)", hint: Memory.imagesHint)
    let values = bytes.withUnsafeBytes { bytes in
      stride(from: 0, to: bytes.count, by: 4).map {
        Float(
          bitPattern: UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt32.self))
        )
      }
    }
    if let index = values.firstIndex(where: { !$0.isFinite }) {
      throw RSOError(
        name, "expected finite values, found \(values[index]) at \(place(first + index))")
    }
    return .floats(values)
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
  fileprivate func place(_ index: Int) -> String {
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
    try header.checkLength(bytes.count, elementSize: header.pixelSize())
    return try header.pixels(bytes, from: 0)
  }

  fileprivate func labels() throws -> [Int32] {
    let (name, type, shape) = (header.name, header.type, header.shape)
    let isSigned = header.kind.first == "i"
    guard isSigned || header.kind.first == "u", let size = Int(header.kind.dropFirst()),
      [1, 2, 4, 8].contains(size)
    else {
      throw RSOError(
        name, "expected integers, found the type '\(type)'",
        hint: "convert it: labels.astype('int64'), with the classes numbered from 0")
    }
    guard shape.count == 1 else {
      throw RSOError(
        name, "expected labels [N], found the shape \(shape)",
        hint: shape.count == 2 && shape[1] > 1
          ? "of one-hot labels: labels.argmax(axis=1)" : "convert it: labels.reshape(-1)")
    }
    try header.checkLength(bytes.count, elementSize: size)
    return try stride(from: 0, to: bytes.count, by: size).map { start in
      let bits = bytes[start..<start + size].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      let unused = UInt64(64 - 8 * size)
      let value = isSigned ? Int64(bitPattern: bits << unused) >> unused : Int64(clamping: bits)
      guard (0..<Int64(Split.largestClassCount)).contains(value) else {
        throw RSOError(
          name,
          "expected labels 0 to \(Split.largestClassCount - 1), found "
            + "\(isSigned ? "\(value)" : "\(bits)") at \(header.place(start / size))",
          hint: "number the classes from 0: np.unique(labels, return_inverse=True)[1]")
      }
      return Int32(value)
    }
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
