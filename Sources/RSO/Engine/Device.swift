import Foundation

/// The device that a search computes on.
public enum Device: Hashable, Sendable {
  /// The fast engine. `threads: nil` means one per core.
  case cpu(threads: Int? = nil)
  /// The definition, in double precision, for checks on small networks and few samples.
  case reference
  /// An NVIDIA card, by number.
  case cuda(Int, precision: CUDAPrecision = .fp32)

  /// - Parameter objective: what the engine minimises and reports.
  func engine(
    network: Network, data: Dataset, parameters: Parameters, objective: Objective = .crossEntropy
  ) throws -> any Engine {
    guard network.input == data.train.shape else {
      throw RSOError(
        "network", "expects images of \(network.input), found \(data.train.shape) in \(data.name)")
    }
    guard network.classes >= data.classes else {
      throw RSOError(
        "network",
        data.hasLabels
          ? "gives \(network.classes) classes, found \(data.classes) in \(data.name)"
          : "gives \(network.classes) outputs, found \(data.classes) targets in \(data.name)")
    }
    switch self {
    case .reference:
      return ReferenceEngine(
        network: network, data: data, parameters: parameters, objective: objective)
    case .cpu(let threads):
      let threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
      guard (1...1024).contains(threads) else {
        throw RSOError("`threads`", "expected 1 to 1024, found \(threads)")
      }
      return try CPUEngine(
        network: network, data: data, parameters: parameters, threads: threads,
        objective: objective)
    case .cuda(let number, let precision):
      return try CUDAEngine.open(
        network: network, data: data, parameters: parameters, card: number, precision: precision,
        objective: objective)
    }
  }
}
