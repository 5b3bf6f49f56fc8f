import CRSO

/// Integer weights of a convolution or linear layer that reads bytes, as `rso_integer_layer` has them.
///
/// A class, so that an instruction, which is copied for every block, has one reference to count.
final class IntegerWeights {
  let window: rso_window
  let inputs: Int
  /// The bytes that the layer reads.
  let bytes: Network.Bytes
  /// `[⌈out / 8⌉][rows][⌈in / 4⌉][columns][8]`, four signed bytes each. A row is a row of taps or, at points, what the taps
  /// of a column are at one of Winograd's points.
  let packed: Buffer<Int32>
  /// What makes up for the byte that stands for 0 and, at points, for bytes around 128: `[out]` rounded up to 8; at points,
  /// for each row.
  let start: Buffer<Int32>
  /// What an integer is worth; `[out]` rounded up to 8.
  let unit: Buffer<Float>
  /// Whether Winograd's algorithm runs along the columns.
  let isAtPoints: Bool
  /// Whether all sums have 16 bits.
  let areSumsShort: Bool
  /// `[rows][taps of a column]`: the factors that make a row of weights.
  private let rows: [[Int32]]

  /// - Parameter levels: the largest magnitude of the weights' levels.
  init(
    _ window: rso_window, inputs: Int, outputs: Int, levels: Int, reading bytes: Network.Bytes
  ) throws {
    self.window = window
    self.inputs = inputs
    self.bytes = bytes
    let most = inputs * Int(window.kernel * window.kernel) * levels * Int(bytes.largest)
    areSumsShort = most < 1 << 15
    // Below 2²⁰, sums at points and what is made of them have less than 32 bits.
    isAtPoints = Self.suitsPoints(window, inputs: inputs, levels: levels, bytes) && most < 1 << 20
    let kernel = Int(window.kernel)
    rows =
      isAtPoints
      ? [4, 3].flatMap { WinogradWeights.matrix(outputs: $0, stride: 1) }
        .map { $0.map { Int32((Self.scale * $0).rounded()) } }
      : (0..<kernel).map { row in (0..<kernel).map { $0 == row ? 1 : 0 } }
    let padded = (outputs + 7) / 8 * 8
    packed = try Buffer(padded * ((inputs + 3) / 4) * rows.count * kernel)
    start = try Buffer(padded * (isAtPoints ? rows.count : 1))
    unit = try Buffer(padded)
  }

  /// Whether bytes pay. Of a single pixel, they cost more than they save in the products of few outputs.
  static func suits(_ window: rso_window, inputs: Int, outputs: Int) -> Bool {
    inputs >= 4 && (outputs >= 32 || window.out_height * window.out_width > 1)
  }

  /// What makes the weights at the points integers: the denominators are 1, 2, 4, 6 and 24.
  private static let scale = 24.0

  /// Whether the inputs and weights at the points are bytes, and whether Winograd's algorithm saves anything: it adds
  /// work for each input and output, which the products of some channels outweigh.
  static func suitsPoints(
    _ window: rso_window, inputs: Int, levels: Int, _ bytes: Network.Bytes
  ) -> Bool {
    // At a point, an input is at most 8 times a byte, from −128 to 127, and a weight at most 3 · 12 levels.
    window.kernel == 3 && window.stride == 1 && inputs >= 8
      && rso_has_layer(window.out_height, window.out_height) != 0
      && bytes.largest <= 16 && levels <= 3
  }

  /// Sets whole rows from `values`, `[out][in][tap]`.
  func set(outputs: Int, _ values: ArraySlice<Float>) {
    let kernel = Int(window.kernel)
    let (taps, groups) = (kernel * kernel, (inputs + 3) / 4)
    let padded = unit.count
    for output in 0..<outputs {
      let first = values.startIndex + output * inputs * taps
      let weights = IntegerRow(values[first..<first + inputs * taps])
      let zero: Int32
      (zero, unit.pointer[output]) = weights.start(bytes)
      if !isAtPoints { start.pointer[output] = zero }
      for (index, factors) in rows.enumerated() {
        var sum: Int32 = 0
        for group in 0..<groups {
          for column in 0..<kernel {
            let channels = (4 * group..<4 * group + 4).map { input in
              input < inputs
                ? (0..<kernel).reduce(0) {
                  $0 + factors[$1] * weights.levels[input * taps + $1 * kernel + column]
                } : 0
            }
            sum += channels.reduce(0, +)
            let term = (index * groups + group) * kernel + column
            let block = output / 8 * rows.count * groups * kernel
            packed.pointer[(block + term) * 8 + output % 8] = .init(packing: channels)
          }
        }
        // Point 1 is the second of a tile, and adds to all of its outputs.
        if isAtPoints {
          start.pointer[index * padded + output] =
            -128 * sum + ([1, 7].contains(index) ? Int32(Self.scale) * zero : 0)
        }
      }
    }
  }
}

/// Integer weights that mix one channel of bytes into all outputs of a 3×3 convolution, as `rso_integer_mixing` has them.
struct IntegerMixing {
  let bytes: Network.Bytes
  /// `[out][3]`, four signed bytes each: a row's taps.
  let packed: Buffer<Int32>
  /// `[out]`, both.
  let start: Buffer<Int32>
  let unit: Buffer<Float>

  init(outputs: Int, reading bytes: Network.Bytes) throws {
    self.bytes = bytes
    packed = try Buffer(outputs * 3)
    start = try Buffer(outputs)
    unit = try Buffer(outputs)
  }

  /// Sets the weights from `[out][1][3][3]`.
  func set(outputs: Int, _ values: ArraySlice<Float>) {
    for output in 0..<outputs {
      let first = values.startIndex + output * 9
      let row = IntegerRow(values[first..<first + 9])
      (start.pointer[output], unit.pointer[output]) = row.start(bytes)
      for y in 0..<3 {
        packed.pointer[output * 3 + y] = .init(packing: Array(row.levels[3 * y..<3 * y + 3]))
      }
    }
  }
}

/// Weights as integers times the greatest power of two that divides all of them.
private struct IntegerRow {
  let levels: [Int32]
  let unit: Float

  /// - Parameter weights: levels of a domain times a power of two.
  init(_ weights: ArraySlice<Float>) {
    let unit = weights.reduce(Float.infinity) {
      $1 == 0 ? $0 : min($0, $1.ulp * Float(1 << $1.significandBitPattern.trailingZeros))
    }
    self.unit = unit.isFinite ? unit : 1
    levels = weights.map { [unit = self.unit] in
      let level = $0 / unit
      return level > -127 ? Int32(min(level, 127)) : -127
    }
  }

  /// What the sum of a byte's products starts from, and what an integer is worth.
  func start(_ bytes: Network.Bytes) -> (start: Int32, unit: Float) {
    (-bytes.zero * levels.reduce(0, +), unit / bytes.perUnit)
  }
}

extension UInt32 {
  /// The zero bits at the end, at most 23.
  fileprivate var trailingZeros: Int { Swift.min(trailingZeroBitCount, 23) }
}

extension Int32 {
  /// Four signed bytes, the first in the last bits.
  fileprivate init(packing levels: [Int32]) {
    self = levels.enumerated().reduce(0) { $0 | ($1.element & 255) << (8 * $1.offset) }
  }
}

extension Network {
  /// How a value's numbers become bytes: `perUnit · x + zero`.
  struct Bytes: Hashable {
    /// A power of two.
    var perUnit: Float
    /// The byte that stands for 0; not 0 if numbers may be negative.
    var zero: Int32
    /// The largest byte.
    var largest: Int32

    /// Of the numbers whose sums of four these are.
    var ofFour: Bytes { Bytes(perUnit: perUnit / 4, zero: zero / 4, largest: largest / 4) }
  }

  /// For every value, as `shapes` numbers them: how its numbers become bytes; `nil` if they do not fit or do not come from
  /// steps.
  ///
  /// What images are is not known here: tables have floats.
  var bytes: [Bytes?] {
    let grids = grids
    var areSigned: [Bool?] = [nil]
    for (index, node) in nodes.enumerated() {
      let reads = inputs[index].map { areSigned[$0] }
      switch node.layer {
      case .activation(.sign), .activation(.quantize(_, signed: true)): areSigned.append(true)
      case .activation(.hardStep), .activation(.quantize(_, signed: false)): areSigned.append(false)
      case .activation(.relu): areSigned.append(reads[0].map { _ in false })
      case .maxPool, .globalMaxPool, .averagePool, .globalAveragePool, .flatten:
        areSigned.append(reads[0])
      case .add:
        if let a = reads[0], let b = reads[1] {
          areSigned.append(a || b)
        } else {
          areSigned.append(nil)
        }
      case .conv2d, .depthwiseConv2d, .linear, .batchNorm, .activation: areSigned.append(nil)
      }
    }
    return zip(grids, areSigned).map { grid, isSigned in
      guard let grid, let isSigned, let exponent = grid.exponent,
        grid.largest <= (isSigned ? 127 : 255)
      else { return nil }
      return Bytes(
        perUnit: Float(sign: .plus, exponent: -exponent, significand: 1),
        zero: isSigned ? Int32(grid.largest) : 0,
        largest: Int32(isSigned ? 2 * grid.largest : grid.largest))
    }
  }

  /// For every node: the bytes it reads; `nil` if its sums are not all integers below 2²⁴.
  var bytesOfIntegerLayers: [Bytes?] {
    let (grids, bytes) = (grids, bytes)
    return nodes.indices.map { node in
      grids[node + 1] != nil && nodes[node].weights.isDiscrete && nodes[node].layer.mixesChannels
        ? bytes[inputs[node][0]] : nil
    }
  }
}
