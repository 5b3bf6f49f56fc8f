import Foundation

/// One sweep of one tensor within a cycle.
public struct Sweep: Hashable, Sendable {
  /// The slot of the swept tensor.
  public var parameter: Int
  /// What of the tensor it changes.
  public var part = Part.elements
  /// The slot whose number is the key for the order of the samples: the first of the group.
  public var group: Int
  /// The number of this sweep among the tensor's sweeps in a cycle, from 0.
  public var repetition: Int

  /// What of a tensor a sweep changes.
  public enum Part: Hashable, Sendable {
    /// The elements, one after another.
    case elements
    /// The scales of a discrete tensor, one after another; its levels stay.
    case scales
  }

  /// The number that stands for `slot` in draws; it keeps the draws of repetitions apart.
  func key(_ slot: Int) -> Int { slot | repetition << 20 }
}

extension SearchSettings {
  /// The sweeps of one cycle, in order.
  ///
  /// Groups go from the output to the input by default. Within a group the weights come first, then their scales, if
  /// these are searched, then the bias, then β and γ of batch norm, all on the data cached for the weights.
  ///
  /// - Parameters:
  ///   - parameters: the tensors, by their slots.
  ///   - network: that of the parameters; without one, every tensor is a group.
  public func sweeps(of parameters: Parameters, in network: Network?) -> [Sweep] {
    let order: [Parameters.Role] = [.weight, .bias, .shift, .scale]
    let slots = parameters.slots
    let groups = slots.map { slot in
      network.flatMap { SweepPlan.group(of: slot.node, in: $0) } ?? slot.node
    }
    var nodes = Array(Set(groups)).sorted(by: >)
    if tensorOrder == .inputToOutput { nodes.reverse() }
    let counts = nodes.map { sweeps[network?.nodes[$0].name ?? slots[$0].name] ?? 1 }
    var result: [Sweep] = []
    for repetition in 0..<(counts.max() ?? 0) {
      for (node, count) in zip(nodes, counts) where repetition < count {
        let members = slots.indices.filter { groups[$0] == node }.sorted {
          (slots[$0].node, order.firstIndex(of: slots[$0].role) ?? 0)
            < (slots[$1].node, order.firstIndex(of: slots[$1].role) ?? 0)
        }
        for member in members {
          func add(_ part: Sweep.Part) {
            result.append(
              Sweep(parameter: member, part: part, group: members[0], repetition: repetition))
          }
          if searches(slots[member].name) { add(.elements) }
          if let network, searchesScales(of: slots[member], in: network) { add(.scales) }
        }
      }
    }
    return result
  }

  /// The most mini-batches that a sweep of the group uses; the training set may have fewer.
  ///
  /// The rest of the order need not be cached: with small mini-batches, or long holds, it is most of it.
  func batches(of sweep: Sweep, in sweeps: [Sweep], _ parameters: Parameters) -> Int {
    sweeps.lazy.filter { $0.group == sweep.group }
      .map { ($0.part, $0.slot(in: parameters)) }
      .map { $0 == .scales ? $1.count : ($1.count - 1) / hold.count(in: $1) + 1 }
      .max() ?? 0
  }

  /// Whether the patterns name a tensor, or its scales.
  func searches(_ name: String) -> Bool {
    func isNamed(by patterns: [String]) -> Bool {
      patterns.contains { Self.matches(name, $0) }
    }
    return only.map(isNamed) ?? true && !(freeze.map(isNamed) ?? false)
  }

  /// Whether a shell pattern (`*`, `?`, `[…]`) matches a whole name.
  static func matches(_ name: String, _ pattern: String) -> Bool { fnmatch(pattern, name, 0) == 0 }
}
