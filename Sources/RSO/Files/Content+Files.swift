import Foundation

extension RandomSearch.Content {
  private enum Key {
    static let format = "format"
    static let version = "format_version"
    static let widths = "widths"
  }

  /// The `format` of tensors of any meaning.
  static let format = "rso-tensors"
  private static let version = "1"

  /// Whether tensors are those of a search without a network.
  package static func isSearch(_ tensors: SafeTensors) -> Bool {
    tensors.metadata[Key.format] == format
  }

  /// All values.
  public var parameters: Parameters {
    switch self {
    case .model(let model): model.parameters
    case .tensors(let parameters): parameters
    }
  }

  /// The network; `nil` for tensors of any meaning.
  package var network: Network? { if case .model(let model) = self { model.network } else { nil } }

  /// - Throws: `RSOError` about `subject`, if it has no network.
  func model(_ subject: String) throws -> Model {
    guard case .model(let model) = self else { throw RSOError.hasNoNetwork(subject) }
    return model
  }

  /// Replaces the file at `url` as a whole.
  ///
  /// - Throws: `RSOError` naming the file, or the first value that is NaN or infinite.
  package func write(to url: URL) throws {
    try safeTensors(file: url.path).withDigest().write(to: url)
  }

  /// The content of its file. Tensors keep their names, shapes and bits.
  ///
  /// - Parameter file: the file's name in errors.
  package func safeTensors(file: String) throws -> SafeTensors {
    switch self {
    case .model(let model): return try model.safeTensors(file: file)
    case .tensors(let parameters):
      let result = SafeTensors(
        tensors: parameters.slots.map {
          ($0.name, .init(shape: $0.shape, values: Array(parameters.values[$0.range])))
        },
        metadata: [
          Key.format: Self.format, Key.version: Self.version,
          Key.widths: try compactJSON(parameters.widths),
        ])
      try result.checkFinite(file)
      return result
    }
  }

  /// Reads a file of a run.
  ///
  /// - Throws: `RSOError` naming the file and what is wrong with it.
  package init(contentsOf url: URL) throws {
    try self.init(Self.tensors(at: url), file: url.path)
  }

  /// The content of a file of a run.
  ///
  /// - Throws: `RSOError` naming the file; about one that is no run's, before anything is said of its tensors.
  static func tensors(at url: URL) throws -> SafeTensors {
    let data = try Data(readFile(url))
    let metadata = try SafeTensors.metadata(of: data, name: url.path)
    guard metadata[Key.format] == format else { return try Model.tensors(at: url) }
    return try SafeTensors(data: data, name: url.path)
  }

  init(_ tensors: SafeTensors, file: String) throws {
    guard tensors.metadata[Key.format] == Self.format else {
      self = .model(try Model(tensors, file: file))
      return
    }
    guard tensors.metadata[Key.version] == Self.version else {
      throw RSOError(
        file,
        "expected format version \(Self.version), found \(tensors.metadata[Key.version] ?? "none")",
        hint: "was it written by a later rso?")
    }
    let widths: [String: Double] = try decodeJSON(tensors.metadata[Key.widths], Key.widths, file)
    guard Set(widths.keys) == Set(tensors.tensors.map(\.name)),
      widths.values.allSatisfy({ $0 > 0 && $0.isFinite })
    else {
      throw RSOError(
        file, "\(Key.widths): expected a number above 0 for each tensor, found \(widths)")
    }
    self = .tensors(try Parameters(tensors, widths: widths, file: file))
  }
}
