/// JSON that keeps what Foundation's decoder hides: where a value begins, keys that appear twice, and whether a number is
/// written as an integer. A header that other readers may take to mean something else must not be read.
///
/// Source: RFC 8259.
enum JSONTree {
  /// A name in an object and what it stands for.
  struct Pair {
    let key: String
    let value: JSONTree
  }

  case object([Pair])
  case array([JSONTree])
  case string(String)
  /// The number's text.
  case number(String)
  case bool(Bool)
  case null

  /// What is not JSON, and the byte where.
  struct Failure: Error {
    let place: Int
    let problem: String
    var hint: String?
  }

  /// Where a value begins, and the name before it in an object.
  struct Place {
    let value: Int
    let key: Int
  }

  /// - Throws: `Failure`, also for values nested more than 127 deep.
  init(_ bytes: some Sequence<UInt8>) throws {
    var parser = Parser(bytes: Array(bytes))
    self = try parser.document()
  }

  /// Also finds the place of every value, by its path as in `layers[2].kernel`.
  ///
  /// - Throws: `Failure`, also for a name that an object has twice.
  static func located(_ bytes: [UInt8]) throws -> (tree: JSONTree, places: [String: Place]) {
    var parser = Parser(bytes: bytes)
    parser.isLocating = true
    return (try parser.document(), parser.places)
  }

  /// The number, if it is an integer in digits and fits.
  var integer: Int? {
    guard case .number(let text) = self, text != "-0" else { return nil }
    return Int(text)
  }

  /// The value of a key, or of an index in an array.
  subscript(key: any CodingKey) -> JSONTree? {
    switch self {
    case .object(let pairs): pairs.first { $0.key == key.stringValue }?.value
    case .array(let values):
      key.intValue.flatMap { values.indices.contains($0) ? values[$0] : nil }
    case .string, .number, .bool, .null: nil
    }
  }

  private struct Parser {
    let bytes: [UInt8]
    var place = 0
    var isLocating = false
    private(set) var places: [String: Place] = [:]
    /// Of the value that is being read; empty unless it is locating.
    private var path = ""

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// The next byte, if there is one.
    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    mutating func document() throws -> JSONTree {
      // The whole text must be UTF-8, strings and all.
      guard String(validating: bytes, as: UTF8.self) != nil else {
        throw Failure(place: 0, problem: "expected text in UTF-8", hint: "save it as UTF-8")
      }
      let tree = try value(depth: 0)
      skipSpace()
      guard place == bytes.count else { throw unexpected("the end of the text") }
      return tree
    }

    private mutating func skipSpace() {
      while let byte = next, [0x20, 0x09, 0x0a, 0x0d].contains(byte) { place += 1 }
    }

    /// Skips a character if it is next, and says whether it was.
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
      guard next == UInt8(ascii: character) else { return false }
      place += 1
      return true
    }

    private mutating func take(word: String) -> Bool {
      guard bytes[place...].starts(with: word.utf8) else { return false }
      place += word.utf8.count
      return true
    }

    // MARK: Values

    private mutating func value(depth: Int, key: Int? = nil) throws -> JSONTree {
      guard depth < 128 else {
        throw Failure(place: place, problem: "expected values at most 127 deep, found more")
      }
      skipSpace()
      if isLocating { places[path] = Place(value: place, key: key ?? place) }
      switch next {
      case UInt8(ascii: "{"): return try object(depth: depth)
      case UInt8(ascii: "["): return try array(depth: depth)
      case UInt8(ascii: "\""): return .string(try string())
      case UInt8(ascii: "t") where take(word: "true"): return .bool(true)
      case UInt8(ascii: "f") where take(word: "false"): return .bool(false)
      case UInt8(ascii: "n") where take(word: "null"): return .null
      case let byte? where byte == UInt8(ascii: "-") || Self.digits.contains(byte):
        return .number(try number())
      default: throw unexpected("a value")
      }
    }

    private mutating func object(depth: Int) throws -> JSONTree {
      var pairs: [Pair] = []
      var keys: Set<String> = []
      let outer = path
      defer { path = outer }
      place += 1
      skipSpace()
      if take("}") { return .object([]) }
      var comma: Int?
      repeat {
        skipSpace()
        try check(noEnd: "}", after: comma)
        let start = place
        guard next == UInt8(ascii: "\"") else { throw unexpected("a name in double quotes") }
        let key = try string()
        if isLocating, !keys.insert(key).inserted {
          throw Failure(
            place: start, problem: "expected each name once, found \"\(key)\" again",
            hint: "remove one of the two")
        }
        skipSpace()
        guard take(":") else { throw unexpected("':' after \"\(key)\"") }
        if isLocating { path = outer.isEmpty ? key : "\(outer).\(key)" }
        pairs.append(Pair(key: key, value: try value(depth: depth + 1, key: start)))
        skipSpace()
        comma = place
      } while take(",")
      guard take("}") else { throw unexpected("',' or '}'") }
      return .object(pairs)
    }

    private mutating func array(depth: Int) throws -> JSONTree {
      var values: [JSONTree] = []
      let outer = path
      defer { path = outer }
      place += 1
      skipSpace()
      if take("]") { return .array([]) }
      var comma: Int?
      repeat {
        skipSpace()
        try check(noEnd: "]", after: comma)
        if isLocating { path = "\(outer)[\(values.count)]" }
        values.append(try value(depth: depth + 1))
        skipSpace()
        comma = place
      } while take(",")
      guard take("]") else { throw unexpected("',' or ']'") }
      return .array(values)
    }

    private func check(noEnd end: Unicode.Scalar, after comma: Int?) throws {
      guard let comma, next == UInt8(ascii: end) else { return }
      throw Failure(
        place: comma, problem: "found a comma before '\(end)'",
        hint: "remove it: JSON has none after the last entry")
    }

    private static let digits = UInt8(ascii: "0")...UInt8(ascii: "9")

    private mutating func digits() throws {
      let start = place
      while let byte = next, Self.digits.contains(byte) { place += 1 }
      guard place > start else { throw unexpected("a digit") }
    }

    private mutating func number() throws -> String {
      let start = place
      _ = take("-")
      if take("0") {
        if let byte = next, Self.digits.contains(byte) {
          throw Failure(place: start, problem: "found a number that begins with 0")
        }
      } else {
        try digits()
      }
      if take(".") { try digits() }
      if take("e") || take("E") {
        _ = take("+") || take("-")
        try digits()
      }
      return String(decoding: bytes[start..<place], as: UTF8.self)
    }

    // MARK: Strings

    private mutating func string() throws -> String {
      let start = place
      place += 1
      var text: [UInt8] = []
      while let byte = next, byte != UInt8(ascii: "\"") {
        guard byte >= 0x20 else {
          throw byte == 0x0a || byte == 0x0d
            ? Failure(place: start, problem: "expected a closing '\"' on the same line")
            : Failure(
              place: place, problem: "found a control character in a string",
              hint: #"write a tab as \t"#)
        }
        place += 1
        guard byte == UInt8(ascii: "\\") else {
          text.append(byte)
          continue
        }
        text += Array(String(try escaped()).utf8)
      }
      guard take("\"") else {
        throw Failure(place: start, problem: "expected a closing '\"', found the end of the text")
      }
      return String(decoding: text, as: UTF8.self)
    }

    /// What follows a backslash.
    private mutating func escaped() throws -> Unicode.Scalar {
      let failure = Failure(
        place: place - 1, problem: "found a backslash that begins no character",
        hint: #"write a backslash as \\"#)
      guard let byte = next else { throw failure }
      place += 1
      switch Unicode.Scalar(byte) {
      case "\"", "\\", "/": return Unicode.Scalar(byte)
      case "b": return "\u{8}"
      case "f": return "\u{c}"
      case "n": return "\n"
      case "r": return "\r"
      case "t": return "\t"
      case "u":
        var code = try unit(failure)
        if (0xd800..<0xdc00).contains(code) {
          guard take(word: "\\u") else { throw failure }
          let low = try unit(failure)
          guard (0xdc00..<0xe000).contains(low) else { throw failure }
          code = 0x10000 + (code - 0xd800) << 10 + low - 0xdc00
        }
        guard let scalar = Unicode.Scalar(code) else { throw failure }
        return scalar
      default: throw failure
      }
    }

    /// Four hexadecimal digits.
    private mutating func unit(_ failure: Failure) throws -> UInt32 {
      let digits = bytes[place...].prefix(4)
      guard digits.count == 4,
        digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit && $0 < 128 }),
        let code = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
      else { throw failure }
      place += 4
      return code
    }

    // MARK: Failures

    /// Something else than what was expected at this place.
    private func unexpected(_ expected: String) -> Failure {
      guard let byte = next else {
        return Failure(
          place: place, problem: "expected \(expected), found the end of the text",
          hint: bytes.isEmpty ? nil : "cut short?")
      }
      let rest = String(decoding: bytes[place...].prefix(64), as: UTF8.self)
      let letters = String(
        rest.prefix { $0.isLetter || $0.isNumber || "_.+-".contains($0) }.prefix(20))
      let found = letters.isEmpty ? String(rest.prefix(1)) : letters
      var hint: String?
      switch (Unicode.Scalar(byte), found.lowercased()) {
      case ("/", _), ("#", _): hint = "remove it if it is a comment: JSON has none"
      case ("'", _): hint = "JSON has double quotes only"
      case (_, "true"), (_, "false"): hint = "write \(found.lowercased())"
      case (_, "none"), (_, "nil"), (_, "undefined"): hint = "write null"
      case (_, "nan"), (_, "inf"), (_, "infinity"): hint = "JSON has no such number"
      case ("\"", _), ("{", _), ("[", _):
        hint = expected.contains("','") ? "a comma is missing" : nil
      default: break
      }
      return Failure(place: place, problem: "expected \(expected), found '\(found)'", hint: hint)
    }
  }
}
