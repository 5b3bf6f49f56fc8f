/// What judges the candidates of a search without a network: a simulator, a device, any function of numbers. It need
/// have no derivative.
public protocol VectorLoss {
  /// One number per candidate, the smaller the better. NaN counts as infinite.
  ///
  /// Called once per proposal; and for an evaluation, once with a single candidate. Equal candidates with equal seeds
  /// must have equal losses, or a resumed run will not have the bits of one that was not stopped.
  func losses(of candidates: Candidates) throws -> [Double]
}

/// The vectors that a proposal compares.
public struct Candidates: Sendable {
  /// `[candidates][length]`: all values of all tensors, one after another, in the tensors' order.
  public let values: [Float]
  /// The number of candidates.
  public let count: Int
  /// Decides every random draw of the judge, so that noise is the same for all candidates of a proposal. It is drawn for
  /// the proposal, or for as many in a row as `SearchSettings.hold` says. 0 in an evaluation, and only there.
  public let seed: UInt32
  /// Where the candidates differ: the number of a tensor and the row-major index of its element; `nil` in an evaluation.
  public let changed: (tensor: Int, element: Int)?

  /// The number of values of a candidate.
  public var length: Int { values.count / count }

  /// One candidate.
  ///
  /// - Complexity: O(1)
  public subscript(candidate: Int) -> ArraySlice<Float> {
    values[candidate * length..<(candidate + 1) * length]
  }
}

/// A loss of one vector.
struct FunctionLoss: VectorLoss {
  let function: (_ vector: [Float], _ seed: UInt32) throws -> Double

  func losses(of candidates: Candidates) throws -> [Double] {
    try (0..<candidates.count).map { try function(Array(candidates[$0]), candidates.seed) }
  }
}
