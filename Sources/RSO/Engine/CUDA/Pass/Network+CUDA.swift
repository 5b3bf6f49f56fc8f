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
