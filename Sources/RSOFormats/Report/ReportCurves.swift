import RSO

extension Report {
  // MARK: Curves

  /// The split that accuracies and losses are on, in words.
  var evaluated: String {
    let splits = Set(runs.map(\.split))
    return splits.count == 1 ? "\(runs[0].split)" : "test or validation"
  }

  private func series(
    _ x: (ReportRun) -> [Double], _ y: (ReportRun) -> [Double]
  ) -> [Chart.Series] {
    curves.enumerated().map { number, curve in curve.series(number, x, y) }
  }

  var learning: String {
    let longest = runs.compactMap(\.seconds.last).max() ?? 0
    let (unit, size): (String, Double) =
      longest > 2 * 86400
      ? ("days", 86400)
      : longest > 7200
        ? ("hours", 3600) : longest > 120 ? ("minutes", 60) : ("seconds", 1)
    let errors = { (run: ReportRun) in run.points.map { run.error($0) } }
    let losses = { (run: ReportRun) in run.points.map { $0.loss ?? .nan } }
    let time = { (run: ReportRun) in run.pointSeconds.map { $0 / size } }
    let proposals = { (run: ReportRun) in run.pointProposals }
    func chart(
      _ title: String, _ y: String, _ x: String, _ series: [Chart.Series], isError: Bool = false,
      place: @escaping (Double) -> String = { grouped($0) + " proposals" }
    ) -> String {
      var chart = Chart(title: title, x: x, y: y, series: series)
      // A program's losses may have any sign.
      let values = series.flatMap(\.points).map(\.y)
      chart.isLogarithmic = hasNetworks || values.allSatisfy { !($0 <= 0) }
      (chart.isError, chart.placeWords) = (isError, place)
      if isError {
        chart.valueWords = { "\(decimal(100 - $0, 2)) %, error \(significant($0)) %" }
      }
      return panel(title, chart)
    }
    let judged = "proposals judged"
    let hasErrors = runs.contains(where: \.hasLabels)
    let kinds = Set(runs.map(\.lossWords))
    let loss =
      kinds == ["cross-entropy"]
      ? "cross entropy per image" : kinds.count == 1 ? kinds.first ?? "" : "loss"
    var charts = [
      chart(
        "Error on the \(evaluated) images over proposals", "\(evaluated) error, %", judged,
        series(proposals, errors), isError: true),
      chart(
        "Error on the \(evaluated) images over time", "\(evaluated) error, %", "time, \(unit)",
        series(time, errors), isError: true, place: { "after \(clock($0 * size))" }),
      chart(
        hasNetworks ? "Loss on the \(evaluated) images" : "Loss with the seed of evaluations",
        loss, judged,
        series(proposals, losses)),
      chart(
        "Loss of what was kept, "
          + (hasNetworks ? "on the mini-batches that judged it" : "with the seeds of proposals"),
        loss, judged,
        series({ $0.proposals }, { $0.metrics.map { $0.meanLoss ?? .nan } })),
    ]
    if !hasErrors { charts.removeFirst(2) }
    let bands = curves.contains { $0.runs.count > 1 }
    return section(
      "Learning",
      "A point for the \(hasNetworks ? "untrained network" : "start") and every evaluation after it. "
        + (hasErrors ? "The error is 100 % less the accuracy. " : "")
        + (hasNetworks
          ? "The vertical axes are logarithmic, so that 1.1 and 0.9 are as far apart as 11 and 9."
          : "")
        + (bands ? " A band is a standard deviation to both sides of the mean over seeds." : ""),
      legend + "<div class=grid2>" + charts.joined(separator: "\n") + "</div>")
  }

  /// The tensors of all runs, in the order of the first run that has them.
  private var tensors: [String] {
    var seen: Set<String> = []
    return runs.flatMap(\.swept).map(\.name).filter { seen.insert($0).inserted }
  }

  /// A small chart for every tensor, over cycles; empty if no run has the value.
  private func tensorCharts(
    _ title: String, _ text: String, _ y: String, to top: Double? = nil,
    words: @escaping (Double) -> String, _ value: (Metrics) -> Double?
  ) -> String {
    let values = runs.flatMap(\.metrics).compactMap(value).filter(\.isFinite)
    guard let largest = values.max() else { return "" }
    let charts = tensors.map { name in
      var chart = Chart(
        title: name, x: "cycle", y: y,
        series: curves.enumerated().map { number, curve in
          curve.series(
            number, { $0.lines(of: name).map { Double($0.cycle + 1) } },
            { $0.lines(of: name).map { value($0) ?? .nan } })
        }, yFrom: 0, yTo: top ?? max(largest, 1e-9), isSmall: true)
      chart.placeWords = { "cycle \(decimal($0, 0))" }
      chart.valueWords = words
      return "<figure class=panel>\(chart.svg)</figure>"
    }
    let shown = curves.indices.filter { number in
      curves[number].runs.contains { $0.metrics.contains { value($0) != nil } }
    }
    return section(
      title, text,
      legend(of: shown) + "<div class=small>\(charts.joined(separator: "\n"))</div>")
  }

  var keptShares: String {
    tensorCharts(
      "Kept share",
      "Per cent of the proposals that changed the weight (w + Δ or w − Δ), over cycles, for every tensor."
        + (runs.contains(where: hasSteps)
          ? " Tensors whose weights all change have no such share." : ""),
      "kept share, %", to: 100, words: { decimal($0, 1) + " %" }
    ) { $0.keptShare.map { 100 * $0 } }
  }

  /// Whether a rule changed every weight of a tensor.
  func hasSteps(_ run: ReportRun) -> Bool {
    run.metrics.contains { $0.keptShare == nil && $0.step != nil }
  }

  /// For rules that change every weight: how far.
  var steps: String {
    guard runs.contains(where: hasSteps) else { return "" }
    return tensorCharts(
      "Step",
      "How far the weights moved when they were tested, as a root mean square, in σ, the width of the proposals.",
      "step, σ", words: { decimal($0, 3) + " σ" }
    ) { $0.step }
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
        ways: curves.map { curve in
          Spread(
            curve.runs.compactMap { run in
              run.swept.first { $0.name == name }.flatMap { run.distance($0) }
            })?.mean
        }
      )
    }
    let ticks = Ticks(from: 0, to: ways.flatMap(\.ways).compactMap { $0 }.max() ?? 1, count: 5)
    let (width, left, bar) = (460.0, 110.0, 9.0)
    let step = bar * Double(curves.count) + 8
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
      legend
        + "<figure class=\"panel narrow\"><figcaption>After the last finished tensor</figcaption>\(svg)</figure>"
    )
  }
}
