import RSO

/// The shortcuts of a network, drawn as lines beside its layers, for a table with one row for the images and one
/// for every layer:
///
///     conv0  ─╮
///     relu1   │
///     conv1   │
///     add1   ◂╯
///
/// A layer that reads the one before it needs no line. Every other value that is read has its own column, from its
/// row to the last row that reads it.
func shortcutDrawing(_ network: Network) -> [String] {
  struct Line {
    var column: Int
    var start: Int
    var ends: Set<Int>
    var last: Int { ends.max() ?? start }
  }
  var ends: [Int: Set<Int>] = [:]
  for (node, values) in network.inputs.enumerated() {
    for value in values where value != node { ends[value, default: []].insert(node + 1) }
  }
  var lines: [Line] = []
  for (start, ends) in ends.sorted(by: { $0.key < $1.key }) {
    // The first column free from this row on; a column whose line ends at this row is free below it.
    let taken = Set(lines.filter { $0.last >= start }.map(\.column))
    let column = (0...taken.count).first { !taken.contains($0) } ?? 0
    lines.append(Line(column: column, start: start, ends: ends))
  }
  let width = (lines.map(\.column).max() ?? -1) + 1
  return (0...network.nodes.count).map { row in
    let crossing = lines.filter { $0.start...$0.last ~= row }
    let meeting = crossing.filter { $0.start == row || $0.ends.contains(row) }
    let reach = meeting.map(\.column).max() ?? -1
    let cells = (0..<width).map { column -> Character in
      guard let line = crossing.first(where: { $0.column == column }) else {
        return column < reach ? "─" : " "
      }
      let isOutermost = column == reach
      guard line.start == row || line.ends.contains(row) else {
        return column < reach ? "┼" : "│"
      }
      return switch row {
      case line.start: isOutermost ? "╮" : "┬"
      case line.last: isOutermost ? "╯" : "┴"
      default: isOutermost ? "┤" : "┼"
      }
    }
    let head: Character =
      meeting.contains { $0.ends.contains(row) } ? "◂" : reach >= 0 ? "─" : " "
    return String([head] + cells)
  }
}
