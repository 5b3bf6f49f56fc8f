/// The launches from the images of some samples to a value, with all layers whole.
struct CUDAWholePass {
  /// What to compute.
  enum Kind {
    /// The running statistics of batch norm, from the samples' own.
    case statistics
    /// The losses and predictions of a split, with running statistics.
    case loss(EvaluatedSplit)
    /// One value of a mini-batch of the sweep's order, with running statistics.
    case value(Int, into: DeviceValue)
  }

  let launches: [CUDALaunch]
  /// To run before `launches`, once for the same weights.
  let weightLaunches: [CUDALaunch]
  /// Bytes that the launches use from their base address on.
  let bytes: Int
  /// Number of blocks of partial losses.
  private(set) var blocks = 0

  /// - Parameters:
  ///   - count: number of samples.
  ///   - work: base address.
  init(
    _ network: Network, _ parameters: Parameters, _ board: CUDABoard, _ kind: Kind, count: Int,
    work: UInt64
  ) {
    // Caches, statistics and evaluations are exact, whatever the precision of proposals.
    var board = board
    board.precision = .fp32
    // Weights are packed before the first launch, so they must not reuse the memory of an earlier value.
    let weights = CUDAWeights(space: AddressSpace(base: work))
    let room = CUDAWeights.room(network)
    let space = AddressSpace(base: work + UInt64(room))
    let isStatistics = if case .statistics = kind { true } else { false }
    let pass = CUDAPass(
      network: network, parameters: parameters, board: board, weights: weights, space: space,
      count: count, usesRunningStatistics: !isStatistics)
    pass.keepsStatistics = isStatistics
    let everything = Array(network.nodes.indices)
    let last = network.nodes.count
    switch kind {
    case .statistics:
      pass.values[0] = pass.images(board.train, order: board.everything)
      pass.append(everything, keeping: [last])
    case .loss(let split):
      let images =
        switch split {
        case .train: board.train
        case .validation: board.validation
        case .test: board.test
        }
      pass.values[0] = pass.images(images, order: board.everything)
      blocks = pass.loss(
        everything, of: images, order: board.everything, partial: board.partial,
        predicted: board.predicted, outputs: board.outputs)
    case .value(0, into: let target):
      _ = pass.images(board.train, order: board.order, into: target)
    case .value(let value, into: let target):
      pass.values[0] = pass.images(board.train, order: board.order)
      pass.append(Array(everything[..<value]), keeping: [value])
      if let x = pass.values[value] { pass.copy(x, to: target) }
    }
    launches = pass.launches
    weightLaunches = weights.launches
    bytes = room + space.peak
  }
}
