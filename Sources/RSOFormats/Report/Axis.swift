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
    let margin = 2e-9 * (high / 2 - low / 2)
    func isInside(_ tick: Double) -> Bool { tick >= low - margin && tick <= high + margin }
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
    if let dense = choices.first(where: { $0.count <= count + 3 }) { return dense }
    // So many decades that not each of them has a tick?
    let every = choices[3].count <= 3 * count ? 1 : (choices[3].count + count) / (count + 1)
    return choices[3].enumerated().filter { $0.offset.isMultiple(of: every) }.map(\.element)
  }

  /// Where a value is, from 0 at the beginning to 1 at the end; values beyond the ends are at the ends.
  func place(_ value: Double) -> Double {
    // Twice the largest number is none.
    let part = (high - low).isFinite ? 1.0 : 0.5
    let share =
      isLogarithmic
      ? log(max(value, low) / low) / log(high / low)
      : (value * part - low * part) / (high * part - low * part)
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
    // The smallest and largest losses that are finite have a step, too.
    let parts = Double(count)
    let wanted = high > low ? high / parts - low / parts : max(abs(high), 1) / parts
    let rough = min(max(wanted, 1e-300), 5e307)
    let power = pow(10, floor(log10(rough)))
    let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough * 0.999 } ?? 10 * power
    let first = floor(low / step + 1e-9)
    let last = max(ceil(high / step - 1e-9), first + 1)
    let most = Double.greatestFiniteMagnitude
    values = (0...Int(last - first)).map { min(max((first + Double($0)) * step, -most), most) }
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
