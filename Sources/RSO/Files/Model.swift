/// A trained network as a value: all that is needed to use it.
public struct Model: Sendable {
  public var network: Network
  public var parameters: Parameters
  /// The running statistics of batch norm that go with the parameters.
  public var statistics: BatchNormStatistics
  /// What is subtracted from every channel of pixels / 255.
  public var mean: [Float]

  /// Loss and accuracy over a split, with the model's own statistics and mean.
  ///
  /// - Throws: `RSOError` when the data's shape or classes are not the network's.
  /// - Complexity: one forward pass over the split.
  public func evaluate(
    on data: Dataset, _ split: EvaluatedSplit = .test, device: Device = .cpu()
  ) throws -> Evaluation {
    var data = data
    data.mean = mean
    var engine = try device.engine(network: network, data: data, parameters: parameters)
    return try engine.evaluate(split, with: statistics)
  }
}
