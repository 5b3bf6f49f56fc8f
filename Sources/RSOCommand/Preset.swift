import ArgumentParser
import RSO

/// A set of settings for one purpose.
enum Preset: String, CaseIterable, ExpressibleByArgument {
  /// A good MNIST network within two minutes: a small batch, sixteen weights on each, and few cycles. The upper
  /// layers, whose tests cost least, are swept several times; the lowest, whose tests cost most, keep their
  /// initial weights. docs/options.md explains each of these settings.
  case quick

  /// Applies the preset's settings; its sweeps apply to those of its layers that `network` has.
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
