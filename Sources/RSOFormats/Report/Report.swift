import Foundation
import RSO

/// A report on runs: one page of HTML that needs nothing else, no network and no script.
package struct Report {
  let runs: [ReportRun]
  /// The lines of the charts; runs that differ by their seeds alone share one.
  let curves: [ReportCurve]
  /// The names of the classes; `nil` for their numbers.
  let classNames: [String]?

  /// - Parameter runs: one or more; if there are several, tensors of the same name share axes.
  package init(_ runs: [ReportRun], classNames: [String]? = nil) {
    self.runs = runs
    curves = ReportCurve.all(runs)
    self.classNames = classNames
  }

  /// The page, in UTF-8.
  package func html() throws -> Data {
    let title = curves.map(\.name).joined(separator: ", ")
    // Without a network there is nothing to see in these.
    let pictures = hasNetworks ? try [levels, filters(), confusions, mistakes()] : []
    let body =
      ([head(title), cards, summary, learning, keptShares, steps, distances] + pictures
      + [cycleTable, sweepTable]).filter { !$0.isEmpty }.joined(separator: "\n")
    let page = """
      <!DOCTYPE html>
      <html lang=en>
      <head>
      <meta charset=utf-8>
      <meta http-equiv=Content-Security-Policy content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
      <meta name=viewport content="width=device-width, initial-scale=1">
      <title>\(escaped(title)) – RSO</title>
      <style>
      \(Self.style)
      </style>
      </head>
      <body>
      \(body)
      </body>
      </html>

      """
    return Data(page.utf8)
  }

  var hasNetworks: Bool { runs.contains { $0.content.network != nil } }

  func name(_ label: Int) -> String {
    classNames.flatMap { $0.indices.contains(label) ? $0[label] : nil } ?? "\(label)"
  }

  // MARK: Parts of a page

  func section(_ title: String, _ text: String = "", _ body: String) -> String {
    """
    <section>
    <h2>\(escaped(title))</h2>
    \(text.isEmpty ? "" : "<p class=weak>\(escaped(text))</p>")
    \(body)
    </section>
    """
  }

  func figure(_ caption: String, _ body: String) -> String {
    "<figure>\n\(body)\n<figcaption>\(escaped(caption))</figcaption>\n</figure>"
  }

  /// A chart under its title.
  func panel(_ title: String, _ chart: Chart) -> String {
    "<figure class=panel>\n<figcaption>\(escaped(title))</figcaption>\n\(chart.svg)\n</figure>"
  }

  /// A row of cells, each already HTML.
  func row(_ cells: [String], _ tag: String = "td") -> String {
    "<tr>" + cells.map { "<\(tag)>\($0)</\(tag)>" }.joined() + "</tr>"
  }

  /// - Parameter lines: the number of the line in the charts that each row belongs to; `nil` for no marks.
  func table(_ head: [String], _ rows: [[String]], id: String, lines: [Int]? = nil) -> String {
    let rows = rows.enumerated().map { index, cells in
      let mark = lines.map { swatch($0[index]) } ?? ""
      return row(cells.enumerated().map { ($0 == 0 ? mark : "") + escaped($1) })
    }
    return """
      <div class=scroll><table id=\(id)><thead>\(row(head.map(escaped), "th"))</thead><tbody>
      \(rows.joined(separator: "\n"))
      </tbody></table></div>
      """
  }

  /// A piece of a line, as it is in the charts.
  func swatch(_ number: Int) -> String {
    let line = "<line class=\"line c\(number % Chart.colours)\" x1=0 x2=32 y1=6 y2=6 />"
    return "<svg class=swatch viewBox=\"0 0 32 12\" aria-hidden=true>\(line)</svg>"
  }

  /// The legend: which line belongs to which run, or to which runs that differ by their seeds. None for a single line.
  var legend: String { legend(of: Array(curves.indices)) }

  /// - Parameter numbers: of the lines.
  func legend(of numbers: [Int]) -> String {
    guard curves.count > 1 else { return "" }
    let items = numbers.map { "<li>\(swatch($0))\(escaped(curves[$0].name))</li>" }
    return "<ul class=legend>\(items.joined())</ul>"
  }

  func image(_ png: Data, _ text: String) -> String {
    "<img alt=\"\(escaped(text))\" src=\"data:image/png;base64,\(png.base64EncodedString())\">"
  }

  /// A part for each curve, under its name if there are several: the run's, or that of the best run of several seeds.
  func eachRun(_ body: (ReportRun) throws -> String) rethrows -> String {
    try curves.map { curve in
      let run = curve.best
      let name =
        curve.runs.count > 1 ? "\(run.name), the best of \(curve.name)" : run.name
      return (runs.count > 1 ? "<h3>\(escaped(name))</h3>\n" : "") + (try body(run))
    }.joined(separator: "\n")
  }
}

extension String {
  /// The text with a capital first letter.
  var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}

/// A share as a percentage.
func percentage(_ share: Double, _ decimals: Int = 2) -> String {
  decimal(100 * share, decimals) + " %"
}

/// `4:05` or `3:04:05`.
func clock(_ seconds: Double) -> String {
  let total = Int(min(max(seconds, 0), 1e12).rounded())
  func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
  let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60)
  return hours > 0 ? "\(hours):\(two(minutes)):\(two(rest))" : "\(minutes):\(two(rest))"
}
