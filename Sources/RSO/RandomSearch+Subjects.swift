extension RandomSearch {
  /// What a search changes.
  public enum Subject: Sendable {
    /// The weights of a network; samples of the data judge them.
    case network(Network, Dataset)
    /// Tensors of any meaning; a loss of the caller's judges them.
    case tensors

    var network: Network? { if case .network(let network, _) = self { network } else { nil } }

    /// What evaluations are on. The seed of evaluations, which no proposal has, counts as a test set.
    package var evaluatedSplit: EvaluatedSplit {
      if case .network(_, let data) = self { data.evaluatedSplit } else { .test }
    }
  }

  /// What a search has made so far.
  public enum Content: Sendable {
    /// A network, with the running statistics of its last evaluation.
    case model(Model)
    /// Tensors of any meaning.
    case tensors(Parameters)
  }
}

// MARK: - A network

extension RandomSearch {
  /// A search of a network's weights.
  ///
  /// - Parameters:
  ///   - network: the network to train.
  ///   - data: the images to train and evaluate on.
  ///   - settings: how to search.
  ///   - device: what to compute on.
  ///   - parameters: the initial weights; `nil` for He initialisation from the seed.
  ///   - position: where to continue a resumed run; the beginning by default.
  ///   - progress: that of the resumed run, if a sweep was cut short; `parameters` are then those before the sweep.
  ///   - ruleStates: those of the resumed run.
  ///   - loss: a loss of one's own, in place of the settings' loss.
  ///   - statistics: batch norm's running statistics for `parameters`, if `settings` keep them.
  /// - Throws: `RSOError` naming the wrong setting or layer.
  public init(
    network: Network, data: Dataset, settings: SearchSettings, device: Device = .cpu(),
    parameters: Parameters? = nil, position: Position = Position(),
    progress: SweepProgress? = nil, ruleStates: [String: RuleState] = [:],
    statistics: BatchNormStatistics? = nil, loss: (any BatchLoss)? = nil
  ) throws {
    try settings.validate(samples: data.train.count, network: network)
    // The initial, the current and the engine's own, and the zeros to compare with.
    try Memory.require(
      4 * Parameters.count(of: network), of: Float.self, for: "the weights",
      hint: Memory.networkHint)
    var parameters = parameters ?? Parameters(initialFor: network, seed: settings.seed)
    guard parameters.slots == Parameters(zerosFor: network).slots else {
      throw RSOError(
        "parameters", "expected those of the network, found other names, shapes or widths",
        hint: "make them with Parameters(zerosFor: network) and set their values")
    }
    try parameters.checkLevels()
    settings.spreadScales(of: &parameters, in: network)
    let objective = try Objective(
      settings.loss, own: loss, reported: settings.metrics, data: data, classes: network.classes)
    let engine = try device.engine(
      network: network, data: data, parameters: parameters, objective: objective)
    try self.init(
      .network(network, data), settings, engine, on: device, position: position,
      progress: progress, ruleStates: ruleStates, statistics: statistics, loss: loss)
  }

  /// The network to train.
  ///
  /// - Throws: `RSOError` if the search has none.
  public var network: Network {
    get throws {
      guard case .network(let network, _) = subject else { throw RSOError.hasNoNetwork("search") }
      return network
    }
  }

  /// The data to train and test on.
  ///
  /// - Throws: `RSOError` if the search has none.
  public var data: Dataset {
    get throws {
      guard case .network(_, let data) = subject else { throw RSOError.hasNoNetwork("search") }
      return data
    }
  }

  /// The trained network: the weights and the running statistics of the last evaluation.
  ///
  /// - Throws: `RSOError` if the search has no network; `parameters` has what it found.
  public var model: Model {
    get throws { try content.model("search") }
  }

  /// The running statistics of batch norm that the last sweep or evaluation used.
  var statistics: BatchNormStatistics { engine.statistics }
}

// MARK: - Tensors

extension RandomSearch {
  /// A search without a network: of tensors that a loss of the caller's judges.
  ///
  ///     let start = SafeTensors(tensors: [("x", .init(shape: [2], values: [0, 0]))])
  ///     let parameters = try Parameters(start)
  ///     var search = try RandomSearch(parameters, settings: .tensors) { x, seed in
  ///       Double((x[0] - 3) * (x[0] - 3) + (x[1] + 1) * (x[1] + 1))
  ///     }
  ///     try search.run()
  ///
  /// - Parameters:
  ///   - parameters: the initial values, and how wide the proposals are.
  ///   - settings: how to search. Mini-batches, losses, metrics and running statistics have no part in it.
  ///   - position: where to continue a resumed run; the beginning by default.
  ///   - progress: that of the resumed run, if a sweep was cut short; `parameters` are then those before the sweep.
  ///   - ruleStates: those of the resumed run.
  ///   - loss: what judges candidates.
  /// - Throws: `RSOError` naming the wrong setting.
  public init(
    _ parameters: Parameters, settings: SearchSettings, position: Position = Position(),
    progress: SweepProgress? = nil, ruleStates: [String: RuleState] = [:], loss: any VectorLoss
  ) throws {
    var settings = settings
    // One seed takes the place of a mini-batch.
    (settings.batchSize, settings.firstBatches) = (1, [])
    try settings.validate(tensors: parameters.slots)
    try self.init(
      .tensors, settings, VectorEngine(parameters, loss), on: nil, position: position,
      progress: progress, ruleStates: ruleStates)
  }

  /// The same with a function as the loss.
  ///
  /// It gives the loss of one vector, the smaller the better: of all values of all tensors, one after another, with the
  /// seed of the proposal, as `Candidates` has them. NaN counts as infinite.
  public init(
    _ parameters: Parameters, settings: SearchSettings, position: Position = Position(),
    progress: SweepProgress? = nil, ruleStates: [String: RuleState] = [:],
    loss: @escaping (_ vector: [Float], _ seed: UInt32) throws -> Double
  ) throws {
    try self.init(
      parameters, settings: settings, position: position, progress: progress,
      ruleStates: ruleStates, loss: FunctionLoss(function: loss))
  }
}

// MARK: - Both

extension RandomSearch {
  /// The current weights.
  public var parameters: Parameters { engine.parameters }

  /// What the search has made so far.
  public var content: Content {
    guard case .network(let network, let data) = subject else { return .tensors(parameters) }
    var model = Model(
      network: network, parameters: engine.parameters, statistics: engine.statistics,
      normalization: data.normalization, images: data.kind)
    model.hasClasses = data.hasLabels
    return .model(model)
  }

  /// What has been judged of the current sweep, without the proposals of a run.
  ///
  /// - Parameter width: the standard deviation σ of its proposals.
  func judged(_ slot: Parameters.Slot, width: Double, cycle: Int) -> Event.Judged {
    let done = found.values.count
    let isSum = ownLoss == nil && settings.loss.isSum
    let samples = isSum && subject.network != nil ? settings.batchSize(inCycle: cycle) : 1
    return Event.Judged(
      cycle: cycle, sweep: position.sweep, parameter: slot.name, proposals: [], decisions: [],
      done: done, count: slot.count,
      keptShare: settings.rule(of: slot).isChoice ? Double(found.changed) / Double(done) : nil,
      step: found.step / width,
      meanLoss: found.loss / Double(done * samples))
  }

  /// Goes back to the weights and statistics that a sweep began with. It ends the engine's sweep.
  mutating func returnToStart() throws {
    if let parameters = before.parameters { engine.parameters = parameters }
    kept = before.kept
    if let statistics = kept?.statistics { try engine.keep(statistics) }
  }

  /// Loss and accuracy over a split, with running statistics recomputed for the current weights; of tensors, the loss
  /// with seed 0, as their test set.
  public mutating func evaluate(_ split: EvaluatedSplit = .test) throws -> Evaluation {
    try engine.evaluate(split)
  }
}

extension RSOError {
  /// - Parameter subject: what was expected to have a network: a search, or a file.
  static func hasNoNetwork(_ subject: String) -> RSOError {
    RSOError(
      subject, "expected a network, found a search without one",
      hint: "its tensors are for the program that judged them")
  }
}
