import ArgumentParser
import RSO

/// Settings for a purpose.
enum Preset: String, CaseIterable, ExpressibleByArgument {
  /// A good MNIST network within minutes: a small batch, few cycles, and the lower layers, whose tests
  /// cost most and bring least, stay as they were drawn.
  case quick

  /// Sets what the preset decides; the layers it names are swept so where `network` has them.
  func apply(to settings: inout SearchSettings, network: Network) {
    switch self {
    case .quick:
      settings.batchSize = 1000
      settings.cycles = 8
      let names = Set(network.nodes.map(\.name))
      settings.sweeps = ["conv0": 0, "conv1": 0, "conv2": 0].filter { names.contains($0.key) }
    }
  }
}
