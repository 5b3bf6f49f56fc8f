import Foundation
import RSO

/// One run of a report, and its best model's predictions for the test images.
package struct ReportRun: Sendable {
  let name: String
  let record: RunRecord
  /// `nil` for a search without a network.
  let data: Dataset?
  /// The best so far; before the first evaluation, the latest.
  package let content: RandomSearch.Content
  /// Empty while test images have no part in the run: until the end of a run with validation images.
  let predictions: [Prediction]

  /// - Parameters:
  ///   - name: the run's name in the report.
  ///   - data: the data that the run was started with; `nil` for a search without a network.
  /// - Complexity: one forward pass over the test images.
  package init(name: String, record: RunRecord, data: Dataset?, threads: Int? = nil) throws {
    self.name = name
    self.record = record
    self.data = data
    content = record.best ?? record.checkpoint.content
    guard let data, case .model(let model) = content else {
      predictions = []
      return
    }
    let isTested = data.validation == nil || record.checkpoint.best?.test != nil
    predictions =
      isTested && data.hasLabels ? try model.predict(data.test.images, threads: threads) : []
  }

  /// Whether its samples have classes.
  var hasLabels: Bool { data?.hasLabels ?? false }

  var parameters: Parameters { record.checkpoint.content.parameters }

  /// What was searched, in words.
  var sizeWords: String {
    (content.network.map { "\($0.nodes.count) layers" } ?? "\(parameters.slots.count) tensors")
      + ", \(parameters.values.count) "
      + (content.network == nil ? "values" : "weights")
  }

  /// The domains of a network's weights: one for all, or that of each tensor.
  var domainWords: String {
    let weights = parameters.slots.filter { $0.role == .weight }
    let domains = Set(weights.map(\.domain))
    if let domain = domains.first, domains.count == 1 { return "\(domain)" }
    return weights.map { "\($0.name) \($0.domain)" }.joined(separator: ", ")
  }

  /// Whether the scales of discrete weights are searched.
  var scaleWords: String {
    guard content.network?.hasDiscreteWeights == true else { return "none" }
    return switch settings.scales {
    case .fixed: "fixed"
    case .tensor: "searched, one for a tensor"
    case .channel: "searched, one for an output channel"
    }
  }

  /// What the run began with.
  var startWords: String {
    let configuration = record.checkpoint.configuration
    guard let from = configuration.from else {
      return content.network == nil ? "not recorded" : "weights drawn from the seed"
    }
    return switch configuration.rounding {
    case nil: from
    case .fixed: "\(from), rounded with the scales of drawn weights"
    case .tensor: "\(from), rounded with the best scale for each tensor"
    case .channel: "\(from), rounded with the best scale for each output channel"
    }
  }

  /// The widths of the first cycle's proposals, by tensor.
  var widthWords: String {
    parameters.slots.map {
      "\($0.name) \(significant(settings.deviation(of: $0.proposalDeviation, cycle: 0)))"
    }.joined(separator: ", ")
  }

  var settings: SearchSettings { record.checkpoint.configuration.settings }
  var metrics: [Metrics] { record.metrics }

  /// What the run's loss is.
  var lossWords: String {
    let program = record.checkpoint.configuration.program
    return program.map { "the answers of \($0.line)" }
      ?? (content.network == nil ? "a function" : settings.loss.words)
  }

  /// Orders runs by what chose their best: accuracy, or the loss.
  var merit: Double {
    let best = record.checkpoint.best
    return record.checkpoint.configuration.choosesByLoss
      ? -(best?.loss ?? .infinity) : best?.accuracy ?? -1
  }

  /// The split that the curves are on.
  var split: EvaluatedSplit { data?.evaluatedSplit ?? .test }

  /// The best model's accuracy on the test images, which a run with validation images learns at its end.
  ///
  /// Without validation images, the test images have chosen the model.
  var tested: String {
    let best = record.checkpoint.best
    guard split == .validation else { return best?.accuracy.map { percentage($0) } ?? "–" }
    return best?.test.map { $0.accuracy.map { percentage($0) } ?? "–" }
      ?? "known when the run has ended"
  }

  /// What the sessions of the run say of themselves, each only once.
  func uniqueSessions(_ words: (Session) -> String) -> String {
    var seen: Set<String> = []
    let all = record.sessions.map(words).filter { seen.insert($0).inserted }
    return all.isEmpty ? "not recorded" : all.joined(separator: "; ")
  }

  /// The number of proposals judged up to the end of each tensor.
  var proposals: [Double] {
    let counts = parameters.proposals
    var sum = 0
    return metrics.map { line in
      sum += counts[line.parameter ?? ""] ?? 0
      return Double(sum)
    }
  }

  /// What the learning curves show: the untrained network, if it is known, and every finished tensor.
  var points: [Metrics] { (record.untrained.map { [$0] } ?? []) + metrics }

  /// The number of proposals judged up to each of `points`.
  var pointProposals: [Double] { (record.untrained == nil ? [] : [0]) + proposals }

  /// Seconds up to each of `points`; the evaluation of the untrained network does not count.
  var pointSeconds: [Double] { (record.untrained == nil ? [] : [0]) + seconds }

  /// The last accuracy.
  var accuracy: Double? { metrics.last { $0.accuracy != nil }?.accuracy }

  /// The lines of one tensor.
  func lines(of parameter: String) -> [Metrics] { metrics.filter { $0.parameter == parameter } }

  /// The error in per cent, 100 less the accuracy. No error at all counts as half an image, because a logarithmic axis
  /// has no zero. NaN if there was no evaluation.
  func error(_ line: Metrics) -> Double {
    guard let data else { return .nan }
    let count = Double((data.validation ?? data.test).count)
    return line.accuracy.map { 100 * max(1 - $0, 0.5 / count) } ?? .nan
  }

  /// Seconds from the start of the run to the end of each tensor.
  var seconds: [Double] {
    var sum = 0.0
    return metrics.map { line in
      sum += line.seconds + line.evaluationSeconds
      return sum
    }
  }

  /// The last finished tensor of every cycle, including an unfinished cycle.
  var cycles: [Metrics] {
    metrics.indices.filter { $0 == metrics.count - 1 || metrics[$0 + 1].cycle != metrics[$0].cycle }
      .map { metrics[$0] }
  }

  /// The tensors that were swept, in the order of the network.
  var swept: [Parameters.Slot] {
    let names = Set(metrics.compactMap(\.parameter))
    return parameters.slots.filter { names.contains($0.name) }
  }

  /// How far a tensor is from its start: the root mean square of its elements' changes, in σ of its proposals;
  /// `nil` if its start is not known.
  func distance(_ slot: Parameters.Slot) -> Double? {
    guard let initial = record.initial else { return nil }
    let pairs = zip(
      parameters.values[slot.range], initial.parameters.values[slot.range])
    let square = pairs.reduce(0.0) {
      let way = Double($1.0) - Double($1.1)
      return $0 + way * way
    }
    return (square / Double(slot.count)).squareRoot() / slot.proposalDeviation
  }

  /// `[label][predicted]`: the number of test images.
  var confusion: [[Int]] {
    let classes = content.network?.classes ?? 0
    var table = Array(repeating: Array(repeating: 0, count: classes), count: classes)
    for (label, prediction) in zip(data?.test.labels ?? [], predictions) {
      table[Int(label)][prediction.label] += 1
    }
    return table
  }

  /// Misclassified test images, those with the most certain answer first.
  var mistakes: [(index: Int, share: Double)] {
    let labels = data?.test.labels ?? []
    return zip(predictions.indices, labels).filter { predictions[$0].label != Int($1) }.map(\.0)
      .map { ($0, predictions[$0].probabilities[predictions[$0].label]) }
      .sorted { ($1.share, $0.index) < ($0.share, $1.index) }
  }

  /// A test image as PNG.
  static func picture(_ index: Int, of test: Split) throws -> Data {
    let shape = test.shape
    let all = test.images.bytes((index * shape.count)..<((index + 1) * shape.count))
    let channels = shape.channels == 3 ? 3 : 1
    let pixels = (0..<shape.area).flatMap { place in
      (0..<channels).map { all[all.startIndex + $0 * shape.area + place] }
    }
    return try PNG.encode(pixels, width: shape.width, height: shape.height, channels: channels)
  }
}

extension Pixels {
  /// A range of values as bytes for display: floats are scaled from the least to the largest of them.
  fileprivate func bytes(_ range: Range<Int>) -> [UInt8] {
    switch self {
    case .bytes(let bytes): return Array(bytes[range])
    case .floats(let floats):
      let values = floats[range].map { $0.isFinite ? $0 : 0 }
      // The difference of two floats may be no float.
      let (low, high) = (Double(values.min() ?? 0), Double(values.max() ?? 0))
      return values.map { high > low ? UInt8(255 * ((Double($0) - low) / (high - low))) : 0 }
    }
  }
}
