import Foundation

/// Named tensors of 32-bit floats in a file that Python's `safetensors` reads and writes.
///
/// A file is the length of its header (8 bytes, little-endian), the header (JSON, padded with spaces), and the values
/// of all tensors one after another, little-endian and row-major, starting at a multiple of 8 bytes.
/// The same content always gives the same bytes.
///
/// Source: https://huggingface.co/docs/safetensors, "Format".
public struct SafeTensors: Sendable {
  /// One tensor of 32-bit floats.
  public struct Tensor: Hashable, Sendable {
    /// Sizes from the outermost dimension to the innermost.
    public var shape: [Int]
    /// Row-major; the count is the product of `shape`.
    public var values: [Float]

    /// A tensor. Writing it checks that the values fill the shape.
    public init(shape: [Int], values: [Float]) {
      self.shape = shape
      self.values = values
    }
  }

  /// In the order of their values in the file.
  public var tensors: [(name: String, tensor: Tensor)]
  /// The text entries of the header.
  public var metadata: [String: String]

  /// The content of a file. Names must differ, which is checked on writing.
  public init(tensors: [(name: String, tensor: Tensor)] = [], metadata: [String: String] = [:]) {
    self.tensors = tensors
    self.metadata = metadata
  }

  /// The tensor called `name`. A new name goes last; setting `nil` removes the tensor.
  public subscript(name: String) -> Tensor? {
    get { tensors.first { $0.name == name }?.tensor }
    set {
      let index = tensors.firstIndex { $0.name == name }
      switch (index, newValue) {
      case (let index?, let tensor?): tensors[index].tensor = tensor
      case (let index?, nil): tensors.remove(at: index)
      case (nil, let tensor?): tensors.append((name, tensor))
      case (nil, nil): break
      }
    }
  }

  /// - Throws: `RSOError` naming the first NaN or infinite value, in the file called `file`.
  package func checkFinite(_ file: String) throws {
    for (name, tensor) in tensors {
      if let index = tensor.values.firstIndex(where: { !$0.isFinite }) {
        throw RSOError(
          file, "expected finite values, found \(tensor.values[index]) at \(name)[\(index)]")
      }
    }
  }
}

// MARK: - Writing

extension SafeTensors {
  /// Replaces the file at `url` as a whole.
  public func write(to url: URL) throws {
    try AtomicFile.write(encoded(), to: url)
  }

  /// The bytes of the file.
  ///
  /// - Throws: `RSOError` if a tensor's values do not fill its shape, or two tensors share a name.
  public func encoded() throws -> Data {
    var entries: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0)):\(quoted($1))" }
      entries.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var names: Set<String> = []
    var offset = 0
    for (name, tensor) in tensors {
      guard name != "__metadata__" else {
        throw RSOError(
          name, "expected another name for a tensor, as the format reserves this one")
      }
      guard names.insert(name).inserted else {
        throw RSOError(name, "expected each tensor's name once, found it again")
      }
      guard product(of: tensor.shape) == tensor.values.count else {
        throw RSOError(
          name, "expected the values of shape \(tensor.shape), found \(tensor.values.count)")
      }
      let end = offset + 4 * tensor.values.count
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      entries.append(
        "\(quoted(name)):{\"dtype\":\"F32\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var header = Data("{\(entries.joined(separator: ","))}".utf8)
    header.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - header.count % 8) % 8))

    var data = Data(capacity: 8 + header.count + offset)
    withUnsafeBytes(of: UInt64(header.count).littleEndian) { data.append(contentsOf: $0) }
    data.append(header)
    for (_, tensor) in tensors {
      tensor.values.map(\.bitPattern.littleEndian).withUnsafeBytes { data.append(contentsOf: $0) }
    }
    return data
  }

  /// A JSON string.
  private func quoted(_ text: String) -> String {
    let escaped = text.unicodeScalars.map { scalar in
      switch scalar {
      case "\"", "\\": "\\\(scalar)"
      case "\u{0}"..."\u{1f}":
        "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      default: String(scalar)
      }
    }
    return "\"\(escaped.joined())\""
  }
}

// MARK: - Reading

extension SafeTensors {
  /// - Throws: `RSOError` with the path if the file cannot be read, otherwise with its name and what is wrong with it.
  public init(contentsOf url: URL) throws {
    try self.init(data: Data(readFile(url)), name: url.lastPathComponent)
  }

  /// - Parameters:
  ///   - name: the file's name in errors.
  ///   - skips: whether to leave out the tensor of that name, which may have any type.
  public init(
    data: Data, name: String, skipping skips: (_ name: String) -> Bool = { _ in false }
  ) throws {
    guard data.count >= 8 else {
      throw RSOError(
        name, "expected at least 8 bytes, found \(data.count)",
        hint: "cut short, or not a safetensors file?")
    }
    let length = data.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= min(data.count - 8, Self.longestHeader) else {
      throw RSOError(
        name,
        "expected a header in a file of \(data.count) bytes, found its length to be \(length)",
        hint: "cut short, or not a safetensors file?")
    }
    let body = data.dropFirst(8 + Int(length))
    let header = try Header(json: data.dropFirst(8).prefix(Int(length)), name: name)

    self.init(metadata: header.metadata)
    var offset = 0
    for (tensor, entry) in header.entries {
      guard entry.dtype == "F32" || skips(tensor) else {
        throw RSOError(
          name, "expected \(tensor) of dtype F32, found \(entry.dtype)",
          hint: "convert it to 32-bit floats")
      }
      guard entry.offsets[0] == offset, offset...body.count ~= entry.offsets[1] else {
        throw RSOError(
          name,
          "expected the values of \(tensor) from byte \(offset) and within the \(body.count) bytes "
            + "of all values, found data_offsets \(entry.offsets)")
      }
      let end = entry.offsets[1]
      if skips(tensor) {
        offset = end
        continue
      }
      guard let count = product(of: entry.shape + [4]), count == end - offset else {
        throw RSOError(
          name,
          "expected the values of \(tensor) to fill shape \(entry.shape), "
            + "found \(end - offset) bytes")
      }
      let bytes = body.dropFirst(offset).prefix(count)
      tensors.append((tensor, Tensor(shape: entry.shape, values: floats(bytes))))
      offset = end
    }
    guard offset == body.count else {
      throw RSOError(name, "expected \(offset) bytes of values, found \(body.count)")
    }
  }

  /// The limit of the reference implementation.
  private static var longestHeader: Int { 100_000_000 }
}

private func floats(_ bytes: Data) -> [Float] {
  bytes.withUnsafeBytes { bytes in
    (0..<(bytes.count / 4)).map {
      let bits = bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)
      return Float(bitPattern: UInt32(littleEndian: bits))
    }
  }
}

private struct Header: Decodable {
  struct Entry: Decodable {
    let dtype: String
    let shape: [Int]
    /// The first byte and the one after the last, counted from the first byte of the values.
    let offsets: [Int]

    enum CodingKeys: String, CodingKey {
      case dtype, shape
      case offsets = "data_offsets"
    }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      dtype = try values.decode(String.self, forKey: .dtype)
      shape = try values.decode([Int].self, forKey: .shape)
      offsets = try values.decode([Int].self, forKey: .offsets)
      guard offsets.count == 2 else {
        throw DecodingError.dataCorruptedError(
          forKey: .offsets, in: values, debugDescription: "not two offsets")
      }
    }
  }

  struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  var metadata: [String: String] = [:]
  /// In the order of their values.
  var entries: [(name: String, entry: Entry)] = []

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    for key in values.allKeys {
      if key.stringValue == "__metadata__" {
        metadata = try values.decode([String: String].self, forKey: key)
      } else {
        entries.append((key.stringValue, try values.decode(Entry.self, forKey: key)))
      }
    }
    entries.sort {
      ($0.entry.offsets[0], $0.entry.offsets[1], $0.name)
        < ($1.entry.offsets[0], $1.entry.offsets[1], $1.name)
    }
  }

  init(json: Data, name: String) throws {
    do {
      self = try JSONDecoder().decode(Header.self, from: json)
    } catch let error as DecodingError {
      var path: [any CodingKey] =
        switch error {
        case .typeMismatch(_, let context), .valueNotFound(_, let context),
          .dataCorrupted(let context):
          context.codingPath
        case .keyNotFound(let key, let context): context.codingPath + [key]
        @unknown default: []
        }
      path = path.filter { $0.intValue == nil }
      throw path.isEmpty
        ? RSOError(
          name,
          "expected a JSON header with dtype, shape and data_offsets of each tensor, "
            + "found something else", hint: "not a safetensors file?")
        : RSOError(
          name, "no valid \(path.map(\.stringValue).joined(separator: ": ")) in its header")
    }
  }
}
