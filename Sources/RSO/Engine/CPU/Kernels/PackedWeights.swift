/// Weights `[out][in][tap]` in the order in which the convolution kernel reads them: `[⌈out / 8⌉][in][tap][8]`, with
/// zeros for missing output channels.
struct PackedWeights {
  let buffer: Buffer<Float>
  let inputs: Int
  let taps: Int

  init(outputs: Int, inputs: Int, taps: Int) throws {
    buffer = try Buffer((outputs + 7) / 8 * 8 * inputs * taps)
    self.inputs = inputs
    self.taps = taps
  }

  func set(output: Int, input: Int, tap: Int, _ value: Float) {
    buffer.pointer[((output / 8 * inputs + input) * taps + tap) * 8 + output % 8] = value
  }

  /// Sets whole rows from `values`, `[out][in][tap]`.
  func set(outputs: Int, _ values: ArraySlice<Float>) {
    var next = values.startIndex
    for output in 0..<outputs {
      for input in 0..<inputs {
        for tap in 0..<taps {
          set(output: output, input: input, tap: tap, values[next])
          next += 1
        }
      }
    }
  }
}
