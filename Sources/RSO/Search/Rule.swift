import CRSO

/// How the losses of w, w + Δ and w − Δ decide the new value. docs/method.md has the formulas.
///
/// Discrete weights take the best candidate where the rule is `parabola` or `slope`, whose steps end between levels.
public enum Rule: Hashable, Sendable {
  /// The candidate with the smallest loss; the first of equals. This is the paper's rule.
  case best
  /// The candidate with the smallest loss, if it gains more than so many times what is typical of the tensor; else the
  /// weight stays. Noise then flips fewer discrete weights, whose steps cannot shrink. Not in the paper.
  case margin(Ramp = Ramp(0, 0.5))
  /// Of binary and ternary weights, the level with the smallest total of its losses over the cycles so far; each cycle
  /// first multiplies earlier totals by `keep`. Noise of single mini-batches then averages out. A weight changes only if
  /// that takes more than `margin` times a typical gain off its total. Floats follow `slope`, and integers of more levels
  /// the rule `margin`. This is Kalai and Vempala's *Follow the Leader*, for every weight. Not in the paper.
  case leader(keep: Double = 0.9, margin: Ramp = Ramp(0))
  /// A step `settle` of the way to the vertex of the parabola through the three losses, which is at most `reach` ·
  /// |Δ| away. If the parabola opens downwards, `settle` of the way to the best candidate. Not in the paper.
  case parabola(reach: Ramp = Ramp(2), settle: Ramp = Ramp(1, 0.2))
  /// A step against the slope and in proportion to it: the tensor's typical slope moves a weight by `c` · σ, and less
  /// where the tensor's losses are curved. Computes two losses for most proposals. Not in the paper.
  case slope(c: Double = 0.5)

  /// Whether a weight takes the value of a candidate, and so may stay as it is; other rules move every weight.
  package var isChoice: Bool {
    switch self {
    case .best, .margin, .leader: true
    case .parabola, .slope: false
    }
  }

  /// Whether one of its numbers changes over the cycles.
  package var changesOverCycles: Bool {
    switch self {
    case .best, .slope: false
    case .margin(let margin), .leader(_, let margin): margin.first != margin.last
    case .parabola(let reach, let settle):
      reach.first != reach.last || settle.first != settle.last
    }
  }

  /// `slope` computes the loss of the current value, and with it the curvature, for the first of this many proposals.
  static let curvatureInterval = 16

  /// A number that changes linearly over the cycles, as σ does.
  public struct Ramp: Hashable, Sendable {
    /// The value in the first cycle.
    public var first: Double
    /// The value it would reach in the cycle after the last.
    public var last: Double
    /// - Parameters:
    ///   - first: the value in the first cycle.
    ///   - last: the value it would reach in the cycle after the last; `first` by default.
    public init(_ first: Double, _ last: Double? = nil) {
      self.first = first
      self.last = last ?? first
    }
    /// The value in a cycle, counted from 0.
    public func value(cycle: Int, of cycles: Int) -> Double {
      last + (first - last) * Double(cycles - cycle) / Double(cycles)
    }
  }
}

/// What a rule has learnt about a tensor.
public struct RuleState: Hashable, Codable, Sendable {
  /// Running mean of the squared slopes or, with a margin, of the squared gains, starting from 0.
  public var squares = 0.0
  /// The sum of the weights in that mean: `squares / weight` is unbiased.
  public var weight = 0.0
  /// Running mean of the curvatures, starting from 0.
  public var curvatures = 0.0
  /// The sum of the weights in that mean.
  public var curvatureWeight = 0.0
  /// With `Rule.leader`, the total of every level's losses, `[elements][levels]`, from the lowest level to the highest;
  /// the mean of each proposal's losses is taken out. Else empty.
  public var totals: [Float] = []
  /// Nothing yet.
  public init() {}

  private enum CodingKeys: String, CodingKey {
    case squares, weight, curvatures, curvatureWeight, totals
  }

  /// Writes totals in base 64, and only if there are any.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(squares, forKey: .squares)
    try container.encode(weight, forKey: .weight)
    try container.encode(curvatures, forKey: .curvatures)
    try container.encode(curvatureWeight, forKey: .curvatureWeight)
    if !totals.isEmpty { try container.encode(floats: totals, forKey: .totals) }
  }

  /// Reads a state; earlier versions had no curvatures.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    squares = try container.decode(Double.self, forKey: .squares)
    weight = try container.decode(Double.self, forKey: .weight)
    curvatures = try container.decodeIfPresent(Double.self, forKey: .curvatures) ?? 0
    curvatureWeight = try container.decodeIfPresent(Double.self, forKey: .curvatureWeight) ?? 0
    if container.contains(.totals) { totals = try container.decodeFloats(forKey: .totals) }
  }
}

// MARK: In a sweep

/// A rule in one sweep: its parameters for the cycle, and what it has learnt about the tensor so far.
package struct SweepRule {
  let rule: rso_rule
  var state: rso_rule_state
  /// `[elements][candidates]` with `Rule.leader`, else empty.
  private var totals: [Float]
  private let candidates: Int

  /// Whether an element takes the value of a candidate.
  var isChoice: Bool { rule.kind == Int32(rso_best.rawValue) || rule.level_width > 0 }

  /// The paper's rule.
  package static let best = SweepRule(.best, width: 1, cycle: 0, of: 1)

  /// - Parameters:
  ///   - width: the standard deviation σ of this cycle's proposals.
  ///   - state: the state after the previous sweep.
  ///   - levelWidth: the distance of the tensor's levels; 0 for floats.
  ///   - slot: the slot of what is swept; only `leader` needs it.
  package init(
    _ rule: Rule, width: Double, cycle: Int, of cycles: Int, state: RuleState = RuleState(),
    levelWidth: Float = 0, of slot: Parameters.Slot? = nil
  ) {
    var parameters = rso_rule()
    parameters.level_width = Double(levelWidth)
    parameters.width = width
    // A memory of about a hundred proposals.
    parameters.decay = 0.99
    switch rule {
    case .best: parameters.kind = Int32(rso_best.rawValue)
    case .margin(let margin):
      parameters.kind = Int32(rso_best.rawValue)
      parameters.margin = margin.value(cycle: cycle, of: cycles)
    case .leader(let keep, let margin):
      parameters.kind = Int32(rso_leader.rawValue)
      parameters.keep = keep
      parameters.margin = margin.value(cycle: cycle, of: cycles)
    case .parabola(let reach, let settle):
      parameters.kind = Int32(rso_parabola.rawValue)
      parameters.reach = reach.value(cycle: cycle, of: cycles)
      parameters.settle = settle.value(cycle: cycle, of: cycles)
    case .slope(let c):
      parameters.kind = Int32(rso_slope.rawValue)
      parameters.c = c
    }
    self.rule = parameters
    candidates = slot?.domain.candidates ?? 0
    totals = []
    if let slot, case .leader = rule {
      let count = slot.count * candidates
      totals =
        state.totals.count == count ? state.totals : [Float](repeating: 0, count: count)
    }
    self.state = rso_rule_state(
      squares: state.squares, weight: state.weight, curvatures: state.curvatures,
      curvature_weight: state.curvatureWeight)
  }

  /// The state to pass to the tensor's next sweep; `nil` if the rule has learnt nothing.
  package var learnt: RuleState? {
    guard state.weight > 0 || !totals.isEmpty else { return nil }
    var learnt = RuleState()
    (learnt.squares, learnt.weight) = (state.squares, state.weight)
    (learnt.curvatures, learnt.curvatureWeight) = (state.curvatures, state.curvature_weight)
    learnt.totals = totals
    return learnt
  }

  /// Decides on the losses of a proposal's candidates.
  mutating func decide(_ proposal: Proposal, _ losses: ShortList<Double>) -> Decision {
    var (rule, values, losses) = (rule, proposal.candidates, losses)
    let count = Int32(losses.count)
    let place = proposal.element * candidates
    let decision = totals.withUnsafeMutableBufferPointer { totals in
      values.withUnsafeNumbers { values in
        losses.withUnsafeNumbers { losses in
          rso_decide(
            &rule, &state, values, proposal.delta, losses, count,
            totals.isEmpty ? nil : totals.baseAddress?.advanced(by: place))
        }
      }
    }
    return Decision(losses: losses, choice: Int(decision.choice), value: decision.value)
  }
}

// MARK: As text

extension Rule: CustomStringConvertible {
  /// As on the command line: `best`, `leader:keep=0.9`, `margin:m=0..0.5`, `slope:c=0.5`, `parabola:reach=2,settle=1..0.2`.
  public var description: String {
    switch self {
    case .best: "best"
    case .margin(let margin): "margin:m=\(margin)"
    case .leader(let keep, let margin):
      "leader:keep=\(short(keep))" + (margin == Ramp(0) ? "" : ",m=\(margin)")
    case .parabola(let reach, let settle): "parabola:reach=\(reach),settle=\(settle)"
    case .slope(let c): "slope:c=\(short(c))"
    }
  }

  /// Reads `best`, `slope`, `slope:c=1`, `parabola:settle=1..0.2` and so on; omitted parameters have their defaults.
  ///
  /// - Throws: `RSOError` listing the rules, their parameters and ranges.
  public init(_ text: String) throws {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    var values: [Substring: Ramp] = [:]
    if parts.count == 2 {
      for entry in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
        let pair = entry.split(separator: "=", omittingEmptySubsequences: false)
        guard pair.count == 2, values[pair[0]] == nil, let ramp = Ramp(pair[1]) else {
          throw Self.error(text)
        }
        values[pair[0]] = ramp
      }
    }
    func take(_ name: Substring, _ standard: Ramp) -> Ramp {
      values.removeValue(forKey: name) ?? standard
    }
    func takeOne(_ name: Substring, _ standard: Double) throws -> Double {
      let ramp = take(name, Ramp(standard))
      guard ramp.first == ramp.last else { throw Self.error(text) }
      return ramp.first
    }
    switch parts[0] {
    case "best": self = .best
    case "margin": self = .margin(take("m", Ramp(0, 0.5)))
    case "leader": self = .leader(keep: try takeOne("keep", 0.9), margin: take("m", Ramp(0)))
    case "slope": self = .slope(c: try takeOne("c", 0.5))
    case "parabola":
      self = .parabola(reach: take("reach", Ramp(2)), settle: take("settle", Ramp(1, 0.2)))
    default: throw Self.error(text)
    }
    guard values.isEmpty else { throw Self.error(text) }
    try validate()
  }

  /// - Throws: `RSOError` if a parameter is out of its range.
  func validate() throws {
    let isValid =
      switch self {
      case .best: true
      case .margin(let margin): margin.isWithin { $0 >= 0 && $0 <= 100 }
      case .leader(let keep, let margin):
        keep >= 0 && keep <= 1 && margin.isWithin { $0 >= 0 && $0 <= 100 }
      case .parabola(let reach, let settle):
        reach.isWithin { $0 > 0 && $0.isFinite } && settle.isWithin { $0 > 0 && $0 <= 1 }
      case .slope(let c): c > 0 && c <= 100
      }
    guard isValid else { throw Self.error("\(self)") }
  }

  private static func error(_ found: String) -> RSOError {
    RSOError(
      "`rule`",
      "expected best, leader:keep=K,m=M with K in [0, 1], margin:m=M with M in [0, 100], slope:c=C with C in (0, 100], or "
        + "parabola:reach=R,settle=S with R above 0 and S in (0, 1], found '\(found)'",
      hint: "M, R and S may change over the cycles, as in settle=1..0.2")
  }
}

extension Rule.Ramp: CustomStringConvertible {
  /// For example `2` or `1..0.2`.
  public var description: String {
    first == last ? short(first) : "\(short(first))..\(short(last))"
  }

  fileprivate init?(_ text: Substring) {
    if let dots = text.firstRange(of: "..") {
      guard let first = Double(text[..<dots.lowerBound]),
        let last = Double(text[dots.upperBound...])
      else { return nil }
      self.init(first, last)
    } else {
      guard let value = Double(text) else { return nil }
      self.init(value)
    }
  }

  fileprivate func isWithin(_ range: (Double) -> Bool) -> Bool { range(first) && range(last) }
}

extension Rule: Codable {
  /// From its text.
  public init(from decoder: any Decoder) throws {
    self = try decoder.decodeText(Rule.init)
  }

  /// As its text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
