import CRSO

extension rso_window {
  init(_ input: Shape, _ output: Shape, kernel: Int = 1, stride: Int = 1, padding: Int = 0) {
    self.init(
      height: Int32(input.height), width: Int32(input.width), out_height: Int32(output.height),
      out_width: Int32(output.width), kernel: Int32(kernel), stride: Int32(stride),
      padding: Int32(padding))
  }
}

extension Network {
  /// Kernel, stride and padding of a convolution; 1, 1, 0 for a linear layer.
  func window(of node: Int) -> rso_window {
    let (input, output) = (shapes[inputs[node][0]], shapes[node + 1])
    if case .conv2d(_, let kernel, let stride, let padding, _) = nodes[node].layer {
      return rso_window(input, output, kernel: kernel, stride: stride, padding: padding)
    }
    return rso_window(input, output)
  }
}
