/// JSON that a user hands in. Errors name the file, the line and the column, and say what was expected in JSON's words.
package struct JSONDocument {
  private let name: String
  private let bytes: [UInt8]
  private let tree: JSONTree
  private let places: [String: JSONTree.Place]
  /// The number of the text's first line; `nil`: errors name no place.
  private let firstLine: Int?

  /// - Parameters:
  ///   - name: what errors call the text, usually the file's path.
  ///   - line: the number of the text's first line in the file; `nil` if it is part of a file that nobody edits.
  /// - Throws: `RSOError` if it is not JSON, or a name is in an object twice.
  package init(_ bytes: some Sequence<UInt8>, name: String, line: Int? = 1) throws {
    self.name = name
    firstLine = line
    var bytes = Array(bytes)
    // Some editors put a mark before UTF-8.
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes.removeFirst(3) }
    self.bytes = bytes
    guard !bytes.isEmpty else { throw RSOError(name, "expected JSON, found nothing") }
    do {
      (tree, places) = try JSONTree.located(bytes)
    } catch let failure as JSONTree.Failure {
      throw RSOError(
        Self.subject(name, bytes, failure.place, firstLine: line), failure.problem,
        hint: failure.hint)
    }
  }

  /// What a program prints about its JSON where a value is wrong.
  package struct Help {
    /// What values look like, by their paths without indices, as in `layers[].input`; `""` is the whole.
    package var examples: [String: String] = [:]
    /// What to do if nothing more precise is known.
    package var hint: String?

    package init(examples: [String: String] = [:], hint: String? = nil) {
      self.examples = examples
      self.hint = hint
    }
  }

  /// Decodes the text.
  ///
  /// An `RSOError` that is the underlying error of a `DecodingError` is what is wrong at its coding path.
  ///
  /// - Throws: `RSOError` with the file, line and column.
  package func decode<Value: Decodable>(
    _ type: Value.Type = Value.self, help: Help = Help()
  ) throws -> Value {
    do {
      return try tree.decode()
    } catch let error as DecodingError {
      throw self.error(error, help)
    }
  }

  // MARK: Places

  private static func subject(
    _ name: String, _ bytes: [UInt8], _ place: Int, firstLine: Int?
  ) -> String {
    guard let firstLine else { return name }
    let before = bytes.prefix(place)
    let line = before.split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    // Bytes that continue a character count for nothing.
    let column = (line.last ?? []).count { $0 & 0xc0 != 0x80 } + 1
    return "\(name), line \(firstLine + line.count - 1), column \(column)"
  }

  private static func text(_ path: some Sequence<any CodingKey>) -> String {
    let text = path.map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)" }.joined()
    return String(text.drop { $0 == "." })
  }

  /// The nearest place that exists on the way to a value.
  private func place(of path: [any CodingKey], isKey: Bool) -> Int {
    for count in (0...path.count).reversed() {
      if let place = places[Self.text(path.prefix(count))] {
        return isKey ? place.key : place.value
      }
    }
    return 0
  }

  private func value(at path: [any CodingKey]) -> JSONTree? {
    path.reduce(tree) { tree, key in tree?[key] }
  }

  // MARK: Errors

  private func error(_ error: DecodingError, _ help: Help) -> RSOError {
    switch error {
    case .keyNotFound(let key, let context): missing(key, context.codingPath, help)
    case .typeMismatch(let type, let context): mismatch(type, context.codingPath, help)
    case .valueNotFound(let type, let context): mismatch(type, context.codingPath, help)
    case .dataCorrupted(let context): wrong(context, help)
    @unknown default: located([], "found a value that does not fit", help.hint)
    }
  }

  private func located(
    _ path: [any CodingKey], _ problem: String, _ hint: String?, isKey: Bool = false
  ) -> RSOError {
    let place = place(of: path, isKey: isKey)
    return RSOError(
      Self.subject(name, bytes, place, firstLine: firstLine), problem, hint: hint)
  }

  private func missing(
    _ key: any CodingKey, _ path: [any CodingKey], _ help: Help
  ) -> RSOError {
    var (keys, label) = ([String](), Self.text(path))
    if case .object(let pairs)? = value(at: path) {
      keys = pairs.map(\.key)
      if case .string(let name)? = pairs.first(where: { $0.key == "name" })?.value {
        label += " ('\(name)')"
      }
    }
    return located(
      path, "expected '\(key.stringValue)'\(label.isEmpty ? "" : " in \(label)"), found none",
      nearest(to: key.stringValue, in: keys).map { "is '\($0)' meant for it?" } ?? help.hint)
  }

  private func mismatch(
    _ type: any Any.Type, _ path: [any CodingKey], _ help: Help
  ) -> RSOError {
    let pattern = Self.text(path).replacing(/\[\d+\]/, with: "[]")
    let example = help.examples[pattern].map { " such as \($0)" } ?? ""
    let expected =
      switch "\(type)".prefix(while: { $0.isLetter }) {
      case "Int", "UInt": "a whole number"
      case "Double", "Float": "a number"
      case "String": "text in quotes"
      case "Bool": "true or false"
      case "Array": "a list"
      case "Dictionary": "an object"
      default: "another value"
      }
    let label = path.isEmpty ? "" : " for \(Self.text(path))"
    return located(
      path, "expected \(expected)\(example)\(label), found \(value(at: path)?.words ?? "none")",
      example.isEmpty ? help.hint : nil)
  }

  private func wrong(_ context: DecodingError.Context, _ help: Help) -> RSOError {
    let path = context.codingPath
    if let error = context.underlyingError as? RSOError {
      let found = located(path, error.problem, error.hint, isKey: true)
      return error.subject.isEmpty
        ? found : RSOError("\(found.subject), \(error.subject)", found.problem, hint: found.hint)
    }
    let label = path.isEmpty ? "" : " for \(Self.text(path))"
    // Of an enumeration's word the description tells the Swift type, which means nothing to a user.
    if context.debugDescription.hasPrefix("Cannot initialize"), let value = value(at: path) {
      return located(path, "expected another value\(label), found \(value.words)", help.hint)
    }
    return located(
      path, (path.isEmpty ? "" : "\(Self.text(path)): ") + context.debugDescription, help.hint)
  }
}

extension JSONTree {
  /// The value for an error.
  fileprivate var words: String {
    switch self {
    case .object: "an object"
    case .array: "a list"
    case .string(let text): "\"\(text.prefix(40))\(text.count > 40 ? "…" : "")\""
    case .number(let text): text
    case .bool(let value): "\(value)"
    case .null: "null"
    }
  }
}

extension DecodingError {
  /// What is wrong at a key, for `JSONDocument` to say with its place.
  ///
  /// - Parameter subject: the part of the file with the error; empty for none.
  static func wrong(
    _ path: [any CodingKey], _ subject: String, _ problem: String, hint: String? = nil
  ) -> DecodingError {
    .dataCorrupted(
      Context(
        codingPath: path, debugDescription: problem,
        underlyingError: RSOError(subject, problem, hint: hint)))
  }
}

/// A key that is known by its name only.
struct AnyKey: CodingKey {
  var stringValue: String
  var intValue: Int?
  init(stringValue: String) { self.stringValue = stringValue }
  init(intValue: Int) {
    stringValue = "\(intValue)"
    self.intValue = intValue
  }
}

extension Decoder {
  /// - Parameter known: all names that the object may have, in the order in which errors list them.
  /// - Throws: `DecodingError` for another one, which names the nearest.
  func requireKnownKeys(
    _ known: [String], _ subject: String, _ what: String, hint: (String) -> String? = { _ in nil }
  ) throws {
    let container = try container(keyedBy: AnyKey.self)
    for key in container.allKeys where !known.contains(key.stringValue) {
      let list = known.joined(separator: ", ")
      throw DecodingError.wrong(
        codingPath + [key], subject, "\(what) has no '\(key.stringValue)'",
        hint: hint(key.stringValue)
          ?? (nearest(to: key.stringValue, in: known).map { "did you mean '\($0)'? " } ?? "")
          + "it has \(list)")
    }
  }
}
