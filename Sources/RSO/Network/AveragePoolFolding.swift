extension Network {
  /// The same function, with each average pooling moved ahead of the convolution it follows.
  ///
  /// Average pooling is linear and the same at every position. So a convolution of stride 1 followed by a k×k
  /// average pooling of stride k equals a k×k average pooling of stride 1 followed by a convolution of stride k:
  /// exactly the same sums, with k² times fewer multiply-adds. Names and weights do not change.
  package func foldingAveragePools() -> Network {
    var nodes = self.nodes
    for index in nodes.indices.dropFirst() {
      guard case .averagePool(let size, let poolStride, 0) = nodes[index].layer,
        size == poolStride, size > 1, inputs[index] == [index],
        inputs.joined().filter({ $0 == index }).count == 1,
        case .conv2d(let channels, let kernel, 1, let padding, let bias) = nodes[index - 1].layer
      else { continue }
      let (convolution, pool) = (nodes[index - 1], nodes[index])
      nodes[index - 1] = Node(
        pool.name, .averagePool(kernel: size, stride: 1, padding: padding),
        input: convolution.input)
      nodes[index] = convolution
      nodes[index].input = nil
      nodes[index].layer = .conv2d(
        channels: channels, kernel: kernel, stride: size, padding: 0, bias: bias)
      // A layer that names the pooling needs its result, which the convolution now computes.
      for later in nodes.indices.dropFirst(index + 1) {
        if nodes[later].input == pool.name { nodes[later].input = convolution.name }
        if case .add(pool.name) = nodes[later].layer { nodes[later].layer = .add(convolution.name) }
      }
    }
    return (try? Network(input: input, nodes: nodes)) ?? self
  }
}
