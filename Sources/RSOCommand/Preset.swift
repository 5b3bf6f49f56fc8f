import ArgumentParser
import RSO

/// A set of settings for one purpose. docs/options.md has what each of them reaches.
enum Preset: String, CaseIterable, ExpressibleByArgument {
  /// A good MNIST network in about a minute and a half.
  case quick
  /// A better one in about five minutes.
  case good
  /// As good as it gets within hours: all layers, and large mini-batches at the end.
  case best

  /// All presets take steps in proportion to the slope, test sixteen weights on each mini-batch and evaluate once a
  /// cycle.
  func apply(to settings: inout SearchSettings, network: Network) {
    settings.rule = .slope(c: 1)
    settings.hold = .elements(16)
    settings.evaluations = .cycle
    switch self {
    case .quick:
      settings.batchSize = 1000
      settings.cycles = 3
      settings.sweeps = Self.sweeps(of: network, lowest: 0)
    case .good:
      settings.firstBatches = [.init(size: 1000, cycles: 3)]
      settings.batchSize = 2500
      settings.cycles = 6
      settings.sweeps = Self.sweeps(of: network, lowest: 0)
    case .best:
      settings.firstBatches = [.init(size: 1000, cycles: 5), .init(size: 2500, cycles: 5)]
      settings.batchSize = 5000
      settings.cycles = 20
      settings.sweeps = Self.sweeps(of: network, lowest: 1)
    }
  }

  /// How often a cycle sweeps each layer: those near the output, whose tests cost least, several times.
  ///
  /// - Parameter lowest: for the two lowest layers, whose tests cost most, unless they are among the four highest.
  private static func sweeps(of network: Network, lowest: Int) -> [String: Int] {
    let weights = Parameters(zerosFor: network).slots.filter { $0.role == .weight }
    let layers = weights.map { network.nodes[$0.node].name }
    var sweeps: [String: Int] = [:]
    for (index, layer) in layers.reversed().enumerated() {
      sweeps[layer] =
        switch index {
        case 0..<3: 4
        case 3: 2
        case (layers.count - 2)...: lowest
        default: 1
        }
    }
    return sweeps
  }
}
