extension Parameters {
  /// The width of proposals where the initial values do not suggest one.
  public static let standardWidth = 0.1

  /// The bound of networks, too.
  private static let most = 100_000_000

  /// Tensors of any meaning, for a search without a network.
  ///
  /// - Parameters:
  ///   - tensors: the initial values.
  ///   - widths: standard deviations σ of the proposals before annealing, by the tensor's name. A tensor that is not named
  ///     has the standard deviation of its values, or `standardWidth` if they are all equal.
  ///   - file: what errors call the tensors.
  /// - Throws: `RSOError` naming the tensor that has no values, another number than its shape says, one that is not
  ///   finite, or a width that is not above 0; or if there is no tensor.
  public init(
    _ tensors: SafeTensors, widths: [String: Double] = [:], file: String = "start"
  ) throws {
    guard !tensors.tensors.isEmpty else {
      throw RSOError(file, "expected a tensor or more to search, found none")
    }
    let names = tensors.tensors.map(\.name)
    if let other = widths.keys.sorted().first(where: { !names.contains($0) }) {
      throw RSOError(
        "`sigma`", "expected the name of a tensor, found '\(other)'",
        hint: "there are " + names.joined(separator: ", "))
    }
    let count = tensors.tensors.reduce(0) { $0 + $1.tensor.values.count }
    guard count <= Self.most else {
      throw RSOError(file, "expected at most \(Self.most) values, found \(count)")
    }
    // A copy here, those of the search, and three candidates with their frame.
    try Memory.require(
      10 * count, of: Float.self, for: "the tensors and their candidates",
      hint: "use fewer values")
    // Writing checks names and shapes.
    _ = try tensors.encoded()
    try tensors.checkFinite(file)
    var slots: [Slot] = []
    var values: [Float] = []
    for (index, (name, tensor)) in tensors.tensors.enumerated() {
      guard !tensor.values.isEmpty else {
        throw RSOError(
          file, "expected a value or more in each tensor, found shape \(tensor.shape) of \(name)",
          hint: "leave the tensor out")
      }
      guard tensor.type == .float else {
        throw RSOError(
          file, "expected 32-bit floats in each tensor, found the integers of \(name)",
          hint: "leave the tensor out, or write its values as floats")
      }
      let width = widths[name] ?? Self.width(of: tensor.values)
      guard width > 0, width.isFinite else {
        throw RSOError("`sigma`", "expected a number above 0 for \(name), found \(width)")
      }
      slots.append(
        Slot(
          name: name, shape: tensor.shape, role: .weight, node: index, offset: values.count,
          count: tensor.values.count, initialDeviation: 0, initialMean: 0,
          proposalDeviation: width, domain: .float))
      values += tensor.values
    }
    (self.slots, self.values, scales) = (slots, values, [:])
  }

  /// The standard deviation of values; `standardWidth` if they are all equal.
  private static func width(of values: [Float]) -> Double {
    let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
    let variance = values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
    let isConstant = values.allSatisfy { $0 == values[0] }
    return isConstant ? standardWidth : (variance / Double(values.count)).squareRoot()
  }

  /// The widths of the proposals, by the tensor's name.
  package var widths: [String: Double] {
    Dictionary(slots.map { ($0.name, $0.proposalDeviation) }) { first, _ in first }
  }
}
