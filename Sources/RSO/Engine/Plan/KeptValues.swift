/// What a sweep keeps for every mini-batch, in addition to the cached value.
struct KeptValues {
  enum Value: Hashable {
    /// The output of a mixing layer from all lone channels except the one under test, by node.
    case rest(Int)
    /// A value with one changed channel that is read whole, by number.
    case placed(Int)
    /// A value that does not depend on the swept tensor, by number.
    case fixed(Int)
    /// The channel under test as the root computes it, before a candidate's change.
    case tested
  }

  /// In a fixed order.
  let shapes: [(value: Value, shape: Shape)]
  /// The numbers of the fixed values, in order.
  let fixed: [Int]

  init(_ lone: LoneChannel) {
    let network = lone.network
    // The root's input is a fixed value, whether or not anything else reads it.
    var needed = Set(lone.fixed)
    if let root = lone.root { needed.insert(network.inputs[root][0]) }
    needed.remove(lone.plan.cachedValue)
    fixed = needed.sorted()
    shapes =
      lone.mixing.map { (.rest($0), network.shapes[$0 + 1]) }
      + lone.placed.map { (.placed($0), network.shapes[$0]) }
      + (lone.root.map { [(.tested, lone.shape($0 + 1))] } ?? [])
      + fixed.map { (.fixed($0), network.shapes[$0]) }
  }
}
