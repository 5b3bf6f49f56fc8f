/// A loss of a whole mini-batch: any program from outputs to a number. It need have no derivative.
///
///     struct Worst: BatchLoss {
///       func losses(of outputs: Outputs) -> [Double] {
///         (0..<outputs.candidates).map { candidate in
///           (0..<outputs.samples.count).map { 1 - outputs[candidate, $0][Int(outputs.labels[$0])] }.max() ?? 0
///         }
///       }
///     }
///     var search = try RandomSearch(network: network, data: data, settings: settings, loss: Worst())
public protocol BatchLoss: Sendable {
  /// One number per candidate, the smaller the better. NaN counts as infinite.
  ///
  /// Called once per proposal, from one thread at a time; and for an evaluation, once with a single candidate and all
  /// samples of the split. Equal outputs must give equal numbers, or a resumed run will not have the bits of one that
  /// was not stopped.
  func losses(of outputs: Outputs) throws -> [Double]
}

/// A network's outputs on a mini-batch, for each candidate of a proposal.
public struct Outputs: Sendable {
  /// The outputs of the last layer, `[candidates][samples][width]`: for classes, logits.
  public let values: [Float]
  /// The number of candidates.
  public let candidates: Int
  /// The number of outputs of the network.
  public let width: Int
  /// The split that the samples are from.
  public let split: EvaluatedSplit
  /// `[samples]`: the number of each sample in its split.
  public let samples: [Int32]
  /// `[samples]`: the class of each sample; empty if there are no labels.
  public let labels: [Int32]
  /// `[samples][width]`: the targets; empty if there are none.
  public let targets: [Float]

  /// The outputs for one sample, `[width]`; `sample` counts from 0 within the mini-batch.
  ///
  /// - Complexity: O(1)
  public subscript(candidate: Int, sample: Int) -> ArraySlice<Float> {
    let start = (candidate * samples.count + sample) * width
    return values[start..<start + width]
  }

  /// The outputs of a split's samples.
  ///
  /// - Parameter values: `[candidates][samples][width]`
  init(
    _ values: [Float], candidates: Int, width: Int, of samples: [Int32],
    in name: EvaluatedSplit, _ split: Split
  ) {
    self.values = values
    self.candidates = candidates
    self.width = width
    self.split = name
    self.samples = samples
    labels = split.hasLabels ? samples.map { split.labels[Int($0)] } : []
    targets = split.targets.isEmpty ? [] : samples.flatMap { split.targets(of: Int($0)) }
  }

  /// A loss of one sample, by its definition.
  func value(of loss: SampleLoss, candidate: Int, sample: Int, weights: [Float]) -> Double {
    let count = samples.isEmpty ? 0 : targets.count / samples.count
    return loss(
      self[candidate, sample].map(Double.init), label: labels.isEmpty ? 0 : Int(labels[sample]),
      targets: targets[sample * count..<(sample + 1) * count], weights: weights)
  }
}
