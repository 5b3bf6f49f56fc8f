import Foundation
import Testing

@testable import RSO

@Suite struct NetworkTests {
  // MARK: Shapes

  @Test func shapesOfThePaperNetworks() throws {
    let mnist = try Network.mnist()
    func shape(_ network: Network, _ name: String) throws -> String {
      let node = try #require(network.nodes.firstIndex { $0.name == name })
      return "\(network.shapes[node + 1])"
    }
    for (name, expected) in [
      ("conv0", "16×28×28"), ("conv1", "16×28×28"), ("pool1", "16×14×14"), ("bn1", "16×14×14"),
      ("conv3", "16×14×14"), ("pool3", "16×7×7"), ("bn5", "16×7×7"), ("global_pool", "16"),
      ("fc", "10"),
    ] {
      #expect(try shape(mnist, name) == expected)
    }
    #expect(mnist.classes == 10)
    let cifar = try SweepPlanTests.nineBlocks()
    for (name, expected) in [
      ("conv2", "16×32×32"), ("pool2", "16×16×16"), ("conv3", "32×16×16"),
      ("shortcut4", "32×16×16"), ("bn4", "32×8×8"), ("add8", "32×8×8"), ("fc", "10"),
    ] {
      #expect(try shape(cifar, name) == expected)
    }
  }

  /// By hand, block by block: 0.113, 1.806, 0.452, 0.452, 0.113, 0.113 M for one image, 3.05 M in all.
  @Test func multiplyAddsOfAForwardPass() throws {
    let network = try Network.mnist()
    let costs = zip(network.nodes, network.multiplyAdds).filter { $0.1 > 0 }
    #expect(costs.map(\.0.name) == ["conv0", "conv1", "conv2", "conv3", "conv4", "conv5", "fc"])
    #expect(
      costs.map(\.1) == [
        28 * 28 * 16 * 9, 28 * 28 * 16 * 16 * 9, 14 * 14 * 16 * 16 * 9, 14 * 14 * 16 * 16 * 9,
        7 * 7 * 16 * 16 * 9, 7 * 7 * 16 * 16 * 9, 160,
      ])
    #expect(costs.reduce(0) { $0 + $1.1 } == 3_048_352)
    let cifar = try SweepPlanTests.nineBlocks().multiplyAdds.reduce(0, +)
    #expect((11_150_000..<11_250_000).contains(cifar))
  }

  /// Floor of (input + 2 · padding − kernel) / stride, plus 1; rows and columns by themselves.
  @Test(arguments: [
    (Layer.conv2d(channels: 5, kernel: 3), "5×7×5"),
    (.conv2d(channels: 5, kernel: 3, stride: 2, padding: 1), "5×5×4"),
    (.conv2d(channels: 1, kernel: 1, stride: 4), "1×3×2"),
    (.averagePool(kernel: 2, stride: 2), "2×4×3"),
    (.averagePool(kernel: 2, stride: 1, padding: 1), "2×10×8"),
    (.maxPool(kernel: 3, stride: 2, padding: 1), "2×5×4"),
    (.maxPool(kernel: 9, stride: 1, padding: 1), "2×3×1"),
    (.globalMaxPool, "2"), (.globalAveragePool, "2"), (.flatten, "126"),
    (.batchNorm(), "2×9×7"), (.activation(.sign), "2×9×7"), (.add("input"), "2×9×7"),
  ])
  func outputShape(layer: Layer, expected: String) throws {
    let input = Shape(channels: 2, height: 9, width: 7)
    #expect("\(try layer.outputShape(of: input, name: "layer"))" == expected)
  }

  // MARK: Errors

  /// Each network that is wrong, and the words that say so.
  static let wrong: [(network: @Sendable () throws -> Network, error: String)] = {
    let image = Shape(channels: 3, height: 8, width: 8)
    func ending(_ nodes: Node...) -> @Sendable () throws -> Network {
      {
        try Network(
          input: image, nodes: nodes + [.globalMaxPool("pool"), .linear("fc", features: 2)])
      }
    }
    return [
      (
        { try Network(input: Shape(channels: 0, height: 8, width: 8), nodes: []) },
        "input: expected a shape of at least 1×1×1, found 0×8×8"
      ),
      (
        ending(.relu("")),
        "layer 0: expected a name of letters, digits, '_', '-' and '.', found ''"
      ),
      (
        ending(.relu("a"), .relu("b c")),
        "layer 1: expected a name of letters, digits, '_', '-' and '.', found 'b c'"
      ),
      (ending(.relu("a"), .relu("a")), "a: the name is used twice"),
      (ending(.relu("input")), "input: the name is used twice"),
      (
        ending(.relu("a", input: "b")),
        "a: reads 'b', which is not the name of an earlier layer"
      ),
      (
        ending(.relu("a"), .add("b", "fc")),
        "b: reads 'fc', which is not the name of an earlier layer"
      ),
      (
        ending(.conv2d("a", channels: 4, kernel: 3), .add("b", "input")),
        "b: adds 3×8×8 of 'input' to 4×6×6 "
          + "(pass the shortcut through a 1×1 convolution of the right channels and stride)"
      ),
      (
        ending(.conv2d("a", channels: 0, kernel: 3)),
        "a: expected 1 or more channels, found 0"
      ),
      (
        ending(.globalMaxPool("p"), .linear("a", features: -1)),
        "a: expected 1 or more features, found -1"
      ),
      (
        ending(.linear("a", features: 4)),
        "a: a linear layer takes a flat input, found 3×8×8 "
          + "(put a flatten or global pooling layer before it)"
      ),
      (
        ending(.conv2d("a", channels: 4, kernel: 9)),
        "a: a kernel of 9 with padding 0 does not fit into 3×8×8 "
          + "(use a smaller kernel, more padding, or fewer pooling layers before it)"
      ),
      (
        ending(.conv2d("a", channels: 4, kernel: 0)),
        "a: expected a kernel and a stride of 1 to 64 and a padding of 0 to the kernel, "
          + "found kernel 0, stride 1, padding 0"
      ),
      (
        ending(.conv2d("a", channels: 4, kernel: 3, stride: 0)),
        "a: expected a kernel and a stride of 1 to 64 and a padding of 0 to the kernel, "
          + "found kernel 3, stride 0, padding 0"
      ),
      (
        ending(.conv2d("a", channels: 4, kernel: 3, padding: 4)),
        "a: expected a kernel and a stride of 1 to 64 and a padding of 0 to the kernel, "
          + "found kernel 3, stride 1, padding 4"
      ),
      (
        ending(.maxPool("a", kernel: 3, padding: 2)),
        "a: expected a padding of at most half the kernel 3, found 2"
      ),
      (
        ending(.averagePool("a", kernel: 2, padding: 2)),
        "a: expected a padding of at most half the kernel 2, found 2"
      ),
      (
        ending(.batchNorm("a", epsilon: 0)),
        "a: expected an epsilon above 0 that a 32-bit float can hold, found 0.0"
      ),
      (
        ending(.batchNorm("a", epsilon: .infinity)),
        "a: expected an epsilon above 0 that a 32-bit float can hold, found inf"
      ),
      (
        { try Network(input: image, nodes: []) },
        "network: expected the last layer to give one number for each class or target, found 3×8×8 "
          + "(end with a linear layer of as many features as there are classes or targets)"
      ),
      (
        { try Network(input: image) { Node.relu("a") } },
        "a: expected the last layer to give one number for each class or target, found 3×8×8 "
          + "(end with a linear layer of as many features as there are classes or targets)"
      ),
      (
        ending(.relu("a"), .relu("b", input: "input")),
        "a: no later layer reads it (name it as an input, or drop it)"
      ),
      (
        { try .paper(layers: 7, input: image, classes: 10) },
        "`layers`: expected 6 (the paper's MNIST network) or 9 (its CIFAR-10 network), found 7 "
          + "(any other network: `network`)"
      ),
      (
        { try .paper(layers: 6, input: Shape(channels: 1, height: 2, width: 2), classes: 10) },
        "pool3: a kernel of 2 with padding 0 does not fit into 16 "
          + "(use a smaller kernel, more padding, or fewer pooling layers before it)"
      ),
    ]
  }()

  @Test(arguments: wrong.indices)
  func error(index: Int) {
    let (network, text) = Self.wrong[index]
    let error = #expect(throws: RSOError.self) { try network() }
    #expect(error?.description == text)
  }

  // MARK: The builder

  @Test func builderTakesLoopsAndConditions() throws {
    func network(deep: Bool, pools: Bool) throws -> Network {
      try Network(input: Shape(channels: 1, height: 8, width: 8)) {
        for block in 0..<2 {
          Node.conv2d("conv\(block)", channels: 2, kernel: 3, padding: 1)
          if pools { Node.averagePool("pool\(block)", kernel: 2) }
        }
        if deep {
          Node.flatten("flat")
          [Node.linear("fc0", features: 4), Node.relu("relu")]
        } else {
          Node.globalMaxPool("pool")
        }
        Node.linear("fc", features: 2)
      }
    }
    #expect(
      try network(deep: true, pools: true).nodes.map(\.name)
        == ["conv0", "pool0", "conv1", "pool1", "flat", "fc0", "relu", "fc"])
    #expect(
      try network(deep: false, pools: false).nodes.map(\.name) == ["conv0", "conv1", "pool", "fc"])
  }

  @Test func builderIsTheListOfNodes() throws {
    let built = try Network(input: Shape(channels: 1, height: 4, width: 4)) {
      Node.conv2d("a", channels: 2, kernel: 3, stride: 2, padding: 1, bias: true)
      Node.maxPool("b", kernel: 2)
      Node.relu("c", input: "a")
      Node.globalAveragePool("d")
      Node.globalMaxPool("e", input: "b")
      Node.add("f", "d")
    }
    let listed = try Network(
      input: Shape(channels: 1, height: 4, width: 4),
      nodes: [
        Node("a", .conv2d(channels: 2, kernel: 3, stride: 2, padding: 1, bias: true)),
        Node("b", .maxPool(kernel: 2, stride: 2)), Node("c", .activation(.relu), input: "a"),
        Node("d", .globalAveragePool), Node("e", .globalMaxPool, input: "b"), Node("f", .add("d")),
      ])
    #expect(built == listed)
    #expect(built.inputs == [[0], [1], [1], [3], [2], [5, 4]])
  }

  // MARK: Folding

  /// The pooling goes before the convolution, which then strides; names, weights and shapes stay.
  @Test func foldingMovesThePooling() throws {
    let network = try Network.mnist()
    let folded = network.foldingAveragePools()
    #expect(folded.nodes.map(\.name).contains("pool1"))
    let pool = try #require(folded.nodes.firstIndex { $0.name == "pool1" })
    #expect(folded.nodes[pool].layer == .averagePool(kernel: 2, stride: 1, padding: 1))
    #expect(
      folded.nodes[pool + 1].layer == .conv2d(channels: 16, kernel: 3, stride: 2, padding: 0))
    #expect(folded.shapes[pool + 2] == network.shapes[pool + 2])
    let (slots, before) = (Parameters(zerosFor: folded).slots, Parameters(zerosFor: network).slots)
    #expect(slots.map(\.name) == before.map(\.name))
    // A quarter of the multiply-adds of blocks 1 and 3.
    let saved = network.multiplyAdds.reduce(0, +) - folded.multiplyAdds.reduce(0, +)
    let blocks = (28 * 28 + 14 * 14) * 16 * 16 * 9
    #expect(saved == blocks * 3 / 4)
  }

  /// The same logits, whether pooling is folded or not, for windows that fit and that do not.
  @Test(arguments: [(8, 8, 2), (9, 7, 2), (9, 7, 3)])
  func foldingKeepsTheFunction(height: Int, width: Int, size: Int) throws {
    let network = try Network(input: Shape(channels: 2, height: height, width: width)) {
      Node.conv2d("conv0", channels: 3, kernel: 3, padding: 1, bias: true)
      Node.averagePool("pool0", kernel: size)
      Node.add("twice", "pool0")
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 3)
    }
    let folded = network.foldingAveragePools()
    #expect(folded != network)
    let data = try Sample.dataset(network.input, classes: 3, train: 10, test: 10)
    let initial = Parameters(initialFor: network, seed: 4)
    var losses: [Double] = []
    for network in [network, folded] {
      // The same values in slots that name the nodes of each network.
      var parameters = Parameters(zerosFor: network)
      parameters.values = initial.values
      var engine = ReferenceEngine(network: network, data: data, parameters: parameters)
      losses.append(try engine.evaluate(.test).loss)
    }
    // Double precision: a handful of roundings of numbers near 1.
    #expect(abs(losses[0] - losses[1]) < 1e-11 * losses[0])
  }

  /// What cannot be folded stays: padding, overlapping windows, and a convolution read elsewhere too.
  @Test(arguments: [
    [Node.averagePool("p", kernel: 2, padding: 1)], [.averagePool("p", kernel: 3, stride: 2)],
    [.averagePool("p", kernel: 1)], [.maxPool("p", kernel: 2)],
    [.relu("r"), .averagePool("p", kernel: 2)],
    [
      .averagePool("p", kernel: 2), .averagePool("q", kernel: 2, input: "conv"), .add("sum", "p"),
    ],
  ])
  func notFolded(nodes: [Node]) throws {
    let network = try Network(
      input: Shape(channels: 2, height: 8, width: 8),
      nodes: [.conv2d("conv", channels: 2, kernel: 3, padding: 1)] + nodes + [.globalMaxPool("g")])
    #expect(network.foldingAveragePools() == network)
  }
}
