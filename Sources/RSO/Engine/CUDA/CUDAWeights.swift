import CRSO

/// The weights of whole and mixing layers in the order that kernels read them, packed once each.
final class CUDAWeights {
  private let space: AddressSpace
  private var pieces: [Int: AddressSpace.Piece] = [:]
  private(set) var launches: [CUDALaunch] = []

  init(space: AddressSpace) { self.space = space }

  /// Outputs, rounded up to whole tiles.
  static func padded(_ outputs: Int) -> Int {
    outputs <= 8 ? (outputs + 3) / 4 * 4 : (outputs + 15) / 16 * 16
  }

  /// Packs those of all convolutions and linear layers among `nodes`.
  func pack(_ nodes: [Int], _ pass: CUDAPass) {
    for node in nodes where pass.network.nodes[node].layer.mixesChannels { _ = packed(node, pass) }
  }

  /// Those of `node`, `[inputs][taps][padded outputs]`.
  func packed(_ node: Int, _ pass: CUDAPass) -> UInt64 {
    if let piece = pieces[node] { return piece.address }
    guard let slot = pass.parameters.slot(node: node, .weight) else { return 0 }
    let taps = slot.shape.dropFirst(2).reduce(1, *)
    let padded = Self.padded(slot.shape[0])
    let piece = space.take(slot.shape[1] * taps * padded, Float.self)
    pieces[node] = piece
    launches.append(
      .over(
        .pack, count: slot.shape[1] * taps * padded,
        rso_gpu_pack(
          turn: pass.board.turn, parameters: pass.board.parameter(slot), units: 0, start: 0,
          decided: 0, weights: piece.address, inputs: Int32(slot.shape[1]), taps: Int32(taps),
          outputs: Int32(slot.shape[0]), padded_outputs: Int32(padded))))
    return piece.address
  }
}

extension rso_gpu_slide {
  init(_ input: Shape, _ output: Shape, kernel: Int = 1, stride: Int = 1, padding: Int = 0) {
    self.init(
      height: Int32(input.height), width: Int32(input.width), out_height: Int32(output.height),
      out_width: Int32(output.width), kernel_height: Int32(kernel), kernel_width: Int32(kernel),
      stride: Int32(stride), padding: Int32(padding))
  }
}

extension Network {
  /// The window of a convolution; one place of one for a linear layer.
  func slide(of node: Int) -> rso_gpu_slide {
    let (input, output) = (shapes[inputs[node][0]], shapes[node + 1])
    if case .conv2d(_, let kernel, let stride, let padding, _) = nodes[node].layer {
      return rso_gpu_slide(input, output, kernel: kernel, stride: stride, padding: padding)
    }
    return rso_gpu_slide(input, output)
  }

  /// Where a batch norm's running mean is, counted in numbers; the variance follows it.
  func statisticsOffset(of node: Int) -> Int {
    nodes.indices.prefix(node).reduce(0) {
      if case .batchNorm = nodes[$1].layer { $0 + 2 * shapes[$1 + 1].channels } else { $0 }
    }
  }
}
