/// The swept tensor as it was at any time within its sweep.
///
/// A mini-batch's rest was computed when other elements had not yet been decided. Since every element is
/// decided once, the values at the start and the order of decisions tell any earlier state.
struct SweepHistory {
  let slot: Parameters.Slot
  /// Elements per lone channel.
  let perChannel: Int
  private let start: [Float]
  /// The elements decided so far; the time is their number.
  private(set) var decided: [Int] = []

  /// - Parameter values: the swept tensor.
  init(slot: Parameters.Slot, channels: Int, values: ArraySlice<Float>) {
    self.slot = slot
    perChannel = slot.count / channels
    start = Array(values)
  }

  var now: Int { decided.count }

  mutating func record(_ element: Int) { decided.append(element) }

  func channel(of element: Int) -> Int { element / perChannel }

  /// The channels with an element decided since `time`.
  func changedChannels(since time: Int) -> Set<Int> {
    Set(decided[time...].map(channel(of:)))
  }

  /// Elements of `channel` that were changed since `time` and what each changed by, given the values of now.
  func changes(
    of channel: Int, since time: Int, in parameters: Parameters
  ) -> [(element: Int, delta: Float)] {
    decided[time...].filter { self.channel(of: $0) == channel }.map {
      ($0, parameters.values[slot.offset + $0] - start[$0])
    }.filter { $0.delta != 0 }
  }

  /// The elements of one channel of the tensor in `slot` at `time`.
  func row(
    of slot: Parameters.Slot, channel: Int, at time: Int, channels: Int, in parameters: Parameters
  ) -> [Float] {
    let count = slot.count / channels
    let first = slot.offset + channel * count
    var row = Array(parameters.values[first..<first + count])
    guard slot == self.slot else { return row }
    for element in decided[time...] where self.channel(of: element) == channel {
      row[element - channel * perChannel] = start[element]
    }
    return row
  }
}
