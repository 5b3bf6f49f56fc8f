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
    case .activation(let activation): activation.kind.rawValue
    case .averagePool: Kind.averagePool.rawValue
    case .maxPool: Kind.maxPool.rawValue
    case .globalMaxPool: Kind.globalMaxPool.rawValue
    case .globalAveragePool: Kind.globalAveragePool.rawValue
    case .flatten: Kind.flatten.rawValue
    case .add: Kind.add.rawValue
    }
  }

  /// Every name of a kind of layer.
  static var kinds: [String] {
    Kind.allCases.map(\.rawValue) + Activation.Kind.allCases.map(\.rawValue)
  }

  /// The keys of a layer in JSON.
  enum Key: String, CodingKey {
    case name, type, input
    case channels, features, kernel, stride, padding, bias, epsilon, of, slope, bits, signed
    case initialDeviation, proposalDeviation, weights

    /// The keys that every layer has.
    static let common: [Key] = [.name, .type, .input]
  }

  /// The keys of the layer called `word`, besides the common ones; `nil` if there is no such layer.
  static func keys(of word: String) -> [Key]? {
    guard let kind = Kind(rawValue: word) else {
      return Activation.Kind(rawValue: word)?.keys
    }
    return switch kind {
    case .conv2d:
      [
        .channels, .kernel, .stride, .padding, .bias, .initialDeviation, .proposalDeviation,
        .weights,
      ]
    case .depthwiseConv2d:
      [.kernel, .stride, .padding, .bias, .initialDeviation, .proposalDeviation, .weights]
    case .linear: [.features, .bias, .initialDeviation, .proposalDeviation, .weights]
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
      guard let kind = Activation.Kind(rawValue: word) else { return nil }
      self = .activation(try Activation(kind, from: container))
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
    case .activation(let activation): try activation.encode(to: &container)
    case .globalMaxPool, .globalAveragePool, .flatten: break
    }
  }
}

extension Activation {
  /// The names of all activations, in the order in which errors list them.
  enum Kind: String, CaseIterable {
    case relu, leakyReLU, sigmoid, tanh, sign, gelu, silu, hardSigmoid, hardSwish, hardStep,
      quantize

    /// The keys in JSON besides those of every layer.
    var keys: [Layer.Key] {
      switch self {
      case .leakyReLU: [.slope]
      case .quantize: [.bits, .signed]
      case .relu, .sigmoid, .tanh, .sign, .gelu, .silu, .hardSigmoid, .hardSwish, .hardStep: []
      }
    }
  }

  var kind: Kind {
    switch self {
    case .relu: .relu
    case .leakyReLU: .leakyReLU
    case .sigmoid: .sigmoid
    case .tanh: .tanh
    case .sign: .sign
    case .gelu: .gelu
    case .silu: .silu
    case .hardSigmoid: .hardSigmoid
    case .hardSwish: .hardSwish
    case .hardStep: .hardStep
    case .quantize: .quantize
    }
  }

  fileprivate init(_ kind: Kind, from container: KeyedDecodingContainer<Layer.Key>) throws {
    switch kind {
    case .relu: self = .relu
    case .leakyReLU:
      self =
        try container.decodeIfPresent(Double.self, forKey: .slope)
        .map { .leakyReLU(slope: $0) } ?? .leakyReLU()
    case .sigmoid: self = .sigmoid
    case .tanh: self = .tanh
    case .sign: self = .sign
    case .gelu: self = .gelu
    case .silu: self = .silu
    case .hardSigmoid: self = .hardSigmoid
    case .hardSwish: self = .hardSwish
    case .hardStep: self = .hardStep
    case .quantize:
      self = try .quantize(
        bits: container.decode(Int.self, forKey: .bits),
        signed: container.decodeIfPresent(Bool.self, forKey: .signed) ?? false)
    }
  }

  /// Writes the numbers that are not the default, so that files of networks without them stay the same.
  fileprivate func encode(to container: inout KeyedEncodingContainer<Layer.Key>) throws {
    switch self {
    case .leakyReLU(let slope):
      if self != .leakyReLU() { try container.encode(slope, forKey: .slope) }
    case .quantize(let bits, let signed):
      try container.encode(bits, forKey: .bits)
      if signed { try container.encode(signed, forKey: .signed) }
    case .relu, .sigmoid, .tanh, .sign, .gelu, .silu, .hardSigmoid, .hardSwish, .hardStep: break
    }
  }
}
