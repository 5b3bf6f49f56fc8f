import RSO

/// What `rso evaluate` says.
struct EvaluationResult: Encodable {
  var model: String
  var data: String
  var split: String
  var samples: Int
  /// Per sample; `nil` unless it is finite, because JSON has no other numbers.
  var loss: Double?
  /// What the loss is, if not cross entropy.
  var lossName: String?
  /// Metrics that were asked for, by name.
  var metrics: [String: Double]?
  /// The figures of classes are `nil` if the samples have none.
  var accuracy: Double?
  var correct: Int?
  var macroPrecision: Double?
  var macroRecall: Double?
  var macroF1: Double?
  /// Under the ROC curve; `nil` unless there are two classes, with samples of both.
  var auc: Double?
  var classes: [Class]?
  /// `confusion[label][predicted]`
  var confusion: [[Int]]?

  /// One class against all others.
  struct Class: Encodable {
    var label: Int
    /// `nil` for its number.
    var name: String?
    var samples: Int
    var predicted: Int
    var correct: Int
    /// `nil` if no sample was taken for the class.
    var precision: Double?
    /// `nil` if the class has no samples.
    var recall: Double?
    /// `nil` if both are.
    var f1: Double?
  }

  /// - Parameters:
  ///   - loss: what the evaluation's loss is.
  ///   - names: of the classes; `nil` for their numbers.
  init(
    model: String, data: String, split: EvaluatedSplit, _ found: Evaluation, loss: Loss,
    area: Double?, names: [String]?
  ) {
    (self.model, self.data, self.split) = (model, data, split.rawValue)
    samples = found.count
    self.loss = found.meanLoss.isFinite ? found.meanLoss : nil
    lossName = loss == .crossEntropy ? nil : loss.words
    metrics = found.measures
    guard found.hasClasses else { return }
    confusion = found.confusion
    let scores = found.scores
    (accuracy, correct) = (found.accuracy, found.correct)
    macroPrecision = scores.macroPrecision
    macroRecall = scores.macroRecall
    macroF1 = scores.macroF1
    auc = area
    classes = scores.classes.map {
      Class(
        label: $0.label, name: names?[$0.label], samples: $0.samples, predicted: $0.predicted,
        correct: $0.correct, precision: $0.precision, recall: $0.recall, f1: $0.f1)
    }
  }

  // MARK: As text

  /// The lines for a reader.
  ///
  /// - Parameter names: of the classes, or their numbers.
  func tables(_ names: [String]) -> [String] {
    func share(_ value: Double?) -> String { value.map { percent($0) } ?? "–" }
    var lines = [
      "\(data), \(split): \(samples) \(accuracy == nil ? "samples" : "images")",
      "loss      \(loss.map { fixed($0, 6) } ?? "not finite")"
        + (lossName.map { " (\($0))" } ?? ""),
    ]
    let classes = classes ?? []
    // These have lines of their own.
    let own = accuracy == nil ? [] : ["accuracy"] + (classes.count == 2 ? ["auc"] : [])
    let measures = (metrics ?? [:]).filter { !own.contains($0.key) }.sorted { $0.key < $1.key }
    let width = max(10, (measures.map(\.key.count).max() ?? 0) + 2)
    lines += measures.map { $0.key.padded(width) + fixed($0.value, 6) }
    guard let accuracy, let correct else { return lines }
    lines.insert("accuracy  \(percent(accuracy)) (\(correct) correct)", at: 2)
    if classes.count == 2 {
      let area = auc.map { fixed($0, 6) } ?? "– (it needs images of both classes)"
      lines.append("AUC       \(area)")
    }
    var table = TextTable(
      ["class", "images", "correct", "precision", "recall", "F1"], left: 1)
    for row in classes {
      table.add([
        names[row.label], "\(row.samples)", "\(row.correct)", share(row.precision),
        share(row.recall), share(row.f1),
      ])
    }
    table.add([
      "macro average", "", "", share(macroPrecision), share(macroRecall), share(macroF1),
    ])
    return lines + [""] + table.lines + [""] + confusionTable(names)
  }

  /// More classes than this make lines that no terminal shows.
  private static let widest = 20

  private func confusionTable(_ names: [String]) -> [String] {
    let confusion = confusion ?? []
    if confusion.count <= Self.widest {
      var table = TextTable(["shown \\ seen as"] + names, left: 1)
      for (name, row) in zip(names, confusion) { table.add([name] + row.map { "\($0)" }) }
      return table.lines
    }
    let mistakes = confusion.enumerated().flatMap { label, row in
      row.enumerated().filter { $0.offset != label && $0.element > 0 }
        .map { (label: label, seen: $0.offset, count: $0.element) }
    }
    .sorted { ($1.count, $0.label, $0.seen) < ($0.count, $1.label, $1.seen) }
    var table = TextTable(["most frequent mistakes", "seen as", "images"], left: 2)
    for mistake in mistakes.prefix(Self.widest) {
      table.add([names[mistake.label], names[mistake.seen], "\(mistake.count)"])
    }
    return table.lines + ["(--json has the whole confusion matrix)"]
  }

  /// A head and a row for every class; a figure that is not defined is empty. Metrics are of all classes together: they
  /// have columns of their own, and a last row with the macro averages.
  func csv(_ names: [String]) -> [String] {
    func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
    let measures = (metrics ?? [:]).sorted { $0.key < $1.key }
    let empty = measures.map { _ in "" }
    let classes = classes ?? []
    var lines = [
      csvLine(
        ["class", "images", "predicted", "correct", "precision", "recall", "f1"]
          + measures.map(\.key))
    ]
    lines += classes.map { row in
      csvLine(
        [
          names[row.label], "\(row.samples)", "\(row.predicted)", "\(row.correct)",
          number(row.precision), number(row.recall), number(row.f1),
        ] + empty)
    }
    if measures.isEmpty { return lines }
    let all = [
      "all", "\(samples)", "\(samples)", "\(correct ?? 0)", number(macroPrecision),
      number(macroRecall), number(macroF1),
    ]
    return lines + [csvLine(all + measures.map { number($0.value) })]
  }
}
