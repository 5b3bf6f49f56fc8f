extension SearchSettings {
  /// A number of consecutive elements.
  public enum Span: Hashable, Sendable {
    /// A fixed number.
    case elements(Int)
    /// As many as one output channel of the tensor has.
    case channel

    /// The number of elements in a tensor's span: no more than the tensor has.
    func count(in slot: Parameters.Slot) -> Int {
      switch self {
      case .elements(let count): min(count, max(slot.count, 1))
      // Weights of linear and convolution layers are [out][in]…; everything else of a network has one value per channel.
      case .channel: slot.elementsPerChannel
      }
    }

    /// Whether a fixed number is at least 1.
    var isValid: Bool {
      if case .elements(let count) = self { count >= 1 } else { true }
    }
  }

  /// The number of consecutive elements that share a mini-batch.
  ///
  /// With the paper's rule and rounds of 1, from the second element on the previous decision already gives the
  /// current value's loss, and two candidates are left to compute. That loss belongs to the undecayed value: a
  /// held element decays only when it changes.
  public typealias Hold = Span

  /// A number of cycles with rounds of one length.
  public struct RoundStep: Hashable, Codable, Sendable {
    /// The number of proposals in a round.
    public var span: Span
    /// The number of cycles with this length.
    public var cycles: Int
    /// A step; both numbers are at least 1.
    public init(span: Span, cycles: Int) {
      self.span = span
      self.cycles = cycles
    }
  }

  /// The length of a round in a cycle counted from 0.
  public func round(inCycle cycle: Int) -> Span {
    var first = 0
    for step in firstRounds {
      first += step.cycles
      if cycle < first { return step.span }
    }
    return round
  }

  /// The round lengths in command-line syntax: `1`, or `1:2,channel`.
  public var roundWords: String {
    (firstRounds.map { "\($0.span):\($0.cycles)" } + ["\(round)"]).joined(separator: ",")
  }
}

extension SearchSettings.Span: CustomStringConvertible {
  /// The span in command-line syntax.
  public var description: String {
    switch self {
    case .elements(let count): "\(count)"
    case .channel: "channel"
    }
  }

  /// Reads command-line syntax.
  public init?(_ text: some StringProtocol) {
    if text == "channel" {
      self = .channel
    } else {
      guard let count = Int(text) else { return nil }
      self = .elements(count)
    }
  }
}

extension SearchSettings.Span: Codable {
  /// A number of elements, or `"channel"`.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let count = try? container.decode(Int.self) {
      self = .elements(count)
    } else if try container.decode(String.self) == "channel" {
      self = .channel
    } else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "expected a number or \"channel\"")
    }
  }

  /// Writes what `init(from:)` reads.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .elements(let count): try container.encode(count)
    case .channel: try container.encode("channel")
    }
  }
}
