import Foundation

/// A line chart as a vector graphic: axes with units, a grid, one line per series, and the values under the pointer.
struct Chart {
  /// One line; its number selects colour and dashes.
  struct Series {
    var number: Int
    var name = ""
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
  /// Whether the values are errors in per cent, so that the right side can show accuracies.
  var isError = false
  /// Where the vertical axis begins and ends, if not at the limits of the data.
  var yFrom: Double?
  var yTo: Double?
  /// Whether to draw it for little space: without axis titles.
  var isSmall = false
  /// A place on the horizontal axis and a value, in words.
  var placeWords: (Double) -> String = { significant($0) }
  var valueWords: (Double) -> String = { significant($0) }

  /// The number of colours in the style.
  static let colours = 6

  private var width: Double { isSmall ? 240 : 460 }
  private var height: Double { isSmall ? 150 : 280 }
  private var left: Double { isSmall ? 34 : 52 }
  private var right: Double { isError ? 48 : 12 }
  private var top: Double { isSmall ? 24 : 10 }
  private var bottom: Double { isSmall ? 22 : 40 }

  var svg: String {
    let points = series.flatMap(\.points).filter { $0.x.isFinite && $0.y.isFinite }
    let bands = series.flatMap(\.band).flatMap { [$0.low, $0.high] }.filter(\.isFinite)
    let values = points.map(\.y) + bands.filter { !isLogarithmic || $0 > 0 }
    let count = isSmall ? 3 : 6
    let xs = Axis(
      from: points.map(\.x).min() ?? 0, to: points.map(\.x).max() ?? 1, count: isSmall ? 5 : 6)
    let ys = Axis(
      from: yFrom ?? values.min() ?? 0, to: yTo ?? values.max() ?? 1, count: count,
      isLogarithmic: isLogarithmic)
    func place(_ x: Double, _ y: Double) -> (x: Double, y: Double) {
      (
        left + xs.place(x) * (width - left - right),
        height - bottom - ys.place(y) * (height - top - bottom)
      )
    }
    var parts = axes(xs, ys)
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
      if let only = places.first, places.count == 1 { parts.append(dot(only, line.number)) }
    }
    parts += hover(place)
    return """
      <svg viewBox="0 0 \(number(width)) \(number(height))" role=img aria-label="\(escaped("\(title): \(y) over \(x)"))">
      \(parts.joined(separator: "\n"))
      </svg>
      """
  }

  // MARK: Axes

  private func axes(_ xs: Axis, _ ys: Axis) -> [String] {
    var parts: [String] = []
    let (end, base) = (width - right, height - bottom)
    for tick in ys.ticks {
      let level = base - ys.place(tick) * (base - top)
      parts.append(
        "<line class=grid x1=\(number(left)) x2=\(number(end)) y1=\(number(level)) y2=\(number(level)) />"
      )
      parts.append(text(left - 6, level + 4, ys.label(tick), "end"))
      if isError {
        parts.append(text(end + 6, level + 4, significant(100 - tick), "start", "weak"))
      }
    }
    for tick in xs.ticks {
      let x = left + xs.place(tick) * (end - left)
      parts.append(
        "<line class=tick x1=\(number(x)) x2=\(number(x)) y1=\(number(base)) y2=\(number(base + 4)) />"
      )
      // A label at the right end ends where the chart ends.
      let isLast = x > width - 24
      parts.append(
        text(isLast ? width - 2 : x, base + 16, xs.label(tick), isLast ? "end" : "middle"))
    }
    parts.append(
      "<line class=axis x1=\(number(left)) x2=\(number(end)) y1=\(number(base)) y2=\(number(base)) />"
    )
    if isSmall {
      parts.append(text(left, 14, title, "start", "strong"))
    } else {
      parts.append(text((left + end) / 2, height - 6, x, "middle", "weak"))
      parts.append(turned(13, y))
      if isError { parts.append(turned(width - 4, "accuracy, %")) }
    }
    return parts
  }

  private func turned(_ x: Double, _ words: String) -> String {
    let middle = number((top + height - bottom) / 2)
    return
      "<text class=weak x=0 y=0 text-anchor=middle transform=\"translate(\(number(x)) \(middle)) rotate(-90)\">"
      + "\(escaped(words))</text>"
  }

  private func text(
    _ x: Double, _ y: Double, _ text: String, _ anchor: String, _ style: String? = nil
  ) -> String {
    let style = style.map { " class=\($0)" } ?? ""
    return
      "<text\(style) x=\(number(x)) y=\(number(y)) text-anchor=\(anchor)>\(escaped(text))</text>"
  }

  private func dot(_ place: (x: Double, y: Double), _ series: Int) -> String {
    "<circle class=\"dot b\(series % Chart.colours)\" cx=\(number(place.x)) cy=\(number(place.y)) r=3 />"
  }

  /// A coordinate in the drawing: nobody sees less than a tenth of a unit.
  private func number(_ value: Double) -> String { decimal(value, 1) }

  // MARK: Values under the pointer

  /// More places than this could not be told apart with a pointer.
  private var mostPlaces: Int { isSmall ? 25 : 60 }

  /// Strips from left to right. The style shows what is in a strip, a mark and a value for every line, while the
  /// pointer is over it: that needs no script.
  private func hover(_ place: (Double, Double) -> (x: Double, y: Double)) -> [String] {
    let lines = series.map { line in
      (line: line, points: line.points.filter { $0.x.isFinite && $0.y.isFinite })
    }.filter { !$0.points.isEmpty }
    let all = Set(lines.flatMap { $0.points.map(\.x) }).sorted()
    let count = min(all.count, mostPlaces)
    let xs = (0..<count).map { all[count == 1 ? 0 : $0 * (all.count - 1) / (count - 1)] }
    let centres = xs.map { place($0, 1).x }
    return xs.indices.map { index in
      let from = index == 0 ? left : (centres[index - 1] + centres[index]) / 2
      let to =
        index == count - 1 ? width - right : (centres[index] + centres[index + 1]) / 2
      let here = lines.compactMap { line -> (line: Series, point: (x: Double, y: Double))? in
        guard let last = line.points.last, xs[index] <= last.x, xs[index] >= line.points[0].x,
          let nearest = line.points.min(by: { abs($0.x - xs[index]) < abs($1.x - xs[index]) })
        else { return nil }
        return (line.line, nearest)
      }
      let strip =
        "<rect x=\(number(from)) y=\(number(top)) width=\(number(max(to - from, 0))) height=\(number(height - top - bottom)) />"
        + "<line class=guide x1=\(number(centres[index])) x2=\(number(centres[index])) y1=\(number(top)) "
        + "y2=\(number(height - bottom)) />"
      let dots = here.map { dot(place($0.point.x, $0.point.y), $0.line.number) }
      return "<g class=hit>\(strip)\(dots.joined())\(tip(xs[index], centres[index], here))</g>"
    }
  }

  /// A box with the place and the value of every line there.
  private func tip(
    _ x: Double, _ centre: Double, _ here: [(line: Series, point: (x: Double, y: Double))]
  ) -> String {
    let isNamed = series.count > 1
    let lines =
      [(words: placeWords(x), style: "weak")]
      + here.map { line, point in
        let name = line.name.count > 22 ? line.name.prefix(21) + "…" : line.name[...]
        return (
          words: valueWords(point.y) + (isNamed ? "  \(name)" : ""),
          style: "t\(line.number % Chart.colours)"
        )
      }
    let step = 15.0
    let box = Double(lines.map(\.words.count).max() ?? 0) * 6.6 + 14
    let start =
      centre > (left + width - right) / 2
      ? max(centre - box - 8, 0) : min(centre + 8, width - box)
    let texts = lines.enumerated().map { row, line in
      text(start + 7, top + 15 + step * Double(row), line.words, "start", line.style)
    }
    return
      "<rect class=tip x=\(number(start)) y=\(number(top)) width=\(number(box)) "
      + "height=\(number(step * Double(lines.count) + 6)) rx=4 />" + texts.joined()
  }
}

/// A number with four significant digits, and no zeros at the end.
func significant(_ value: Double) -> String { String(format: "%.4g", value) }

/// A whole number with commas: `12,016`.
func grouped(_ value: Double) -> String {
  guard value.isFinite, abs(value) < 1e15 else { return significant(value) }
  let digits = Array("\(Int(abs(value).rounded()))")
  let parts = digits.indices.map { index in
    (index > 0 && (digits.count - index).isMultiple(of: 3) ? "," : "") + String(digits[index])
  }
  return (value <= -0.5 ? "−" : "") + parts.joined()
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
