import Foundation

/// The numbers of an `.npy` file.
extension NumPy.Header {
  /// A type of numbers, with its bytes.
  enum Number: Hashable {
    case bool
    case signed(Int)
    case unsigned(Int)
    case float(Int)

    var size: Int {
      switch self {
      case .bool: 1
      case .signed(let size), .unsigned(let size), .float(let size): size
      }
    }
  }

  /// The type of the elements; `nil` if they are no numbers that are read here.
  var number: Number? {
    switch kind {
    case "b1": .bool
    case "i1", "i2", "i4", "i8": .signed(kind.last?.wholeNumberValue ?? 1)
    case "u1", "u2", "u4", "u8": .unsigned(kind.last?.wholeNumberValue ?? 1)
    case "f2", "f4", "f8": .float(kind.last?.wholeNumberValue ?? 4)
    default: nil
    }
  }

  // MARK: Images

  /// The type of images, or of a table.
  ///
  /// - Throws: `RSOError` if it is none that is read here.
  func pixelType() throws -> Number {
    guard let number else {
      throw RSOError(
        name, "expected uint8 or floats, found the type '\(type)'",
        hint: "convert it: images.astype('float32')")
    }
    return number
  }

  /// What reading changes about images; `nil` if nothing.
  var note: String? {
    switch number {
    case .float(8): "float64, rounded to 32 bits"
    case .signed, .unsigned(2...):
      isTable ? nil : "integers from 0 to 255, taken as bytes"
    default: nil
    }
  }

  /// Whether the array is `[N, F]`: rows of features.
  var isTable: Bool { shape.count == 2 }

  /// The pixels in `bytes`, whole elements; the first of them has index `first` in the array.
  ///
  /// Floats become 32-bit floats, and bool 0 and 1. Other integers are taken as what they are in a table. In images
  /// they are taken as bytes if they fill the range of bytes; the first elements decide that.
  func pixels(_ bytes: [UInt8], from first: Int) throws -> Pixels {
    let type = try pixelType()
    if type != .unsigned(1) {
      try Memory.require(
        bytes.count / type.size, of: Float.self, for: "the values of \(name)",
        hint: Memory.imagesHint)
    }
    switch type {
    case .unsigned(1): return .bytes(bytes)
    case .bool: return .floats(bytes.map { $0 == 0 ? 0 : 1 })
    case .float(let size):
      return .floats(
        try map(bytes, size) { index, bits in
          let value = Self.float(bits, size)
          guard value.isFinite else {
            let isTooLarge = size == 8 && Double(bitPattern: bits).isFinite
            throw RSOError(
              name,
              "expected \(isTooLarge ? "values that 32-bit floats hold" : "finite values"), found "
                + "\(size == 8 ? "\(Double(bitPattern: bits))" : "\(value)") at \(place(first + index))"
            )
          }
          return value
        })
    case .signed(let size):
      return try whole(map(bytes, size) { Self.signed($1, size) }, from: first)
    case .unsigned(let size):
      return try whole(map(bytes, size) { Int64(clamping: $1) }, from: first)
    }
  }

  private func whole(_ values: [Int64], from first: Int) throws -> Pixels {
    if isTable {
      return .floats(
        try values.enumerated().map { index, value in
          guard let float = Float(exactly: value) else {
            throw RSOError(
              name,
              "expected integers that 32-bit floats hold, found \(value) at "
                + place(first + index), hint: "round them: table.astype('float32')")
          }
          return float
        })
    }
    let (least, greatest) = (values.min() ?? 0, values.max() ?? 0)
    // 0 and 1 may be black and white. Pixels use all of the range.
    guard least >= 0, greatest <= 255, greatest >= 250 || first > 0 else {
      throw RSOError(
        name,
        "expected uint8 or floats, found the type '\(type)' with values from \(least) to \(greatest)",
        hint:
          "pixels from 0 to 255: images.astype('uint8'); others: scale them to 0 to 1, as float32"
      )
    }
    return .bytes(values.map { UInt8(truncatingIfNeeded: $0) })
  }

  // MARK: Labels

  /// Labels 0 to 999: integers, bool, or floats that are whole numbers.
  func labels(_ bytes: [UInt8]) throws -> [Int32] {
    guard let number else {
      throw RSOError(
        name, "expected integers, found the type '\(type)'",
        hint: "convert it: labels.astype('int64'), with the classes numbered from 0")
    }
    guard shape.count == 1 else {
      throw RSOError(
        name, "expected labels [N], found the shape \(shape)",
        hint: shape.count == 2 && shape[1] > 1
          ? "of one-hot labels: labels.argmax(axis=1)" : "convert it: labels.reshape(-1)")
    }
    try checkLength(bytes.count, elementSize: number.size)
    return try map(bytes, number.size) { index, bits in
      let (label, found): (Int64?, String) =
        switch number {
        case .bool: (bits == 0 ? 0 : 1, "\(bits)")
        case .unsigned: (Int64(clamping: bits), "\(bits)")
        case .signed(let size): (Self.signed(bits, size), "\(Self.signed(bits, size))")
        case .float(let size):
          (Int64(exactly: Self.double(bits, size)), "\(Self.double(bits, size))")
        }
      guard let label else {
        throw RSOError(
          name, "expected whole numbers, found \(found) at \(place(index))",
          hint: "labels are the numbers of classes, from 0")
      }
      guard (0..<Int64(Split.largestClassCount)).contains(label) else {
        throw RSOError(
          name,
          "expected labels 0 to \(Split.largestClassCount - 1), found \(found) at \(place(index))",
          hint: "number the classes from 0: np.unique(labels, return_inverse=True)[1]")
      }
      return Int32(label)
    }
  }

  // MARK: Bits

  /// Makes something of the index and the bits of every element.
  private func map<Value>(
    _ bytes: [UInt8], _ size: Int, _ make: (_ index: Int, _ bits: UInt64) throws -> Value
  ) rethrows -> [Value] {
    try bytes.withUnsafeBytes { bytes in
      func load<Bits: FixedWidthInteger>(_ index: Int, as: Bits.Type) -> UInt64 {
        let bits = bytes.loadUnaligned(fromByteOffset: index * size, as: Bits.self)
        return UInt64(truncatingIfNeeded: Bits(littleEndian: bits))
      }
      return try (0..<bytes.count / size).map { index in
        let bits =
          switch size {
          case 1: UInt64(bytes[index])
          case 2: load(index, as: UInt16.self)
          case 4: load(index, as: UInt32.self)
          default: load(index, as: UInt64.self)
          }
        return try make(index, bits)
      }
    }
  }

  private static func signed(_ bits: UInt64, _ size: Int) -> Int64 {
    let unused = UInt64(64 - 8 * size)
    return Int64(bitPattern: bits << unused) >> Int64(unused)
  }

  private static func float(_ bits: UInt64, _ size: Int) -> Float {
    switch size {
    case 2: half(UInt16(truncatingIfNeeded: bits))
    case 4: Float(bitPattern: UInt32(truncatingIfNeeded: bits))
    default: Float(Double(bitPattern: bits))
    }
  }

  private static func double(_ bits: UInt64, _ size: Int) -> Double {
    size == 8 ? Double(bitPattern: bits) : Double(float(bits, size))
  }

  /// IEEE 754's binary16, which not every platform's Swift has; exact.
  static func half(_ bits: UInt16) -> Float {
    let (sign, exponent, fraction) = (bits >> 15, Int(bits >> 10 & 31), Float(bits & 1023))
    let magnitude: Float =
      switch exponent {
      case 0: fraction * 0x1p-24
      case 31: fraction == 0 ? .infinity : .nan
      default: Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction / 1024)
      }
    return sign == 0 ? magnitude : -magnitude
  }
}
