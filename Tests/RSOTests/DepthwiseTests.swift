import Testing

@testable import RSO

/// Depthwise convolution: its facts, and its numbers by loops written here.
@Suite struct DepthwiseTests {
  @Test func shapesAndParameters() throws {
    let network = try Network(input: Shape(channels: 3, height: 9, width: 6)) {
      Node.depthwiseConv2d("a", kernel: 3, stride: 2, padding: 1, bias: true)
      Node.depthwiseConv2d("b", kernel: 5, padding: 2)
      Node.globalMaxPool("pool")
    }
    #expect(
      network.shapes.dropFirst() == [
        Shape(channels: 3, height: 5, width: 3), Shape(channels: 3, height: 5, width: 3),
        Shape(channels: 3),
      ])
    let slots = Parameters(zerosFor: network).slots
    // As those of PyTorch's Conv2d(3, 3, kernel, groups=3).
    #expect(slots.map(\.name) == ["a.weight", "a.bias", "b.weight"])
    #expect(slots.map(\.shape) == [[3, 1, 3, 3], [3], [3, 1, 5, 5]])
    #expect(slots.map(\.role) == [.weight, .bias, .weight])
    for (slot, taps) in zip([slots[0], slots[2]], [9.0, 25]) {
      #expect(slot.initialDeviation == (2 / taps).squareRoot())
      #expect(slot.proposalDeviation == (2 / taps).squareRoot())
    }
    #expect(slots[1].initialDeviation == 0 && slots[1].proposalDeviation == 0.167)
    #expect(network.multiplyAdds == [3 * 15 * 9, 3 * 15 * 25, 0])
  }

  @Test(arguments: [
    (
      0, 1, 0,
      "d: expected a kernel and a stride of 1 to 64 and a padding of 0 to the kernel, "
        + "found kernel 0, stride 1, padding 0"
    ),
    (
      5, 1, 0,
      "d: a kernel of 5 with padding 0 does not fit into 2×4×4 "
        + "(use a smaller kernel, more padding, or fewer pooling layers before it)"
    ),
  ])
  func errors(kernel: Int, stride: Int, padding: Int, text: String) {
    #expect(
      errorText {
        _ = try Network(input: Shape(channels: 2, height: 4, width: 4)) {
          Node.depthwiseConv2d("d", kernel: kernel, stride: stride, padding: padding)
          Node.globalMaxPool("pool")
        }
      } == text)
  }

  /// 8×8 images of 3 channels; conv has 4 channels, point 6 on 4×4 positions.
  @Test func cost() throws {
    let network = try Network(input: Shape(channels: 3, height: 8, width: 8)) {
      Node.conv2d("conv", channels: 4, kernel: 3, padding: 1)
      Node.batchNorm("bn")
      Node.depthwiseConv2d("depth", kernel: 3, stride: 2, padding: 1)
      Node.conv2d("point", channels: 6, kernel: 1)
      Node.globalAveragePool("mean")
      Node.linear("fc", features: 5)
    }
    func cost(_ name: String) throws -> TensorCost {
      let slots = Parameters(zerosFor: network).slots
      return TensorCost(
        network: network, slot: try #require(slots.first { $0.name == name }))
    }
    // One channel of `depth` has 16 positions of 9 taps; `point` takes it in for 6 · 16; `fc` has 30 weights.
    #expect(try cost("conv.weight").perImage == 64 + 144 + 96 + 30)
    #expect(try cost("bn.weight").perImage == 144 + 96 + 30)
    #expect(try cost("depth.weight").perImage == 144 + 96 + 30)
    #expect(try cost("point.weight").perImage == 16 + 5)
    // A channel of `conv` has 64 positions of 27 taps.
    let channel = 64 * 27 + 144
    for (name, perChange) in [("conv.weight", 64), ("depth.weight", 0)] {
      #expect(try cost(name).upkeep(.fresh(4)) == 4 * channel + 3 * 96)
      #expect(try cost(name).upkeep(.costing(signs: [1, 0])) == 2 * channel + 96)
      #expect(try cost(name).upkeep(.costing(changes: 3)) == 3 * perChange)
    }
  }

  /// The definition against sums over a padded image.
  @Test(arguments: [1, 3, 5], [1, 2])
  func numbers(kernel: Int, stride: Int) throws {
    let (height, width, padding) = (6, 5, kernel / 2)
    let network = try Network(input: Shape(channels: 3, height: height, width: width)) {
      Node.depthwiseConv2d("depth", kernel: kernel, stride: stride, padding: padding, bias: true)
      Node.globalMaxPool("pool")
    }
    let data = try Sample.dataset(network.input, classes: 3, train: 4)
    var parameters = Parameters(initialFor: network, seed: 3)
    for (channel, index) in (parameters.values.count - 3..<parameters.values.count).enumerated() {
      parameters.values[index] = Float(channel) - 0.75
    }
    var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
    try reference.beginSweep(of: 0, order: SampleOrder([2, 0, 3, 1], batchSize: 4))
    let logits = try reference.logits(ofBatch: 0)
    guard case .bytes(let bytes) = data.train.images else { return }
    for (row, image) in [2, 0, 3, 1].enumerated() {
      for channel in 0..<3 {
        let (tall, wide) = (height + 2 * padding, width + 2 * padding)
        var padded = [Double](repeating: 0, count: tall * wide)
        for y in 0..<height {
          for x in 0..<width {
            let byte = bytes[((image * 3 + channel) * height + y) * width + x]
            padded[(y + padding) * wide + x + padding] = Double(
              Float(Double(byte) / 255 - Double(data.mean[channel])))
          }
        }
        var largest = -Double.infinity
        for top in stride_(0, tall - kernel, by: stride) {
          for left in stride_(0, wide - kernel, by: stride) {
            var sum = Double(channel) - 0.75
            for ky in 0..<kernel {
              for kx in 0..<kernel {
                let weight = parameters.values[(channel * kernel + ky) * kernel + kx]
                sum += Double(weight) * padded[(top + ky) * wide + left + kx]
              }
            }
            largest = max(largest, sum)
          }
        }
        #expect(abs(logits[row][channel] - largest) < 1e-12)
      }
    }
  }

  private func stride_(_ first: Int, _ last: Int, by step: Int) -> StrideThrough<Int> {
    stride(from: first, through: last, by: step)
  }

  /// Every engine gives the loss of a convolution whose weights between different channels are zero.
  @Test func isAConvolutionWithoutItsCrossWeights() throws {
    func network(_ layer: Layer) throws -> Network {
      try Network(input: Shape(channels: 3, height: 9, width: 7)) {
        Node("layer", layer)
        Node.batchNorm("bn")
        Node.globalMaxPool("pool")
      }
    }
    let depthwise = try network(.depthwiseConv2d(kernel: 3, padding: 1))
    let full = try network(.conv2d(channels: 3, kernel: 3, padding: 1))
    let data = try Sample.dataset(depthwise.input, classes: 3, train: 40)
    let own = Parameters(initialFor: depthwise, seed: 3)
    var all = Parameters(zerosFor: full)
    for channel in 0..<3 {
      for tap in 0..<9 {
        all.values[(channel * 3 + channel) * 9 + tap] = own.values[channel * 9 + tap]
      }
    }
    all.values.replaceSubrange(81..., with: own.values[27...])
    var reference = ReferenceEngine(network: full, data: data, parameters: all)
    let expected = try reference.evaluate(.train).loss
    var same = ReferenceEngine(network: depthwise, data: data, parameters: own)
    #expect(abs(try same.evaluate(.train).loss - expected) < 1e-10 * expected)
    for (name, made) in try CandidateComparison.engines(
      network: depthwise, data: data, parameters: own)
    {
      var engine = made
      #expect(abs(try engine.evaluate(.train).loss - expected) < 1e-5 * expected, "\(name)")
    }
  }
}
