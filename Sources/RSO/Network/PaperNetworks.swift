extension Network {
  /// A network for tables: two linear layers with a ReLU between them.
  ///
  /// - Throws: `RSOError` if the features or classes are too many for a network.
  public static func table(features: Int, classes: Int) throws -> Network {
    try Network(input: Shape(channels: features)) {
      Node.linear("fc0", features: 16, bias: true)
      Node.relu("relu0")
      Node.linear("fc1", features: classes, bias: true)
    }
  }
}

/// The paper's two networks, for any images and any number of classes.
extension Network {
  /// One block: `conv3x3(ReLU(previous))`, the shortcut if there is one, pooling if it pools, then batch norm.
  private struct Block {
    var filters: Int
    var pools = false
    /// The earlier block whose output, before its ReLU, is added ahead of the pooling.
    var shortcut: Int?
  }

  /// The paper's network of 6 (MNIST) or 9 (CIFAR-10, with four shortcuts) convolution layers.
  ///
  /// - Throws: `RSOError` about `layers` for any other number, or about the layer at which an image is too small
  ///   for the pooling.
  public static func paper(layers: Int, input: Shape, classes: Int) throws -> Network {
    switch layers {
    case 6:
      try paper(
        [16, 16, 16, 16, 16, 16].enumerated().map {
          Block(filters: $1, pools: $0 == 1 || $0 == 3)
        }, input, classes)
    case 9:
      try paper(
        [
          Block(filters: 16), Block(filters: 16),
          Block(filters: 16, pools: true, shortcut: 0), Block(filters: 32),
          Block(filters: 32, pools: true, shortcut: 2), Block(filters: 32),
          Block(filters: 32, shortcut: 4), Block(filters: 32),
          Block(filters: 32, shortcut: 6),
        ], input, classes)
    default:
      throw RSOError(
        "`layers`",
        "expected 6 (the paper's MNIST network) or 9 (its CIFAR-10 network), found \(layers)",
        hint: "any other network: `network`")
    }
  }

  /// The six-block network of the paper: 12,016 weights on 28×28 images of digits.
  public static func mnist() throws -> Network {
    try paper(layers: 6, input: Shape(channels: 1, height: 28, width: 28), classes: 10)
  }

  private static func paper(_ blocks: [Block], _ input: Shape, _ classes: Int) throws -> Network {
    try Network(input: input) {
      for (index, block) in blocks.enumerated() {
        let channels = index == 0 ? input.channels : blocks[index - 1].filters
        // The shortcut's own layers come before the block's. The search runs from the output to the input, so it
        // sweeps them after the block's.
        if let source = block.shortcut, blocks[source].filters != block.filters {
          Node(
            "shortcut\(index)", .conv2d(channels: block.filters, kernel: 1), input: "bn\(source)",
            initialDeviation: (2 / Double(channels)).squareRoot(),
            proposalDeviation: (2 / Double(9 * channels)).squareRoot())
          Node.batchNorm("shortcut_bn\(index)")
        }
        if index > 0 { Node.relu("relu\(index)", input: "bn\(index - 1)") }
        Node.conv2d("conv\(index)", channels: block.filters, kernel: 3, padding: 1)
        if let source = block.shortcut {
          let own = blocks[source].filters != block.filters
          Node.add("add\(index)", own ? "shortcut_bn\(index)" : "bn\(source)")
        }
        if block.pools { Node.averagePool("pool\(index)", kernel: 2) }
        Node.batchNorm("bn\(index)")
      }
      Node.globalMaxPool("global_pool")
      Node.linear("fc", features: classes)
    }
  }
}
