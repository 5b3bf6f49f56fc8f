import Foundation
import RSO
import Testing

/// The page is looked at in a browser by `.ci/run`; here, what it says and what is refused.
struct ReportTests {
  /// What weights may be, what their scales do and what a run began with stand beside the results, and in config.json.
  @Test func saysDomainsScalesAndStarts() throws {
    try Workplace.with { place in
      func train(_ run: String, _ options: [String]) throws {
        let result = try place.train(["--cycles", "1", "--run", run] + options)
        #expect(result.code == 0, "\(result.errors)")
      }
      try train("f", [])
      try train("t", ["--from", "f", "--weights", "ternary", "--weights", "fc*=int8"])
      try train("c", ["--from", "f/best.safetensors", "--weights", "int4", "--scales", "channel"])
      #expect(try place.text("t/config.json").contains(#""from" : "f""#))
      #expect(try place.text("t/config.json").contains(#""rounding" : "tensor""#))
      #expect(try place.text("c/config.json").contains(#""scales" : "channel""#))
      #expect(try !place.text("f/config.json").contains(#""rounding""#))
      #expect(try place.run(["report", "f", "t", "c", "-o", "r.html"]).code == 0)
      let page = try place.text("r.html")
      for cell in [
        "<th>weights</th>", "<th>scales</th>", "<th>began with</th>",
        "<td>conv0.weight ternary, conv1.weight ternary, fc.weight int8</td>", "<td>int4</td>",
        "<td>searched, one for an output channel</td>", "<td>fixed</td>",
        "<td>f, rounded with the best scale for each tensor</td>",
        "<td>f/best.safetensors, rounded with the best scale for each output channel</td>",
      ] {
        #expect(page.contains(cell), "\(cell)")
      }
      // A cycle of the last run has a proposal for each of the three scales.
      #expect(try place.metrics("c").last?.totals?.proposals == 164)
      #expect(page.contains("<td>fc.weight.scale</td>") && page.contains("164 proposals"))
    }
  }

  @Test func saysWhatTheRunsSay() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "3", "--run", "one"]).code == 0)
      #expect(
        try place.train(["--cycles", "2", "--run", "two", "--only", "fc*", "--seed", "5"]).code == 0
      )
      let before = try place.contents("one")
      let result = try place.run([
        "report", "one", "two", "-o", "both.html", "--class-names", "cat,<dog>,eel",
      ])
      #expect(result.errors == "")
      #expect(result.output == "report: both.html\n")
      #expect(try place.contents("one") == before)
      let page = try place.text("both.html")
      for name in ["one", "two"] {
        for line in try place.metrics(name) {
          let cells = [
            "\(line.cycle + 1)", line.parameter ?? "", "\(line.sigma ?? 0)",
            "\(line.keptShare ?? 0)",
            "\(line.meanLoss ?? 0)", "\(line.loss ?? 0)", "\(line.accuracy ?? 0)",
            "\(line.bestAccuracy ?? 0)",
            "\(line.seconds)",
            "\(line.evaluationSeconds)",
          ]
          let row = "<tr>" + cells.map { "<td>\($0)</td>" }.joined() + "</tr>"
          #expect(page.contains(row), "\(row)")
        }
        let best = try #require(try place.metrics(name).compactMap(\.accuracy).max())
        #expect(page.contains(String(format: "<td>%.2f %%</td><td>", 100 * best)))
        #expect(page.contains("<p class=weak>\(Int((best * 30).rounded())) of 30 correct.</p>"))
      }
      #expect(page.contains("&lt;dog&gt;") && !page.contains("<dog>"))
      #expect(page.contains("conv0.weight, before") && page.contains("conv0.weight, after"))
      // The best of both is at the top, and charts say their values under the pointer.
      let best = try #require(
        try ["one", "two"].compactMap { try place.metrics($0).last?.bestAccuracy }.max())
      #expect(page.contains(String(format: "<dd>%.2f %%</dd>", 100 * best)))
      #expect(
        page.contains("<dd class=weak>\(30 - Int((best * 30).rounded())) of 30 images wrong</dd>"))
      #expect(page.contains(">0 proposals</text>") && page.contains(">cycle 1</text>"))
      #expect(page.contains("<th>precision</th><th>recall</th><th>F1</th>"))
      // Settings that differ are beside the results, the others once in a table of their own.
      let results = try #require(
        page.firstMatch(of: /<table id=results>.*?<\/table>/.dotMatchesNewlines()))
      let settings = try #require(
        page.firstMatch(of: /<table id=settings>.*?<\/table>/.dotMatchesNewlines()))
      for name in ["cycles asked for", "seed", "only"] {
        #expect(results.output.contains("<th>\(name)</th>"))
        #expect(!settings.output.contains("<td>\(name)</td>"))
      }
      #expect(!results.output.contains("<th>batch</th>"))
      #expect(settings.output.contains("<td>batch</td><td>30</td>"))
      #expect(settings.output.contains("<td>weight decay</td><td>0.0001</td>"))
      #expect(settings.output.contains("<td>weights</td><td>float</td>"))
      #expect(settings.output.contains("<td>scales</td><td>none</td>"))
      #expect(
        settings.output.contains("<td>began with</td><td>weights drawn from the seed</td>"))
      // The best comes first.
      let accuracies = results.output.matches(of: /([0-9.]+) %<\/td><td>[a-z0-9.]+ of cycle/).map {
        Double($0.1) ?? 0
      }
      #expect(accuracies.count == 2 && accuracies[0] >= accuracies[1])
      // Nothing from elsewhere, and no script.
      for text in ["http:", "https:", "<script", "url(", "@import"] {
        #expect(!page.contains(text))
      }

      #expect(try place.run(["report", "two", "--quiet"]).output == "")
      #expect(try place.text("two/report.html").contains("<title>two"))
      // The folder still goes on.
      #expect(try place.run(["train", "--run", "two", "--resume"]).code == 0)
    }
  }

  /// Three runs of one folder, and one with another batch that is a line of its own.
  @Test func seedsShareALine() throws {
    try Workplace.with { place in
      let options = ["--cycles", "2", "--quiet"]
      #expect(try place.train(options + ["--run", "r", "--seeds", "0..2"]).code == 0)
      #expect(try place.train(options + ["--run", "single", "--batch", "45"]).code == 0)
      #expect(try place.run(["report", "r", "single", "-o", "p.html"]).errors == "")
      let page = try place.text("p.html")
      #expect(page.contains("<title>r (3 seeds), single – RSO</title>"))
      #expect(page.contains("</svg>r (3 seeds)</li>") && page.contains("</svg>single</li>"))
      // By hand: mean and deviation with n − 1, of the last and of the best accuracies.
      func words(_ value: (String) throws -> Double?) throws -> String {
        let values = try (0...2).map { try #require(try value("r/seed-\($0)")) }
        let mean = values.reduce(0, +) / 3
        let deviation = (values.reduce(0) { $0 + pow($1 - mean, 2) } / 2).squareRoot()
        return String(format: "%.2f ± %.2f %%", 100 * mean, 100 * deviation)
      }
      let last = try words { try place.metrics($0).last?.accuracy }
      let best = try words { try place.metrics($0).last?.bestAccuracy }
      #expect(
        page.contains("</svg>r (3 seeds)</td><td>\(last)</td><td>\(best)</td></tr>"), "\(page)")
      let most = try #require(
        try ["r/seed-0", "r/seed-1", "r/seed-2", "single"].compactMap {
          try place.metrics($0).last?.bestAccuracy
        }.max())
      let wrong = 30 - Int((most * 30).rounded())
      #expect(page.contains("<dd class=weak>\(wrong) of 30 images wrong</dd>") && wrong != 15)
      // A band in each of the four learning curves and the seven charts of kept shares, of the first line alone.
      #expect(page.matches(of: /<polygon class="band b0"/).count == 11)
      #expect(!page.contains("class=\"band b1\""))
      // Two lines in each of the eleven charts, and one for each in every legend.
      #expect(page.matches(of: /<polyline class="line c/).count == 22)
      #expect(page.contains(", the best of r (3 seeds)</h3>"))
      #expect(page.components(separatedBy: " of 30 correct").count == 3)
    }
  }

  struct Change: CustomTestStringConvertible, Sendable {
    var errors: String
    var arguments: [String] = []
    var change: @Sendable (Workplace) throws -> Void
    var testDescription: String { errors }
  }

  static let changes: [Change] = [
    Change(
      errors:
        "/r/metrics.jsonl: expected whole lines, found a part of one at its end (the run was killed"
    ) {
      let file = $0.file("r/metrics.jsonl")
      try Data(contentsOf: file).dropLast(20).write(to: file)
    },
    Change(
      errors: "/r/metrics.jsonl: expected lines of 7 tensors as in checkpoint.safetensors, found 6"
    ) {
      let lines = try $0.text("r/metrics.jsonl").split(separator: "\n").dropLast()
      try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: $0.file("r/metrics.jsonl"))
    },
    Change(errors: "/r/metrics.jsonl, line 3") { try $0.edit("r/metrics.jsonl", "conv1", "\"") },
    Change(
      errors:
        "checkpoint.safetensors: expected format version 1 to 3, found 4 (was it written by a later rso?)"
    ) {
      try $0.change { $0.metadata["format_version"] = "4" }
    },
    Change(
      errors: "/none: expected the folder of a run, found no checkpoint.safetensors",
      arguments: ["none"]
    ) {
      _ in
    },
    Change(errors: "digits: expected train-images-idx3-ubyte") {
      try FileManager.default.removeItem(at: $0.file("digits"))
    },
    Change(errors: "digits: the run has the data ") { try $0.writeData("digits", shift: 1) },
    Change(errors: "none/p.html: cannot be written", arguments: ["-o", "none/p.html"]) { _ in },
    Change(errors: "--class-names: expected 3 names", arguments: ["--class-names", "a"]) { _ in },
    Change(
      errors: "best.safetensors: expected the network of checkpoint.safetensors, found another"
    ) {
      try $0.edit("net.json", "\"channels\": 4", "\"channels\": 5")
      _ = try $0.train(["--cycles", "1", "--run", "s"])
      try FileManager.default.removeItem(at: $0.file("r/best.safetensors"))
      try FileManager.default.moveItem(
        at: $0.file("s/best.safetensors"), to: $0.file("r/best.safetensors"))
    },
  ]

  @Test(arguments: changes)
  func refusesWhatItCannotShow(_ test: Change) throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "1", "--run", "r"]).code == 0)
      try test.change(place)
      let before = try place.files()
      let result = try place.run(["report", "r"] + test.arguments)
      #expect(result.code == (test.errors.hasPrefix("--") ? 64 : 1))
      #expect(result.output == "")
      #expect(result.errors.contains(test.errors), "\(result.errors)")
      #expect(try place.files() == before)
    }
  }

  @Test func aRunThatGoesOnIsRefused() throws {
    try Workplace.with { place in
      let running = try Tool.Running(
        ["train"] + Workplace.options + ["--cycles", "400", "--run", "r"], in: place.url)
      while running.process.isRunning, ((try? place.text("r/metrics.jsonl")) ?? "").isEmpty {
        usleep(200)
      }
      let result = try place.run(["report", "r"])
      running.send(SIGKILL)
      _ = try running.wait()
      #expect(result.code == 1)
      #expect(
        result.errors.contains(
          "/r: another rso is using this folder (the run goes on: stop it or wait"))
      // After the kill there is a page, whatever was finished.
      #expect(try place.run(["report", "r"]).code == 0)
    }
  }
}
