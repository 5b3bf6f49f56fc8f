import Foundation
import RSO
import Testing

@testable import RSOFormats

/// What TensorBoard finds in a run folder. That resuming appends is in `ResumeTests`, which compares events, too.
struct EventTests {
  @Test func theEventsAreThoseOfTheRun() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "2", "--run", "r"]).code == 0)
      let events = try place.events("r")
      let metrics = try place.metrics("r")
      #expect(events.first?.fileVersion == "brain.Event:2")
      #expect(events.map(\.step) == [0] + (0...14).map { Int64($0) })
      #expect(zip(events, events.dropFirst()).allSatisfy { $0.wallTime <= $1.wallTime })
      func scalar(_ event: TensorBoardEvent, _ tag: String) -> Float? {
        event.summary.value.first { $0.tag == tag }?.simpleValue
      }
      for (event, line) in zip(events.dropFirst(2), metrics) {
        let name = try #require(line.parameter)
        #expect(scalar(event, "loss/\(name)") == line.meanLoss.map { Float($0) })
        #expect(scalar(event, "kept_share/\(name)") == line.keptShare.map { Float($0) })
        #expect(scalar(event, "step/\(name)") == line.step.map { Float($0) } && line.step != nil)
        #expect(scalar(event, "test/accuracy") == line.accuracy.map { Float($0) })
        #expect(scalar(event, "test/loss") == line.loss.map { Float($0) })
        let seconds = try #require(scalar(event, "seconds/\(name)"))
        #expect(abs(Double(seconds) - line.seconds - line.evaluationSeconds) < 0.002)
      }
      let untrained = try #require(try place.metricsLines("r").first)
      #expect(scalar(events[1], "test/accuracy") == untrained.accuracy.map { Float($0) })
      #expect(scalar(events[1], "test/loss") == untrained.loss.map { Float($0) })
      // σ of γ and β is 0.167, annealed to 0.55 of it in the second of two cycles.
      #expect(scalar(events[4], "sigma/bn1.bias") == Float(0.167))
      #expect(abs((scalar(events[11], "sigma/bn1.bias") ?? 0) - 0.167 * 0.55) < 1e-7)

      for (event, accuracy) in [(events[8], metrics[6]), (events[15], metrics[13])] {
        #expect(scalar(event, "cycle/test_accuracy") == accuracy.accuracy.map { Float($0) })
      }
      let cycle = metrics[7...].reduce(0) { $0 + $1.seconds + $1.evaluationSeconds }
      let found = Double(try #require(scalar(events[15], "cycle/seconds")))
      #expect(abs(found - cycle) < 0.01)

      let initial = events[1].summary.value
      let last = events[15].summary.value
      let tensors = try place.tensors("r/checkpoint.safetensors")
      let names = [
        "conv0.weight", "bn0.weight", "bn0.bias", "conv1.weight", "bn1.weight", "bn1.bias",
        "fc.weight",
      ]
      for values in [initial, last] {
        #expect(
          values.filter { $0.tag.hasPrefix("weights/") }.map(\.tag) == names.map { "weights/\($0)" }
        )
        let image = try #require(values.first { $0.tag == "filters/conv0.weight" }).image
        // Three filters of 3×3 weights, each 8 pixels a side, in two rows.
        #expect(image.width == 52 && image.height == 52 && image.colorspace == 1)
        #expect(image.encodedImageString.dropFirst(1).prefix(3) == Data("PNG".utf8))
      }
      for name in names {
        let histogram = try #require(last.first { $0.tag == "weights/\(name)" }).histo
        let values = try #require(tensors[name]).values
        #expect(histogram.num == Double(values.count))
        #expect(histogram.min == values.min().map { Double($0) })
        #expect(histogram.max == values.max().map { Double($0) })
      }
      #expect(
        initial.first { $0.tag == "weights/fc.weight" }
          != last.first { $0.tag == "weights/fc.weight" })
    }
  }

  /// A rule that moves every weight has steps and no share of weights that moved.
  @Test(arguments: ["slope", "parabola"])
  func aRuleThatMovesEveryWeight(rule: String) throws {
    try Workplace.with { place in
      let result = try place.train(["--cycles", "1", "--run", "r", "--rule", rule])
      #expect(result.output.contains("\ncycle  tensor                step      loss"))
      let lines = try place.metrics("r")
      for line in lines {
        #expect(line.keptShare == nil && line.step ?? 0 > 0)
        let words = String(format: " %.3f σ ", line.step ?? 0)
        #expect(result.output.contains(words), "no \(words) in \(result.output)")
      }
      let tags = Set(try place.events("r").flatMap { $0.summary.value.map(\.tag) })
      #expect(tags.contains("step/fc.weight") && !tags.contains { $0.hasPrefix("kept_share") })
      #expect(try place.run(["report", "r"]).errors == "")
      let page = try place.text("r/report.html")
      #expect(page.contains("<h2>Step</h2>") && !page.contains("<h2>Kept share</h2>"))
    }
  }

  /// A run from before there were events, or whose events were deleted, goes on with new ones.
  @Test func aDeletedHistoryBeginsAnew() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "2", "--run", "r"]).code == 0)
      try place.cut(to: 5)
      try FileManager.default.removeItem(at: place.file("r/\(RunFolder.eventsName)"))
      #expect(try place.run(["train", "--run", "r", "--resume"]).code == 0)
      #expect(try place.events("r").map(\.step) == [0] + (6...14).map { Int64($0) })
    }
  }
}
