import CRSO
import Foundation
import Testing

@testable import RSO

/// What a rule makes of losses, against the formulas of docs/method.md written once more.
@Suite struct RuleTests {
  /// Three losses around a weight.
  struct Case {
    var w: Float
    var delta: Float
    var losses: [Double]
    /// Whether the loss of `w` is not computed.
    var isUnused = false
    var proposal: Proposal {
      Proposal(
        element: 0, batch: 0, candidates: [w, w + delta, w - delta], delta: delta,
        baseline: isUnused ? .unused : .computed)
    }
    /// The first of the smallest of what is computed; NaN counts as infinite.
    var choice: Int {
      let computed = losses.indices.dropFirst(isUnused ? 1 : 0)
      return computed.dropFirst().reduce(computed.startIndex) {
        losses[$1] < losses[$0] || losses[$0].isNaN && losses[$1].isFinite ? $1 : $0
      }
    }
    var best: Float { isUnused ? w : proposal.candidates[choice] }
    var isUsable: Bool { delta != 0 && losses.dropFirst(isUnused ? 1 : 0).allSatisfy(\.isFinite) }
    /// dL/dw and d²L/dw².
    var slope: Double { (losses[1] - losses[2]) / (2 * Double(delta)) }
    var curvature: Double {
      (losses[1] + losses[2] - 2 * losses[0]) / (Double(delta) * Double(delta))
    }
  }

  /// Convex, not convex, sloped, flat, with ties, NaN, infinity, negative Δ and Δ = 0.
  static let cases: [Case] = {
    var generator = Generator(state: 7)
    var cases: [Case] = []
    for index in 0..<4000 {
      func random(_ range: ClosedRange<Double>) -> Double {
        Double.random(in: range, using: &generator)
      }
      let delta = index % 50 == 0 ? 0 : Float(random(0.05...0.5)) * (index % 2 == 0 ? 1 : -1)
      let middle = random(1...5)
      var losses = [middle, middle + random(-1...1), middle + random(-1...1)]
      if index % 7 == 0 { losses[2] = losses[1] }
      if index % 11 == 0 { losses[1] = losses[0] }
      if index % 37 == 0 { (losses[1], losses[2]) = (middle + 30, middle - 31) }
      if index % 13 == 0 { losses = [middle, middle, middle] }
      if index % 17 == 0 { losses[1 + index % 2] = .nan }
      if index % 19 == 0 { losses[index % 3] = .infinity }
      cases.append(Case(w: Float(random(-1...1)), delta: delta, losses: losses))
    }
    return cases
  }()

  struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ state >> 33
    }
  }

  private func decide(_ example: Case, _ rule: inout SweepRule) throws -> Decision {
    try Decision(
      on: example.proposal, losses: ShortList(example.losses), by: &rule, parameter: "p")
  }

  /// To the rounding of one addition in single precision.
  private func expectNear(_ found: Float, _ expected: Double, _ example: Case) {
    let bound = 1e-6 * max(abs(expected), abs(Double(example.w)))
    #expect(abs(Double(found) - expected) <= bound, "\(example): \(found), \(expected)")
  }

  @Test func best() throws {
    for example in Self.cases {
      var rule = SweepRule.best
      let decision = try decide(example, &rule)
      #expect(decision.choice == example.choice)
      #expect(decision.value.bitPattern == example.best.bitPattern)
      #expect(rule.learnt == nil)
      for (found, loss) in zip(decision.losses, example.losses) {
        #expect(found == (loss.isNaN ? .infinity : loss))
      }
    }
  }

  @Test(arguments: [0.25, 1])
  func margin(m: Double) throws {
    var rule = SweepRule(.margin(.init(m)), width: 0.1, cycle: 0, of: 1)
    var squares: [Double] = []
    var (taken, left) = (0, 0)
    for example in Self.cases.prefix(600) {
      let before = rule.learnt
      let decision = try decide(example, &rule)
      let gains = example.losses.map { example.losses[0] - $0 }
      guard gains.allSatisfy(\.isFinite) else {
        #expect(decision.choice == example.choice)
        #expect(rule.learnt == before)
        continue
      }
      squares.append((gains[1] * gains[1] + gains[2] * gains[2]) / 2)
      let isWorth = gains[example.choice] > m * mean(squares).squareRoot()
      #expect(decision.choice == (isWorth ? example.choice : 0), "\(example)")
      #expect(decision.value.bitPattern == example.proposal.candidates[decision.choice].bitPattern)
      if isWorth { taken += 1 } else if example.choice != 0 { left += 1 }
    }
    #expect(taken > 20 && left > 20)
    #expect(rule.learnt?.curvatureWeight == 0)
  }

  /// Each element has totals of its own; what a level lost in earlier sweeps counts less. A margin holds totals back.
  @Test(arguments: [Domain.binary, .ternary], [(1, 0), (0.75, 0), (1, 1), (0.75, 1)])
  func leader(domain: Domain, settings: (keep: Double, margin: Double)) throws {
    let (keep, margin) = settings
    var generator = Generator(state: 11)
    let (elements, scale) = (7, Float(0.5))
    let slot = Parameters.Slot(
      name: "p", shape: [elements], role: .weight, node: 0, offset: 0, count: elements,
      initialDeviation: 1, initialMean: 0, proposalDeviation: 1, domain: domain)
    let levels = domain == .binary ? [-1, 1] : [-1, 0, 1]
    var values = (0..<elements).map { levels[$0 % levels.count] }
    var totals = [[Int: Double]](repeating: [:], count: elements)
    var state = RuleState()
    var (kept, changed, notBest, held) = (0, 0, 0, 0)
    var squares: [Double] = []
    for sweep in 0..<40 {
      var rule = SweepRule(
        .leader(keep: keep, margin: .init(margin)), width: 1, cycle: sweep, of: 40, state: state,
        levelWidth: scale, of: slot)
      for element in (0..<elements).reversed() {
        let own =
          [values[element]] + levels.filter { $0 != values[element] }.shuffled(using: &generator)
        var losses = own.map { _ in Double.random(in: 1...2, using: &generator) }
        let isUseless = (sweep + element) % 9 == 0
        if isUseless { losses[1] = [.nan, .infinity][sweep % 2] }
        let proposal = Proposal(
          element: element, batch: 0, candidates: ShortList(own.map { Float($0) * scale }),
          delta: 1)
        let decision = try Decision(
          on: proposal, losses: ShortList(losses), by: &rule, parameter: "p")
        let finite = losses.indices.filter { losses[$0].isFinite }
        let best = try #require(finite.min { losses[$0] < losses[$1] })
        var expected = best
        if !isUseless {
          let mean = losses.reduce(0, +) / Double(losses.count)
          for (level, loss) in zip(own, losses) {
            totals[element][level] = keep * (totals[element][level] ?? 0) + loss - mean
          }
          expected = try #require(
            own.indices.min { totals[element][own[$0]]! < totals[element][own[$1]]! })
          if expected != best { notBest += 1 }
          let gains = losses.dropFirst().map { losses[0] - $0 }
          squares.append(gains.reduce(0) { $0 + $1 * $1 } / Double(gains.count))
          let gain = totals[element][own[0]]! - totals[element][own[expected]]!
          if margin > 0, expected != 0, gain <= margin * self.mean(squares).squareRoot() {
            expected = 0
            held += 1
          }
        }
        #expect(decision.choice == expected)
        #expect(decision.value == Float(own[expected]) * scale)
        if expected == 0 { kept += 1 } else { changed += 1 }
        values[element] = own[expected]
      }
      // As a file has it.
      let learnt = try #require(rule.learnt)
      state = try JSONDecoder().decode(RuleState.self, from: JSONEncoder().encode(learnt))
      #expect(state == learnt && state.totals.count == elements * levels.count)
    }
    #expect(kept > 50 && changed > 5 && notBest > 20, "\(kept) \(changed) \(notBest)")
    #expect((held > 3) == (margin > 0), "\(held)")
    #expect((state.weight > 0) == (margin > 0))
  }

  /// A loss of 10³⁹, which no float holds, leaves totals that a checkpoint can hold.
  @Test func leaderOfHugeLosses() throws {
    let slot = Parameters.Slot(
      name: "p", shape: [1], role: .weight, node: 0, offset: 0, count: 1, initialDeviation: 1,
      initialMean: 0, proposalDeviation: 1, domain: .binary)
    var rule = SweepRule(
      .leader(), width: 1, cycle: 0, of: 2, state: RuleState(), levelWidth: 1, of: slot)
    let proposal = Proposal(element: 0, batch: 0, candidates: [1, -1], delta: 1)
    let decision = try Decision(on: proposal, losses: [1e39, 3e39], by: &rule, parameter: "p")
    #expect(decision.choice == 0)
    #expect(rule.learnt?.totals.allSatisfy(\.isFinite) == true)
  }

  /// Floats follow slope, and integers of more levels margin: with the leader's own, if it has one.
  @Test func leaderOfOtherTensors() {
    func rule(_ domain: Domain, _ rule: Rule) -> Rule {
      var settings = SearchSettings()
      settings.rule = rule
      return settings.rule(
        of: Parameters.Slot(
          name: "p", shape: [3], role: .weight, node: 0, offset: 0, count: 3, initialDeviation: 1,
          initialMean: 0, proposalDeviation: 1, domain: domain))
    }
    let (plain, held) = (Rule.leader(), Rule.leader(margin: .init(8, 2)))
    #expect(rule(.ternary, plain) == plain && rule(.binary, held) == held)
    #expect(rule(.float, held) == .slope())
    #expect(rule(.integer(bits: 4), plain) == .margin())
    #expect(rule(.integer(bits: 4), held) == .margin(.init(8, 2)))
  }

  /// The running mean: the newest value weighs 0.01, the one before 0.01 · 0.99, and so on.
  private func mean(_ values: [Double]) -> Double {
    let weights = values.indices.map { 0.01 * pow(0.99, Double(values.count - 1 - $0)) }
    return zip(weights, values).reduce(0) { $0 + $1.0 * $1.1 } / weights.reduce(0, +)
  }

  @Test(arguments: [(2.0, 1.0), (1, 0.2), (0.5, 0.5), (4, 0.1)])
  func parabola(reach: Double, settle: Double) throws {
    var (vertices, ends, concave) = (0, 0, 0)
    for example in Self.cases {
      var rule = SweepRule(
        .parabola(reach: .init(reach), settle: .init(settle)), width: 0.1, cycle: 3, of: 7)
      let decision = try decide(example, &rule)
      #expect(decision.choice == example.choice)
      #expect(rule.learnt == nil)
      guard example.isUsable else {
        #expect(decision.value.bitPattern == example.best.bitPattern)
        continue
      }
      let (w, delta) = (Double(example.w), Double(abs(example.delta)))
      // What is as good as straight may be taken either way.
      if abs(example.curvature) * delta * delta < 1e-13, example.slope != 0 { continue }
      if example.curvature > 0 {
        let vertex = -example.slope / example.curvature
        let most = reach * delta
        expectNear(decision.value, w + settle * min(max(vertex, -most), most), example)
        if abs(vertex) < most { vertices += 1 } else { ends += 1 }
      } else {
        expectNear(decision.value, w + settle * (Double(example.best) - w), example)
        concave += 1
      }
    }
    #expect(vertices > 100 && ends > 50 && concave > 500)
  }

  @Test(arguments: [0.25, 0.5, 2])
  func slope(c: Double) throws {
    let σ = 0.3
    var rule = SweepRule(.slope(c: c), width: σ, cycle: 0, of: 1)
    var (slopes, curvatures): ([Double], [Double]) = ([], [])
    var (free, ends, convex) = (0, 0, 0)
    for (index, whole) in Self.cases.prefix(600).enumerated() {
      var example = whole
      example.isUnused = index % 3 != 0
      if example.isUnused { example.losses[0] = .nan }
      let before = rule.learnt
      let decision = try decide(example, &rule)
      #expect(decision.choice == example.choice, "\(example)")
      #expect(decision.losses[0].isNaN == example.isUnused)
      guard example.isUsable else {
        #expect(decision.value.bitPattern == example.best.bitPattern)
        #expect(rule.learnt == before)
        continue
      }
      slopes.append(example.slope)
      if !example.isUnused { curvatures.append(example.curvature) }
      let rms = mean(slopes.map { $0 * $0 }).squareRoot()
      let h = curvatures.isEmpty ? 0 : max(0, mean(curvatures))
      let λ = rms / (c * σ)
      if h > 0 { convex += 1 }
      let step = example.slope == 0 ? 0 : -example.slope / (h + λ)
      let most = 3 * c * σ
      expectNear(decision.value, Double(example.w) + min(max(step, -most), most), example)
      if abs(step) < most { free += 1 } else { ends += 1 }
    }
    #expect(free > 200 && ends > 3 && convex > 30)
    #expect(rule.learnt?.weight ?? 0 > 0.9)
    #expect(rule.learnt?.curvatureWeight ?? 0 > 0.5)
  }

  /// Other numbers of candidates than three, and a slope that no number holds.
  @Test func whatTheRulesAreNotMadeFor() throws {
    for kind in [Rule.slope(), .parabola()] {
      var rule = SweepRule(kind, width: 0.1, cycle: 0, of: 1)
      for losses in [[3.0], [3, 2], [3, 2, 1, 4]] {
        let candidates = ShortList(losses.indices.map { Float($0) })
        let decision = try Decision(
          on: Proposal(element: 0, batch: 0, candidates: candidates, delta: 1),
          losses: ShortList(losses), by: &rule, parameter: "p")
        #expect(decision.value == Float(min(losses.count - 1, 2)))
      }
      let steep = Case(w: 1, delta: .leastNonzeroMagnitude, losses: [1e200, 2e200, 1e300])
      #expect(try decide(steep, &rule).value == 1)
      let unknown = Case(w: 1, delta: .nan, losses: [1, 2, 3])
      #expect(try decide(unknown, &rule).value == 1)
      #expect(rule.learnt == nil)
    }
  }

  // MARK: Parameters

  @Test func ramps() {
    let ramp = Rule.Ramp(1, 0.2)
    #expect(ramp.value(cycle: 0, of: 4) == 1)
    #expect(abs(ramp.value(cycle: 1, of: 4) - 0.8) < 1e-15)
    #expect(abs(ramp.value(cycle: 3, of: 4) - 0.4) < 1e-15)
    #expect(Rule.Ramp(2).value(cycle: 3, of: 4) == 2)
    let rule = SweepRule(.parabola(), width: 0.1, cycle: 1, of: 4).rule
    let margin = SweepRule(.margin(), width: 0.1, cycle: 1, of: 4).rule
    #expect(margin.margin == 0.125 && margin.kind == SweepRule.best.rule.kind)
    #expect(rule.reach == 2 && abs(rule.settle - 0.8) < 1e-15 && rule.width == 0.1)
  }

  static let texts: [(text: String, rule: Rule, description: String)] = [
    ("best", .best, "best"), ("slope", .slope(), "slope:c=0.5"),
    ("margin", .margin(), "margin:m=0..0.5"), ("margin:m=0.5", .margin(.init(0.5)), "margin:m=0.5"),
    ("leader", .leader(), "leader:keep=0.9"), ("leader:keep=1", .leader(keep: 1), "leader:keep=1"),
    ("leader:keep=0", .leader(keep: 0), "leader:keep=0"),
    ("leader:m=2..0", .leader(margin: .init(2, 0)), "leader:keep=0.9,m=2..0"),
    ("slope:c=1", .slope(c: 1), "slope:c=1"),
    ("slope:c=0.25", .slope(c: 0.25), "slope:c=0.25"),
    ("parabola", .parabola(), "parabola:reach=2,settle=1..0.2"),
    (
      "parabola:settle=0.5", .parabola(settle: .init(0.5)), "parabola:reach=2,settle=0.5"
    ),
    (
      "parabola:settle=1..0.1,reach=1..4",
      .parabola(reach: .init(1, 4), settle: .init(1, 0.1)), "parabola:reach=1..4,settle=1..0.1"
    ),
  ]

  @Test(arguments: texts.indices)
  func text(index: Int) throws {
    let (text, rule, description) = Self.texts[index]
    #expect(try Rule(text) == rule)
    #expect("\(rule)" == description)
    #expect(try Rule(description) == rule)
    let json = try JSONEncoder().encode([rule])
    #expect(String(decoding: json, as: UTF8.self) == "[\"\(description)\"]")
    #expect(try JSONDecoder().decode([Rule].self, from: json) == [rule])
  }

  @Test(arguments: [
    "", "worst", "best:", "best:c=1", "margin:m=-1", "margin:c=1", "margin:m=0..101",
    "leader:keep=1.1", "leader:keep=-0.1", "leader:keep=nan", "leader:keep=1..0.5", "leader:c=1",
    "leader:m=-1", "leader:m=101",
    "slope:", "slope:c", "slope:c=", "slope:c=x", "slope:c=0",
    "slope:c=-1", "slope:c=101", "slope:c=nan", "slope:c=inf", "slope:c=1..2", "slope:reach=1",
    "slope:c=1,c=1", "parabola:reach=0", "parabola:reach=inf", "parabola:settle=0",
    "parabola:settle=1.1", "parabola:settle=1..0", "parabola:reach=1,", "parabola:c=1",
    "parabola:reach=1..", "Best", "slope c=1",
  ])
  func wrongText(text: String) throws {
    let error = #expect(throws: RSOError.self) { try Rule(text) }
    #expect(error?.subject == "`rule`")
    #expect(
      error?.problem.hasPrefix(
        "expected best, leader:keep=K,m=M with K in [0, 1], margin:m=M with M in [0, 100], slope:c=C with C in (0, 100], or "
          + "parabola:reach=R,settle=S with R above 0 and S in (0, 1], found '") == true)
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode([Rule].self, from: JSONEncoder().encode([text]))
    }
  }
}
