/// The least that must be computed while the elements of one tensor are tested: a pure function of the network and the
/// swept tensor.
///
/// A changed element of `conv3.weight[o, i, y, x]` affects one channel. Pooling, batch norm, depthwise convolutions,
/// activations and `add` keep the change in that channel; the next convolution or linear layer mixes it into all.
public struct SweepPlan: Hashable, Sendable {
  /// How testing one tensor's elements affects a node.
  public enum Role: Hashable, Sendable {
    /// At or below the cached value: computed once per sweep, on running statistics.
    case frozen
    /// Above the cached value but independent of the swept tensor: one result per mini-batch.
    case fixed
    /// Only the swept element's channel differs between candidates.
    case oneChannel
    /// Mixes one changed channel into all of its outputs: a rank-one update of a rest that stays the same.
    case mixing
    /// Differs in every channel: computed in full for every candidate.
    case whole
  }

  /// The swept tensor's layer.
  public let node: Int
  /// The convolution or linear layer whose cache and sample order this sweep shares: the swept layer itself or, for a
  /// batch norm or depthwise convolution, the nearest one below it. `nil`: there is none below it.
  public let group: Int?
  /// The convolution or linear layer that makes the lone channel, which is `group`. `nil`: the lone channel is one
  /// channel of the swept layer's input. That is the case without a group, and if a layer in between adds a value that
  /// the group's channel was mixed into.
  public let root: Int?
  /// The cached value: the last one below the group that every path from the input passes through.
  public let cachedValue: Int
  /// One per node.
  public let roles: [Role]

  /// - Parameters:
  ///   - network: the whole network.
  ///   - node: the index of the layer that the swept tensor belongs to.
  public init(network: Network, sweeping node: Int) {
    let group = Self.group(of: node, in: network)
    let reads = network.inputs[group ?? node][0]
    // Value v is a cut when no node above it reads anything below it.
    let cached = (0...reads).last { value in
      network.inputs[value...].joined().allSatisfy { $0 >= value }
    }
    let cachedValue = cached ?? 0
    // The swept layer needs only one channel of the group's layer if that channel reaches it unmixed.
    let roles = Self.roles(network, from: group ?? node, above: cachedValue)
    let isAlone = roles[node] == .oneChannel
    self.node = node
    self.group = group
    root = isAlone ? group : nil
    self.cachedValue = cachedValue
    self.roles = isAlone ? roles : Self.roles(network, from: node, above: cachedValue)
  }

  /// The roles if `first` makes, or changes, one channel.
  private static func roles(
    _ network: Network, from first: Int, above cachedValue: Int
  ) -> [Role] {
    var roles: [Role] = []
    for (index, inputs) in network.inputs.enumerated() {
      let before = inputs.map { $0 == 0 ? Role.frozen : roles[$0 - 1] }
      let spread = before.contains { $0 == .mixing || $0 == .whole }
      let role: Role =
        if index < cachedValue {
          .frozen
        } else if index == first {
          .oneChannel
        } else if spread {
          .whole
        } else if before.contains(.oneChannel) {
          network.nodes[index].layer.mixesChannels ? .mixing : .oneChannel
        } else {
          .fixed
        }
      roles.append(role)
    }
    return roles
  }

  /// The convolution or linear layer whose cache a layer with parameters shares.
  ///
  /// For a batch norm or depthwise convolution, this is the nearest one below it along first inputs.
  public static func group(of node: Int, in network: Network) -> Int? {
    var index = node
    while !network.nodes[index].layer.mixesChannels {
      let value = network.inputs[index][0]
      if value == 0 { return nil }
      index = value - 1
    }
    return index
  }
}
