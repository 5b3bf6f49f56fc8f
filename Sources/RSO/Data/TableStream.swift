import Foundation

/// Rows of comma-separated numbers, read in pieces, so that memory does not grow with their number.
///
/// A first line without any number is taken for a header. Numbers may stand in quotes; empty lines are skipped.
package final class TableStream {
  private let reader: FileReader
  private let name: String
  private let columns: Int
  /// Bytes read, but not yet split into lines.
  private var ahead: [UInt8] = []
  private var line = 0
  private var isAtEnd = false
  private var isFirst = true

  /// - Parameters:
  ///   - reader: a reader at the start of the file.
  ///   - columns: the numbers of a row.
  package init(_ reader: FileReader, name: String, columns: Int) {
    (self.reader, self.name, self.columns) = (reader, name, columns)
  }

  /// The next rows `[N, columns]`, at most `limit` of them; `nil` after the last row.
  ///
  /// - Throws: `RSOError` naming the line, and the column if a number is wrong, both from 1.
  package func next(_ limit: Int) throws -> [Float]? {
    var values: [Float] = []
    while values.count < limit * columns, let text = try nextLine() {
      if text.allSatisfy(\.isWhitespace) { continue }
      let fields = text.split(separator: ",", omittingEmptySubsequences: false).map(Self.plain)
      let numbers = fields.map(Self.number)
      defer { isFirst = false }
      let isHeader = isFirst && numbers.allSatisfy { $0 == nil }
      guard fields.count == columns else {
        let hint =
          fields.count == columns + 1
          ? "leave out the column of labels"
          : fields.count == 1 && text.contains(where: { ";\t ".contains($0) })
            ? "separate them by commas" : nil
        throw RSOError(
          "\(name), line \(line)",
          "expected \(columns) \(isHeader ? "names" : "numbers"), one for each feature, found "
            + "\(fields.count)", hint: hint)
      }
      if isHeader { continue }
      for (column, number) in numbers.enumerated() {
        guard let number else {
          throw RSOError(
            "\(name), line \(line), column \(column + 1)",
            "expected a number, found '\(fields[column].prefix(40))'")
        }
        guard number.isFinite else {
          throw RSOError(
            "\(name), line \(line), column \(column + 1)",
            "expected a number that a 32-bit float holds, found \(fields[column].prefix(40))")
        }
        values.append(number)
      }
    }
    return values.isEmpty ? nil : values
  }

  /// The longest line read: more than the features of a table in full precision.
  private static let longest = 1 << 24

  private func nextLine() throws -> String? {
    var searched = 0
    while true {
      if let end = ahead[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { ahead.removeFirst(end + 1) }
        return try text(ahead[..<end])
      }
      searched = ahead.count
      if isAtEnd {
        defer { ahead = [] }
        return ahead.isEmpty ? nil : try text(ahead[...])
      }
      guard ahead.count <= Self.longest else {
        throw RSOError(
          "\(name), line \(line + 1)", "expected at most \(Self.longest) bytes, found more",
          hint: "not a table of comma-separated numbers?")
      }
      let more = try reader.read(1 << 16)
      isAtEnd = more.count < 1 << 16
      ahead += more
    }
  }

  private func text(_ bytes: ArraySlice<UInt8>) throws -> String {
    line += 1
    // Excel begins a file with a mark of UTF-8.
    let bytes = line == 1 && bytes.starts(with: [0xef, 0xbb, 0xbf]) ? bytes.dropFirst(3) : bytes
    guard let text = String(validating: bytes, as: UTF8.self), !text.contains("\0") else {
      throw RSOError(
        "\(name), line \(line)", "expected comma-separated numbers, found no text",
        hint: "PNG, JPEG, .npy and IDX files are read, too")
    }
    return text.hasSuffix("\r") ? String(text.dropLast()) : text
  }

  /// A field without the blanks and the quotes around it.
  private static func plain(_ field: Substring) -> String {
    let text = field.trimmingCharacters(in: .whitespaces)
    return text.count >= 2 && text.hasPrefix("\"") && text.hasSuffix("\"")
      ? String(text.dropFirst().dropLast()).trimmingCharacters(in: .whitespaces) : text
  }

  /// A decimal number; infinite if it is too large, `nil` for any other text.
  private static func number(_ field: String) -> Float? {
    guard field.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }) else { return nil }
    return Float(field)
  }
}
