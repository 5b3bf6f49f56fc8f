import Foundation
import RSO

/// The history of a run for TensorBoard, in the run's folder.
///
/// A step is one finished tensor; step 0 is the untrained network. Every tensor has its loss, kept share (unless the
/// rule changes every weight), step, σ and seconds under its name, and the accuracy and loss on the validation set or,
/// if there is none, the test set. Every cycle has those two, its seconds, a histogram of each tensor and the filters
/// of the first layer. A run with validation images ends with the best model's accuracy and loss on the test set.
package final class EventLog {
  private let file: EventFile
  /// The number of sweeps in a cycle.
  private let sweeps: Int
  private var cycleSeconds: Double

  /// Opens or begins the history of a run; cuts off whatever is beyond the run's position.
  ///
  /// - Parameters:
  ///   - sweeps: the number of sweeps in a cycle.
  ///   - split: the split that judges the weights. If it is not test, results on the test set are those of an end that
  ///     the run had before it was given more cycles; they are removed.
  ///   - cycleSeconds: the seconds that the current cycle has taken so far.
  package init(
    folder: URL, sweeps: Int, position: RandomSearch.Position, judgedOn split: EvaluatedSplit,
    cycleSeconds: Double = 0
  ) throws {
    self.sweeps = sweeps
    self.cycleSeconds = cycleSeconds
    file = try EventFile(
      folder.appendingPathComponent(RunFolder.eventsName),
      keepingTo: position.cycle * sweeps + position.sweep,
      removing: split == .test ? nil : "\(EvaluatedSplit.test)/")
  }

  /// Whether nothing has been written yet, not even the initial model.
  package var isEmpty: Bool { file.isEmpty }

  /// Writes what the run begins with.
  package func begin(
    _ content: RandomSearch.Content, _ evaluation: Evaluation, _ split: EvaluatedSplit
  ) throws {
    try append(
      judgement(evaluation, split) + cycleValues(content, evaluation, split), step: 0)
    try file.synchronize()
  }

  /// Writes a finished tensor and, if it is the last of its cycle, the cycle.
  ///
  /// - Parameters:
  ///   - content: what the run has made, after the tensor.
  ///   - test: the best model on the test images, at the end of a run with validation images.
  package func record(
    _ report: RandomSearch.SweepReport, _ content: RandomSearch.Content, test: Evaluation? = nil
  ) throws {
    let name = report.parameter
    let seconds = report.seconds + report.evaluationSeconds
    cycleSeconds += seconds
    var values = [
      value("loss/\(name)", report.meanLoss), value("step/\(name)", report.step),
      value("sigma/\(name)", report.deviation), value("seconds/\(name)", seconds),
    ]
    if let share = report.keptShare { values.append(value("kept_share/\(name)", share)) }
    if let evaluation = report.evaluation {
      values += judgement(evaluation, report.split)
    }
    if let test {
      values += judgement(test, .test)
    }
    if report.sweep == sweeps - 1 {
      values.append(value("cycle/seconds", cycleSeconds))
      // The last tensor of a cycle is always evaluated.
      if let evaluation = report.evaluation {
        values += try cycleValues(content, evaluation, report.split)
      }
      cycleSeconds = 0
    }
    try append(values, step: report.cycle * sweeps + report.sweep + 1)
    try file.synchronize()
  }

  private func judgement(
    _ evaluation: Evaluation, _ split: EvaluatedSplit
  ) -> [TensorBoardSummary.Value] {
    var values = ["loss": evaluation.meanLoss]
    if evaluation.hasClasses { values["accuracy"] = evaluation.accuracy }
    // A metric may be one of these two.
    values.merge(evaluation.measures ?? [:]) { own, _ in own }
    return values.sorted { $0.key < $1.key }.map { value("\(split)/\($0)", $1) }
  }

  private func cycleValues(
    _ content: RandomSearch.Content, _ evaluation: Evaluation, _ split: EvaluatedSplit
  ) throws -> [TensorBoardSummary.Value] {
    var values = [value("cycle/\(split)_loss", evaluation.meanLoss)]
    if evaluation.hasClasses {
      values.append(value("cycle/\(split)_accuracy", evaluation.accuracy))
    }
    let parameters = content.parameters
    for slot in parameters.slots {
      values.append(
        .with {
          $0.tag = "weights/\(slot.name)"
          $0.histo = TensorBoardHistogram(parameters.values[slot.range])
        })
    }
    if let sheet = content.network.flatMap({ FilterSheet($0, parameters) }) {
      let png = try sheet.png()
      values.append(
        .with {
          $0.tag = "filters/\(sheet.name)"
          $0.image = .with {
            $0.width = Int32(sheet.width)
            $0.height = Int32(sheet.height)
            $0.colorspace = Int32(sheet.channels)
            $0.encodedImageString = png
          }
        })
    }
    return values
  }

  private func value(_ tag: String, _ value: Double) -> TensorBoardSummary.Value {
    .with {
      $0.tag = tag
      $0.simpleValue = Float(value)
    }
  }

  private func append(_ values: [TensorBoardSummary.Value], step: Int) throws {
    try file.append(
      .with {
        $0.wallTime = Date().timeIntervalSince1970
        $0.step = Int64(step)
        $0.summary = .with { $0.value = values }
      })
  }
}

extension TensorBoardHistogram {
  /// Thirty buckets of equal width from the smallest to the largest value; one bucket if all values are equal.
  init(_ values: ArraySlice<Float>) {
    let values = values.map { Double($0) }
    min = values.min() ?? 0
    max = values.max() ?? 0
    num = Double(values.count)
    sum = values.reduce(0, +)
    sumSquares = values.reduce(0) { $0 + $1 * $1 }
    let count = max > min ? 30 : 1
    let width = (max - min) / Double(count)
    bucket = [Double](repeating: 0, count: count)
    bucketLimit = (1...count).map { $0 == count ? max : min + Double($0) * width }
    for value in values {
      let index = width > 0 ? Swift.min(Int((value - min) / width), count - 1) : 0
      bucket[index] += 1
    }
  }
}
