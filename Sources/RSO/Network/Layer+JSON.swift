/// The name of every kind of layer in JSON and messages, its keys, and how to read and write it.
extension Layer {
  /// The names of all kinds except activations, which use their own names, in the order in which errors list them.
  enum Kind: String, CaseIterable {
    case conv2d, depthwiseConv2d, linear, batchNorm, averagePool, maxPool, globalMaxPool
    case globalAveragePool, flatten, add
  }

  /// The name of this kind of layer in JSON and in messages.
  public var kind: String {
    switch self {
    case .conv2d: Kind.conv2d.rawValue
    case .depthwiseConv2d: Kind.depthwiseConv2d.rawValue
    case .linear: Kind.linear.rawValue
    case .batchNorm: Kind.batchNorm.rawValue
    case .activation(let activation): activation.rawValue
    case .averagePool: Kind.averagePool.rawValue
    case .maxPool: Kind.maxPool.rawValue
    case .globalMaxPool: Kind.globalMaxPool.rawValue
    case .globalAveragePool: Kind.globalAveragePool.rawValue
    case .flatten: Kind.flatten.rawValue
    case .add: Kind.add.rawValue
    }
  }

  /// Every name of a kind of layer.
  static var kinds: [String] { Kind.allCases.map(\.rawValue) + Activation.allCases.map(\.rawValue) }

  /// The keys of a layer in JSON.
  enum Key: String, CodingKey {
    case name, type, input
    case channels, features, kernel, stride, padding, bias, epsilon, of
    case initialDeviation, proposalDeviation

    /// The keys that every layer has.
    static let common: [Key] = [.name, .type, .input]
  }

  /// The keys of the layer called `word`, besides the common ones; `nil` if there is no such layer.
  static func keys(of word: String) -> [Key]? {
    guard let kind = Kind(rawValue: word) else {
      return Activation(rawValue: word) == nil ? nil : []
    }
    return switch kind {
    case .conv2d:
      [.channels, .kernel, .stride, .padding, .bias, .initialDeviation, .proposalDeviation]
    case .depthwiseConv2d:
      [.kernel, .stride, .padding, .bias, .initialDeviation, .proposalDeviation]
    case .linear: [.features, .bias, .initialDeviation, .proposalDeviation]
    case .batchNorm: [.epsilon]
    case .averagePool, .maxPool: [.kernel, .stride, .padding]
    case .add: [.of]
    case .globalMaxPool, .globalAveragePool, .flatten: []
    }
  }

  /// Reads the layer called `word`; `nil` if there is no such layer.
  init?(_ word: String, from container: KeyedDecodingContainer<Key>) throws {
    func integer(_ key: Key, _ other: Int? = nil) throws -> Int {
      if let other { return try container.decodeIfPresent(Int.self, forKey: key) ?? other }
      return try container.decode(Int.self, forKey: key)
    }
    func bias() throws -> Bool {
      try container.decodeIfPresent(Bool.self, forKey: .bias) ?? false
    }
    /// The window of a pooling layer; windows do not overlap by default.
    func pool() throws -> Window {
      let kernel = try integer(.kernel)
      return try Window(
        kernel: kernel, stride: integer(.stride, kernel), padding: integer(.padding, 0))
    }
    guard let kind = Kind(rawValue: word) else {
      guard let activation = Activation(rawValue: word) else { return nil }
      self = .activation(activation)
      return
    }
    switch kind {
    case .conv2d:
      self = try .conv2d(
        channels: integer(.channels), kernel: integer(.kernel), stride: integer(.stride, 1),
        padding: integer(.padding, 0), bias: bias())
    case .depthwiseConv2d:
      self = try .depthwiseConv2d(
        kernel: integer(.kernel), stride: integer(.stride, 1), padding: integer(.padding, 0),
        bias: bias())
    case .linear: self = try .linear(features: integer(.features), bias: bias())
    case .batchNorm:
      self = try .batchNorm(
        epsilon: container.decodeIfPresent(Double.self, forKey: .epsilon) ?? 1e-3)
    case .averagePool:
      let window = try pool()
      self = .averagePool(kernel: window.kernel, stride: window.stride, padding: window.padding)
    case .maxPool:
      let window = try pool()
      self = .maxPool(kernel: window.kernel, stride: window.stride, padding: window.padding)
    case .globalMaxPool: self = .globalMaxPool
    case .globalAveragePool: self = .globalAveragePool
    case .flatten: self = .flatten
    case .add: self = try .add(container.decode(String.self, forKey: .of))
    }
  }

  /// Writes what `init(_:from:)` reads.
  func encode(to container: inout KeyedEncodingContainer<Key>) throws {
    func encode(_ window: Window) throws {
      try container.encode(window.kernel, forKey: .kernel)
      try container.encode(window.stride, forKey: .stride)
      try container.encode(window.padding, forKey: .padding)
    }
    switch self {
    case .conv2d(let channels, _, _, _, let bias):
      try container.encode(channels, forKey: .channels)
      try encode(window)
      try container.encode(bias, forKey: .bias)
    case .depthwiseConv2d(_, _, _, let bias):
      try encode(window)
      try container.encode(bias, forKey: .bias)
    case .linear(let features, let bias):
      try container.encode(features, forKey: .features)
      try container.encode(bias, forKey: .bias)
    case .batchNorm(let epsilon): try container.encode(epsilon, forKey: .epsilon)
    case .averagePool, .maxPool: try encode(window)
    case .add(let other): try container.encode(other, forKey: .of)
    case .activation, .globalMaxPool, .globalAveragePool, .flatten: break
    }
  }
}
