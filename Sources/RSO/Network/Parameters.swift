/// All weights of a network: one flat buffer and named slots, in the order of the layers.
///
/// Names are those of a PyTorch `state_dict`: `conv3.weight` `[out, in, rows, columns]`, `fc.weight` `[out, in]`,
/// `depth3.weight` `[channels, 1, rows, columns]`, `bn3.weight` (scale γ) and `bn3.bias` (shift β) `[channels]`.
public struct Parameters: Hashable, Sendable {
  /// The role of a slot in its layer.
  public enum Role: String, Sendable {
    /// The weights of a convolution or a linear layer.
    case weight
    /// The term that a convolution or a linear layer adds to every output channel.
    case bias
    /// Batch norm's scale γ.
    case scale
    /// Batch norm's shift β.
    case shift

    /// The part of the tensor's name after the layer's name.
    var suffix: String {
      switch self {
      case .weight, .scale: "weight"
      case .bias, .shift: "bias"
      }
    }
  }

  /// One tensor's place in the buffer.
  public struct Slot: Hashable, Sendable {
    /// The layer's name and `.weight` or `.bias`.
    public let name: String
    /// Row-major; the output channel comes first.
    public let shape: [Int]
    /// Its role in the layer.
    public let role: Role
    /// The index of the layer in `Network.nodes`.
    public let node: Int
    /// The index of the tensor's first element in `values`.
    public let offset: Int
    /// The number of elements.
    public let count: Int
    /// Standard deviation of the initial values (0: `initialMean` everywhere).
    public let initialDeviation: Double
    /// The mean of the initial values.
    public let initialMean: Float
    /// Standard deviation σ of the proposals before annealing.
    public let proposalDeviation: Double
    /// The values that the elements may have.
    public let domain: Domain

    /// The range of its elements in `values`.
    public var range: Range<Int> { offset..<offset + count }
    /// The number of elements that belong to one output channel.
    public var elementsPerChannel: Int { max(count / (shape.first ?? 1), 1) }
  }

  /// In the order of the layers.
  public let slots: [Slot]
  /// Every element of every tensor; those of discrete tensors are a level times a scale.
  public var values: [Float]
  /// The scales of every discrete tensor, by the index of its slot: one for all elements, or one for each output channel.
  /// Each is a power of two.
  public var scales: [Int: [Float]]

  /// The slots of `network`, with all values zero, and the scales of initial weights.
  public init(zerosFor network: Network) {
    slots = Self.slots(of: network)
    scales = Self.initialScales(slots)
    values = [Float](repeating: 0, count: slots.last?.range.upperBound ?? 0)
  }

  /// The slots of `network`, without memory for values.
  static func slots(of network: Network) -> [Slot] {
    var slots: [Slot] = []
    var offset = 0
    for (index, node) in network.nodes.enumerated() {
      let channels = network.shapes[network.inputs[index][0]].channels
      let activation = network.quantize(behind: index)
      for tensor in node.layer.tensors(reading: channels) {
        let (initial, proposal) =
          tensor.role == .weight
          ? (node.initialDeviation, node.proposalDeviation) : (nil, nil)
        let domain = tensor.role == .weight ? node.weights : .float
        let count = tensor.shape.reduce(1, *)
        slots.append(
          Slot(
            name: "\(node.name).\(tensor.role.suffix)", shape: tensor.shape, role: tensor.role,
            node: index, offset: offset, count: count,
            initialDeviation: initial ?? tensor.initialDeviation,
            initialMean: Self.initialMean(of: tensor, before: activation),
            proposalDeviation: proposal ?? tensor.proposalDeviation, domain: domain))
        offset += count
      }
    }
    return slots
  }

  /// A batch norm in front of `quantize` puts numbers from −σ/2 to 3σ/2 between the levels 0 and 1, and from −2σ to 2σ between
  /// −1 and 1. With γ = 1 and β = 0, half of them would become 0 and every sixth 1: six such layers leave a search little signal.
  private static func initialMean(of tensor: Layer.Tensor, before activation: Activation?) -> Float
  {
    switch (tensor.role, activation) {
    case (.scale, .quantize): 0.5
    case (.shift, .quantize(_, signed: false)): 0.25
    default: tensor.initialMean
    }
  }

  /// The number of weights of `network`.
  static func count(of network: Network) -> Int { slots(of: network).last?.range.upperBound ?? 0 }

  /// He initialisation: convolutions and linear layers from N(0, 2 / fan-in), γ = 1, β = 0. Discrete weights are the
  /// same numbers, rounded to the levels that a normal distribution loses least by. A batch norm that `quantize` reads has
  /// γ = 1/2 and, if the levels begin at 0, β = 1/4.
  public init(initialFor network: Network, seed: UInt64) {
    self.init(zerosFor: network)
    let philox = Philox(seed: seed)
    for (tensor, slot) in slots.enumerated() {
      for element in 0..<slot.count {
        var value = slot.initialMean
        if slot.initialDeviation > 0 {
          let normal = philox.normal(.initialisation, cycle: 0, tensor: tensor, element: element)
          value = Float(slot.initialDeviation * normal)
          if slot.domain.isDiscrete {
            // Of these levels, whatever the scale: it has been rounded to a power of two.
            let level = slot.domain.level(nearest: normal / slot.domain.normalStep)
            value = Float(level) * scale(of: element, in: tensor)
          }
        }
        values[slot.offset + element] = value
      }
    }
  }

  /// The index of the slot called `name`.
  public func slot(named name: String) -> Int? { slots.firstIndex { $0.name == name } }

  /// The slot of the layer at `node` that plays `role`.
  func slot(node: Int, _ role: Role) -> Slot? {
    slots.first { $0.node == node && $0.role == role }
  }
}
