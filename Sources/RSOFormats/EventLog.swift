import Foundation
import RSO

/// The history of a run for TensorBoard, in the run's folder.
///
/// A step is one finished tensor. Every tensor has its loss, kept share, σ and seconds under its name, and the
/// accuracy and loss on the test set. Every cycle has those of the test set, its seconds, a histogram of each
/// tensor and the filters of the first layer.
package final class EventLog {
  /// TensorBoard looks for `tfevents` in the name.
  package static let name = "events.out.tfevents.rso"

  private let file: EventFile
  private let settings: SearchSettings
  /// The number of sweeps in a cycle.
  private let sweeps: Int
  private var cycleSeconds: Double

  /// Opens or begins the history of a run; cuts off whatever is beyond the run's position.
  ///
  /// - Parameters:
  ///   - sweeps: the number of sweeps in a cycle.
  ///   - cycleSeconds: the seconds that the current cycle has taken so far.
  package init(
    folder: URL, settings: SearchSettings, sweeps: Int, position: RandomSearch.Position,
    cycleSeconds: Double = 0
  ) throws {
    self.settings = settings
    self.sweeps = sweeps
    self.cycleSeconds = cycleSeconds
    file = try EventFile(
      folder.appendingPathComponent(Self.name),
      keepingTo: position.cycle * sweeps + position.sweep)
  }

  /// Whether nothing has been written yet, not even the initial model.
  package var isEmpty: Bool { file.isEmpty }

  /// Writes the initial model of the run.
  package func begin(_ model: Model, test: Evaluation) throws {
    try append(cycleValues(model, test), step: 0)
    try file.synchronize()
  }

  /// Writes a finished tensor and, if it is the last of its cycle, the cycle.
  ///
  /// - Parameter model: the model after the tensor.
  package func record(_ report: RandomSearch.SweepReport, model: Model) throws {
    let name = report.parameter
    let slot = model.parameters.slots.first { $0.name == name }
    let σ = slot.map { settings.deviation(of: $0.proposalDeviation, cycle: report.cycle) } ?? 0
    let seconds = report.seconds + report.evaluationSeconds
    cycleSeconds += seconds
    var values = [
      value("loss/\(name)", report.meanLoss), value("kept_share/\(name)", report.keptShare),
      value("sigma/\(name)", σ), value("seconds/\(name)", seconds),
      value("test/accuracy", report.test.accuracy), value("test/loss", report.test.meanLoss),
    ]
    if report.sweep == sweeps - 1 {
      values.append(value("cycle/seconds", cycleSeconds))
      values += try cycleValues(model, report.test)
      cycleSeconds = 0
    }
    try append(values, step: report.cycle * sweeps + report.sweep + 1)
    try file.synchronize()
  }

  private func cycleValues(_ model: Model, _ test: Evaluation) throws -> [TensorBoardSummary.Value]
  {
    var values = [
      value("cycle/test_accuracy", test.accuracy), value("cycle/test_loss", test.meanLoss),
    ]
    for slot in model.parameters.slots {
      values.append(
        .with {
          $0.tag = "weights/\(slot.name)"
          $0.histo = TensorBoardHistogram(model.parameters.values[slot.range])
        })
    }
    if let sheet = FilterSheet(model.network, model.parameters) {
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
