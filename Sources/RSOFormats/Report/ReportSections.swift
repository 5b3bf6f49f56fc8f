import Foundation
import RSO

extension Report {
  func head(_ title: String) -> String {
    """
    <header>
    <h1>\(escaped(title))</h1>
    <p class=weak>Trained by RSO: one weight at a time, without gradients.</p>
    </header>
    """
  }

  /// What was run, and its results.
  var summary: String {
    var rows: [(String, (ReportRun) -> String)] = [
      (
        "data",
        { run in
          let data = run.data
          let validation = data.validation.map { "\($0.count) to validate, " } ?? ""
          return
            "\(data.name), \(data.train.count) to train on, \(validation)\(data.test.count) to test"
        }
      ),
      (
        "network",
        { "\($0.model.network.nodes.count) layers, \($0.model.parameters.values.count) weights" }
      ),
      ("cycles", { "\($0.record.checkpoint.position.cycle) of \($0.settings.cycles)" }),
      ("batch", { $0.settings.batchWords }),
      ("weights on a mini-batch", { "\($0.settings.hold)" }),
      ("rule", { "\($0.settings.rule)" }),
      ("weights decided together", { $0.settings.roundWords }),
      ("annealing", { "\($0.settings.anneal)" }),
      ("weight decay", { "\($0.settings.weightDecay)" }),
      ("σ times", { "\($0.settings.deviationScale)" }),
      ("seed", { "\($0.settings.seed)" }),
      (
        "order of tensors",
        { $0.settings.tensorOrder == .outputToInput ? "output to input" : "input to output" }
      ),
      ("order of elements", { $0.settings.elementOrder == .rowMajor ? "row-major" : "shuffled" }),
      (
        "sweeps per cycle",
        { run in
          let sweeps = run.settings.sweeps.sorted { $0.key < $1.key }.map { "\($0) \($1)" }
          return sweeps.isEmpty ? "1 for every layer" : sweeps.joined(separator: ", ")
        }
      ),
      ("only", { $0.settings.only?.joined(separator: ", ") ?? "every parameter" }),
      ("program", { $0.uniqueSessions { "rso \($0.version)" } }),
      ("device", { $0.uniqueSessions(\.words) }),
      ("time", { clock($0.seconds.last ?? 0) }),
      ("\(evaluated) accuracy", { $0.metrics.last.map { percentage($0.accuracy) } ?? "–" }),
      (
        "best",
        { run in
          run.record.checkpoint.best.map {
            "\(percentage($0.accuracy)), after \($0.parameter) of cycle \($0.cycle + 1)"
          } ?? "–"
        }
      ),
    ]
    if runs.contains(where: { $0.split == .validation }) {
      rows.append(("test accuracy of the best", { $0.tested }))
    }
    return section(
      "Settings and result", "",
      table(
        [""] + runs.map(\.name), rows.map { name, value in [name] + runs.map(value) },
        id: "settings"))
  }

  // MARK: Curves

  /// The split that accuracies and losses are on, in words.
  var evaluated: String {
    let splits = Set(runs.map(\.split))
    return splits.count == 1 ? "\(runs[0].split)" : "test or validation"
  }

  var curves: String {
    let longest = runs.compactMap(\.seconds.last).max() ?? 0
    let (unit, size): (String, Double) =
      longest > 2 * 86400
      ? ("days", 86400)
      : longest > 7200
        ? ("hours", 3600) : longest > 120 ? ("minutes", 60) : ("seconds", 1)
    func series(
      _ x: (ReportRun) -> [Double], _ y: (Metrics) -> Double?
    ) -> [Chart.Series] {
      runs.enumerated().map { number, run in
        .init(number: number, points: zip(x(run), run.metrics).map { ($0, y($1) ?? .nan) })
      }
    }
    let charts = [
      (
        "\(evaluated.capitalizedFirst) accuracy over proposals",
        Chart(
          title: "Accuracy", x: "proposals judged", y: "\(evaluated) accuracy, %",
          series: series({ $0.proposals }, { 100 * $0.accuracy }))
      ),
      (
        "\(evaluated.capitalizedFirst) accuracy over time",
        Chart(
          title: "Accuracy", x: "time, \(unit)", y: "\(evaluated) accuracy, %",
          series: series({ $0.seconds.map { $0 / size } }, { 100 * $0.accuracy }))
      ),
      (
        "Loss on the \(evaluated) set",
        Chart(
          title: "Loss", x: "proposals judged", y: "cross entropy per image",
          series: series({ $0.proposals }, { $0.loss }), yFrom: 0)
      ),
      (
        "Loss of what was kept, on the mini-batches that judged it",
        Chart(
          title: "Training loss", x: "proposals judged", y: "cross entropy per image",
          series: series({ $0.proposals }, { $0.meanLoss }), yFrom: 0)
      ),
    ]
    return section(
      "Learning", "A point for every finished tensor.",
      legend + "<div class=grid2>" + charts.map { figure($0, $1.svg) }.joined(separator: "\n")
        + "</div>")
  }

  /// The tensors of all runs, in the order of the first run that has them.
  private var tensors: [String] {
    var seen: Set<String> = []
    return runs.flatMap(\.swept).map(\.name).filter { seen.insert($0).inserted }
  }

  var keptShares: String {
    let charts = tensors.map { name in
      Chart(
        title: name, x: "cycle", y: "kept share, %",
        series: runs.enumerated().map { number, run in
          .init(
            number: number,
            points: run.metrics.filter { $0.parameter == name }
              .map { (Double($0.cycle + 1), 100 * ($0.keptShare ?? .nan)) })
        }, yFrom: 0, yTo: 100, isSmall: true)
    }
    return section(
      "Kept share",
      "Per cent of the proposals that changed the weight (w + Δ or w − Δ), over cycles, for every tensor.",
      legend + "<div class=small>"
        + charts.map { "<figure>\($0.svg)</figure>" }.joined(separator: "\n") + "</div>")
  }

  /// A bar chart with one bar per tensor and run.
  var distances: String {
    let known = runs.filter { $0.record.initial != nil }
    guard !known.isEmpty else {
      return section(
        "Distance from the start", "These runs have not kept the model they started from.", "")
    }
    let ways = tensors.map { name in
      (
        name: name,
        ways: runs.map { run in run.swept.first { $0.name == name }.flatMap { run.distance($0) } }
      )
    }
    let ticks = Ticks(from: 0, to: ways.flatMap(\.ways).compactMap { $0 }.max() ?? 1, count: 5)
    let (width, left, bar) = (420.0, 130.0, 9.0)
    let step = bar * Double(runs.count) + 8
    let height = step * Double(ways.count)
    func x(_ value: Double) -> Double { left + value / ticks.last * (width - left - 16) }
    var parts = ticks.values.map { tick in
      "<line class=grid x1=\(decimal(x(tick), 1)) x2=\(decimal(x(tick), 1)) y1=0 y2=\(decimal(height, 1)) />"
        + "<text x=\(decimal(x(tick), 1)) y=\(decimal(height + 15, 1)) text-anchor=middle>\(ticks.label(tick))</text>"
    }
    for (place, tensor) in ways.enumerated() {
      let y = step * Double(place) + 4
      parts.append(
        "<text x=\(decimal(left - 6, 1)) y=\(decimal(y + (step - 8) / 2 + 4, 1)) text-anchor=end>\(escaped(tensor.name))</text>"
      )
      for (number, way) in tensor.ways.enumerated() {
        guard let way else { continue }
        let text = "\(tensor.name): \(decimal(way, 3)) σ"
        parts.append(
          "<rect class=b\(number % Chart.colours) x=\(decimal(left, 1)) y=\(decimal(y + bar * Double(number), 1)) "
            + "width=\(decimal(x(way) - left, 1)) height=\(decimal(bar - 1, 1))><title>\(escaped(text))</title></rect>"
        )
      }
    }
    let middle = (left + width - 16) / 2
    parts.append(
      "<text x=\(decimal(middle, 1)) y=\(decimal(height + 34, 1)) text-anchor=middle>root mean square way of a weight, σ</text>"
    )
    let svg =
      "<svg viewBox=\"0 0 \(decimal(width, 0)) \(decimal(height + 40, 0))\" role=img aria-label=\"distance of every tensor\">"
      + parts.joined(separator: "\n") + "</svg>"
    return section(
      "Distance from the start",
      "How far the weights of each tensor are from where they started, in σ, the width of its proposals in the first cycle.",
      legend + "<div class=narrow>\(figure("After the last finished tensor", svg))</div>")
  }

  // MARK: Pictures

  func filters() throws -> String {
    let body = try eachRun { run in
      let last = run.record.checkpoint.model
      let pairs = [("before", run.record.initial), ("after", last)]
      let figures = try pairs.compactMap { word, model in
        try model.flatMap { FilterSheet($0.network, $0.parameters) }.map { sheet in
          figure("\(sheet.name), \(word)", image(try sheet.png(), "\(sheet.name) \(word)"))
        }
      }
      if figures.isEmpty {
        return "<p>The first layer has no filters that are a picture of its input.</p>"
      }
      let first = last.parameters.slots.first { $0.role == .weight }
      let isSearched = run.swept.contains { $0.name == first?.name }
      return "<div class=\"grid2 filters\">\(figures.joined(separator: "\n"))</div>"
        + (isSearched ? "" : "\n<p class=weak>This run has not searched them yet.</p>")
    }
    return section(
      "Filters of the first layer",
      "Grey is zero; black and white are the largest weight of either sign, in each picture.", body)
  }

  /// The mark's largest share of a cell's colour: beyond it the number is hard to read, above all in dark mode.
  static let deepestMark = 0.55

  var confusions: String {
    let body = eachRun { run in
      let table = run.confusion
      let head = row(["shown \\ seen as"] + table.indices.map { escaped(name($0)) }, "th")
      let rows = table.enumerated().map { label, counts in
        let sum = max(counts.reduce(0, +), 1)
        let cells = counts.map { count in
          let share = decimal((Double(count) / Double(sum)).squareRoot() * Self.deepestMark, 3)
          return "<td style=\"background: rgba(var(--mark), \(share))\">\(count)</td>"
        }
        return "<tr><th>\(escaped(name(label)))</th>\(cells.joined())</tr>"
      }
      let correct = table.indices.reduce(0) { $0 + table[$1][$1] }
      return """
        <p class=weak>\(correct) of \(run.data.test.count) correct.</p>
        <div class=scroll><table class=confusion><thead>\(head)</thead><tbody>
        \(rows.joined(separator: "\n"))
        </tbody></table></div>
        """
    }
    return section(
      "Confusion", "Test images by their class and by what the best model takes them for.", body)
  }

  /// The number of pictures shown per run.
  static var mostMistakes: Int { 120 }

  func mistakes() throws -> String {
    let body = try eachRun { run in
      let all = run.mistakes
      let shown = all.prefix(Self.mostMistakes)
      let figures = try shown.map { index, share in
        let (label, seen) = (Int(run.data.test.labels[index]), run.predictions[index].label)
        let text = "\(name(label)), seen as \(name(seen)) (\(percentage(share, 0)))"
        return figure(text, image(try run.picture(index), "test image \(index)"))
      }
      let count =
        all.count > shown.count
        ? "\(all.count) images are wrong; these are the \(shown.count) of the surest answers."
        : "\(all.count) images are wrong."
      return
        "<p class=weak>\(count)</p>\n<div class=pictures>\(figures.joined(separator: "\n"))</div>"
    }
    return section(
      "Mistakes",
      "Test images that the best model takes for another class, with their label first.", body)
  }

  // MARK: Figures

  var cycleTable: String {
    let body = runs.enumerated().map { number, run in
      let rows = run.cycles.map { line in
        let seconds = run.metrics.filter { $0.cycle == line.cycle }
          .reduce(0) { $0 + $1.seconds + $1.evaluationSeconds }
        return [
          "\(line.cycle + 1)", percentage(line.accuracy),
          line.bestAccuracy.map { percentage($0) } ?? "–",
          line.loss.map { decimal($0, 4) } ?? "–", clock(seconds),
        ]
      }
      return (runs.count > 1 ? "<h3>\(escaped(run.name))</h3>" : "")
        + table(
          ["cycle", "\(run.split) accuracy", "best", "\(run.split) loss", "time"], rows,
          id: "cycles\(number)")
    }
    return section("Cycles", "After the last tensor of each.", body.joined(separator: "\n"))
  }

  private func text(_ value: Double?) -> String { value.map { "\($0)" } ?? "–" }

  /// All figures, as in `metrics.jsonl`.
  var sweepTable: String {
    let body = runs.enumerated().map { number, run in
      let rows = run.metrics.map { line in
        [
          "\(line.cycle + 1)", line.parameter ?? "–", text(line.keptShare), text(line.meanLoss),
          text(line.loss), "\(line.accuracy)", text(line.bestAccuracy), "\(line.seconds)",
          "\(line.evaluationSeconds)",
        ]
      }
      return "<details><summary>\(escaped(run.name)): \(rows.count) tensors</summary>"
        + table(
          [
            "cycle", "tensor", "kept share", "mean loss", "\(run.split) loss",
            "\(run.split) accuracy", "best", "seconds", "evaluation s",
          ], rows, id: "sweeps\(number)") + "</details>"
    }
    return section("All tensors", "", body.joined(separator: "\n"))
  }
}
