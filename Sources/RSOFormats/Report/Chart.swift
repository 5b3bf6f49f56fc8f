import Foundation

/// A line chart as a vector graphic: axes with units, a grid, one line per series.
struct Chart {
  /// One line; its number selects colour and dashes.
  struct Series {
    var number: Int
    var points: [(x: Double, y: Double)]
    /// An area around the line, from a low to a high value at each place.
    var band: [(x: Double, low: Double, high: Double)] = []
  }

  var title: String
  var x: String
  var y: String
  var series: [Series]
  /// Whether equal distances of the vertical axis are equal ratios; all values must be above 0.
  var isLogarithmic = false
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
    let bands = series.flatMap(\.band).flatMap { [$0.low, $0.high] }.filter(\.isFinite)
    let values = points.map(\.y) + bands.filter { !isLogarithmic || $0 > 0 }
    let count = isSmall ? 3 : 6
    let xs = Axis(from: points.map(\.x).min() ?? 0, to: points.map(\.x).max() ?? 1, count: count)
    let ys = Axis(
      from: yFrom ?? values.min() ?? 0, to: yTo ?? values.max() ?? 1, count: count,
      isLogarithmic: isLogarithmic)
    func place(_ x: Double, _ y: Double) -> (x: Double, y: Double) {
      (
        left + xs.place(x) * (width - left - right),
        height - bottom - ys.place(y) * (height - top - bottom)
      )
    }
    var parts: [String] = []
    for tick in ys.ticks {
      let level = height - bottom - ys.place(tick) * (height - top - bottom)
      let y = number(level)
      parts.append(
        "<line class=grid x1=\(number(left)) x2=\(number(width - right)) y1=\(y) y2=\(y) />")
      parts.append(text(left - 5, level + 4, ys.label(tick), "end"))
    }
    for tick in xs.ticks {
      let x = left + xs.place(tick) * (width - left - right)
      parts.append(
        "<line class=grid x1=\(number(x)) x2=\(number(x)) y1=\(number(top)) y2=\(number(height - bottom)) />"
      )
      // A label at the right end ends where the chart ends.
      let isLast = x > width - right - 12
      parts.append(
        text(
          isLast ? width - 2 : x, height - bottom + 15, xs.label(tick), isLast ? "end" : "middle"))
    }
    for line in series where !line.band.isEmpty {
      let sound = line.band.filter { $0.low.isFinite && $0.high.isFinite }
      let outline =
        sound.map { place($0.x, $0.high) } + sound.reversed().map { place($0.x, $0.low) }
      let list = outline.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
      parts.append("<polygon class=\"band b\(line.number % Chart.colours)\" points=\"\(list)\" />")
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

/// One axis of a chart: it begins and ends where its data do, and has ticks at round numbers in between.
struct Axis {
  let ticks: [Double]
  private let low: Double
  private let high: Double
  private let isLogarithmic: Bool
  private let labels: [String]

  /// - Parameter count: the approximate number of ticks.
  init(from low: Double, to high: Double, count: Int, isLogarithmic: Bool = false) {
    let isLogarithmic = isLogarithmic && low > 0 && high > low
    self.isLogarithmic = isLogarithmic
    let linear = Ticks(from: low, to: high, count: count)
    // Data of a single value are in the middle of nothing: the axis is as long as its ticks.
    let (low, high) = high > low ? (low, high) : (linear.first, linear.last)
    (self.low, self.high) = (low, high)
    func isInside(_ tick: Double) -> Bool {
      tick >= low - 1e-9 * (high - low) && tick <= high + 1e-9 * (high - low)
    }
    let powers = isLogarithmic ? Axis.powers(from: low, to: high, count: count) : []
    if powers.count >= 3 {
      ticks = powers
      labels = powers.map { String(format: "%g", $0) }
    } else {
      ticks = linear.values.filter(isInside)
      labels = ticks.map(linear.label)
    }
  }

  /// The densest of 1 per decade, 1 and 3, and 1, 2 and 5 that is not too dense.
  private static func powers(from low: Double, to high: Double, count: Int) -> [Double] {
    let decades = Int(floor(log10(low)))...Int(floor(log10(high)))
    let digits: [[Double]] = [[1, 2, 5], [1, 3], [1]]
    let choices = digits.map { digits -> [Double] in
      let ticks = decades.flatMap { decade -> [Double] in
        let power = pow(10, Double(decade))
        return digits.map { $0 * power }
      }
      return ticks.filter { $0 >= low * (1 - 1e-9) && $0 <= high * (1 + 1e-9) }
    }
    return choices.first { $0.count <= count + 3 } ?? choices[2]
  }

  /// Where a value is, from 0 at the beginning to 1 at the end; values beyond the ends are at the ends.
  func place(_ value: Double) -> Double {
    let share =
      isLogarithmic
      ? log(max(value, low) / low) / log(high / low) : (value - low) / (high - low)
    return min(max(share, 0), 1)
  }

  func label(_ tick: Double) -> String { ticks.firstIndex(of: tick).map { labels[$0] } ?? "" }
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
