import Foundation
import Testing

@testable import RSO

struct AnnealingTests {
  /// Half a cosine from 1 to 0.2: at a quarter, cos 45° is √½.
  @Test func schedules() {
    let cosine = Annealing.cosine(0.2)
    #expect(cosine.factor(cycle: 0, of: 8) == 1)
    #expect(abs(cosine.factor(cycle: 2, of: 8) - (0.2 + 0.8 * (1 + 0.5.squareRoot()) / 2)) < 1e-15)
    #expect(abs(cosine.factor(cycle: 4, of: 8) - 0.6) < 1e-15)
    #expect(abs(cosine.factor(cycle: 6, of: 8) - (0.2 + 0.8 * (1 - 0.5.squareRoot()) / 2)) < 1e-15)
    // 1, 1/2, 1/3, 1/4 would follow, and 1/5 after the last.
    let inverse = (0..<4).map { Annealing.inverse(0.2).factor(cycle: $0, of: 4) }
    #expect(zip(inverse, [1, 0.5, 1 / 3.0, 0.25]).allSatisfy { abs($0 - $1) < 1e-15 })
    #expect(Annealing.inverse(.leastNonzeroMagnitude).factor(cycle: 0, of: 4) == 1)
    #expect((0..<8).map { Annealing.constant.factor(cycle: $0, of: 8) == 1 }.allSatisfy { $0 })
    #expect(Annealing.linear(0.5).factor(cycle: 3, of: 4) == 0.625)
    var settings = SearchSettings()
    (settings.cycles, settings.anneal, settings.deviationScale) = (8, .cosine(0.2), 2)
    #expect(abs(settings.deviation(of: 3, cycle: 4) - 3.6) < 1e-14)
  }

  @Test(arguments: [
    ("0.25", Annealing.linear(0.25), "linear:0.25"), ("linear:0", .linear(0), "linear:0.0"),
    ("linear", .linear(0.1), "linear:0.1"), ("cosine:1", .cosine(1), "cosine:1.0"),
    ("cosine", .cosine(0.1), "cosine:0.1"), ("constant", .constant, "constant"),
    ("inverse", .inverse(0.1), "inverse:0.1"), ("inverse:1", .inverse(1), "inverse:1.0"),
  ])
  func text(text: String, expected: Annealing, description: String) throws {
    let found = try Annealing(text)
    #expect(found == expected && found.description == description)
    #expect(try Annealing(description) == expected)
    var settings = SearchSettings()
    settings.anneal = expected
    let json = try compactJSON(settings)
    #expect(try JSONDecoder().decode(SearchSettings.self, from: Data(json.utf8)) == settings)
  }

  /// As files of versions that knew linear schedules alone have it, and have to find it.
  @Test func aLinearScheduleIsANumberInFiles() throws {
    #expect(try compactJSON(SearchSettings()).contains(#""anneal":0.1,"#))
    #expect(try JSONDecoder().decode([Annealing].self, from: Data("[0.5, 1]".utf8)) == [0.5, 1.0])
    var settings = SearchSettings()
    settings.anneal = .cosine(0.5)
    #expect(try compactJSON(settings).contains(#""anneal":"cosine:0.5","#))
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode([Annealing].self, from: Data(#"["cosine:2"]"#.utf8))
    }
  }

  @Test(arguments: ["", "cosine:", "cosine:x", "constant:1", "linear:0.1:2", "exponential:0.1"])
  func refuses(text: String) {
    #expect(
      errorText { _ = try Annealing(text) }
        == "`anneal`: expected 0.1, linear:0.1, cosine:0.1, inverse:0.1 or constant, found '\(text)' "
        + "(the number is the fraction of σ that is left at the end)")
  }

  @Test(arguments: ["1.5", "cosine:-1", "linear:nan", "inverse:2"])
  func refusesFractions(text: String) {
    #expect(
      errorText { _ = try Annealing(text) }?.hasPrefix(
        "`anneal`: expected a fraction from 0 to 1, found ") == true)
  }

  @Test func inverseNeverEndsAtZero() {
    #expect(
      errorText { _ = try Annealing("inverse:0") }
        == "`anneal`: expected a fraction above 0, found inverse:0.0 "
        + "(one over the number of cycles never is 0; linear:0 ends there)")
  }
}
