/// The values of Python that a header of NumPy may consist of, as `ast.literal_eval` reads them.
///
/// It reads what programs write: not every expression that Python has for such a value.
enum PythonLiteral {
  /// An entry of a dictionary.
  struct Pair {
    let key: PythonLiteral
    let value: PythonLiteral
  }

  case string(String)
  case integer(Int)
  case bool(Bool)
  case tuple([PythonLiteral])
  case list([PythonLiteral])
  /// The last of two equal keys counts, as in Python.
  case dictionary([Pair])

  /// What is not such a value.
  struct Failure: Error {}

  /// - Parameter allowsLongs: whether integers may end in `L`, as Python 2 wrote them.
  /// - Throws: `Failure`
  init(_ bytes: some Sequence<UInt8>, allowsLongs: Bool) throws {
    var parser = Parser(bytes: Array(bytes), allowsLongs: allowsLongs)
    self = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.place == parser.bytes.count else { throw Failure() }
  }

  private struct Parser {
    let bytes: [UInt8]
    let allowsLongs: Bool
    var place = 0

    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    /// Skips spaces, line ends and comments.
    mutating func skipSpace() {
      while let byte = next {
        if byte == UInt8(ascii: "#") {
          while let byte = next, byte != 0x0a, byte != 0x0d { place += 1 }
        } else if [0x20, 0x09, 0x0a, 0x0c, 0x0d].contains(byte) {
          place += 1
        } else {
          return
        }
      }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
      guard next == UInt8(ascii: character) else { return false }
      place += 1
      return true
    }

    mutating func value(depth: Int) throws -> PythonLiteral {
      guard depth < 20 else { throw Failure() }
      skipSpace()
      switch next.map({ Unicode.Scalar($0) }) {
      case "{":
        return .dictionary(
          try items("}", depth) { parser in
            let key = try parser.value(depth: depth + 1)
            parser.skipSpace()
            guard parser.take(":") else { throw Failure() }
            return Pair(key: key, value: try parser.value(depth: depth + 1))
          }.items)
      case "[": return .list(try items("]", depth) { try $0.value(depth: depth + 1) }.items)
      case "(":
        let (values, hasComma) = try items(")", depth) { try $0.value(depth: depth + 1) }
        // One value in parentheses is only that value.
        return values.count == 1 && !hasComma ? values[0] : .tuple(values)
      case "'", "\"": return .string(try string())
      default: return try word()
      }
    }

    /// What is between a bracket and the one that closes it; a comma may follow the last.
    private mutating func items<Item>(
      _ end: Unicode.Scalar, _ depth: Int, _ item: (inout Parser) throws -> Item
    ) throws -> (items: [Item], hasComma: Bool) {
      place += 1
      var items: [Item] = []
      var hasComma = false
      while true {
        skipSpace()
        if take(end) { return (items, hasComma) }
        guard items.isEmpty || hasComma else { throw Failure() }
        items.append(try item(&self))
        skipSpace()
        hasComma = take(",")
      }
    }

    private mutating func string() throws -> String {
      guard let quote = next else { throw Failure() }
      place += 1
      let start = place
      while let byte = next, byte != quote {
        // Nothing in a header needs to be escaped.
        guard byte >= 0x20, byte < 0x7f, byte != UInt8(ascii: "\\") else { throw Failure() }
        place += 1
      }
      guard next == quote else { throw Failure() }
      place += 1
      return String(decoding: bytes[start..<place - 1], as: UTF8.self)
    }

    /// A name, a number, or a string with the prefix that Python 2 gave it.
    private mutating func word() throws -> PythonLiteral {
      let start = place
      while let byte = next, byte < 0x80, case let character = Character(Unicode.Scalar(byte)),
        character.isLetter || character.isNumber || character == "_"
          || place == start && byte == 0x2d
      {
        place += 1
      }
      let text = String(decoding: bytes[start..<place], as: UTF8.self)
      switch text {
      case "True": return .bool(true)
      case "False": return .bool(false)
      case "u" where next == 0x27 || next == 0x22, "U" where next == 0x27 || next == 0x22:
        return .string(try string())
      default:
        let digits = allowsLongs && text.hasSuffix("L") ? String(text.dropLast()) : text
        // Python has no numbers with leading zeros, but any number of zeros for zero.
        guard let value = Int(digits), !digits.hasPrefix("+"),
          value == 0 || !digits.trimmingPrefix("-").hasPrefix("0")
        else { throw Failure() }
        return .integer(value)
      }
    }
  }
}
