import Foundation

/// Rows of text in columns, names left-aligned and numbers right-aligned.
struct TextTable {
  private var rows: [[String]]
  private let left: Int

  /// - Parameter left: how many columns are left-aligned.
  init(_ head: [String], left: Int) {
    rows = [head]
    self.left = left
  }

  mutating func add(_ row: [String]) { rows.append(row) }

  var lines: [String] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        cell.padded(widths[column], right: column >= left)
      }
      let line = cells.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
  }
}

/// A line of CSV; fields are quoted where RFC 4180 requires it.
func csvLine(_ fields: [String]) -> String {
  fields.map { field in
    guard field.contains(where: { ",\"\n\r".contains($0) }) else { return field }
    return "\"" + field.replacingOccurrences(of: "\"", with: "\"\"") + "\""
  }.joined(separator: ",")
}
