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

  // MARK: Pictures

  func filters() throws -> String {
    let body = try eachRun { run in
      let last = run.record.checkpoint.content
      let pairs = [("before", run.record.initial), ("after", last)]
      let figures = try pairs.compactMap { word, content in
        try content.flatMap { content in
          content.network.flatMap { FilterSheet($0, content.parameters) }
        }.map { sheet in
          figure("\(sheet.name), \(word)", image(try sheet.png(), "\(sheet.name) \(word)"))
        }
      }
      if figures.isEmpty {
        return "<p>The first layer has no filters that are a picture of its input.</p>"
      }
      let first = last.parameters.slots.first { $0.role == .weight }
      let isSearched = run.swept.contains { $0.name == first?.name }
      return "<div class=filters>\(figures.joined(separator: "\n"))</div>"
        + (isSearched ? "" : "\n<p class=weak>This run has not searched them yet.</p>")
    }
    return section(
      "Filters of the first layer",
      "Grey is zero; black and white are the largest weight of either sign, in each picture.", body)
  }

  /// The mark's largest share of a cell's colour: beyond it the number is hard to read, above all in dark mode.
  static let deepestMark = 0.55

  private static func untested(_ run: ReportRun) -> String {
    "<p class=weak>\(run.hasLabels ? "Known when the run has ended." : "The samples have no classes.")</p>"
  }

  var confusions: String {
    let body = eachRun { run in
      if run.predictions.isEmpty { return Self.untested(run) }
      let table = run.confusion
      let scores = ClassScores(confusion: table)
      let head = row(
        ["shown \\ seen as"] + table.indices.map { escaped(name($0)) }
          + ["precision", "recall", "F1"], "th")
      let rows = table.enumerated().map { label, counts in
        let sum = max(counts.reduce(0, +), 1)
        let cells = counts.map { count in
          let share = decimal((Double(count) / Double(sum)).squareRoot() * Self.deepestMark, 3)
          return "<td style=\"background: rgba(var(--mark), \(share))\">\(count)</td>"
        }
        let own = scores.classes[label]
        let figures = [own.precision, own.recall, own.f1].map {
          "<td class=figure>\($0.map { percentage($0, 1) } ?? "–")</td>"
        }
        return
          "<tr><th>\(escaped(name(label)))</th>\(cells.joined())\(figures.joined())</tr>"
      }
      let correct = table.indices.reduce(0) { $0 + table[$1][$1] }
      return """
        <p class=weak>\(correct) of \(run.predictions.count) correct.</p>
        <p class=weak>Averages over classes: precision \(percentage(scores.macroPrecision)), \
        recall \(percentage(scores.macroRecall)), F1 \(percentage(scores.macroF1)).</p>
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
      guard let test = run.data?.test, !run.predictions.isEmpty else { return Self.untested(run) }
      let all = run.mistakes
      let shown = all.prefix(Self.mostMistakes)
      let figures = try shown.map { index, share in
        let (label, seen) = (Int(test.labels[index]), run.predictions[index].label)
        let text = "\(name(label)), seen as \(name(seen)) (\(percentage(share, 0)))"
        if test.shape.isTable { return figure("row \(index): \(text)", "") }
        return figure(text, image(try ReportRun.picture(index, of: test), "test image \(index)"))
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
        let accuracies = [line.accuracy, line.bestAccuracy].map { $0.map { percentage($0) } ?? "–" }
        return ["\(line.cycle + 1)"] + (run.hasLabels ? accuracies : [])
          + [line.loss.map { decimal($0, 4) } ?? "–", clock(seconds)]
      }
      return (runs.count > 1 ? "<h3>\(escaped(run.name))</h3>" : "")
        + table(
          ["cycle"] + accuracyColumns(run) + ["\(evaluatedWord(run)) loss", "time"], rows,
          id: "cycles\(number)")
    }
    return section("Cycles", "After the last tensor of each.", body.joined(separator: "\n"))
  }

  private func text(_ value: Double?) -> String { value.map { "\($0)" } ?? "–" }

  /// Samples without classes have no accuracy.
  private func accuracyColumns(_ run: ReportRun) -> [String] {
    run.hasLabels ? ["\(run.split) accuracy", "best"] : []
  }

  /// What the losses of a run's evaluations are on.
  private func evaluatedWord(_ run: ReportRun) -> String {
    run.content.network == nil ? "evaluated" : "\(run.split)"
  }

  /// All figures, as in `metrics.jsonl`.
  var sweepTable: String {
    let body = runs.enumerated().map { number, run in
      let rows = run.metrics.map { line in
        [
          "\(line.cycle + 1)", line.parameter ?? "–", text(line.sigma),
          text(hasSteps(run) ? line.step : line.keptShare), text(line.meanLoss),
          text(line.loss),
        ] + (run.hasLabels ? [text(line.accuracy), text(line.bestAccuracy)] : [])
          + ["\(line.seconds)", "\(line.evaluationSeconds)"]
      }
      return "<details><summary>\(escaped(run.name)): \(rows.count) tensors</summary>"
        + table(
          [
            "cycle", "tensor", "σ", hasSteps(run) ? "step" : "kept share",
            "mean loss", "\(evaluatedWord(run)) loss",
          ] + accuracyColumns(run) + ["seconds", "evaluation s"], rows, id: "sweeps\(number)")
        + "</details>"
    }
    return section("All tensors", "", body.joined(separator: "\n"))
  }
}
