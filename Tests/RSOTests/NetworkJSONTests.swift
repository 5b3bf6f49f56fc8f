import Foundation
import Testing

@testable import RSO

@Suite struct NetworkJSONTests {
  /// Every kind of layer, with and without its options.
  static let everyLayer: [Node] =
    [
      Node("conv", .conv2d(channels: 4, kernel: 3)),
      Node(
        "conv_all", .conv2d(channels: 4, kernel: 5, stride: 2, padding: 2, bias: true),
        input: "input", initialDeviation: 0.25, proposalDeviation: 0.125),
      Node("depth", .depthwiseConv2d(kernel: 1)),
      Node(
        "depth_all", .depthwiseConv2d(kernel: 3, stride: 1, padding: 1, bias: true),
        initialDeviation: 0.5, proposalDeviation: 0.25),
      Node("bn", .batchNorm(epsilon: 1e-5)),
      Node("average", .averagePool(kernel: 3, stride: 2, padding: 1)),
      Node("max", .maxPool(kernel: 2, stride: 1, padding: 1), input: "bn"),
      Node("global_max", .globalMaxPool, input: "conv"),
      Node("global_average", .globalAveragePool, input: "max"),
      Node("sum", .add("global_max")),
      Node("global", .globalMaxPool, input: "average"),
      Node("flat", .flatten),
      Node("sum2", .add("sum")),
    ]
    + ActivationTests.all.enumerated().map { Node("\($1.kind)\($0)", .activation($1)) }
    + [Node("fc", .linear(features: 3, bias: true), proposalDeviation: 0.5)]

  @Test func everyLayerReadsBackAsItWasWritten() throws {
    let network = try Network(
      input: Shape(channels: 1, height: 9, width: 11), nodes: Self.everyLayer)
    let json = try network.json()
    #expect(try Network(json: json, name: "test") == network)
    #expect(try network.json() == json)
  }

  @Test(arguments: Sample.networks.indices)
  func roundTrip(index: Int) throws {
    let network = try Sample.networks[index].network()
    #expect(try Network(json: network.json(), name: "test") == network)
  }

  @Test func whatIsWritten() throws {
    let network = try Network(input: Shape(channels: 1, height: 3, width: 3)) {
      Node.conv2d("conv0", channels: 2, kernel: 3, padding: 1)
      Node.globalMaxPool("pool")
    }
    #expect(
      String(decoding: try network.json(), as: UTF8.self) == """
        {
          "input" : {
            "channels" : 1,
            "height" : 3,
            "width" : 3
          },
          "layers" : [
            {
              "bias" : false,
              "channels" : 2,
              "kernel" : 3,
              "name" : "conv0",
              "padding" : 1,
              "stride" : 1,
              "type" : "conv2d"
            },
            {
              "name" : "pool",
              "type" : "globalMaxPool"
            }
          ]
        }
        """)
  }

  /// Options that are left out: stride 1 (pools: the kernel), padding 0, no bias, ε = 1e-3.
  @Test func defaults() throws {
    let network = try Self.network(
      """
      {"name": "a", "type": "conv2d", "channels": 2, "kernel": 3},
      {"name": "a2", "type": "depthwiseConv2d", "kernel": 1},
      {"name": "b", "type": "batchNorm"}, {"name": "c", "type": "averagePool", "kernel": 2},
      {"name": "d", "type": "maxPool", "kernel": 3}, {"name": "e", "type": "linear", "features": 2}
      """)
    #expect(
      network.nodes.map(\.layer) == [
        .conv2d(channels: 2, kernel: 3, stride: 1, padding: 0, bias: false),
        .depthwiseConv2d(kernel: 1, stride: 1, padding: 0, bias: false),
        .batchNorm(epsilon: 1e-3), .averagePool(kernel: 2, stride: 2, padding: 0),
        .maxPool(kernel: 3, stride: 3, padding: 0), .linear(features: 2, bias: false),
      ])
  }

  private static func network(_ layers: String) throws -> Network {
    try Network(
      json: Data(
        #"{"input": {"channels": 1, "height": 8, "width": 8}, "layers": [\#(layers)]}"#.utf8),
      name: "net.json")
  }

  @Test func activationsWithNumbers() throws {
    let network = try Self.network(
      """
      {"name": "a", "type": "leakyReLU"}, {"name": "b", "type": "leakyReLU", "slope": 0.2},
      {"name": "c", "type": "quantize", "bits": 3},
      {"name": "d", "type": "quantize", "bits": 1, "signed": true},
      {"name": "f", "type": "flatten"}, {"name": "e", "type": "linear", "features": 2}
      """)
    let activations: [Layer] = [
      .activation(.leakyReLU(slope: 0.01)), .activation(.leakyReLU(slope: 0.2)),
      .activation(.quantize(bits: 3, signed: false)), .activation(.quantize(bits: 1, signed: true)),
    ]
    #expect(network.nodes.prefix(4).map(\.layer) == activations)
    // Files of networks without such numbers stay as they were.
    let json = String(decoding: try network.json(), as: UTF8.self)
    #expect(json.components(separatedBy: "slope").count == 2)
    #expect(json.components(separatedBy: "signed").count == 2)
  }

  /// Layers that are wrong, and the words that say so.
  @Test(arguments: [
    (
      #"{"name": "a", "type": "dropout"}"#,
      "net.json, layer a: unknown type 'dropout' (known: conv2d, depthwiseConv2d, linear, batchNorm, "
        + "averagePool, maxPool, globalMaxPool, globalAveragePool, flatten, add, relu, leakyReLU, sigmoid, tanh, "
        + "sign, gelu, silu, hardSigmoid, hardSwish, hardStep, quantize)"
    ),
    (
      #"{"name": "a", "type": "conv2d", "channels": 2, "kernel": 3, "strides": 2}"#,
      "net.json, layer a: a conv2d has no 'strides' (it has bias, channels, initialDeviation, "
        + "input, kernel, name, padding, proposalDeviation, stride, type)"
    ),
    (
      #"{"name": "a", "type": "depthwiseConv2d", "channels": 2, "kernel": 3}"#,
      "net.json, layer a: a depthwiseConv2d has no 'channels' (it has bias, initialDeviation, input, "
        + "kernel, name, padding, proposalDeviation, stride, type)"
    ),
    (
      #"{"name": "a", "type": "relu", "kernel": 2}"#,
      "net.json, layer a: a relu has no 'kernel' (it has input, name, type)"
    ),
    (
      #"{"name": "a", "type": "conv2d", "kernel": 3}"#,
      "net.json: layers[0] has no 'channels' (`rso describe --json` prints an example of a network)"
    ),
    (
      #"{"name": "a", "type": "flatten"}, {"type": "relu"}"#,
      "net.json: layers[1] has no 'name' (`rso describe --json` prints an example of a network)"
    ),
    (
      #"{"name": "a", "type": "linear", "features": "ten"}"#,
      "net.json: layers[0].features is not Int "
        + "(`rso describe --json` prints an example of a network)"
    ),
    (
      #"{"name": "a", "type": "flatten"}, "#
        + #"{"name": "b", "type": "linear", "features": 2, "proposalDeviation": 0}"#,
      "net.json, layer b: expected proposalDeviation above 0 that a 32-bit float can hold, found 0.0"
    ),
    (
      #"{"name": "a", "type": "conv2d", "channels": 1, "kernel": 1, "initialDeviation": -1}"#,
      "net.json, layer a: expected initialDeviation above 0 that a 32-bit float can hold, found -1.0"
    ),
    (
      #"{"name": "a", "type": "linear", "features": 2}"#,
      "net.json, layer a: a linear layer takes a flat input, found 1×8×8 "
        + "(put a flatten or global pooling layer before it)"
    ),
  ])
  func layerError(layers: String, text: String) {
    let error = #expect(throws: RSOError.self) { try Self.network(layers) }
    #expect(error?.description == text)
  }

  @Test func notANetwork() {
    func text(_ json: String) -> String? {
      let error = #expect(throws: RSOError.self) {
        try Network(json: Data(json.utf8), name: "net.json")
      }
      return error?.description
    }
    let hint = " (`rso describe --json` prints an example of a network)"
    #expect(text("{}") == "net.json: the file has no 'input'\(hint)")
    #expect(text(#"{"input": 3}"#) == "net.json: input is not Dictionary<String, Any>\(hint)")
    #expect(
      text(#"{"input": {"channels": 1, "height": 8}}"#) == "net.json: input has no 'width'\(hint)")
    #expect(text(#"{"input": null}"#)?.hasPrefix("net.json: input ") == true)
    #expect(text("layers")?.hasPrefix("net.json: the file is not valid JSON: ") == true)
    #expect(text("")?.hasPrefix("net.json: the file is not valid JSON: ") == true)
    #expect(text("[]")?.hasPrefix("net.json: the file is not Dictionary") == true)
  }
}
