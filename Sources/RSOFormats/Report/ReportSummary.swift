import RSO

/// A line of the charts: one run, or several that differ by their seeds alone.
struct ReportCurve {
  let name: String
  /// One or more, in the report's order.
  let runs: [ReportRun]

  /// The run whose best model is the best.
  var best: ReportRun {
    runs.max { $0.merit < $1.merit } ?? runs[0]
  }

  /// Runs in groups that differ by their seeds alone, in the order of their first runs.
  static func all(_ runs: [ReportRun]) -> [ReportCurve] {
    var order: [RunConfiguration] = []
    var groups: [RunConfiguration: [ReportRun]] = [:]
    for run in runs {
      var key = run.record.checkpoint.configuration
      key.settings.seed = 0
      key.trace = nil
      if groups[key] == nil { order.append(key) }
      groups[key, default: []].append(run)
    }
    return order.flatMap { key -> [ReportCurve] in
      let runs = groups[key] ?? []
      let isGroup = runs.count > 1 && Set(runs.map(\.settings.seed)).count == runs.count
      return isGroup ? [ReportCurve(runs)] : runs.map { ReportCurve([$0]) }
    }
  }

  private init(_ runs: [ReportRun]) {
    self.runs = runs
    let folders = Set(runs.map { $0.record.url.deletingLastPathComponent().lastPathComponent })
    name =
      runs.count == 1
      ? runs[0].name
      : (folders.count == 1 ? folders.first ?? "" : runs.map(\.name).joined(separator: ", "))
        + " (\(runs.count) seeds)"
  }

  /// The mean over the runs of a value after every tensor that all of them have finished, with a standard deviation to
  /// both sides if there are several runs.
  func series(
    _ number: Int, _ x: (ReportRun) -> [Double], _ y: (ReportRun) -> [Double]
  ) -> Chart.Series {
    let (xs, ys) = (runs.map(x), runs.map(y))
    let count = (xs + ys).map(\.count).min() ?? 0
    var series = Chart.Series(number: number, name: name, points: [])
    for index in 0..<count {
      guard let place = Spread(xs.map { $0[index] }), let value = Spread(ys.map { $0[index] })
      else {
        continue
      }
      // A value that some runs do not have has no mean.
      guard value.mean.isFinite else { continue }
      series.points.append((place.mean, value.mean))
      if let deviation = value.standardDeviation {
        series.band.append((place.mean, value.mean - deviation, value.mean + deviation))
      }
    }
    return series
  }
}

extension Report {
  private typealias Row = (name: String, value: (ReportRun) -> String)

  /// The settings; those of mini-batches and networks only if there are any.
  private var settingRows: [Row] {
    let rows = (hasNetworks ? Self.networkRows : [("σ in the first cycle", \.widthWords)])
    return [("size", \.sizeWords), ("began with", \.startWords)] + rows + Self.searchRows
  }

  private static var networkRows: [Row] {
    [
      (
        "data",
        { run in
          guard let data = run.data else { return "none" }
          let validation = data.validation.map { "\($0.count) to validate, " } ?? ""
          return
            "\(data.name), \(data.train.count) to train on, \(validation)\(data.test.count) to test"
        }
      ),
      ("weights", \.domainWords),
      ("scales", \.scaleWords),
      ("batch", { $0.settings.batchWords }),
      ("statistics it began with", { $0.settings.statistics == .keep ? "kept" : "renewed" }),
    ]
  }

  private static var searchRows: [Row] {
    [
      ("cycles asked for", { "\($0.settings.cycles)" }),
      ("elements on a mini-batch or seed", { "\($0.settings.hold)" }),
      ("loss", { $0.lossWords }),
      ("rule", { "\($0.settings.rule)" }),
      ("elements decided together", { $0.settings.roundWords }),
      ("annealing", { "\($0.settings.anneal)" }),
      ("evaluated after every", { $0.settings.evaluations.rawValue }),
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
      ("frozen", { $0.settings.freeze?.joined(separator: ", ") ?? "no parameter" }),
      ("program", { $0.uniqueSessions(\.program) }),
      ("device", { $0.uniqueSessions(\.words) }),
    ]
  }

  /// What the best run reached, at a glance.
  var cards: String {
    let best =
      curves.map(\.best).max { $0.merit < $1.merit } ?? runs[0]
    let found = best.record.checkpoint.best
    let images = best.data.map { ($0.validation ?? $0.test).count } ?? 0
    let end = runs.count > 1 ? " of \(best.name)" : ""
    var cards: [(name: String, value: String, text: String)] = [
      (
        "best \(best.split) accuracy\(end)", found?.accuracy.map { percentage($0) } ?? "–",
        found?.accuracy.map {
          "\(grouped((1 - $0) * Double(images))) of \(grouped(Double(images))) images wrong"
        } ?? "not evaluated yet"
      )
    ]
    if !best.hasLabels || best.record.checkpoint.configuration.choosesByLoss {
      let loss = (
        name: "best \(best.split) loss\(end)", value: found?.loss.map { decimal($0, 4) } ?? "–",
        text: best.lossWords
      )
      if best.hasLabels { cards.insert(loss, at: 0) } else { cards = [loss] }
    }
    if best.split == .validation {
      cards.append(("test accuracy\(end)", best.tested, "evaluated once, at the end"))
    }
    let groups = curves.compactMap { curve in
      curve.runs.count == 1
        ? nil
        : Spread(curve.runs.compactMap { $0.record.checkpoint.best?.accuracy }).map {
          (name: curve.name, spread: $0)
        }
    }
    if let group = groups.max(by: { $0.spread.mean < $1.spread.mean }) {
      cards.append(
        ("best of each run of \(group.name)", group.spread.percentages, "mean ± standard deviation")
      )
    }
    let totals = best.metrics.last?.totals
    cards += [
      (
        best.content.network == nil ? "values" : "weights",
        grouped(Double(best.parameters.values.count)),
        best.content.network.map {
          "\($0.nodes.count) layers, \($0.classes) " + (best.hasLabels ? "classes" : "outputs")
        } ?? "\(best.parameters.slots.count) tensors"
      ),
      (
        "proposals judged", grouped(best.proposals.last ?? 0),
        totals.map { "\(grouped(Double($0.evaluations))) losses computed" } ?? "no gradients"
      ),
      (
        runs.count > 1 ? "time\(end)" : "time", clock(best.seconds.last ?? 0),
        best.uniqueSessions(\.words)
      ),
    ]
    let items = cards.map {
      "<div class=card><dt>\(escaped($0.name))</dt><dd>\(escaped($0.value))</dd>"
        + "<dd class=weak>\(escaped($0.text))</dd></div>"
    }
    return "<dl class=cards>\(items.joined(separator: "\n"))</dl>"
  }

  /// The runs' results, best first, each with the settings that are not the same for all; then those that are.
  var summary: String {
    func isShared(_ row: Row) -> Bool { Set(runs.map(row.value)).count == 1 }
    let shared = settingRows.filter(isShared)
    let different = settingRows.filter { !isShared($0) }
    let isValidated = runs.contains { $0.split == .validation }
    var columns: [Row] = [("run", { $0.name })]
    if runs.contains(where: \.hasLabels) {
      columns += [
        ("\(evaluated) accuracy", { $0.accuracy.map { percentage($0) } ?? "–" }),
        ("best", { $0.record.checkpoint.best?.accuracy.map { percentage($0) } ?? "–" }),
      ]
    }
    if runs.contains(where: \.record.checkpoint.configuration.choosesByLoss) {
      columns.append(
        ("best loss", { $0.record.checkpoint.best?.loss.map { decimal($0, 4) } ?? "–" }))
    }
    for name in Set(runs.flatMap { $0.settings.metrics.map { "\($0)" } }).sorted() {
      columns.append(
        (name, { $0.metrics.last?.measures?[name].map { decimal($0, 4) } ?? "–" }))
    }
    columns += [
      (
        "best after",
        { run in
          run.record.checkpoint.best.map { "\($0.parameter) of cycle \($0.cycle + 1)" } ?? "–"
        }
      )
    ]
    if isValidated { columns.append(("test accuracy of the best", { $0.tested })) }
    columns += [
      ("cycles", { "\($0.record.checkpoint.position.cycle)" }),
      ("time", { clock($0.seconds.last ?? 0) }),
    ]
    columns += different
    let order = runs.indices.sorted {
      (runs[$1].merit, $0) < (runs[$0].merit, $1)
    }
    let results = table(
      columns.map(\.name), order.map { index in columns.map { $0.value(runs[index]) } },
      id: "results",
      lines: curves.count == 1
        ? nil
        : order.map { index in
          curves.firstIndex { $0.runs.contains { $0.record.url == runs[index].record.url } } ?? 0
        })
    let settings = table(
      ["setting", "value"], shared.map { [$0.name, $0.value(runs[0])] }, id: "settings")
    return section(
      "Results", runs.count > 1 ? "The best run comes first." : "",
      results + groups
        + "<h3>\(runs.count > 1 ? "Settings that all runs have in common" : "Settings")</h3>"
        + settings)
  }

  /// The mean and standard deviation of runs that differ by their seeds alone; empty if there are none.
  private var groups: String {
    func mean(_ curve: ReportCurve) -> Double {
      Spread(curve.runs.map(\.merit))?.mean ?? 0
    }
    let lines = curves.indices.filter { curves[$0].runs.count > 1 }
      .sorted { (mean(curves[$1]), $0) < (mean(curves[$0]), $1) }
    let groups = lines.map { curves[$0] }
    if groups.isEmpty { return "" }
    func spread(_ curve: ReportCurve, _ value: (ReportRun) -> Double?) -> String {
      Spread(curve.runs.compactMap(value))?.percentages ?? "–"
    }
    var columns: [(name: String, value: (ReportCurve) -> String)] = [("runs", \.name)]
    if groups.contains(where: { $0.runs[0].hasLabels }) {
      columns += [
        ("\(evaluated) accuracy", { spread($0) { $0.accuracy } }),
        ("best", { spread($0) { $0.record.checkpoint.best?.accuracy } }),
      ]
      if groups.contains(where: { $0.runs[0].split == .validation }) {
        columns.append(
          (
            "test accuracy of the best",
            { spread($0) { $0.record.checkpoint.best?.test?.accuracy } }
          ))
      }
    }
    if groups.contains(where: \.runs[0].record.checkpoint.configuration.choosesByLoss) {
      columns.append(
        (
          "best loss",
          { curve in
            let losses = curve.runs.compactMap { $0.record.checkpoint.best?.loss }
            return Spread(losses).map { spread in
              decimal(spread.mean, 4)
                + (spread.standardDeviation.map { " ± \(decimal($0, 4))" } ?? "")
            } ?? "–"
          }
        ))
    }
    let rows = groups.map { curve in columns.map { $0.value(curve) } }
    return "<h3>Over seeds: mean ± standard deviation</h3>"
      + table(columns.map(\.name), rows, id: "seeds", lines: curves.count == 1 ? nil : lines)
  }
}
