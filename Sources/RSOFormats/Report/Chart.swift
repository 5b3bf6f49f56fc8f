import Foundation

/// A line chart as a vector graphic: axes with units, a grid, one line per series.
struct Chart {
  /// One line; its number selects colour and dashes.
  struct Series {
    var number: Int
    var points: [(x: Double, y: Double)]
  }

  var title: String
  var x: String
  var y: String
  var series: [Series]
  /// Where the vertical axis begins and ends, if not at the limits of the data.
  var yFrom: Double?
  var yTo: Double?
  /// Whether to draw it for little space: without axis titles.
  var isSmall = false

  private var width: Double { isSmall ? 240 : 420 }
  private var height: Double { isSmall ? 150 : 270 }
  private var left: Double { isSmall ? 36 : 54 }
  private var right: Double { 12 }
  private var top: Double { isSmall ? 24 : 14 }
  private var bottom: Double { isSmall ? 22 : 42 }

  var svg: String {
    let points = series.flatMap(\.points).filter { $0.x.isFinite && $0.y.isFinite }
    let xs = Ticks(from: 0, to: points.map(\.x).max() ?? 1, count: isSmall ? 3 : 6)
    let ys = Ticks(
      from: yFrom ?? points.map(\.y).min() ?? 0, to: yTo ?? points.map(\.y).max() ?? 1,
      count: isSmall ? 3 : 6)
    func place(_ x: Double, _ y: Double) -> (x: Double, y: Double) {
      (
        left + (x - xs.first) / (xs.last - xs.first) * (width - left - right),
        height - bottom - (y - ys.first) / (ys.last - ys.first) * (height - top - bottom)
      )
    }
    var parts: [String] = []
    for tick in ys.values {
      let y = number(place(0, tick).y)
      parts.append(
        "<line class=grid x1=\(number(left)) x2=\(number(width - right)) y1=\(y) y2=\(y) />")
      parts.append(text(left - 5, place(0, tick).y + 4, ys.label(tick), "end"))
    }
    for tick in xs.values {
      let x = place(tick, 0).x
      parts.append(
        "<line class=grid x1=\(number(x)) x2=\(number(x)) y1=\(number(top)) y2=\(number(height - bottom)) />"
      )
      // The last label ends where the chart ends.
      let anchor = tick == xs.last ? "end" : "middle"
      parts.append(
        text(tick == xs.last ? width - 2 : x, height - bottom + 15, xs.label(tick), anchor))
    }
    for line in series {
      let sound = line.points.filter { $0.x.isFinite && $0.y.isFinite }
      let places = sound.map { place($0.x, $0.y) }
      let list = places.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
      parts.append("<polyline class=\"line c\(line.number % Chart.colours)\" points=\"\(list)\" />")
      // A single point makes no line.
      if let only = places.first, places.count == 1 {
        parts.append(
          "<circle class=\"dot c\(line.number % Chart.colours)\" cx=\(number(only.x)) cy=\(number(only.y)) r=3 />"
        )
      }
    }
    if isSmall {
      parts.append(text(left, 14, title, "start"))
    } else {
      parts.append(text((left + width - right) / 2, height - 6, x, "middle"))
      let middle = (top + height - bottom) / 2
      parts.append(
        "<text x=0 y=0 text-anchor=middle transform=\"translate(13 \(number(middle))) rotate(-90)\">\(escaped(y))</text>"
      )
    }
    return """
      <svg viewBox="0 0 \(number(width)) \(number(height))" role=img aria-label="\(escaped("\(title): \(y) over \(x)"))">
      \(parts.joined(separator: "\n"))
      </svg>
      """
  }

  /// The number of colours in the style.
  static let colours = 6

  private func text(_ x: Double, _ y: Double, _ text: String, _ anchor: String) -> String {
    "<text x=\(number(x)) y=\(number(y)) text-anchor=\(anchor)>\(escaped(text))</text>"
  }

  /// A coordinate in the drawing: nobody sees less than a tenth of a unit.
  private func number(_ value: Double) -> String { decimal(value, 1) }
}

/// Round numbers that span a range.
struct Ticks {
  let values: [Double]
  private let step: Double

  /// - Parameter count: the approximate number of ticks.
  init(from low: Double, to high: Double, count: Int) {
    let span = high > low ? high - low : max(abs(high), 1)
    let rough = span / Double(count)
    let power = pow(10, floor(log10(rough)))
    let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough * 0.999 } ?? 10 * power
    let first = floor(low / step + 1e-9)
    let last = max(ceil(high / step - 1e-9), first + 1)
    values = (0...Int(last - first)).map { (first + Double($0)) * step }
    self.step = step
  }

  var first: Double { values[0] }
  var last: Double { values[values.count - 1] }

  /// A tick's label, with as many decimals as the step.
  func label(_ value: Double) -> String {
    let decimals = max(0, Int(-floor(log10(step) + 1e-9)))
    if abs(value) >= 1e6, value.truncatingRemainder(dividingBy: 1e5) == 0 {
      return "\(decimal(value / 1e6, step < 1e6 ? 1 : 0)) M"
    }
    return decimal(value, decimals)
  }
}

/// A number with a fixed number of decimals, and no minus sign before zero.
func decimal(_ value: Double, _ decimals: Int) -> String {
  let text = String(format: "%.\(decimals)f", value)
  return text.hasPrefix("-") && !text.contains { "123456789".contains($0) }
    ? String(text.dropFirst()) : text
}

/// Text escaped for HTML.
func escaped(_ text: String) -> String {
  text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
    .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
}
