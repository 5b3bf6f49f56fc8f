import CRSO

/// The weights of whole and mixing layers, each packed once in the order in which kernels read them.
final class CUDAWeights {
  private let space: AddressSpace
  private var pieces: [Key: AddressSpace.Piece] = [:]
  private(set) var launches: [CUDALaunch] = []

  init(space: AddressSpace) { self.space = space }

  /// Number of outputs, rounded up to whole tiles.
  static func padded(_ outputs: Int) -> Int {
    outputs <= 8 ? (outputs + 3) / 4 * 4 : (outputs + 15) / 16 * 16
  }

  /// The most bytes that the weights of all layers need, in one layout each.
  static func room(_ network: Network) -> Int {
    network.nodes.indices.filter { network.nodes[$0].layer.mixesChannels }.reduce(0) { sum, node in
      let (inputs, outputs) = (network.shapes[network.inputs[node][0]], network.shapes[node + 1])
      let taps = Int(network.slide(of: node).kernel_height * network.slide(of: node).kernel_width)
      let plain = inputs.channels * taps * padded(outputs.channels)
      let matrix = inputs.channels * rowLength(.matrixBox) * (padded(outputs.channels) + 15) / 16
      return sum + (4 * max(plain, matrix) + 255) / 256 * 256
    }
  }

  /// The order in memory.
  enum Layout {
    /// `[inputs][taps][padded outputs]`
    case plain
    /// Tiles of 16 outputs: `[tiles][inputs][taps][16]` with a gap after each input.
    case matrix
    /// The same with 4×4 taps, which apply to the value that 2×2 means are taken of.
    case matrixBox
  }

  /// Floats per input, including its gap.
  static func rowLength(_ layout: Layout) -> Int {
    switch layout {
    case .plain: 0
    case .matrix: 9 * 16 + 8
    case .matrixBox: 16 * 16 + 8
    }
  }

  private struct Key: Hashable {
    var node: Int
    var layout: Layout
  }

  /// The weights of `node`.
  func packed(_ node: Int, _ pass: CUDAPass, _ layout: Layout = .plain) -> UInt64 {
    let key = Key(node: node, layout: layout)
    if let piece = pieces[key] { return piece.address }
    guard let slot = pass.parameters.slot(node: node, .weight) else { return 0 }
    let inputs = slot.shape[1]
    let taps = slot.shape.dropFirst(2).reduce(1, *)
    let padded = Self.padded(slot.shape[0])
    let length = Self.rowLength(layout)
    let count = layout == .plain ? inputs * taps * padded : inputs * length * padded / 16
    let piece = space.take(count, Float.self)
    pieces[key] = piece
    launches.append(
      .over(
        .pack, count: count,
        rso_gpu_pack(
          turn: pass.board.turn, parameters: pass.board.parameter(slot), units: 0, start: 0,
          decided: 0, weights: piece.address, inputs: Int32(inputs), taps: Int32(taps),
          outputs: Int32(slot.shape[0]), padded_outputs: Int32(padded), row_length: Int32(length),
          box: layout == .matrixBox ? 1 : 0)))
    return piece.address
  }
}
