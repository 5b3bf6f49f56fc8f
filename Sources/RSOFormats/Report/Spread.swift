/// The mean of some numbers and how far they spread.
package struct Spread: Hashable, Codable, Sendable {
  package var mean: Double
  /// The sample's, with n − 1; `nil` for a single number.
  package var standardDeviation: Double?

  /// `nil` for no numbers.
  package init?(_ values: [Double]) {
    guard !values.isEmpty else { return nil }
    let mean = values.reduce(0, +) / Double(values.count)
    self.mean = mean
    if values.count > 1 {
      let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      standardDeviation = (squares / Double(values.count - 1)).squareRoot()
    }
  }

  /// Shares as percentages: `97.10 ± 0.21 %`.
  package var percentages: String {
    let deviation = standardDeviation.map { " ± " + decimal(100 * $0, 2) } ?? ""
    return decimal(100 * mean, 2) + deviation + " %"
  }
}
