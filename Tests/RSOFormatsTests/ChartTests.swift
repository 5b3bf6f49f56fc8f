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
    #expect(chart.svg.contains("points=\"54.0,228.0 231.0,121.0 408.0,14.0\""), "\(chart.svg)")
    #expect(chart.svg.contains("class=\"line c1\""))
    #expect(chart.svg.contains(">time, s</text>") && chart.svg.contains(">loss</text>"))
    let point = Chart(title: "t", x: "x", y: "y", series: [.init(number: 0, points: [(1, 1)])])
    #expect(point.svg.contains("<circle"))
    // Nothing yet: axes alone.
    #expect(Chart(title: "t", x: "x", y: "y", series: []).svg.contains("<line"))
  }
}
