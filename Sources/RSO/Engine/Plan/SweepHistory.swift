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
    decided.reserveCapacity(slot.count)
  }

  var now: Int { decided.count }

  mutating func record(_ element: Int) { decided.append(element) }

  func channel(of element: Int) -> Int { element / perChannel }

  /// The channels with an element decided since `time`.
  func changedChannels(since time: Int) -> Set<Int> {
    Set(decided[time...].map(channel(of:)))
  }

  /// Whether no element of another channel was decided since `time`.
  func isOnly(_ channel: Int, since time: Int) -> Bool {
    decided[time...].allSatisfy { self.channel(of: $0) == channel }
  }

  struct Change {
    var element: Int
    var delta: Float
  }

  /// Appends the elements of `channel` that were changed since `time` and what each changed by, given the values of now.
  func changes(
    of channel: Int, since time: Int, in parameters: Parameters, to changes: inout [Change]
  ) {
    for element in decided[time...] where self.channel(of: element) == channel {
      let delta = parameters.values[slot.offset + element] - start[element]
      if delta != 0 { changes.append(Change(element: element, delta: delta)) }
    }
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
