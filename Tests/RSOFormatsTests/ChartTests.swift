import Foundation
import Testing

@testable import RSOFormats

struct ChartTests {
  /// Round steps of 1, 2 or 5, about as many as asked for, from below the data to above them.
  @Test(arguments: [
    (0.0, 1.0), (0, 97), (8.3, 95.07), (0, 600_800), (-3, 4), (0, 1e-5), (2, 2), (0, 0),
    (0.123, 0.124),
  ])
  func ticks(range: (low: Double, high: Double)) {
    let (low, high) = range
    let ticks = Ticks(from: low, to: high, count: 6)
    #expect(ticks.first <= low + 1e-12 * abs(low) && ticks.last >= high - 1e-9 * abs(high))
    #expect((2...9).contains(ticks.values.count))
    let step = ticks.values[1] - ticks.values[0]
    let digits = "\(Int((step / magnitude(step)).rounded()))"
    #expect(["1", "2", "5", "10"].contains(digits), "\(step)")
    // Every label is another one.
    #expect(Set(ticks.values.map(ticks.label)).count == ticks.values.count)
  }

  /// Losses at the ends of what numbers can be.
  private static let extremes: [(low: Double, high: Double)] = [
    (0, .leastNonzeroMagnitude), (-1.7e308, 1.7e308), (1.79e308, 1.79e308), (-1.79e308, -1.79e308),
    (1, 1.0.nextUp), (1e-80, 1),
  ]

  @Test(arguments: extremes)
  func extremeTicks(range: (low: Double, high: Double)) {
    let ticks = Ticks(from: range.low, to: range.high, count: 6)
    #expect((2...40).contains(ticks.values.count) && ticks.values.allSatisfy(\.isFinite))
    let axis = Axis(from: range.low, to: range.high, count: 6, isLogarithmic: true)
    for place in [axis.place(range.low), axis.place(range.high)] {
      #expect((0...1).contains(place), "\(place)")
    }
    #expect(axis.ticks.count <= 9 && axis.ticks.allSatisfy { axis.label($0) != "" })
  }

  private func magnitude(_ value: Double) -> Double {
    var power = 1.0
    while power > value * 1.000_001 { power /= 10 }
    while power * 10 <= value * 1.000_001 { power *= 10 }
    return power
  }

  @Test func labels() {
    #expect(
      Ticks(from: 0, to: 1, count: 5).values.map(Ticks(from: 0, to: 1, count: 5).label)
        == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"])
    let large = Ticks(from: 0, to: 6_000_000, count: 6)
    #expect(large.values.map(large.label).last == "6 M")
    #expect(decimal(-0.0001, 2) == "0.00" && decimal(-0.5, 1) == "-0.5")
    #expect(escaped("<a href=\"x\">&") == "&lt;a href=&quot;x&quot;&gt;&amp;")
    #expect(clock(59.6) == "1:00" && clock(3 * 3600 + 65) == "3:01:05")
  }

  /// The line runs from corner to corner of the axes; what is not finite is left out.
  @Test func lines() {
    let chart = Chart(
      title: "t", x: "time, s", y: "loss",
      series: [.init(number: 1, points: [(0, 0), (1, .nan), (2, 1), (4, 2)])])
    #expect(chart.svg.contains("points=\"52.0,240.0 250.0,125.0 448.0,10.0\""), "\(chart.svg)")
    #expect(chart.svg.contains("class=\"line c1\""))
    #expect(chart.svg.contains(">time, s</text>") && chart.svg.contains(">loss</text>"))
    #expect(!chart.svg.contains("accuracy"))
    let point = Chart(title: "t", x: "x", y: "y", series: [.init(number: 0, points: [(1, 1)])])
    // One is always there, and one while the pointer is over it.
    #expect(point.svg.matches(of: /<circle class="dot b0"/).count == 2)
    // Nothing yet: axes alone.
    #expect(Chart(title: "t", x: "x", y: "y", series: []).svg.contains("<line"))
  }
}

/// What a chart shows under the pointer.
struct ChartHoverTests {
  private static func strips(_ chart: Chart) -> [Substring] {
    chart.svg.matches(of: /<g class=hit>.*?<\/g>/).map(\.output)
  }

  /// Every place has a strip with the values of the lines that reach it, and the strips leave no gap.
  @Test func valuesOfEveryLine() {
    var chart = Chart(
      title: "t", x: "x", y: "y",
      series: [
        .init(number: 0, name: "<one>", points: [(0, 1), (2, 3), (4, .nan)]),
        .init(number: 1, name: "two", points: [(2, 5), (4, 7.125)]),
      ])
    chart.placeWords = { "at \(significant($0))" }
    let strips = Self.strips(chart)
    #expect(strips.count == 3)
    let texts = strips.map { $0.matches(of: /<text[^>]*>([^<]*)<\/text>/).map { String($0.1) } }
    #expect(
      texts == [
        ["at 0", "1  &lt;one&gt;"], ["at 2", "3  &lt;one&gt;", "5  two"], ["at 4", "7.125  two"],
      ])
    let edges = strips.map { strip -> [Double] in
      let found = strip.firstMatch(of: /<rect x=([0-9.]+) y=[0-9.]+ width=([0-9.]+)/)
      let (x, width) = (Double(found?.1 ?? "") ?? 0, Double(found?.2 ?? "") ?? 0)
      return [x, x + width]
    }
    #expect(edges == [[52, 151], [151, 349], [349, 448]])
    // A single line needs no name.
    chart.series.removeLast()
    #expect(Self.strips(chart).count == 2 && !chart.svg.contains("one"))
  }

  /// As many strips as a pointer can tell apart, the first and the last place among them.
  @Test func manyPlaces() {
    let points = (0...999).map { (x: Double($0), y: 1 + Double($0)) }
    var chart = Chart(
      title: "t", x: "x", y: "y", series: [.init(number: 0, points: points)], isLogarithmic: true)
    let strips = Self.strips(chart)
    #expect(strips.count == 60 && strips[0].contains(">1</text>"))
    #expect(strips[59].contains(">999</text>") && strips[59].contains(">1000</text>"))
    chart.isSmall = true
    #expect(Self.strips(chart).count == 25)
    #expect(Self.strips(Chart(title: "t", x: "x", y: "y", series: [])).isEmpty)
  }

  /// The right side of an error has accuracies: 98.9 and 99.1 % are apart.
  @Test func accuraciesOfErrors() {
    let chart = Chart(
      title: "t", x: "x", y: "error, %",
      series: [.init(number: 0, points: [(0, 90), (1, 1.1), (2, 0.9)])], isLogarithmic: true,
      isError: true)
    #expect(chart.svg.contains("text-anchor=start>99</text>"))
    #expect(chart.svg.contains("text-anchor=start>50</text>") && chart.svg.contains("accuracy, %"))
    let places = chart.svg.firstMatch(of: /points="[^ ]+ [0-9.]+,([0-9.]+) [0-9.]+,([0-9.]+)"/)
    let (near, far) = (Double(places?.1 ?? "") ?? 0, Double(places?.2 ?? "") ?? 0)
    #expect(far - near > 9)
  }

  @Test func numbers() {
    #expect(grouped(0) == "0" && grouped(999.4) == "999" && grouped(12016) == "12,016")
    #expect(grouped(1_234_567) == "1,234,567" && grouped(-1234) == "−1,234")
    #expect(grouped(.infinity) == "inf" && grouped(1e300) == "1e+300")
    #expect(significant(0.123456) == "0.1235" && significant(2) == "2")
  }
}

/// Where axes begin and end, and what a logarithmic one shows.
struct AxisTests {
  /// The ends are those of the data, and ticks are in between.
  @Test func endsWithTheData() {
    let axis = Axis(from: 0.3, to: 0.94, count: 6)
    #expect(axis.place(0.3) == 0 && axis.place(0.94) == 1)
    #expect(axis.ticks.map(axis.label) == ["0.4", "0.6", "0.8"])
    #expect(abs(axis.place(0.62) - 0.5) < 1e-12)
    // Beyond the ends is at the ends.
    #expect(axis.place(-1) == 0 && axis.place(2) == 1)
  }

  /// Equal ratios are equal distances: 98.9 and 99.1 % are as far apart as 89 and 91 %.
  @Test func logarithms() {
    let axis = Axis(from: 0.9, to: 90, count: 6, isLogarithmic: true)
    #expect(axis.place(0.9) == 0 && axis.place(90) == 1 && abs(axis.place(9) - 0.5) < 1e-12)
    let (near, far) = (axis.place(1.1) - axis.place(0.9), axis.place(11) - axis.place(9))
    #expect(abs(near - far) < 1e-12 && near > 0.04)
    #expect(axis.ticks.map(axis.label) == ["1", "2", "5", "10", "20", "50"])
    let wide = Axis(from: 1e-3, to: 1e3, count: 3, isLogarithmic: true)
    #expect(wide.ticks.map(wide.label).prefix(3) == ["0.001", "0.01", "0.1"])
    // Too narrow for powers of ten: round numbers, in their places.
    let narrow = Axis(from: 1.1, to: 1.9, count: 4, isLogarithmic: true)
    #expect(narrow.ticks.count >= 3 && narrow.ticks.allSatisfy { (1.1...1.9).contains($0) })
    #expect(abs(narrow.place((1.1 * 1.9).squareRoot()) - 0.5) < 1e-12)
    // Nothing below zero has a logarithm.
    #expect(Axis(from: 0, to: 1, count: 4, isLogarithmic: true).place(0.5) == 0.5)
  }

  /// A band is an outline: the high values from left to right, and the low ones back.
  @Test func bands() {
    let chart = Chart(
      title: "t", x: "x", y: "y",
      series: [.init(number: 7, points: [(0, 1), (1, 1)], band: [(0, 0, 2), (1, 0, 2)])])
    #expect(
      chart.svg.contains(
        "<polygon class=\"band b1\" points=\"52.0,10.0 448.0,10.0 448.0,240.0 52.0,240.0\" />"),
      "\(chart.svg)")
  }

  /// The sample's standard deviation of 1, 2, 3, 4 is the root of 5/3.
  @Test func spread() throws {
    let spread = try #require(Spread([1, 2, 3, 4]))
    #expect(spread.mean == 2.5)
    #expect(abs((spread.standardDeviation ?? 0) - (5.0 / 3).squareRoot()) < 1e-15)
    #expect(Spread([0.5])?.standardDeviation == nil && Spread([]) == nil)
    #expect(Spread([0.5])?.percentages == "50.00 %")
    #expect(Spread([0.97, 0.99])?.percentages == "98.00 ± 1.41 %")
  }
}

/// Figures and lines stand out from what is behind them, in light, dark and print.
struct ReportStyleTests {
  typealias Colour = [Double]

  /// The variables of a part of the style: 3 values from 0 to 255.
  private static func colours(_ style: Substring) -> [String: Colour] {
    var found: [String: Colour] = [:]
    for match in style.matches(of: /--([a-z0-9]+): #([0-9a-f]+);/) {
      let digits = match.2.count == 3 ? match.2.flatMap { [$0, $0] } : Array(match.2)
      found[String(match.1)] = stride(from: 0, to: 6, by: 2).map {
        Double(Int(String(digits[$0..<$0 + 2]), radix: 16) ?? 0)
      }
    }
    for match in style.matches(of: /--mark: ([0-9]+), ([0-9]+), ([0-9]+);/) {
      found["mark"] = [match.1, match.2, match.3].map { Double($0) ?? 0 }
    }
    return found
  }

  /// The ratio of the Web Content Accessibility Guidelines, 1 to 21.
  private static func contrast(_ a: Colour, _ b: Colour) -> Double {
    func luminance(_ colour: Colour) -> Double {
      let linear = colour.map { value in
        value <= 10 ? value / 255 / 12.92 : pow((value / 255 + 0.055) / 1.055, 2.4)
      }
      return zip([0.2126, 0.7152, 0.0722], linear).reduce(0) { $0 + $1.0 * $1.1 }
    }
    let (low, high) = (min(luminance(a), luminance(b)), max(luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)
  }

  @Test(arguments: ["", "prefers-color-scheme: dark", "@media print"])
  func standsOut(scheme: String) throws {
    let style = Report.style
    let start = scheme.isEmpty ? style.startIndex : try #require(style.range(of: scheme)).upperBound
    let end = try #require(style[start...].range(of: "} }")).upperBound
    let colours = Self.colours(
      style[start..<(scheme.isEmpty ? try #require(style.range(of: "@media")).lowerBound : end)])
    #expect(colours.count == 12, "\(colours.keys)")
    let (back, text) = (try #require(colours["back"]), try #require(colours["text"]))
    let mark = try #require(colours["mark"])
    let deepest = zip(mark, back).map {
      $0 * Report.deepestMark + $1 * (1 - Report.deepestMark)
    }
    let page = try #require(colours["page"])
    for ground in [back, page] {
      #expect(Self.contrast(text, ground) >= 7)
      #expect(Self.contrast(try #require(colours["weak"]), ground) >= 4.5)
    }
    #expect(Self.contrast(text, deepest) >= 4.5)
    for number in 0..<Chart.colours {
      #expect(Self.contrast(try #require(colours["c\(number)"]), back) >= 3, "c\(number)")
    }
  }
}
