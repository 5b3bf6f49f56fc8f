/// The part of a network in which a swept element changes only one channel, as an engine sees it: where that part
/// starts, which channels it has, and where it ends.
package struct LoneChannel {
  let network: Network
  let plan: SweepPlan
  /// The convolution or linear layer that makes the lone channel; `nil`: the lone channels are those that the swept
  /// layer reads.
  var root: Int? { plan.root }
  /// Number of lone channels. In values after a flatten, each is a group of several channels.
  let channels: Int
  /// Nodes above the root with one changed channel, in order.
  let nodes: [Int]
  /// Nodes that mix the lone channel into all of their channels.
  let mixing: [Int]
  /// Values with one changed channel that are read whole: by the loss, or by an `add` whose other input changed in
  /// every channel.
  let placed: [Int]
  /// Values that do not depend on the swept tensor but are read by nodes that do, including the cached value.
  let fixed: [Int]

  init(network: Network, plan: SweepPlan) {
    self.network = network
    self.plan = plan
    channels = network.shapes[plan.root.map { $0 + 1 } ?? network.inputs[plan.node][0]].channels
    let alone = Set(network.nodes.indices.filter { plan.roles[$0] == .oneChannel })
    var placed = Set<Int>()
    var fixed = Set<Int>()
    for node in network.nodes.indices
    where plan.roles[node] == .oneChannel || plan.roles[node] == .whole {
      for value in network.inputs[node] {
        let role = value == plan.cachedValue ? .fixed : plan.roles[value - 1]
        if role == .fixed { fixed.insert(value) }
        if role == .oneChannel && plan.roles[node] == .whole { placed.insert(value) }
      }
    }
    if alone.contains(network.nodes.count - 1) { placed.insert(network.nodes.count) }
    nodes = alone.subtracting(plan.root.map { [$0] } ?? []).sorted()
    mixing = network.nodes.indices.filter { plan.roles[$0] == .mixing }
    self.placed = placed.sorted()
    self.fixed = fixed.sorted()
  }

  /// Channels of `value` per lone channel: more than one after a flatten.
  func width(_ value: Int) -> Int { network.shapes[value].channels / channels }

  /// The shape of `count` lone channels of `value`.
  func shape(_ value: Int, count: Int = 1) -> Shape {
    var shape = network.shapes[value]
    shape.channels = width(value) * count
    return shape
  }
}
