@testable import RSO

extension SweepSchedule.Turn {
  /// A turn as far as its cost is concerned.
  ///
  /// - Parameter signs: of the lone channels to compute; none: the rest is good.
  static func costing(signs: [Int] = [], isFresh: Bool = false, changes: Int = 0) -> Self {
    let units = signs.map { SweepSchedule.Unit(channel: 1, time: 0, sign: $0) }
    return Self(
      element: 0, batch: 0, channel: 0, time: 0, isFirst: false,
      refresh: units.isEmpty ? nil : .init(units: units, isFresh: isFresh), changes: 0..<changes)
  }

  /// The rest is made of that many channels.
  static func fresh(_ channels: Int) -> Self {
    costing(signs: Array(repeating: 1, count: channels - 1) + [0], isFresh: true)
  }
}
