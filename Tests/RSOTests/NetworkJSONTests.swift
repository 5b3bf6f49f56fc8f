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

  @Test(arguments: [
    (
      #""leakyReLU", "slope": 1.5"#,
      "expected a slope of at most 1 that a 32-bit float can hold, found 1.5"
    ),
    (
      #""leakyReLU", "slope": -1e39"#,
      "expected a slope of at most 1 that a 32-bit float can hold, found -1e+39"
    ),
    (#""quantize", "bits": 0"#, "expected 1 to 8 bits, found 0"),
    (#""quantize", "bits": 9, "signed": true"#, "expected 1 to 8 bits, found 9"),
    (#""quantize", "bits": 64"#, "expected 1 to 8 bits, found 64"),
  ])
  func activationError(layer: String, problem: String) {
    #expect(
      errorText {
        _ = try Self.network(
          #"{"name": "a", "type": \#(layer)}, {"name": "b", "type": "flatten"}"#)
      } == "net.json, line 1, column 64, layer a: \(problem)")
  }
}
