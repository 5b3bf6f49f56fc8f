/// A trained network as a value: all that is needed to use it.
public struct Model: Sendable {
  public var network: Network
  public var parameters: Parameters
  /// The running statistics of batch norm that go with the parameters.
  public var statistics: BatchNormStatistics
  /// What is subtracted from every channel of pixels / 255.
  public var mean: [Float]
}
