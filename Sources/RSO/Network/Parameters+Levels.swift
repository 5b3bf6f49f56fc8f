/// Levels and scales of discrete tensors.
extension Parameters {
  /// One scale for each discrete tensor: the power of two that is nearest to its initial standard deviation times the
  /// domain's distance of levels.
  static func initialScales(_ slots: [Slot]) -> [Int: [Float]] {
    var scales: [Int: [Float]] = [:]
    for (tensor, slot) in slots.enumerated() where slot.domain.isDiscrete {
      scales[tensor] = [
        Domain.powerOfTwo(nearest: slot.initialDeviation * slot.domain.normalStep)
      ]
    }
    return scales
  }

  /// The scale of an element of a discrete tensor.
  ///
  /// - Parameters:
  ///   - element: row-major index into the tensor.
  ///   - tensor: the index of the tensor's slot.
  public func scale(of element: Int, in tensor: Int) -> Float {
    guard let scales = scales[tensor], let first = scales.first else { return 1 }
    return scales.count == 1 ? first : scales[element / slots[tensor].elementsPerChannel]
  }

  /// The level of an element of a discrete tensor; `nil` if it has none.
  ///
  /// - Parameters:
  ///   - element: row-major index into the tensor.
  ///   - tensor: the index of the tensor's slot.
  public func level(of element: Int, in tensor: Int) -> Int? {
    let slot = slots[tensor]
    // Exact: the scale is a power of two.
    let ratio = Double(values[slot.offset + element]) / Double(scale(of: element, in: tensor))
    guard let level = Int(exactly: ratio), slot.domain.has(level) else { return nil }
    return level
  }

  /// The levels of a discrete tensor, row-major.
  ///
  /// - Parameter tensor: the index of the tensor's slot.
  /// - Throws: `RSOError` naming the tensor's first element that is no level times the scale.
  /// - Complexity: O(elements)
  public func levels(of tensor: Int) throws -> [Int8] {
    try (0..<slots[tensor].count).map { element in
      guard let level = level(of: element, in: tensor) else {
        let slot = slots[tensor]
        throw RSOError(
          "\(slot.name)[\(element)]",
          "expected a level of \(slot.domain) times \(scale(of: element, in: tensor)), "
            + "found \(values[slot.offset + element])",
          hint: "round the weights to their levels: Model.rounded")
      }
      return Int8(level)
    }
  }

  /// Checks the scales and values of all discrete tensors.
  ///
  /// - Throws: `RSOError` naming the tensor and its first scale that is no power of two, or its first element that is no
  ///   level.
  func checkLevels() throws {
    for (tensor, slot) in slots.enumerated() where slot.domain.isDiscrete {
      let scales = scales[tensor] ?? []
      guard [1, slot.shape[0]].contains(scales.count) else {
        throw RSOError(
          slot.name, "expected 1 or \(slot.shape[0]) scales, found \(scales.count)")
      }
      if let index = scales.firstIndex(where: { !Domain.isScale($0) }) {
        throw RSOError("\(slot.name).scale[\(index)]", Self.expectedScale(scales[index]))
      }
      _ = try levels(of: tensor)
    }
  }

  /// Sets a discrete tensor to what a file has.
  ///
  /// - Parameters:
  ///   - tensor: the index of the tensor's slot.
  ///   - levels: `[count]`
  ///   - scales: one, or one for each output channel.
  ///   - file: the file's name in errors.
  /// - Throws: `RSOError` naming the first scale that is no power of two, or the first level that the domain does not
  ///   have.
  mutating func set(
    _ tensor: Int, levels: [Float], scales own: [Float], file: String
  ) throws {
    let slot = slots[tensor]
    if let index = own.firstIndex(where: { !Domain.isScale($0) }) {
      throw RSOError(file, "\(slot.name).scale[\(index)]: " + Self.expectedScale(own[index]))
    }
    scales[tensor] = own
    for (element, value) in levels.enumerated() {
      guard let level = Int(exactly: value), slot.domain.has(level) else {
        throw RSOError(
          file,
          "\(slot.name)[\(element)]: expected a level of \(slot.domain), "
            + "\(slot.domain.levelWords), found \(short(Double(value)))")
      }
      values[slot.offset + element] = value * scale(of: element, in: tensor)
    }
  }

  static func expectedScale(_ found: Float) -> String {
    let exponents = Domain.scaleExponents
    return "expected a power of two from 2^\(exponents.lowerBound) to 2^\(exponents.upperBound), "
      + "found \(found)"
  }
}

extension Parameters.Slot {
  /// The bytes that the tensor takes on a device: levels are packed, at `domain.bits` each; all else is 32-bit floats. A
  /// batch norm's running statistics are part of its scale and shift there.
  package var packedBytes: Int {
    domain.isDiscrete ? (count * domain.bits + 7) / 8 : count * MemoryLayout<Float>.size
  }
}
