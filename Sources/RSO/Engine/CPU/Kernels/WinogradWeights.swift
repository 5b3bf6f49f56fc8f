import CRSO

/// Weights of a 3×3 convolution at the points of Winograd's algorithm, as `rso_layer` reads them.
///
/// A tile of `m` outputs in a row is computed from products at points `a`, the last of which is infinity. Inputs and
/// weights are polynomials, and `g(a) / Π (a − a')` is stored, where `g` is the weights' polynomial. With stride 2, the
/// outer two taps form a polynomial of their own, and the middle tap is stored unchanged.
struct WinogradWeights {
  let buffer: Buffer<Float>
  private let inputs: Int
  private let blocks: Int
  private let stride: Int

  init(outputs: Int, inputs: Int, stride: Int) throws {
    self.inputs = inputs
    self.stride = stride
    blocks = (outputs + 7) / 8
    let points = Self.tiles.map { Self.matrix(outputs: $0, stride: stride).count }.reduce(0, +)
    buffer = try Buffer(points * points * blocks * inputs * 8)
  }

  /// Whether the kernel supports this convolution and is faster than the direct one.
  ///
  /// Transforming inputs and outputs costs as much as the products of several channels.
  static func suits(_ window: rso_window, inputs: Int, outputs: Int) -> Bool {
    var window = window
    return rso_has_rows(&window) != 0 && rso_has_layer(window.out_height, window.out_width) != 0
      && min(inputs, outputs) >= (window.stride == 1 ? 6 : 12)
  }

  /// Outputs per tile in one dimension, in the kernel's order.
  private static let tiles = [4, 3]

  /// `[points][3]`: the factor of each tap at each point.
  static func matrix(outputs: Int, stride: Int) -> [[Double]] {
    let count = stride == 1 ? outputs + 2 : outputs + 1
    let points = Array([0.0, 1, -1, 2, -2].prefix(count - 1))
    var rows = points.map { a in
      let scale = points.filter { $0 != a }.reduce(1) { $0 * (a - $1) }
      return stride == 1 ? [1 / scale, a / scale, a * a / scale] : [1 / scale, 0, a / scale]
    }
    rows.append([0, 0, 1])
    if stride == 2 { rows += Array(repeating: [0, 1, 0], count: outputs) }
    return rows
  }

  /// Sets whole rows from `values`, `[out][in][3][3]`.
  func set(outputs: Int, _ values: ArraySlice<Float>) {
    let taps = values.map(Double.init)
    var start = 0
    for tall in Self.tiles {
      for wide in Self.tiles {
        let down = Self.matrix(outputs: tall, stride: stride)
        let across = Self.matrix(outputs: wide, stride: stride)
        for y in down {
          for (point, x) in across.enumerated() {
            let factors = y.flatMap { y in x.map { y * $0 } }
            for output in 0..<outputs {
              for input in 0..<inputs {
                let first = (output * inputs + input) * 9
                var sum = 0.0
                for tap in 0..<9 { sum += factors[tap] * taps[first + tap] }
                let place = ((output / 8 * inputs + input) * across.count + point) * 8 + output % 8
                buffer.pointer[start + place] = Float(sum)
              }
            }
          }
          start += blocks * inputs * across.count * 8
        }
      }
    }
  }
}
