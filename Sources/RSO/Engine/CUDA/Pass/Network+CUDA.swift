import CRSO

extension rso_gpu_slide {
  init(_ input: Shape, _ output: Shape, kernel: Int = 1, stride: Int = 1, padding: Int = 0) {
    self.init(
      height: Int32(input.height), width: Int32(input.width), out_height: Int32(output.height),
      out_width: Int32(output.width), kernel_height: Int32(kernel), kernel_width: Int32(kernel),
      stride: Int32(stride), padding: Int32(padding))
  }
}

extension Network {
  /// A layer's window; 1×1 for a layer without a window.
  func slide(of node: Int) -> rso_gpu_slide {
    let (input, output) = (shapes[inputs[node][0]], shapes[node + 1])
    let window = nodes[node].layer.window
    return rso_gpu_slide(
      input, output, kernel: window.kernel, stride: window.stride, padding: window.padding)
  }

  /// The index of a batch norm's running mean among the statistics; the variance follows it.
  func statisticsOffset(of node: Int) -> Int {
    nodes.indices.prefix(node).reduce(0) {
      nodes[$1].layer.takesStatistics ? $0 + 2 * shapes[$1 + 1].channels : $0
    }
  }
}
