import Foundation
import Testing

@testable import RSO

/// Candidate losses of `CPUEngine` against `ReferenceEngine` on networks that nobody thought of.
///
/// CI draws the same ones each time. By hand, any others:
/// `RSO_NETWORK_SEED=17 RSO_NETWORK_COUNT=500 swift test -c release --filter RandomNetworkTests`.
@Suite struct RandomNetworkTests {
  static let seed = number("RSO_NETWORK_SEED") ?? 4
  static let count = number("RSO_NETWORK_COUNT").map { Int($0) } ?? 20

  private static func number(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
  }

  @Test(arguments: 0..<count)
  func candidateLosses(index: Int) throws {
    let network = try NetworkGenerator.network(seed: Self.seed, index: index)
    let json = String(decoding: try network.json(), as: UTF8.self)
    var comparison = try CandidateComparison(
      network: network, name: "seed \(Self.seed), network \(index): \(json)", batchSize: 35)
    try comparison.run(elementsPerTensor: 5)
    #expect(comparison.compared > 0)
  }

  /// What the fixed seed draws has what it is for.
  @Test func theNetworksAreVaried() throws {
    let networks = try (0..<20).map { try NetworkGenerator.network(seed: 4, index: $0) }
    #expect(Set(networks).count == 20)
    #expect(try NetworkGenerator.network(seed: 4, index: 3) == networks[3])
    let kinds = Set(networks.flatMap { $0.nodes.map(\.layer.kind) })
    let all = [
      "conv2d", "depthwiseConv2d", "linear", "batchNorm", "averagePool", "maxPool", "globalMaxPool",
      "globalAveragePool", "flatten", "add", "relu", "leakyReLU", "sigmoid", "tanh",
      "gelu", "silu", "hardSigmoid", "hardSwish",
    ]
    #expect(kinds == Set(all))
    let layers = Set(networks.flatMap { $0.nodes.map(\.layer) })
    #expect(layers.contains(.activation(.leakyReLU(slope: 0.25))))
    func count(_ has: (Network) -> Bool) -> Int { networks.count(where: has) }
    let shortcuts = networks.map { $0.nodes.count { $0.layer.kind == "add" } }
    #expect(shortcuts.max() ?? 0 >= 3 && shortcuts.count { $0 >= 2 } >= 6, "\(shortcuts)")
    #expect(count { !$0.nodes.contains { $0.layer.kind == "batchNorm" } } >= 1)
    #expect(count { !$0.nodes.contains { $0.layer.kind == "conv2d" } } >= 1)
    #expect(Set(networks.map(\.input.channels)) == [1, 2, 3, 4])
    let kernels = networks.flatMap(\.nodes).compactMap {
      if case .conv2d(_, let kernel, _, _, _) = $0.layer { kernel } else { nil }
    }
    #expect(Set(kernels) == [1, 3, 5, 7])
    /// The depthwise convolutions of a network, and the kinds of the layers before them.
    func before(_ network: Network) -> [String] {
      network.nodes.indices.filter { network.nodes[$0].layer.kind == "depthwiseConv2d" }.map {
        let read = network.inputs[$0][0]
        return read == 0 ? "input" : network.nodes[read - 1].layer.kind
      }
    }
    let readers = networks.flatMap(before)
    #expect(readers.contains("input") && readers.contains("flatten"), "\(readers)")
  }
}
