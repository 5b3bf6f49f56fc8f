/// JSON that keeps what Foundation's decoder hides: keys that appear twice, and whether a number is written as an
/// integer. A header that other readers may take to mean something else must not be read.
///
/// Source: RFC 8259.
enum HeaderJSON {
  /// A name in an object and what it stands for.
  struct Pair {
    let key: String
    let value: HeaderJSON
  }

  case object([Pair])
  case array([HeaderJSON])
  case string(String)
  /// The number's text.
  case number(String)
  /// `true`, `false`.
  case word
  case null

  /// What is not JSON.
  struct Failure: Error {}

  /// - Throws: `Failure`, also for values nested more than 127 deep.
  init(_ bytes: some Sequence<UInt8>) throws {
    var parser = Parser(bytes: Array(bytes))
    // The whole text must be UTF-8, strings and all.
    guard String(validating: parser.bytes, as: UTF8.self) != nil else { throw Failure() }
    self = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.place == parser.bytes.count else { throw Failure() }
  }

  /// The number, if it is an integer in digits and fits.
  var integer: Int? {
    guard case .number(let text) = self, text != "-0" else { return nil }
    return Int(text)
  }

  private struct Parser {
    let bytes: [UInt8]
    var place = 0

    /// The next byte, if there is one.
    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    mutating func skipSpace() {
      while let byte = next, [0x20, 0x09, 0x0a, 0x0d].contains(byte) { place += 1 }
    }

    /// Skips a character if it is next, and says whether it was.
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
      guard next == UInt8(ascii: character) else { return false }
      place += 1
      return true
    }

    private mutating func expect(_ word: String) throws {
      guard bytes[place...].starts(with: word.utf8) else { throw Failure() }
      place += word.utf8.count
    }

    mutating func value(depth: Int) throws -> HeaderJSON {
      guard depth < 128 else { throw Failure() }
      skipSpace()
      switch next {
      case UInt8(ascii: "{"): return try object(depth: depth)
      case UInt8(ascii: "["): return try array(depth: depth)
      case UInt8(ascii: "\""): return .string(try string())
      case UInt8(ascii: "t"):
        try expect("true")
        return .word
      case UInt8(ascii: "f"):
        try expect("false")
        return .word
      case UInt8(ascii: "n"):
        try expect("null")
        return .null
      default: return .number(try number())
      }
    }

    private mutating func object(depth: Int) throws -> HeaderJSON {
      var pairs: [Pair] = []
      place += 1
      skipSpace()
      if take("}") { return .object([]) }
      repeat {
        skipSpace()
        let key = try string()
        skipSpace()
        guard take(":") else { throw Failure() }
        pairs.append(Pair(key: key, value: try value(depth: depth + 1)))
        skipSpace()
      } while take(",")
      guard take("}") else { throw Failure() }
      return .object(pairs)
    }

    private mutating func array(depth: Int) throws -> HeaderJSON {
      var values: [HeaderJSON] = []
      place += 1
      skipSpace()
      if take("]") { return .array([]) }
      repeat {
        values.append(try value(depth: depth + 1))
        skipSpace()
      } while take(",")
      guard take("]") else { throw Failure() }
      return .array(values)
    }

    private mutating func digits() throws {
      let start = place
      while let byte = next, (0x30...0x39).contains(byte) { place += 1 }
      guard place > start else { throw Failure() }
    }

    private mutating func number() throws -> String {
      let start = place
      _ = take("-")
      if !take("0") { try digits() }
      if take(".") { try digits() }
      if take("e") || take("E") {
        _ = take("+") || take("-")
        try digits()
      }
      return String(decoding: bytes[start..<place], as: UTF8.self)
    }

    private mutating func string() throws -> String {
      guard take("\"") else { throw Failure() }
      var text: [UInt8] = []
      while let byte = next, byte != UInt8(ascii: "\"") {
        guard byte >= 0x20 else { throw Failure() }
        place += 1
        guard byte == UInt8(ascii: "\\") else {
          text.append(byte)
          continue
        }
        text += Array(String(try escaped()).utf8)
      }
      guard take("\"") else { throw Failure() }
      return String(decoding: text, as: UTF8.self)
    }

    /// What follows a backslash.
    private mutating func escaped() throws -> Unicode.Scalar {
      guard let byte = next else { throw Failure() }
      place += 1
      switch Unicode.Scalar(byte) {
      case "\"", "\\", "/": return Unicode.Scalar(byte)
      case "b": return "\u{8}"
      case "f": return "\u{c}"
      case "n": return "\n"
      case "r": return "\r"
      case "t": return "\t"
      case "u":
        var code = try unit()
        if (0xd800..<0xdc00).contains(code) {
          try expect("\\u")
          let low = try unit()
          guard (0xdc00..<0xe000).contains(low) else { throw Failure() }
          code = 0x10000 + (code - 0xd800) << 10 + low - 0xdc00
        }
        guard let scalar = Unicode.Scalar(code) else { throw Failure() }
        return scalar
      default: throw Failure()
      }
    }

    /// Four hexadecimal digits.
    private mutating func unit() throws -> UInt32 {
      let digits = bytes[place...].prefix(4)
      guard digits.count == 4,
        digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit && $0 < 128 }),
        let code = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
      else { throw Failure() }
      place += 4
      return code
    }
  }
}
