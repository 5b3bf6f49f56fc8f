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
  /// A layer's window; kernel 1, stride 1 and padding 0 for a layer without one.
  func window(of node: Int) -> rso_window {
    let (input, output) = (shapes[inputs[node][0]], shapes[node + 1])
    let window = nodes[node].layer.window
    return rso_window(
      input, output, kernel: window.kernel, stride: window.stride, padding: window.padding)
  }
}
