/// What must be computed, and how little, while the elements of one tensor are tested: a pure function
/// of the network and the swept tensor.
///
/// A changed element of `conv3.weight[o, i, y, x]` reaches one channel. Pooling, batch norm, depthwise
/// convolutions, activations and `add` keep it alone; the next convolution or linear layer mixes it into all.
public struct SweepPlan: Hashable, Sendable {
  /// What the tests of one tensor's elements do to a node.
  public enum Role: Hashable, Sendable {
    /// At or below the cached value: computed once per sweep, on running statistics.
    case frozen
    /// Above the cached value but untouched by the swept tensor: one result per mini-batch.
    case fixed
    /// Only the swept element's channel differs between candidates.
    case oneChannel
    /// Takes one changed channel into all of its outputs: a rank-one update of a rest that stays.
    case mixing
    /// Differs in every channel: computed whole for every candidate.
    case whole
  }

  /// The swept tensor's layer.
  public let node: Int
  /// The convolution or linear layer whose cache and order of samples this sweep shares: the swept layer itself
  /// or, for a batch norm or depthwise convolution, the nearest one below it. `nil`: it reads the images.
  public let group: Int?
  /// The convolution or linear layer that makes the lone channel: the group. `nil`: the lone channel starts at the
  /// swept layer, one channel of what that reads. So it does where there is no group, and where a layer in between
  /// adds what the group's channel was mixed into.
  public let root: Int?
  /// The value that is cached: the last below the group that every path from the input crosses.
  public let cachedValue: Int
  /// One per node.
  public let roles: [Role]

  /// - Parameter node: the index of the layer that the swept tensor belongs to.
  public init(network: Network, sweeping node: Int) {
    let group = Self.group(of: node, in: network)
    let reads = network.inputs[group ?? node][0]
    // Value v separates when no node above it reads anything below it.
    let cached = (0...reads).last { value in
      network.inputs[value...].joined().allSatisfy { $0 >= value }
    }
    let cachedValue = cached ?? 0
    // One channel of the group's layer is all that the swept layer needs, if that channel comes to it alone.
    let roles = Self.roles(network, from: group ?? node, above: cachedValue)
    let isAlone = roles[node] == .oneChannel
    self.node = node
    self.group = group
    root = isAlone ? group : nil
    self.cachedValue = cachedValue
    self.roles = isAlone ? roles : Self.roles(network, from: node, above: cachedValue)
  }

  /// The roles where `first` makes, or changes, one channel.
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

  /// The convolution or linear layer that a layer with parameters shares its cache with.
  ///
  /// A batch norm or a depthwise convolution belongs to the nearest one below it along first inputs.
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
