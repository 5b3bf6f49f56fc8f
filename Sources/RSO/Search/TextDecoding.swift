extension Decoder {
  /// A value that is stored as its text.
  ///
  /// - Parameter read: reads the text; the problem of its `RSOError` becomes that of a `DecodingError`.
  func decodeText<Value>(_ read: (String) throws -> Value) throws -> Value {
    let container = try singleValueContainer()
    do {
      return try read(container.decode(String.self))
    } catch let error as RSOError {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: error.problem)
    }
  }
}
