import RSO

/// Small networks and data drawn from a seed.
enum Sample {
  /// Random images and labels; the same for the same seed.
  static func dataset(
    _ shape: Shape, classes: Int, train: Int, test: Int = 20, seed: UInt64 = 1
  ) throws -> Dataset {
    func split(_ count: Int, _ seed: UInt64) throws -> Split {
      let philox = Philox(seed: seed)
      // A label of its own colour in places, so that there is something to learn.
      let labels = (0..<count).map { Int32($0 % classes) }
      let images = (0..<count * shape.count).map { i -> UInt8 in
        let noise = philox.normal(.initialisation, cycle: 1, tensor: 0, element: i)
        let label = Int(labels[i / shape.count])
        let level = 90 + 50 * noise + (i % shape.count % classes == label ? 60 : 0)
        return UInt8(min(max(level, 0), 255))
      }
      return try Split(images: images, labels: labels, shape: shape)
    }
    return try Dataset(
      name: "random", train: split(train, seed), test: split(test, seed + 1), classes: classes)
  }

  /// Named networks that between them have every layer, odd channel counts and images that are not
  /// square.
  static let networks: [(name: String, network: @Sendable () throws -> Network)] = [
    (
      "paper's six blocks, small",
      { try .paper(layers: 6, input: Shape(channels: 1, height: 8, width: 12), classes: 10) }
    ),
    (
      "paper's nine blocks, small",
      { try .paper(layers: 9, input: Shape(channels: 3, height: 8, width: 8), classes: 10) }
    ),
    (
      "odd channels",
      {
        try Network(input: Shape(channels: 3, height: 9, width: 7)) {
          Node.conv2d("conv0", channels: 5, kernel: 3, padding: 1, bias: true)
          Node.batchNorm("bn0")
          Node.relu("relu0")
          Node.conv2d("conv1", channels: 17, kernel: 3, stride: 2, padding: 1)
          Node.maxPool("pool1", kernel: 2)
          Node.batchNorm("bn1")
          Node.activation("tanh1", .tanh)
          Node.conv2d("conv2", channels: 32, kernel: 1, bias: true)
          Node.batchNorm("bn2")
          Node.activation("leaky2", .leakyReLU())
          Node.flatten("flat")
          Node.linear("fc0", features: 16, bias: true)
          Node.batchNorm("bn3")
          Node.activation("sigmoid3", .sigmoid)
          Node.linear("fc1", features: 7, bias: true)
        }
      }
    ),
    (
      "perceptron",
      {
        try Network(input: Shape(channels: 1, height: 5, width: 6)) {
          Node.batchNorm("bn")
          Node.flatten("flat")
          Node.batchNorm("bn_flat")
          Node.linear("fc0", features: 20)
          Node.relu("relu0")
          Node.linear("fc1", features: 9, bias: true)
          Node.relu("relu1")
          Node.linear("fc2", features: 3, bias: true)
        }
      }
    ),
    (
      "no batch norm, large kernels",
      {
        try Network(input: Shape(channels: 2, height: 11, width: 10)) {
          Node.conv2d("conv0", channels: 3, kernel: 5, padding: 2, bias: true)
          Node.averagePool("pool0", kernel: 3, stride: 2, padding: 1)
          Node.relu("relu0")
          Node.conv2d("conv1", channels: 6, kernel: 7, padding: 3)
          Node.maxPool("pool1", kernel: 3, stride: 2, padding: 1)
          Node.relu("relu1")
          Node.globalAveragePool("gap")
          Node.linear("fc", features: 4)
        }
      }
    ),
    (
      "shortcuts over one another",
      {
        try Network(input: Shape(channels: 2, height: 6, width: 6)) {
          Node.conv2d("conv0", channels: 4, kernel: 3, padding: 1)
          Node.batchNorm("bn0")
          Node.relu("relu0")
          Node.conv2d("conv1", channels: 4, kernel: 3, padding: 1)
          Node.batchNorm("bn1")
          Node.add("add1", "bn0")
          Node.relu("relu1")
          Node.conv2d("conv2", channels: 4, kernel: 3, padding: 1)
          Node.add("add2", "bn0")
          Node.batchNorm("bn2")
          Node.conv2d("short", channels: 4, kernel: 1, input: "relu0")
          Node.add("add3", "bn2")
          Node.averagePool("pool3", kernel: 2)
          Node.batchNorm("bn3")
          Node.globalMaxPool("gmp")
          Node.linear("fc", features: 5)
        }
      }
    ),
    (
      "depthwise separable",
      {
        try Network(input: Shape(channels: 3, height: 9, width: 12)) {
          Node.conv2d("conv0", channels: 6, kernel: 3, stride: 2, padding: 1)
          Node.batchNorm("bn0")
          Node.relu("relu0")
          Node.depthwiseConv2d("depth1", kernel: 3, padding: 1)
          Node.batchNorm("depth_bn1")
          Node.relu("depth_relu1")
          Node.conv2d("point1", channels: 8, kernel: 1)
          Node.batchNorm("bn1")
          Node.activation("sigmoid1", .sigmoid)
          Node.depthwiseConv2d("depth2", kernel: 5, stride: 2, padding: 2, bias: true)
          Node.activation("leaky2", .leakyReLU())
          Node.conv2d("point2", channels: 5, kernel: 1, bias: true)
          Node.flatten("flat")
          Node.depthwiseConv2d("scale", kernel: 1, bias: true)
          Node.linear("fc", features: 4)
        }
      }
    ),
    (
      "depthwise on the images, a shortcut over another",
      {
        try Network(input: Shape(channels: 3, height: 7, width: 6)) {
          Node.depthwiseConv2d("depth0", kernel: 3, padding: 1, bias: true)
          Node.batchNorm("bn0")
          Node.activation("tanh0", .tanh)
          Node.conv2d("conv1", channels: 4, kernel: 3, padding: 1)
          Node.batchNorm("bn1")
          Node.depthwiseConv2d("depth1", kernel: 3, padding: 1)
          Node.add("add1", "bn1")
          Node.relu("relu1")
          Node.averagePool("pool1", kernel: 2, stride: 1)
          Node.conv2d("conv2", channels: 7, kernel: 3, padding: 1)
          Node.globalAveragePool("mean")
          Node.depthwiseConv2d("scale", kernel: 3, padding: 1)
          Node.linear("fc", features: 3)
        }
      }
    ),
    (
      "activations of every shape",
      {
        try Network(input: Shape(channels: 2, height: 7, width: 8)) {
          Node.conv2d("conv0", channels: 6, kernel: 3, padding: 1)
          Node.batchNorm("bn0")
          Node.activation("gelu0", .gelu)
          Node.conv2d("conv1", channels: 6, kernel: 3, padding: 1, bias: true)
          Node.activation("swish1", .hardSwish)
          Node.averagePool("pool1", kernel: 2, stride: 1)
          Node.conv2d("conv2", channels: 7, kernel: 3, padding: 1)
          Node.batchNorm("bn2")
          Node.activation("steep2", .leakyReLU(slope: -0.5))
          Node.depthwiseConv2d("depth2", kernel: 3, stride: 2, padding: 1)
          Node.activation("silu2", .silu)
          Node.flatten("flat")
          Node.linear("fc0", features: 12, bias: true)
          Node.batchNorm("bn3")
          Node.activation("sigmoid3", .hardSigmoid)
          Node.linear("fc1", features: 5)
        }
      }
    ),
    (
      // The first layers below `bn` and `depth` make a channel that reaches them mixed as well.
      "parameters behind an add of what was mixed",
      {
        try Network(input: Shape(channels: 2, height: 6, width: 5)) {
          Node.conv2d("a", channels: 4, kernel: 3, padding: 1)
          Node.conv2d("b", channels: 4, kernel: 3, padding: 1)
          Node.add("sum", "b", input: "a")
          Node.batchNorm("bn")
          Node.relu("relu")
          Node.depthwiseConv2d("depth", kernel: 3, padding: 1, bias: true)
          Node.conv2d("c", channels: 3, kernel: 3)
          Node.batchNorm("bn_c")
          Node.globalMaxPool("pool")
        }
      }
    ),
  ]
}
