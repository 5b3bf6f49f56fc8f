import CRSO

// MARK: Whole passes

extension CUDAEngine {
  func evaluate(
    _ split: EvaluatedSplit, with statistics: BatchNormStatistics
  ) throws -> Evaluation {
    try context.enter()
    let samples = try data.samples(split)
    if self.statistics != statistics {
      self.statistics = statistics
      (areStatisticsCurrent, areStatisticsKept) = (false, false)
    }
    try memory.set(statistics, network)
    try memory.parameters.set(current.values)
    var result = Evaluation(
      count: samples.count, loss: 0,
      confusion: Evaluation.confusion(classes: network.classes))
    var losses: [Double] = []
    var outputs: [Float] = []
    for first in stride(from: 0, to: samples.count, by: statisticsSamples) {
      let count = min(statisticsSamples, samples.count - first)
      let work = try room(
        CUDAWholePass(network, current, memory.board, .loss(split), count: count, work: 0).bytes)
      let pass = CUDAWholePass(
        network, current, memory.board, .loss(split), count: count, work: work)
      try run(pass, first: first)
      losses += try memory.partial.values(pass.blocks)
      guard objective.isCrossEntropy else {
        outputs += try memory.outputs.values(count * network.classes)
        continue
      }
      for (index, predicted) in try memory.predicted.values(count).enumerated() {
        result.confusion[Int(samples.labels[first + index])][Int(predicted)] += 1
      }
    }
    result.loss = try Reduction.alone.sum(losses)
    guard !objective.isCrossEntropy else { return result }
    return try objective.evaluation(
      sum: objective.sampleTerms.isEmpty ? [] : [result.loss],
      Outputs(
        outputs, candidates: 1, width: network.classes, of: (0..<Int32(samples.count)).map { $0 },
        in: split, samples))
  }

  func keep(_ statistics: BatchNormStatistics) {
    self.statistics = statistics
    (areStatisticsCurrent, areStatisticsKept) = (true, true)
  }

  /// Takes the running statistics from the first samples, in one pass that uses the samples' own statistics.
  func renewStatistics() throws {
    if areStatisticsKept { return try memory.set(statistics, network) }
    let count = min(statisticsSamples, data.train.count)
    try memory.parameters.set(current.values)
    let work = try room(
      CUDAWholePass(network, current, memory.board, .statistics, count: count, work: 0).bytes)
    try run(
      CUDAWholePass(network, current, memory.board, .statistics, count: count, work: work), first: 0
    )
    (statistics, areStatisticsCurrent) = (try memory.statistics(network), true)
  }

  /// Computes the cached value of every mini-batch with running statistics.
  func fill(_ cache: DeviceValue, _ value: Int, _ order: SampleOrder) throws {
    guard let work else { return }
    let pass = CUDAWholePass(
      network, current, memory.board, .value(value, into: cache), count: order.batchSize,
      work: work.address)
    for batch in 0..<order.batches {
      try run(pass, first: batch * order.batchSize, batch: batch, packs: batch == 0)
    }
  }

  private func run(
    _ pass: CUDAWholePass, first: Int, batch: Int = 0, packs: Bool = true
  ) throws {
    try StopRequest.check()
    var turn = rso_gpu_turn()
    turn.batch = Int32(batch)
    turn.first = Int32(first)
    try memory.turn.set([turn])
    if packs { try module.launch(pass.weightLaunches) }
    try module.launch(pass.launches)
  }

  /// The address of at least `bytes` bytes for a pass.
  private func room(_ bytes: Int) throws -> UInt64 {
    if let work, work.count >= bytes { return work.address }
    // A sweep's launches contain the old address.
    sweep = nil
    work = nil
    let room = try DeviceMemory<UInt8>(context, count: bytes)
    work = room
    return room.address
  }

  /// Allocates memory for sweeping any tensor, before anything is judged.
  ///
  /// - Throws: `RSOError` that says how much memory is needed and free, and which `batchSize` fits.
  func makeRoom(_ order: SampleOrder, candidates: Int) throws {
    let wanted = [order.batchSize, order.batches, candidates]
    if roomFor == wanted, storage != nil, work != nil { return }
    func needed(_ mostTogether: Int) -> CUDANeed {
      CUDANeed(
        network: network, batchSize: order.batchSize, batches: order.batches,
        samples: data.train.count, candidates: candidates, loss: memory.board.loss,
        precision: memory.board.precision, mostTogether: mostTogether)
    }
    var need = needed(mostTogether)
    roomFor = wanted
    if let storage, let work, storage.count >= need.storage, work.count >= need.work { return }
    storage = nil
    work = nil
    cache = nil
    let free = try context.memory().free
    if need.total > free { need = needed(1) }
    guard need.total <= free else {
      let fitting = CUDANeed.largestBatch(
        network: network, below: order.batchSize, samples: data.train.count, candidates: candidates,
        free: free, loss: memory.board.loss, precision: memory.board.precision)
      throw RSOError(
        context.name,
        "`batchSize` \(order.batchSize): expected \(megabytes(need.total)) of the card's memory, "
          + "found \(megabytes(free)) free",
        hint: fitting.map { "`batchSize` \($0) fits" }
          ?? "no `batchSize` fits: use fewer samples with `trainLimit`, or a larger card")
    }
    storage = try DeviceMemory(context, count: need.storage)
    work = try DeviceMemory(context, count: need.work)
  }
}
