import Foundation
import Testing

@testable import RSO

/// Searches without a network.
struct VectorSearchTests {
  /// Remembers what it was asked.
  final class Recorder: VectorLoss {
    var questions: [Candidates] = []
    let loss: (_ vector: ArraySlice<Float>, _ seed: UInt32) -> Double

    init(_ loss: @escaping (_ vector: ArraySlice<Float>, _ seed: UInt32) -> Double) {
      self.loss = loss
    }

    func losses(of candidates: Candidates) -> [Double] {
      questions.append(candidates)
      return (0..<candidates.count).map { loss(candidates[$0], candidates.seed) }
    }
  }

  static let target: [Float] = [1, -2, 0.5, 3, 0.25, -0.75, 2]

  static func start(widths: [String: Double] = [:]) throws -> Parameters {
    try Parameters(
      SafeTensors(tensors: [
        ("a", .init(shape: [2, 3], values: [Float](repeating: 0, count: 6))),
        ("b", .init(shape: [], values: [0])),
      ]), widths: widths)
  }

  /// The squared distance from the target.
  static func distance(_ vector: some Sequence<Float>) -> Double {
    zip(vector, target).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
  }

  /// The distance, and noise that the seed decides.
  static func noisy(_ vector: some Sequence<Float>, _ seed: UInt32) -> Double {
    distance(vector) + 0.01 * Double(seed % 1000) * Double(vector.first { _ in true } ?? 0)
  }

  static func settings(_ rule: Rule = .best, cycles: Int = 3) -> SearchSettings {
    var settings = SearchSettings.tensors
    (settings.cycles, settings.rule) = (cycles, rule)
    return settings
  }

  @Test(arguments: [Rule.best, .slope(c: 1), .parabola()])
  func everyRuleFindsTheMinimumOfAParabola(rule: Rule) throws {
    // Proposals end at a tenth of σ, 0.05.
    let start = try Self.start(widths: ["a": 0.5, "b": 0.5])
    var search = try RandomSearch(start, settings: Self.settings(rule, cycles: 60)) {
      vector, _ in Self.distance(vector)
    }
    let before = try search.evaluate().loss
    #expect(before == Self.distance([0, 0, 0, 0, 0, 0, 0]))
    try search.run()
    let after = try search.evaluate()
    #expect(after.meanLoss < 0.01 * before, "\(rule): \(after.meanLoss)")
    #expect(after.count == 1 && !after.hasClasses)
    for (value, target) in zip(search.parameters.values, Self.target) {
      #expect(abs(value - target) < 0.15, "\(rule): \(value), \(target)")
    }
  }

  @Test func theSeedDecidesEverything() throws {
    func found(_ seed: UInt64, _ rule: Rule) throws -> [Float] {
      var settings = Self.settings(rule)
      settings.seed = seed
      var search = try RandomSearch(Self.start(), settings: settings) { Self.noisy($0, $1) }
      try search.run()
      return search.parameters.values
    }
    for rule in [Rule.best, .slope()] {
      #expect(try found(3, rule) == found(3, rule))
      #expect(try found(3, rule) != found(4, rule))
    }
  }

  @Test func aProposalIsOneQuestionWithASeedOfItsOwn() throws {
    let recorder = Recorder { vector, _ in Self.distance(vector) }
    var settings = Self.settings(cycles: 2)
    settings.evaluations = .cycle
    var search = try RandomSearch(Self.start(), settings: settings, loss: recorder)
    try search.run()
    #expect(search.settings.batchSize == 1)
    let evaluations = recorder.questions.filter { $0.changed == nil }
    #expect(evaluations.count == 2 && evaluations.allSatisfy { $0.seed == 0 && $0.count == 1 })
    let proposals = recorder.questions.filter { $0.changed != nil }
    #expect(proposals.count == 14)
    // One for every proposal, in every cycle.
    #expect(Set(proposals.map(\.seed)).count == 14)
    for question in proposals {
      let (tensor, element) = try #require(question.changed)
      #expect(question.count == 3 && question.length == 7 && question.seed > 0)
      let place = tensor == 0 ? element : 6
      for index in 0..<7 where index != place {
        #expect(Set((0..<3).map { question[$0][question[$0].startIndex + index] }).count == 1)
      }
      let values = (0..<3).map { question[$0][question[$0].startIndex + place] }
      #expect(Set(values).count == 3)
    }
    #expect(proposals.map { $0.changed?.tensor } == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1])
  }

  /// While the seed is held, the loss of the current value is known; rows of a scalar are one value long.
  @Test func holding() throws {
    let recorder = Recorder { Self.noisy($0, $1) }
    var settings = Self.settings(cycles: 1)
    settings.hold = .channel
    var search = try RandomSearch(Self.start(), settings: settings, loss: recorder)
    var first: [Double] = []
    var current = search.parameters.values
    try search.run { event in
      guard case .judged(let judged) = event, let question = recorder.questions.last else {
        return .goOn
      }
      first.append(judged.decisions[0].losses[0])
      // As if it had been computed.
      #expect(judged.decisions[0].losses[0] == Self.noisy(current, question.seed))
      let place =
        judged.parameter == "a" ? judged.proposals[judged.proposals.startIndex].element : 6
      current[place] = judged.decisions[0].value
      return .goOn
    }
    #expect(first.count == 7)
    let questions = recorder.questions.filter { $0.changed != nil }
    #expect(questions.map(\.count) == [3, 2, 2, 3, 2, 2, 3])
    let seeds = questions.map(\.seed)
    #expect(Set(seeds[0..<3]).count == 1 && Set(seeds[3..<6]).count == 1 && Set(seeds).count == 3)
  }

  /// Within a round nothing changes; `slope` needs no loss of the current value.
  @Test func roundsAndSlopes() throws {
    let recorder = Recorder { vector, _ in Self.distance(vector) }
    var settings = Self.settings(.slope(), cycles: 1)
    settings.round = .elements(6)
    var search = try RandomSearch(Self.start(), settings: settings, loss: recorder)
    try search.run()
    let questions = recorder.questions.filter { $0.changed?.tensor == 0 }
    #expect(questions.map(\.count) == [3, 2, 2, 2, 2, 2])
    for question in questions {
      let element = try #require(question.changed).element
      #expect(question[0].enumerated().allSatisfy { $0.offset == element || $0.element == 0 })
    }
    #expect(search.parameters.values[..<6].allSatisfy { $0 != 0 })
  }

  @Test func whatIsFrozenKeepsItsBits() throws {
    var settings = Self.settings()
    settings.freeze = ["a"]
    settings.weightDecay = 0.1
    var search = try RandomSearch(Self.start(), settings: settings) { vector, _ in
      Self.distance(vector)
    }
    try search.run()
    #expect(search.parameters.values[..<6].allSatisfy { $0 == 0 })
    #expect(search.parameters.values[6] != 0)
  }

  @Test func nanNeverWins() throws {
    // Whatever is above 0 has no loss.
    var search = try RandomSearch(Self.start(), settings: Self.settings()) { vector, _ in
      vector.contains { $0 > 0 } ? .nan : Self.distance(vector)
    }
    try search.run()
    #expect(search.parameters.values.allSatisfy { $0 <= 0 })
    #expect(search.parameters.values[1] < 0)
    #expect {
      var search = try RandomSearch(Self.start(), settings: Self.settings()) { _, _ in .nan }
      try search.run()
    } throws: {
      "\($0)".hasPrefix("a[0]: the loss of the value it has is NaN before any change")
    }
  }

  /// σ is the deviation of a tensor's values: NumPy 2.4, `numpy.std(numpy.float32([1, 2, 4, 9]))`.
  @Test func widths() throws {
    let tensors = SafeTensors(tensors: [
      ("a", .init(shape: [4], values: [1, 2, 4, 9])), ("b", .init(shape: [2], values: [5, 5])),
      ("c", .init(shape: [1], values: [7])),
    ])
    let parameters = try Parameters(tensors, widths: ["c": 0.5])
    #expect(abs(parameters.slots[0].proposalDeviation - 3.082207) < 1e-6)
    #expect(parameters.slots[1].proposalDeviation == 0.1)
    #expect(parameters.slots[2].proposalDeviation == 0.5)
    #expect(parameters.values == [1, 2, 4, 9, 5, 5, 7])
    #expect(parameters.slots.map(\.offset) == [0, 4, 6])
  }

  private static let one = SafeTensors.Tensor(shape: [1], values: [0])

  @Test(
    arguments: [
      ([], [:], "f: expected a tensor or more to search, found none"),
      (
        [("a", .init(shape: [0, 2], values: []))], [:],
        "f: expected a value or more in each tensor, found shape [0, 2] of a (leave the tensor out)"
      ),
      (
        [("a", .init(shape: [2], values: [0, .nan]))], [:],
        "f: expected finite values, found nan at a[1]"
      ),
      (
        [("a", .init(shape: [2], values: [0, 1], type: .int8))], [:],
        "f: expected 32-bit floats in each tensor, found the integers of a (leave the tensor out, or "
          + "write its values as floats)"
      ),
      ([("a", one), ("a", one)], [:], "a: expected each tensor's name once, found it again"),
      (
        [("a", .init(shape: [2], values: [0]))], [:],
        "a: expected the values of shape [2], found 1"
      ),
      (
        [("a", one)], ["b": 1],
        "`sigma`: expected the name of a tensor, found 'b' (there are a)"
      ),
      ([("a", one)], ["a": 0], "`sigma`: expected a number above 0 for a, found 0.0"),
      (
        [("a", one)], ["a": .infinity], "`sigma`: expected a number above 0 for a, found inf"
      ),
    ] as [([(name: String, tensor: SafeTensors.Tensor)], [String: Double], String)])
  func whatIsNoStart(
    tensors: [(name: String, tensor: SafeTensors.Tensor)], widths: [String: Double], error: String
  ) {
    #expect {
      _ = try Parameters(SafeTensors(tensors: tensors), widths: widths, file: "f")
    } throws: {
      "\($0)" == error
    }
  }

  /// What answers infinity for all candidates is to blame, not the search.
  @Test func noFiniteLoss() throws {
    var search = try RandomSearch(Self.start(), settings: Self.settings()) { _, seed in
      seed == 0 ? 1 : .infinity
    }
    #expect {
      try search.run()
    } throws: {
      "\($0)"
        == "a[0]: cycle 1: none of its candidates has a finite loss (one of them must be finite; "
        + "look at what answers their losses)"
    }
  }

  /// What is wrong with changed settings; `nil` if nothing is.
  private static func problem(_ change: (inout SearchSettings) -> Void) throws -> String? {
    var settings = settings()
    change(&settings)
    let start = try start()
    let search = Result { try RandomSearch(start, settings: settings) { _, _ in 0 } }
    guard case .failure(let error) = search else { return nil }
    return "\(error)"
  }

  @Test func whatDoesNotFit() throws {
    #expect(
      try Self.problem { $0.statistics = .keep }
        == "`statistics`: expected renew: without a network there are none to keep, found keep")
    #expect(
      try Self.problem { $0.sweeps = ["c": 2] }
        == "`sweeps`: expected the name of a tensor, found 'c' (there are a, b)")
    #expect(
      try Self.problem { $0.only = ["c*"] }
        == "`only`: expected a pattern of the names of parameters, found 'c*', which matches none "
        + "(there are a, b)")
    #expect(try Self.problem { $0.batchSize = 5000 } == nil)
    #expect(
      try Self.problem { $0.cycles = 0 }?.hasPrefix("`cycles`: expected 1 to 1,000,000, found 0")
        == true)

    struct Few: VectorLoss {
      func losses(of candidates: Candidates) -> [Double] { [0] }
    }
    var search = try RandomSearch(Self.start(), settings: Self.settings(), loss: Few())
    #expect(throws: RSOError("loss", "expected 3 numbers, one for each candidate, found 1")) {
      try search.run()
    }
    // There is no network to ask for.
    #expect(throws: RSOError.self) { try search.model }
    #expect(throws: RSOError.self) { try search.network }
    #expect(throws: RSOError.self) { try search.data }
    #expect(throws: RSOError.self) { try search.evaluate(.train) }
  }

  /// The bytes that a program reads, as docs/search.md has them.
  @Test func theFrame() throws {
    let proposal = Candidates(
      values: [1, 2, 3, 4], count: 2, seed: 0x0102_0304, changed: (tensor: 5, element: 6))
    let words = [0x564F_5352, 1, 2, 2, 0x0102_0304, 0, 5, 6] as [UInt32]
    let floats = [0x3F80_0000, 0x4000_0000, 0x4040_0000, 0x4080_0000] as [UInt32]
    let bytes = (words + floats).flatMap { word in
      (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) }
    }
    #expect(LossProgram.frame(proposal) == bytes)
    #expect(bytes.starts(with: Array("RSOV".utf8)))
    let evaluation = LossProgram.frame(
      Candidates(values: [1, 2, 3, 4], count: 1, seed: 0, changed: nil))
    #expect(
      Array(evaluation[8..<32]) == [1, 0, 0, 0, 4] + [UInt8](repeating: 0, count: 7) + [1, 0, 0, 0]
        + [UInt8](repeating: 0, count: 8))
  }
}
