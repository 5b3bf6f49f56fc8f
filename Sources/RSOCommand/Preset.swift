import ArgumentParser
import RSO

/// Settings for a purpose.
enum Preset: String, CaseIterable, ExpressibleByArgument {
  /// A good MNIST network within two minutes: a small batch, sixteen weights on each, and few cycles; the upper
  /// layers, whose tests cost least, are swept several times, and the lowest, whose tests cost most, stay as they
  /// were drawn. docs/options.md has what each of these does.
  case quick

  /// Sets what the preset decides; the layers it names are swept so where `network` has them.
  func apply(to settings: inout SearchSettings, network: Network) {
    switch self {
    case .quick:
      settings.batchSize = 1000
      settings.hold = .elements(16)
      settings.cycles = 3
      let names = Set(network.nodes.map(\.name))
      let sweeps = ["conv0": 0, "conv1": 0, "conv3": 2, "conv4": 4, "conv5": 4, "fc": 4]
      settings.sweeps = sweeps.filter { names.contains($0.key) }
    }
  }
}
