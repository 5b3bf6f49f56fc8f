import ArgumentParser
import RSO

/// Settings for a purpose.
enum Preset: String, CaseIterable, ExpressibleByArgument {
  /// A good MNIST network within minutes: a small batch and few cycles; the upper layers, whose tests
  /// cost least, are swept twice, and the lower ones, whose tests cost most, stay as they were drawn.
  case quick

  /// Sets what the preset decides; the layers it names are swept so where `network` has them.
  func apply(to settings: inout SearchSettings, network: Network) {
    switch self {
    case .quick:
      settings.batchSize = 1000
      settings.cycles = 5
      let names = Set(network.nodes.map(\.name))
      let sweeps = ["conv0": 0, "conv1": 0, "conv2": 0, "conv4": 2, "conv5": 2, "fc": 2]
      settings.sweeps = sweeps.filter { names.contains($0.key) }
    }
  }
}
