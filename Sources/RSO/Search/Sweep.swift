import Foundation

/// One sweep of one tensor within a cycle.
public struct Sweep: Hashable, Sendable {
  /// The slot of the swept tensor.
  public var parameter: Int
  /// The slot whose number is the key for the order of the samples: the first of the group.
  public var group: Int
  /// The number of this sweep among the tensor's sweeps in a cycle, from 0.
  public var repetition: Int

  /// The number that stands for `slot` in draws; it keeps the draws of repetitions apart.
  func key(_ slot: Int) -> Int { slot | repetition << 20 }
}

extension SearchSettings {
  /// The sweeps of one cycle, in order.
  ///
  /// Groups go from the output to the input by default. Within a group the weights come first, then the bias, then
  /// β and γ of batch norm, all on the data cached for the weights.
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
        result += members.filter { searches(slots[$0]) }
          .map { Sweep(parameter: $0, group: members[0], repetition: repetition) }
      }
    }
    return result
  }

  /// The most mini-batches that a sweep of the group uses; the training set may have fewer.
  ///
  /// The rest of the order need not be cached: with small mini-batches, or long holds, it is most of it.
  func batches(of sweep: Sweep, in sweeps: [Sweep], _ slots: [Parameters.Slot]) -> Int {
    sweeps.lazy.filter { $0.group == sweep.group }
      .map { slots[$0.parameter] }
      .map { ($0.count - 1) / hold.count(in: $0) + 1 }
      .max() ?? 0
  }

  /// Whether the patterns name a tensor.
  func searches(_ slot: Parameters.Slot) -> Bool {
    func isNamed(by patterns: [String]) -> Bool {
      patterns.contains { Self.matches(slot.name, $0) }
    }
    return only.map(isNamed) ?? true && !(freeze.map(isNamed) ?? false)
  }

  /// Whether a shell pattern (`*`, `?`, `[…]`) matches a whole name.
  static func matches(_ name: String, _ pattern: String) -> Bool { fnmatch(pattern, name, 0) == 0 }
}
