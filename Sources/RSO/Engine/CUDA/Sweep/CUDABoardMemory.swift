import CRSO

/// The memory behind a `CUDABoard`.
final class CUDABoardMemory {
  let board: CUDABoard
  let turn: DeviceMemory<rso_gpu_turn>
  let parameters: DeviceMemory<Float>
  let start: DeviceMemory<Float>
  let order: DeviceMemory<Int32>
  let outcomes: DeviceMemory<rso_gpu_outcome>
  let partial: DeviceMemory<Double>
  let predicted: DeviceMemory<Int32>
  /// `[samples][classes]`, of an evaluation with another loss than the paper's.
  let outputs: DeviceMemory<Float>
  private let turns: DeviceMemory<rso_gpu_turn>
  private let queue: DeviceMemory<Int32>
  private let progress: DeviceMemory<rso_gpu_progress>
  private let pending: DeviceMemory<rso_gpu_pending>
  private let changes: DeviceMemory<Int32>
  private let units: DeviceMemory<rso_gpu_unit>
  private let decided: DeviceMemory<Int32>
  private let moments: DeviceMemory<Double>
  /// Keeps the rest of the memory alive.
  private let others: [AnyObject]

  /// The most turns of a run, and the capacity of the lists that turns point into.
  let turnCapacity: Int
  let unitCapacity: Int
  let changeCapacity: Int

  init(
    _ context: CUDAContext, network: Network, data: Dataset, parameters: Parameters,
    precision: CUDAPrecision, objective: Objective
  ) throws {
    let largest = parameters.slots.map(\.count).max() ?? 1
    let channels = network.shapes.map(\.channels).max() ?? 1
    turnCapacity = min(max(512, parameters.slots.map(\.elementsPerChannel).max() ?? 1), 4096)
    unitCapacity = 256 * channels
    changeCapacity = max(1 << 16, largest)
    turn = try DeviceMemory(context, count: rso_gpu_group)
    turns = try DeviceMemory(context, count: turnCapacity)
    queue = try DeviceMemory(context, count: turnCapacity)
    progress = try DeviceMemory(context, count: 1)
    outcomes = try DeviceMemory(context, count: turnCapacity)
    pending = try DeviceMemory(context, count: largest)
    changes = try DeviceMemory(context, count: changeCapacity)
    units = try DeviceMemory(context, count: unitCapacity)
    self.parameters = try DeviceMemory(context, parameters.values)
    start = try DeviceMemory(context, count: largest)
    decided = try DeviceMemory(context, count: largest)
    moments = try DeviceMemory(context, count: network.statisticsOffset(of: network.nodes.count))
    order = try DeviceMemory(context, count: data.train.count)
    partial = try DeviceMemory(context, count: statisticsSamples)
    predicted = try DeviceMemory(context, count: statisticsSamples)
    outputs = try DeviceMemory(
      context, count: objective.isCrossEntropy ? 0 : statisticsSamples * network.classes)
    let splits = [data.train, data.validation, data.test].compactMap { $0 }
    let everything = try DeviceMemory<Int32>(
      context, (0..<Int32(splits.map(\.count).max() ?? 0)).map { $0 })
    // The same as in `CPUEngine`.
    let table = try DeviceMemory<Float>(context, data.normalization.table(for: data.train.images))
    let mean = try DeviceMemory<Float>(context, data.normalization.mean)
    let deviation = try DeviceMemory<Float>(context, data.normalization.deviation)
    var others: [AnyObject] = [everything, table, mean, deviation]
    func images(_ split: Split) throws -> CUDABoard.Images {
      let labels = try DeviceMemory<Int32>(context, split.labels)
      others.append(labels)
      var images = CUDABoard.Images(
        table: table.address, mean: mean.address, deviation: deviation.address,
        labels: labels.address)
      if !split.targets.isEmpty {
        let targets = try DeviceMemory<Float>(context, split.targets)
        others.append(targets)
        images.targets = targets.address
      }
      switch split.images {
      case .bytes(let bytes):
        let memory = try DeviceMemory<UInt8>(context, Array(bytes))
        others.append(memory)
        images.bytes = memory.address
      case .floats(let floats):
        let memory = try DeviceMemory<Float>(context, Array(floats))
        others.append(memory)
        images.floats = memory.address
      }
      return images
    }
    var board = CUDABoard(
      turn: turn.address, turns: turns.address, queue: queue.address, progress: progress.address,
      outcomes: outcomes.address, pending: pending.address, changes: changes.address,
      units: units.address, parameters: self.parameters.address,
      start: start.address, decided: decided.address, statistics: moments.address,
      order: order.address, everything: everything.address, partial: partial.address,
      predicted: predicted.address)
    board.precision = precision
    if !objective.isCrossEntropy {
      let terms = try DeviceMemory<rso_gpu_term>(
        context,
        objective.sampleTerms.map { term in
          guard !term.classWeights.isEmpty else { return rso_gpu_term(term, classWeights: 0) }
          let weights = try DeviceMemory<Float>(context, term.classWeights)
          others.append(weights)
          return rso_gpu_term(term, classWeights: weights.address)
        })
      others.append(terms)
      board.loss = CUDALoss(objective, terms: terms.address)
      board.outputs = outputs.address
    }
    board.train = try images(data.train)
    board.validation = try data.validation.map(images) ?? board.validation
    board.test = try images(data.test)
    self.board = board
    self.others = others
  }

  /// Copies a run to the card.
  ///
  /// - Parameter lastLoss: of the value that was decided before it, if that is known.
  func upload(_ run: CUDARun, decided: [Int32], rule: SweepRule, lastLoss: Double? = nil) throws {
    try turns.set(run.turns)
    try queue.set(run.queue)
    try changes.set(run.changes)
    try units.set(run.units)
    try self.decided.set(decided)
    var progress = rso_gpu_progress()
    progress.count = Int32(run.turns.count)
    progress.rule = rule.rule
    progress.state = rule.state
    progress.last_loss = lastLoss ?? .nan
    try self.progress.set([progress])
  }

  /// Copies running statistics to the card.
  func set(_ statistics: BatchNormStatistics, _ network: Network) throws {
    for (node, moments) in statistics.moments {
      try self.moments.set(
        moments.mean + moments.variance, at: network.statisticsOffset(of: node))
    }
  }

  /// Reads the running statistics from the card.
  func statistics(_ network: Network) throws -> BatchNormStatistics {
    let values = try moments.values()
    var statistics = BatchNormStatistics()
    for (index, node) in network.nodes.enumerated() where node.layer.takesStatistics {
      let (first, count) = (network.statisticsOffset(of: index), network.shapes[index + 1].channels)
      statistics.moments[index] = .init(
        mean: Array(values[first..<first + count]),
        variance: Array(values[first + count..<first + 2 * count]))
    }
    return statistics
  }
}
