import CRSO
import Foundation

/// The kernels of one instruction set.
package struct Kernels: @unchecked Sendable {
  let table: UnsafePointer<rso_kernels>

  package var name: String { String(cString: table.pointee.name) }

  /// Those that this machine can run, fastest first.
  package static let available: [Kernels] = {
    var found: [Kernels] = []
    while let table = rso_kernels_at(Int32(found.count)) { found.append(Kernels(table: table)) }
    return found
  }()

  /// Those that the environment variable `RSO_KERNELS` names, else the fastest: for timing an instruction
  /// set, or for the bits of a machine that has no better one.
  package static func preferred() throws -> Kernels {
    guard let name = ProcessInfo.processInfo.environment["RSO_KERNELS"] else { return available[0] }
    guard let kernels = available.first(where: { $0.name == name }) else {
      throw RSOError(
        "RSO_KERNELS",
        "expected \(available.map(\.name).joined(separator: " or ")), found \(name)",
        hint: "unset it")
    }
    return kernels
  }

  /// Samples per block, innermost in memory.
  static let block = 16
}

extension Activation {
  var kernel: rso_activation {
    switch self {
    case .relu: rso_relu
    case .leakyReLU: rso_leaky_relu
    case .sigmoid: rso_sigmoid
    case .tanh: rso_tanh
    case .sign: rso_sign
    }
  }
}

extension rso_window {
  init(_ input: Shape, _ output: Shape, kernel: Int = 1, stride: Int = 1, padding: Int = 0) {
    self.init(
      height: Int32(input.height), width: Int32(input.width), out_height: Int32(output.height),
      out_width: Int32(output.width), kernel: Int32(kernel), stride: Int32(stride),
      padding: Int32(padding))
  }
}

/// Weights `[out][in][tap]` in the order the convolution kernel reads them:
/// `[⌈out / 8⌉][in][tap][8]`, missing output channels zero.
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

  /// Takes over whole rows: `values` is `[out][in][tap]`.
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
