extension SearchSettings {
  /// Elements in a row.
  public enum Span: Hashable, Sendable {
    /// That many.
    case elements(Int)
    /// As many as an output channel of the tensor has.
    case channel

    /// Their number in a tensor.
    func count(in slot: Parameters.Slot) -> Int {
      switch self {
      case .elements(let count): count
      // A linear or convolution layer's weights are [out][in]…, everything else has one value per channel.
      case .channel: max(slot.count / slot.shape[0], 1)
      }
    }

    /// Whether it is a number of at least 1.
    var isValid: Bool {
      if case .elements(let count) = self { count >= 1 } else { true }
    }
  }

  /// Elements in a row that share a mini-batch.
  ///
  /// With the paper's rule and rounds of 1, the loss of the value as it is is known from the decision before, from the
  /// second element on, and two candidates are left to compute. That loss belongs to the value undecayed: a held element
  /// decays only when it changes.
  public typealias Hold = Span

  /// Some cycles with rounds of one length.
  public struct RoundStep: Hashable, Codable, Sendable {
    /// Proposals of a round.
    public var span: Span
    /// The cycles that have it.
    public var cycles: Int
    /// Both from 1 on.
    public init(span: Span, cycles: Int) {
      self.span = span
      self.cycles = cycles
    }
  }

  /// The length of rounds in a cycle counted from 0.
  public func round(inCycle cycle: Int) -> Span {
    var first = 0
    for step in firstRounds {
      first += step.cycles
      if cycle < first { return step.span }
    }
    return round
  }

  /// The lengths of rounds as on the command line: `1`, or `1:2,channel`.
  public var roundWords: String {
    (firstRounds.map { "\($0.span):\($0.cycles)" } + ["\(round)"]).joined(separator: ",")
  }
}

extension SearchSettings.Span: CustomStringConvertible {
  /// As on the command line.
  public var description: String {
    switch self {
    case .elements(let count): "\(count)"
    case .channel: "channel"
    }
  }

  /// As it is written on the command line.
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

  /// As it is read.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .elements(let count): try container.encode(count)
    case .channel: try container.encode("channel")
    }
  }
}
