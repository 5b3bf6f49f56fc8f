import Foundation

/// What defines a run, apart from the device: the same configuration gives the same run.
package struct RunConfiguration: Hashable, Sendable {
  /// What the run searches.
  package enum Subject: Hashable, Sendable {
    case network(Network, DataDescription)
    /// Tensors of any meaning: the widths of their proposals, by name.
    case tensors(widths: [String: Double])
  }
  package var subject: Subject
  package var settings: SearchSettings
  /// The path of the trace, if there is one; relative to the run's folder if it is inside it.
  package var trace: String?
  /// The program whose answers are the loss, in place of the settings' loss.
  package var program: LossProgram.Command?
  /// The file that it began with, as it was given; `nil` if the seed drew the weights, and in runs of versions that did
  /// not write it.
  package var from: String?
  /// The scales that the file's weights were rounded with; `nil` if they were not rounded.
  package var rounding: ScaleChoice?

  package init(
    _ subject: Subject, settings: SearchSettings, trace: String? = nil,
    program: LossProgram.Command? = nil, from: String? = nil, rounding: ScaleChoice? = nil
  ) {
    self.subject = subject
    self.settings = settings
    self.trace = trace
    self.program = program
    self.from = from
    self.rounding = rounding
  }

  package init(
    data: DataDescription, network: Network, settings: SearchSettings, trace: String? = nil,
    program: LossProgram.Command? = nil, from: String? = nil, rounding: ScaleChoice? = nil
  ) {
    self.init(
      .network(network, data), settings: settings, trace: trace, program: program, from: from,
      rounding: rounding)
  }

  /// - Throws: `RSOError` if the run has no network.
  package var network: Network { get throws { try training.network } }

  /// - Throws: `RSOError` if the run has no network.
  package var data: DataDescription { get throws { try training.data } }

  private var training: (network: Network, data: DataDescription) {
    get throws {
      guard case .network(let network, let data) = subject else {
        throw RSOError.hasNoNetwork("the run")
      }
      return (network, data)
    }
  }

  /// Whether the loss chooses the best model; otherwise, the accuracy does, as in the paper.
  package var choosesByLoss: Bool {
    if case .tensors = subject { return true }
    return program != nil || settings.loss != .crossEntropy
  }

  /// Whether validation samples choose the best model.
  package var isValidated: Bool {
    if case .network(_, let data) = subject { data.validation != nil } else { false }
  }
}

extension RunConfiguration: Codable {
  private enum CodingKeys: String, CodingKey {
    case data, network, widths, settings, trace, program, from, rounding
  }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    subject =
      if let widths = try container.decodeIfPresent([String: Double].self, forKey: .widths) {
        .tensors(widths: widths)
      } else {
        .network(
          try container.decode(Network.self, forKey: .network),
          try container.decode(DataDescription.self, forKey: .data))
      }
    settings = try container.decode(SearchSettings.self, forKey: .settings)
    trace = try container.decodeIfPresent(String.self, forKey: .trace)
    program = try container.decodeIfPresent(LossProgram.Command.self, forKey: .program)
    from = try container.decodeIfPresent(String.self, forKey: .from)
    rounding = try container.decodeIfPresent(ScaleChoice.self, forKey: .rounding)
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch subject {
    case .network(let network, let data):
      try container.encode(data, forKey: .data)
      try container.encode(network, forKey: .network)
    case .tensors(let widths): try container.encode(widths, forKey: .widths)
    }
    try container.encode(settings, forKey: .settings)
    try container.encodeIfPresent(trace, forKey: .trace)
    try container.encodeIfPresent(program, forKey: .program)
    try container.encodeIfPresent(from, forKey: .from)
    try container.encodeIfPresent(rounding, forKey: .rounding)
  }
}

/// The samples of a run: where they are, and a digest that tells whether they are the same.
package struct DataDescription: Hashable, Codable, Sendable {
  package var name: String
  /// The folder of the files, if the data are not built in.
  package var directory: String?
  /// The number of samples in use.
  package var train: Int
  /// Validation samples, which are not among the training samples; `nil` if there are none.
  package var validation: Int?
  package var test: Int
  /// CRC-32 of the shape, classes, pixels and labels in use, in hexadecimal.
  package var digest: String
  /// How the training images gave the input's normalization; `nil` if a model gave it, and in files of earlier versions.
  package var normalize: Normalization.Method?

  /// - Throws: `RSOError` if this machine has no zlib.
  /// - Complexity: O(bytes in use)
  package init(_ data: Dataset, directory: String? = nil) throws {
    let zlib = try ZLib.load()
    name = data.name
    self.directory = directory
    train = data.train.count
    validation = data.validation?.count
    test = data.test.count
    normalize = data.method
    var digest: UInt32 = 0
    func add(_ values: [some BitwiseCopyable]) throws {
      try values.withUnsafeBytes { bytes in
        for start in stride(from: 0, to: bytes.count, by: 1 << 26) {
          try StopRequest.check()
          digest = zlib.crc32(.init(rebasing: bytes[start...].prefix(1 << 26)), after: digest)
        }
      }
    }
    let validation = validation.map { "\($0) " } ?? ""
    try add(Array("\(data.train.shape) \(data.classes) \(train) \(validation)\(test)".utf8))
    for split in [data.train, data.validation, data.test].compactMap({ $0 }) {
      switch split.images {
      case .bytes(let bytes): try add(bytes)
      case .floats(let floats): try add(floats)
      }
      if data.classes <= 256 {
        try add(split.labels.map { UInt8(truncatingIfNeeded: $0) })
      } else {
        try add(split.labels)
      }
      try add(split.targets)
    }
    self.digest = String(digest, radix: 16)
  }

  /// Whether the samples in use are the first of `data`, however `data` is split; `nil` if `data` has fewer.
  ///
  /// - Throws: `RSOError` if this machine has no zlib.
  /// - Complexity: O(bytes in use)
  package func agrees(with data: Dataset) throws -> Bool? {
    let whole = data.undivided.prefix(train: trainAndValidation, test: test)
    guard whole.train.count == trainAndValidation, whole.test.count == test else { return nil }
    guard let validation else { return try DataDescription(whole).digest == digest }
    guard let held = try? whole.holdingOut(validation) else { return nil }
    return try DataDescription(held).digest == digest
  }
}

/// A run between two sweeps, or within one: a model, and everything needed to continue from it.
public struct Checkpoint: Sendable {
  /// The best model so far.
  public struct Best: Hashable, Codable, Sendable {
    /// On the validation images if the run has any, else on the test images.
    ///
    /// `nil` if the samples have no classes.
    public var accuracy: Double?
    /// Per sample, on the same images; `nil` if it is not finite, and in files of versions that did not write it.
    public var loss: Double?
    /// The cycle, counted from 0, and the parameter after which it was found.
    public var cycle: Int
    public var parameter: String
    /// The split that chose the model; `nil` stands for test.
    public var split: EvaluatedSplit?
    /// The model on the test images; `nil` until a run with validation images has ended.
    public var test: Result?

    /// An evaluation on the test images.
    public struct Result: Hashable, Codable, Sendable {
      /// 0 to 1; `nil` if the samples have no classes.
      public var accuracy: Double?
      /// Per sample; `nil` if it is not finite.
      public var loss: Double?

      package init(accuracy: Double?, loss: Double?) {
        self.accuracy = accuracy
        self.loss = loss
      }

      package init(_ evaluation: Evaluation) {
        accuracy = evaluation.hasClasses ? evaluation.accuracy : nil
        loss = evaluation.meanLoss.isFinite ? evaluation.meanLoss : nil
      }
    }
  }

  /// What the run has made so far: its last finished tensor is the last one that has changed.
  public var content: RandomSearch.Content
  package var configuration: RunConfiguration
  /// The next sweep.
  public var position = RandomSearch.Position()
  /// What that sweep has decided, if it was cut short; `nil` between two sweeps.
  public var progress: RandomSearch.SweepProgress?
  /// The best model so far; `nil` before the first evaluation.
  public var best: Best?
  /// What the rule has learnt, by the name of the tensor.
  package var ruleStates: [String: RuleState] = [:]
  /// The length of the trace so far, in bytes.
  package var traceBytes = 0

  package init(_ content: RandomSearch.Content, configuration: RunConfiguration) {
    self.content = content
    self.configuration = configuration
  }

  /// The latest model.
  ///
  /// - Throws: `RSOError` if the run has no network.
  public var model: Model { get throws { try content.model("the run") } }

  /// The sweeps of one cycle.
  package var sweeps: [Sweep] {
    configuration.settings.sweeps(of: content.parameters, in: content.network)
  }

  /// Whether every cycle is done.
  public var isFinished: Bool { position.cycle >= configuration.settings.cycles }
}

extension Checkpoint {
  private enum Key {
    static let settings = "settings"
    static let data = "data"
    static let trace = "trace"
    static let program = "program"
    static let from = "from"
    static let rounding = "rounding"
    static let traceBytes = "trace_bytes"
    static let position = "position"
    static let progress = "progress"
    static let best = "best"
    static let ruleStates = "rule_states"
  }

  /// Replaces the file at `url` as a whole. It is a model file with more metadata.
  ///
  /// - Parameter isBest: whether this is the best model's file, which does not refer to the trace, nor to the result at
  ///   the end of the run.
  package func write(to url: URL, isBest: Bool = false) throws {
    var tensors = try content.safeTensors(file: url.path)
    tensors.metadata[Key.settings] = try compactJSON(configuration.settings)
    if case .network(_, let data) = configuration.subject {
      tensors.metadata[Key.data] = try compactJSON(data)
    }
    tensors.metadata[Key.program] = try configuration.program.map(compactJSON)
    tensors.metadata[Key.from] = configuration.from
    tensors.metadata[Key.rounding] = configuration.rounding?.rawValue
    tensors.metadata[Key.position] = try compactJSON(position)
    if !isBest { tensors.metadata[Key.progress] = try progress.map(compactJSON) }
    var best = best
    // The best model is written before the run has ended; the checkpoint alone knows the result.
    if isBest { best?.test = nil }
    tensors.metadata[Key.best] = try best.map(compactJSON)
    if !ruleStates.isEmpty {
      tensors.metadata[Key.ruleStates] = try compactJSON(ruleStates)
    }
    if let trace = configuration.trace, !isBest {
      tensors.metadata[Key.trace] = trace
      tensors.metadata[Key.traceBytes] = "\(traceBytes)"
    }
    try tensors.withDigest().write(to: url)
  }

  /// The settings that a model was trained with; `nil` for a model that does not say, or whose loss was a program's.
  ///
  /// - Throws: `RSOError` naming the file, if what it says cannot be read.
  package static func settings(in tensors: SafeTensors, file: String) throws -> SearchSettings? {
    guard tensors.metadata[Key.program] == nil else { return nil }
    return try tensors.metadata[Key.settings].map { try decodeJSON($0, Key.settings, file) }
  }

  /// The program that judged a model; `nil` for a model that none judged, or that does not say.
  ///
  /// - Throws: `RSOError` naming the file, if what it says cannot be read.
  package static func program(
    in tensors: SafeTensors, file: String
  ) throws -> LossProgram.Command? {
    try tensors.metadata[Key.program].map { try decodeJSON($0, Key.program, file) }
  }

  /// The data that a model was trained on; `nil` for a model that does not say.
  ///
  /// - Throws: `RSOError` naming the file, if what it says cannot be read.
  package static func data(in tensors: SafeTensors, file: String) throws -> DataDescription? {
    try tensors.metadata[Key.data].map { try decodeJSON($0, Key.data, file) }
  }

  /// Reads the checkpoint of a run, or its best model's file.
  ///
  /// - Throws: `RSOError` naming the file and what is wrong with it.
  public init(contentsOf url: URL) throws {
    let tensors = try RandomSearch.Content.tensors(at: url)
    let metadata = tensors.metadata
    func decode<Value: Decodable>(_ key: String) throws -> Value {
      try decodeJSON(metadata[key], key, url.path)
    }
    content = try RandomSearch.Content(tensors, file: url.path)
    let subject: RunConfiguration.Subject =
      switch content {
      case .model(let model): .network(model.network, try decode(Key.data))
      case .tensors(let parameters): .tensors(widths: parameters.widths)
      }
    configuration = try RunConfiguration(
      subject, settings: decode(Key.settings), trace: metadata[Key.trace],
      program: metadata[Key.program] == nil ? nil : decode(Key.program),
      from: metadata[Key.from], rounding: metadata[Key.rounding].flatMap(ScaleChoice.init))
    position = try decode(Key.position)
    progress = metadata[Key.progress] == nil ? nil : try decode(Key.progress)
    best = metadata[Key.best] == nil ? nil : try decode(Key.best)
    ruleStates = metadata[Key.ruleStates] == nil ? [:] : try decode(Key.ruleStates)
    traceBytes = metadata[Key.trace] == nil ? 0 : try decode(Key.traceBytes)

    let settings = configuration.settings
    switch configuration.subject {
    case .network(let network, let data):
      try settings.validate(samples: data.train, network: network)
    case .tensors: try settings.validate(tensors: content.parameters.slots)
    }
    let sweeps = sweeps.count
    let isWithin =
      0..<settings.cycles ~= position.cycle
      ? 0..<max(sweeps, 1) ~= position.sweep
      : position == RandomSearch.Position(cycle: settings.cycles)
    guard isWithin else {
      throw RSOError(
        url.path,
        "expected a position within \(settings.cycles) cycles of \(sweeps) sweeps, "
          + "found cycle \(position.cycle), sweep \(position.sweep)")
    }
    if let best {
      guard 0..<settings.cycles ~= best.cycle, 0...1 ~= best.accuracy ?? 0 else {
        throw RSOError(
          url.path,
          "\(Key.best): expected an accuracy from 0 to 1 in a cycle of the run, found \(best)")
      }
    }
    let names = settings.tensorNames(of: content.parameters.slots)
    var states = ruleStates
    if let progress {
      guard !isFinished, self.sweeps.indices.contains(position.sweep) else {
        throw RSOError(url.path, "\(Key.progress): expected none in a finished run, found some")
      }
      let slot = self.sweeps[position.sweep].slot(in: content.parameters)
      if let problem = progress.problem(ofElements: slot.count) {
        throw RSOError(url.path, "\(Key.progress), \(slot.name): \(problem)")
      }
      states[slot.name] = progress.ruleState ?? states[slot.name]
    }
    for (name, state) in states {
      guard names.contains(name) else {
        throw RSOError(
          url.path, "\(Key.ruleStates): expected names of parameters, found '\(name)'")
      }
      guard state.squares >= 0, state.squares.isFinite, state.curvatures.isFinite,
        0..<1.001 ~= state.weight, 0..<1.001 ~= state.curvatureWeight
      else {
        throw RSOError(
          url.path, "\(Key.ruleStates): expected sums of squares and weights, found \(state)")
      }
      let slot = content.parameters.slots.first { $0.name == name }
      let totals = slot.map { $0.count * $0.domain.candidates } ?? 0
      guard state.totals.isEmpty || state.totals.count == totals,
        state.totals.allSatisfy(\.isFinite)
      else {
        throw RSOError(
          url.path,
          "\(Key.ruleStates), \(name): expected \(totals) finite totals, found \(state.totals.count) numbers"
        )
      }
    }
  }
}
