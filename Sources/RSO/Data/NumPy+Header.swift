import Foundation

extension NumPy.Header {
  /// Reads what `numpy.load` reads, and refuses what it refuses; structured types and big-endian values, which it
  /// reads, are refused, too.
  ///
  /// - Parameter read: returns the next bytes of the file; fewer at the end.
  /// - Throws: `RSOError` naming the file and what is wrong with it.
  init(name: String, read: (_ count: Int) throws -> [UInt8]) throws {
    let (text, version) = try Self.text(name, read)
    guard case .dictionary(let pairs)? = try? PythonLiteral(text, allowsLongs: version < 3) else {
      throw Self.unreadable(name, text)
    }
    var fields: [String: PythonLiteral] = [:]
    for pair in pairs {
      guard case .string(let key) = pair.key else { throw Self.unreadable(name, text) }
      fields[key] = pair.value
    }
    guard Set(fields.keys) == ["descr", "fortran_order", "shape"],
      case .string(let type)? = fields["descr"],
      case .bool(let isFortran)? = fields["fortran_order"],
      case .tuple(let sizes)? = fields["shape"]
    else { throw Self.unreadable(name, text) }
    let shape = try sizes.map { size in
      guard case .integer(let size) = size else { throw Self.unreadable(name, text) }
      guard size > 0 else {
        throw RSOError(name, "expected dimensions above zero, found \(size)")
      }
      return size
    }
    let kind = Self.kind(type)
    guard type.first != ">" || kind.hasSuffix("1") else {
      throw RSOError(
        name, "expected little-endian values, found the big-endian type '\(type)'",
        hint: "convert it: array.astype('<\(type.dropFirst())')")
    }
    guard !isFortran || shape.count == 1 else {
      throw RSOError(
        name, "expected C order, found Fortran order",
        hint: "convert it: np.ascontiguousarray(array)")
    }
    self.name = name
    self.type = type
    self.kind = kind
    self.shape = shape
  }

  /// The text of the header, and the version of the format.
  private static func text(
    _ name: String, _ read: (_ count: Int) throws -> [UInt8]
  ) throws -> (text: ArraySlice<UInt8>, version: UInt8) {
    // Version 1 has a 16-bit header length, versions 2 and 3 a 32-bit one.
    let head = try read(12)
    guard NumPy.isPossible(head) else {
      throw RSOError(
        name, "expected an .npy file, found something else",
        hint: head.starts(with: "PK".utf8) ? "an .npz file? save each array with np.save" : nil)
    }
    guard head.count == 12 else {
      throw RSOError(name, "expected a header, found a file of \(head.count) bytes")
    }
    guard (1...3).contains(head[6]), head[7] == 0 else {
      throw RSOError(
        name,
        "expected an .npy file of version 1.0, 2.0 or 3.0, found version \(head[6]).\(head[7])")
    }
    let start = head[6] == 1 ? 10 : 12
    let length = head[8..<start].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= longest else {
      throw RSOError(
        name, "expected a header of at most \(longest) bytes, found \(length)",
        hint: "convert it: np.save(file, np.ascontiguousarray(array))")
    }
    let text = head[start...] + (try read(max(length - (12 - start), 0)))
    guard text.count >= length else {
      throw RSOError(
        name, "expected a header of \(length) bytes, found \(text.count)",
        hint: "it was cut short")
    }
    return (text.prefix(length), head[6])
  }

  /// NumPy's own limit.
  private static let longest = 10_000

  private static func unreadable(_ name: String, _ text: ArraySlice<UInt8>) -> RSOError {
    RSOError(
      name,
      "expected a header with one element type, an order and a shape, found "
        + String(decoding: text, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines),
      hint: "save a plain array: np.save(file, array)")
  }

  /// The kind and the bytes of an element, however the type is written.
  private static func kind(_ type: String) -> String {
    let plain = type.first.map { "<>=|".contains($0) } ?? false ? String(type.dropFirst()) : type
    let names = [
      "uint8": "u1", "ubyte": "u1", "B": "u1", "float32": "f4", "single": "f4", "f": "f4",
      "int8": "i1", "b": "i1", "int16": "i2", "h": "i2", "int32": "i4", "i": "i4",
      "int64": "i8", "q": "i8", "uint16": "u2", "H": "u2", "uint32": "u4", "I": "u4",
      "uint64": "u8", "Q": "u8", "bool": "b1", "?": "b1", "float16": "f2", "half": "f2", "e": "f2",
      "float64": "f8", "double": "f8", "float": "f8", "d": "f8", "l": "i8", "L": "u8",
    ]
    return names[plain] ?? plain
  }
}

/// Refuses images whose last dimension is that of channels: `[N, H, W, C]`.
///
/// - Parameters:
///   - toChannelFirst: what makes `[N, C, H, W]` of them.
///   - toRow: what turns images that really are so narrow, so that their shape cannot be mistaken.
func checkChannelOrder(
  _ shape: [Int], name: String, toChannelFirst: String, toRow: String
) throws {
  guard shape.count == 4, shape[1] > 4, shape[2] > 4, (1...4).contains(shape[3]) else { return }
  throw RSOError(
    name, "expected images [N, C, H, W], found the shape \(shape), which is [N, H, W, C]",
    hint: "convert it: \(toChannelFirst); if they are images of \(shape[1]) channels and "
      + "\(shape[2])×\(shape[3]) pixels, turn them: \(toRow)")
}
