/// What a network needs, added up layer by layer and checked against one bound for each.
///
/// Sizes come from files. Within the bounds, no product of them overflows, and what it takes to hold a network is
/// known to be memory that a machine may have. They are far beyond what one weight at a time can train.
struct NetworkSize {
  /// The most weights, and the most values of all layers for one image.
  static let largest = 100_000_000
  /// The most multiply-adds for one image.
  static let mostMultiplyAdds = 10_000_000_000
  /// The most layers.
  static let mostLayers = 10_000

  private var layers = 0
  private var values = 0
  private var weights = 0
  private var multiplyAdds = 0

  /// Adds the values of the images or of a layer's output.
  ///
  /// - Throws: `RSOError` about `name` if they are too many.
  mutating func add(_ shape: Shape, name: String) throws {
    values = try sum(
      values, product(of: [shape.channels, shape.height, shape.width]), Self.largest,
      "values for one image", name)
  }

  /// Adds what a layer needs.
  ///
  /// - Throws: `RSOError` about `name` if it is too much.
  mutating func add(_ layer: Layer, from input: Shape, to output: Shape, name: String) throws {
    layers = try sum(layers, 1, Self.mostLayers, "layers", name)
    try add(output, name: name)
    for tensor in layer.tensors(reading: input.channels) {
      weights = try sum(weights, product(of: tensor.shape), Self.largest, "weights", name)
    }
    // Both are bounded by now, and so is their product.
    multiplyAdds = try sum(
      multiplyAdds, layer.multiplyAdds(from: input, to: output), Self.mostMultiplyAdds,
      "multiply-adds for one image", name)
  }

  /// - Parameter more: what is added; `nil` if it is beyond an integer.
  private func sum(
    _ sum: Int, _ more: Int?, _ most: Int, _ what: String, _ name: String
  ) throws -> Int {
    guard let more, case let (total, overflow) = sum.addingReportingOverflow(more), !overflow else {
      throw tooMuch("more", most, what, name)
    }
    guard total <= most else { throw tooMuch("\(total)", most, what, name) }
    return total
  }

  private func tooMuch(_ found: String, _ most: Int, _ what: String, _ name: String) -> RSOError {
    RSOError(
      name, "expected a network of at most \(most) \(what), found \(found) up to here",
      hint: "use fewer channels or smaller images")
  }
}
