/// Reconstructs the swept tensor at any time within its sweep, from its values before the sweep and the schedule.
struct SweepHistory {
  let slot: Parameters.Slot
  private let start: [Float]

  /// - Parameter values: the swept tensor before its sweep.
  init(slot: Parameters.Slot, values: ArraySlice<Float>) {
    self.slot = slot
    start = Array(values)
  }

  struct Change {
    var element: Int
    var delta: Float
  }

  /// Appends the change of every element that has changed.
  func changes(
    of elements: ArraySlice<Int32>, in parameters: Parameters, to changes: inout [Change]
  ) {
    for element in elements {
      let element = Int(element)
      let delta = parameters.values[slot.offset + element] - start[element]
      if delta != 0 { changes.append(Change(element: element, delta: delta)) }
    }
  }

  /// The elements of one lone channel of the tensor in `slot` at `time`.
  ///
  /// - Parameter channels: lone channels.
  func row(
    of slot: Parameters.Slot, channel: Int, at time: Int, channels: Int, _ schedule: SweepSchedule,
    in parameters: Parameters
  ) -> [Float] {
    let count = slot.count / channels
    let first = slot.offset + channel * count
    var row = Array(parameters.values[first..<first + count])
    guard slot == self.slot else { return row }
    for element in schedule.elements(of: channel, since: time) {
      row[Int(element) - channel * count] = start[Int(element)]
    }
    return row
  }
}
