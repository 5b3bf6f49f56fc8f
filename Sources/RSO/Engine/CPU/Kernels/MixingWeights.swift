import CRSO

/// The weights that mix one channel into all outputs of a 3×3 convolution.
///
/// A class, so that an instruction, which is copied for every block, has one reference to count.
final class MixingWeights {
  let window: rso_window
  let packed: PackedWeights
  /// The rows of every output's weights at Winograd's points; `nil` where the kernel cannot use them.
  let atPoints: Buffer<Float>?

  /// The weights as integers, if the channel has bytes.
  let integers: IntegerMixing?

  /// `nil` if the row kernel does not support the window.
  ///
  /// - Parameter bytes: the bytes of the channel; then the result is exact, as Winograd's algorithm would not be.
  init?(_ window: rso_window, outputs: Int, reading bytes: Network.Bytes?) throws {
    var window = window
    guard rso_has_rows(&window) != 0 else { return nil }
    self.window = window
    packed = try PackedWeights(outputs: outputs, inputs: 1, taps: 9)
    integers = try bytes.map { try IntegerMixing(outputs: outputs, reading: $0) }
    let hasTiles =
      bytes == nil && window.stride == 1
      && rso_has_layer(window.out_width, window.out_width) != 0
    atPoints = hasTiles ? try Buffer(outputs * 33) : nil
  }

  /// Sets the weights from `[out][1][3][3]`.
  func set(outputs: Int, _ values: ArraySlice<Float>) {
    packed.set(outputs: outputs, values)
    integers?.set(outputs: outputs, values)
    guard var place = atPoints?.pointer else { return }
    let matrices = [4, 3].map { WinogradWeights.matrix(outputs: $0, stride: 1) }
    for output in 0..<outputs {
      for matrix in matrices {
        for row in 0..<3 {
          for point in matrix {
            let first = values.startIndex + output * 9 + row * 3
            let sum = (0..<3).reduce(0) { $0 + point[$1] * Double(values[first + $1]) }
            place.pointee = Float(sum)
            place += 1
          }
        }
      }
    }
  }
}
