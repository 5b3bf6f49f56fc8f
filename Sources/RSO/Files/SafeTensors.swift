import Foundation

/// Named tensors of 32-bit floats or 8-bit integers in a file that Python's `safetensors` reads and writes.
///
/// A file is the length of its header (8 bytes, little-endian), the header (JSON, padded with spaces), and the values
/// of all tensors one after another, little-endian and row-major, starting at a multiple of 8 bytes.
/// The same content always gives the same bytes.
///
/// Source: https://huggingface.co/docs/safetensors, "Format".
public struct SafeTensors: Sendable {
  /// The type of a tensor's values in the file, as the format calls it.
  public enum ElementType: String, Sendable {
    /// 32-bit floats.
    case float = "F32"
    /// Integers from −128 to 127.
    case int8 = "I8"

    /// The bytes of a value.
    fileprivate var size: Int { self == .float ? 4 : 1 }
  }

  /// One tensor.
  public struct Tensor: Hashable, Sendable {
    /// Sizes from the outermost dimension to the innermost.
    public var shape: [Int]
    /// Row-major; the count is the product of `shape`. Integers are floats here.
    public var values: [Float]
    /// How the file holds the values.
    public var type: ElementType

    /// A tensor. Writing it checks that the values fill the shape, and that they are of the type.
    public init(shape: [Int], values: [Float], type: ElementType = .float) {
      self.shape = shape
      self.values = values
      self.type = type
    }

    /// Calls `body` with the values as the file has them.
    fileprivate func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) {
      switch type {
      case .float: values.map(\.bitPattern.littleEndian).withUnsafeBytes(body)
      case .int8: values.map { Int8(exactly: $0) ?? 0 }.withUnsafeBytes(body)
      }
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
  /// The same content with a digest of it among the metadata, which reading checks and removes.
  package func withDigest() throws -> SafeTensors {
    var digest = try ContentDigest(metadata)
    for (name, tensor) in tensors.sorted(by: { $0.name < $1.name }) {
      tensor.withBytes { digest.add(name, tensor.type.rawValue, tensor.shape, $0) }
    }
    var result = self
    result.metadata[ContentDigest.key] = digest.text
    return result
  }

  /// Replaces the file at `url` as a whole.
  public func write(to url: URL) throws {
    try AtomicFile.write(encoded(), to: url)
  }

  /// The bytes of the file.
  ///
  /// - Throws: `RSOError` if a tensor's values do not fill its shape or are not of its type, or two tensors share a name.
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
      if tensor.type == .int8,
        let index = tensor.values.firstIndex(where: { Int8(exactly: $0) == nil })
      {
        throw RSOError(
          name, "expected integers from −128 to 127, found \(tensor.values[index]) at [\(index)]")
      }
      let end = offset + tensor.type.size * tensor.values.count
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      entries.append(
        "\(quoted(name)):{\"dtype\":\"\(tensor.type.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var header = Data("{\(entries.joined(separator: ","))}".utf8)
    header.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - header.count % 8) % 8))

    // The file, and a copy of the largest tensor.
    try Memory.require(
      2 * (8 + header.count + offset), for: "a file of the weights", hint: Memory.networkHint)
    var data = Data(capacity: 8 + header.count + offset)
    withUnsafeBytes(of: UInt64(header.count).littleEndian) { data.append(contentsOf: $0) }
    data.append(header)
    for (_, tensor) in tensors { tensor.withBytes { data.append(contentsOf: $0) } }
    return data
  }
}

/// A JSON string.
func quoted(_ text: String) -> String {
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

// MARK: - Reading

extension SafeTensors {
  /// - Throws: `RSOError` with the path if the file cannot be read, otherwise with its name and what is wrong with it.
  public init(contentsOf url: URL) throws {
    try self.init(data: Data(readFile(url)), name: url.lastPathComponent)
  }

  /// - Parameters:
  ///   - data: the bytes of the file.
  ///   - name: the file's name in errors.
  ///   - skips: whether to leave out the tensor of that name, which may have any type.
  public init(
    data: Data, name: String, skipping skips: (_ name: String) -> Bool = { _ in false }
  ) throws {
    let (header, body) = try Self.header(of: data, name: name)
    self.init(metadata: header.metadata)
    let digest = try ContentDigest.take(from: &metadata, file: name)
    var offset = 0
    for (tensor, entry) in header.entries {
      let type = ElementType(rawValue: entry.dtype)
      guard type != nil || skips(tensor) else {
        let mayBeLevels = header.entries.contains { $0.name == "\(tensor).scale" }
        throw RSOError(
          name,
          "expected \(tensor) of dtype F32\(mayBeLevels ? " or I8" : ""), found \(entry.dtype)",
          hint: mayBeLevels
            ? "convert it to 8-bit integers if it has the levels for \(tensor).scale, else to 32-bit floats"
            : "convert it to 32-bit floats")
      }
      guard entry.offsets[0] == offset, offset...body.count ~= entry.offsets[1] else {
        throw RSOError(
          name,
          "expected the values of \(tensor) from byte \(offset) and within the \(body.count) bytes "
            + "of all values, found data_offsets \(entry.offsets)")
      }
      let end = entry.offsets[1]
      guard entry.isFilled else {
        throw RSOError(
          name,
          "expected the values of \(tensor) to fill shape \(entry.shape), "
            + "found \(end - offset) bytes")
      }
      guard !skips(tensor), let type else {
        offset = end
        continue
      }
      try Memory.require(
        end - offset, for: "the values of \(tensor) in \(name)", hint: Memory.networkHint)
      let bytes = body.dropFirst(offset).prefix(end - offset)
      let values =
        type == .float ? floats(bytes) : bytes.map { Float(Int8(bitPattern: $0)) }
      tensors.append((tensor, Tensor(shape: entry.shape, values: values, type: type)))
      offset = end
    }
    guard offset == body.count else {
      throw RSOError(name, "expected \(offset) bytes of values, found \(body.count)")
    }
    if let digest { try header.check(digest, metadata, body, file: name) }
  }

  /// The text entries of a file's header, whatever types its tensors have.
  package static func metadata(of data: Data, name: String) throws -> [String: String] {
    try header(of: data, name: name).header.metadata
  }

  private static func header(of data: Data, name: String) throws -> (header: Header, body: Data) {
    let hint =
      data.starts(with: "PK".utf8)
      ? "a file of torch.save? write it with safetensors.torch.save_file"
      : "cut short, or not a safetensors file?"
    guard data.count >= 8 else {
      throw RSOError(name, "expected at least 8 bytes, found \(data.count)", hint: hint)
    }
    let length = data.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= min(data.count - 8, longestHeader) else {
      throw RSOError(
        name,
        "expected a header in a file of \(data.count) bytes, found its length to be \(length)",
        hint: hint)
    }
    let header = try Header(json: data.dropFirst(8).prefix(Int(length)), name: name)
    return (header, data.dropFirst(8 + Int(length)))
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

private struct Header {
  struct Entry {
    let dtype: String
    let shape: [Int]
    /// The first byte and the one after the last, counted from the first byte of the values.
    let offsets: [Int]

    /// - Throws: `RSOError` naming the tensor and the part of it that is wrong.
    init(_ json: JSONTree, tensor: String, file: String) throws {
      guard case .object(let pairs) = json else { throw Header.invalid([tensor], file) }
      func part(_ name: String) throws -> JSONTree {
        let found = pairs.filter { $0.key == name }
        guard found.count == 1 else { throw Header.invalid([tensor, name], file) }
        return found[0].value
      }
      func integers(_ name: String) throws -> [Int] {
        guard case .array(let values) = try part(name), case let numbers = values.map(\.integer),
          !numbers.contains(nil)
        else { throw Header.invalid([tensor, name], file) }
        return numbers.compactMap { $0 }
      }
      guard case .string(let dtype) = try part("dtype"), Header.bits[dtype] != nil else {
        throw Header.invalid([tensor, "dtype"], file)
      }
      self.dtype = dtype
      shape = try integers("shape")
      offsets = try integers("data_offsets")
      guard offsets.count == 2 else { throw Header.invalid([tensor, "data_offsets"], file) }
    }

    /// Whether the values between the offsets are as many as the shape has.
    var isFilled: Bool {
      guard let bits = Header.bits[dtype], let needed = product(of: shape + [bits]) else {
        return false
      }
      return product(of: [offsets[1] - offsets[0], 8]) == needed
    }
  }

  /// The types of the format, and the bits of a value.
  private static let bits = [
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
  ]

  var metadata: [String: String] = [:]
  /// In the order of their values.
  var entries: [(name: String, entry: Entry)] = []

  /// - Throws: `RSOError` naming the file and what is wrong with its header.
  init(json: Data, name: String) throws {
    guard case .object(let pairs)? = try? JSONTree(json) else {
      throw RSOError(
        name,
        "expected a JSON header with dtype, shape and data_offsets of each tensor, "
          + "found something else", hint: "not a safetensors file?")
    }
    try Self.requireOnce(pairs.map(\.key), name)
    for pair in pairs {
      if pair.key == "__metadata__" {
        metadata = try Self.metadata(pair.value, name)
      } else {
        entries.append((pair.key, try Entry(pair.value, tensor: pair.key, file: name)))
      }
    }
    entries.sort {
      ($0.entry.offsets[0], $0.entry.offsets[1], $0.name)
        < ($1.entry.offsets[0], $1.entry.offsets[1], $1.name)
    }
  }

  /// The text entries; `null` stands for none.
  private static func metadata(_ json: JSONTree, _ file: String) throws -> [String: String] {
    let key = "__metadata__"
    if case .null = json { return [:] }
    guard case .object(let pairs) = json else { throw invalid([key], file) }
    try requireOnce(pairs.map(\.key), file)
    var metadata: [String: String] = [:]
    for pair in pairs {
      guard case .string(let text) = pair.value else { throw invalid([key, pair.key], file) }
      metadata[pair.key] = text
    }
    return metadata
  }

  /// The format has every name once: readers would differ in which of two they take.
  private static func requireOnce(_ names: [String], _ file: String) throws {
    var seen: Set<String> = []
    if let name = names.first(where: { !seen.insert($0).inserted }) {
      throw RSOError(
        file, "expected every name once in its header, found \(name) twice",
        hint: "write it again with the safetensors library")
    }
  }

  /// - Parameters:
  ///   - metadata: those of the file without the digest.
  ///   - body: the values of all tensors, whose entries were checked.
  /// - Throws: `RSOError` if the content has another digest than the file says.
  func check(
    _ digest: String, _ metadata: [String: String], _ body: Data, file: String
  ) throws {
    var found = try ContentDigest(metadata)
    for (name, entry) in entries.sorted(by: { $0.name < $1.name }) {
      let bytes = body.dropFirst(entry.offsets[0]).prefix(entry.offsets[1] - entry.offsets[0])
      bytes.withUnsafeBytes { found.add(name, entry.dtype, entry.shape, $0) }
    }
    guard found.text == digest else { throw ContentDigest.error(digest, found.text, file) }
  }

  private static func invalid(_ path: [String], _ file: String) -> RSOError {
    RSOError(file, "no valid \(path.joined(separator: ": ")) in its header")
  }
}
