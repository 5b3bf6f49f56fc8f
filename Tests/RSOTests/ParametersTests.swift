import Testing

@testable import RSO

@Suite struct ParametersTests {
  /// Names, shapes and order as a PyTorch `state_dict` of the same modules has them.
  @Test func mnist() throws {
    let slots = Parameters(zerosFor: try .mnist()).slots
    var expected: [(String, [Int])] = []
    for block in 0..<6 {
      expected += [
        ("conv\(block).weight", [16, block == 0 ? 1 : 16, 3, 3]), ("bn\(block).weight", [16]),
        ("bn\(block).bias", [16]),
      ]
    }
    expected.append(("fc.weight", [10, 16]))
    #expect(slots.map(\.name) == expected.map(\.0))
    #expect(slots.map(\.shape) == expected.map(\.1))
    #expect(slots.reduce(0) { $0 + $1.count } == 12_016)
    #expect(Parameters(zerosFor: try .mnist()).values.count == 12_016)
    // One after another without gaps.
    #expect(slots.map(\.offset) == slots.indices.map { slots[..<$0].reduce(0) { $0 + $1.count } })
    #expect(slots.map(\.elementsPerChannel).prefix(4) == [9, 1, 1, 144])
    #expect(Parameters(zerosFor: try .mnist()).slot(named: "fc.weight") == 18)
    #expect(Parameters(zerosFor: try .mnist()).slot(named: "fc.bias") == nil)
  }

  /// σ as in the table of docs/method.md: convolution √(2/(c·k²)), fully connected √(2/n), γ and β 0.167.
  @Test func mnistDeviations() throws {
    for slot in Parameters(zerosFor: try .mnist()).slots {
      let he: Double =
        switch slot.name {
        case "conv0.weight": (2.0 / 9).squareRoot()
        case "fc.weight": (2.0 / 16).squareRoot()
        default: (2.0 / 144).squareRoot()
        }
      switch slot.role {
      case .weight:
        #expect(slot.initialDeviation == he && slot.proposalDeviation == he, "\(slot.name)")
        #expect(slot.initialMean == 0)
      case .scale, .shift:
        #expect(slot.initialDeviation == 0 && slot.proposalDeviation == 0.167, "\(slot.name)")
        #expect(slot.initialMean == (slot.role == .scale ? 1 : 0), "\(slot.name)")
      case .bias: Issue.record("no tensor of the paper has a bias: \(slot.name)")
      }
    }
  }

  /// The shortcut's 1×1 convolution starts as its own fan-in says and is searched as its block's 3×3 is.
  @Test func nineBlocks() throws {
    let parameters = Parameters(zerosFor: try SweepPlanTests.nineBlocks())
    let index = try #require(parameters.slot(named: "shortcut4.weight"))
    let shortcut = parameters.slots[index]
    #expect(shortcut.shape == [32, 16, 1, 1])
    // Block 4's own 3×3 convolution has 32 input channels; the shortcut itself reads 16.
    #expect(shortcut.initialDeviation == (2.0 / 32).squareRoot())
    #expect(shortcut.proposalDeviation == (2.0 / (9 * 32)).squareRoot())
    let names = parameters.slots.map(\.name)
    #expect(names.contains("shortcut_bn4.weight") && names.contains("shortcut_bn4.bias"))
    #expect(names.filter { $0.hasPrefix("shortcut") }.count == 3)
    // "about 57,100 elements": eight convolutions, one shortcut, ten batch norms, the last layer.
    let convolutions = [
      3 * 16, 16 * 16, 16 * 16, 16 * 32, 32 * 32, 32 * 32, 32 * 32, 32 * 32, 32 * 32,
    ]
    let elements =
      convolutions.reduce(0) { $0 + 9 * $1 } + 16 * 32 + 2 * (3 * 16 + 6 * 32 + 32) + 320
    #expect(parameters.values.count == elements)
    #expect((57_000..<57_200).contains(elements))
  }

  @Test func biases() throws {
    let network = try Network(input: Shape(channels: 2, height: 4, width: 4)) {
      Node.conv2d("conv", channels: 3, kernel: 2, bias: true)
      Node.flatten("flat")
      Node(
        "fc", .linear(features: 5, bias: true), initialDeviation: 0.5, proposalDeviation: 0.25)
    }
    let slots = Parameters(zerosFor: network).slots
    #expect(slots.map(\.name) == ["conv.weight", "conv.bias", "fc.weight", "fc.bias"])
    #expect(slots.map(\.shape) == [[3, 2, 2, 2], [3], [5, 27], [5]])
    #expect(slots.map(\.role) == [.weight, .bias, .weight, .bias])
    #expect(slots.map(\.initialDeviation) == [0.5, 0, 0.5, 0])
    #expect(slots.map(\.proposalDeviation) == [0.5, 0.167, 0.25, 0.167])
  }

  /// N(0, σ²) from the seed, γ = 1 and β = 0.
  @Test func initialValues() throws {
    let network = try Network.mnist()
    let parameters = Parameters(initialFor: network, seed: 3)
    #expect(parameters == Parameters(initialFor: network, seed: 3))
    #expect(parameters.values != Parameters(initialFor: network, seed: 4).values)
    for (tensor, slot) in parameters.slots.enumerated() {
      let values = parameters.values[slot.range].map(Double.init)
      guard slot.role == .weight else {
        #expect(values.allSatisfy { $0 == Double(slot.initialMean) }, "\(slot.name)")
        continue
      }
      let normal = Philox(seed: 3).normal(.initialisation, cycle: 0, tensor: tensor, element: 7)
      #expect(values[7] == Double(Float(slot.initialDeviation * normal)), "\(slot.name)")
      let n = Double(slot.count)
      let mean = values.reduce(0, +) / n
      let variance = values.reduce(0) { $0 + $1 * $1 } / n
      // Five standard errors of mean and variance of n draws.
      let deviation = slot.initialDeviation
      #expect(abs(mean) < 5 * deviation / n.squareRoot(), "\(slot.name)")
      #expect(
        abs(variance - deviation * deviation) < 5 * deviation * deviation * (2 / n).squareRoot(),
        "\(slot.name)")
    }
  }

  /// Where `quantize` alone reads a batch norm, its values begin between the levels.
  @Test func normsBeforeLevels() throws {
    let network = try Network(input: Shape(channels: 1, height: 8, width: 8)) {
      Node.batchNorm("levels")
      Node.activation("q1", .quantize(bits: 4))
      Node.batchNorm("pooledSigned")
      Node.maxPool("pool", kernel: 2)
      Node.activation("q2", .quantize(bits: 2, signed: true))
      Node.batchNorm("step")
      Node.activation("sign", .sign)
      Node.batchNorm("rectified")
      Node.relu("relu")
      Node.activation("q3", .quantize(bits: 4))
      Node.batchNorm("alsoAdded")
      Node.activation("q4", .quantize(bits: 4))
      Node.add("sum", "alsoAdded")
      Node.batchNorm("last")
      Node.flatten("flat")
      Node.linear("fc", features: 2)
    }
    let slots = Parameters(zerosFor: network).slots
    let means = Dictionary(uniqueKeysWithValues: slots.map { ($0.name, $0.initialMean) })
    #expect(means["levels.weight"] == 0.5 && means["levels.bias"] == 0.25)
    #expect(means["pooledSigned.weight"] == 0.5 && means["pooledSigned.bias"] == 0)
    for name in ["step", "rectified", "alsoAdded", "last"] {
      #expect(means["\(name).weight"] == 1 && means["\(name).bias"] == 0, "\(name)")
    }
  }
}
