import Foundation

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

  /// The densest of these that is not too dense: 1 in every decade; 1 and 3; 1, 2 and 5; seven in every decade.
  private static func powers(from low: Double, to high: Double, count: Int) -> [Double] {
    let decades = Int(floor(log10(low)))...Int(floor(log10(high)))
    let digits: [[Double]] = [[1, 1.5, 2, 3, 4, 5, 7], [1, 2, 5], [1, 3], [1]]
    let choices = digits.map { digits -> [Double] in
      let ticks = decades.flatMap { decade -> [Double] in
        let power = pow(10, Double(decade))
        return digits.map { $0 * power }
      }
      return ticks.filter { $0 >= low * (1 - 1e-9) && $0 <= high * (1 + 1e-9) }
    }
    return choices.first { $0.count <= count + 3 } ?? choices[3]
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
    return decimals == 0 ? grouped(value) : decimal(value, decimals)
  }
}
