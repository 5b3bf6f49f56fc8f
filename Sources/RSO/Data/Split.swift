/// Pixels of images, as stored in the file.
public enum Pixels: Hashable, Sendable {
  /// A network reads byte / 255 − the channel's mean.
  case bytes([UInt8])
  /// A network reads value − the channel's mean.
  case floats([Float])

  /// The number of values in all images together.
  public var count: Int {
    switch self {
    case .bytes(let bytes): bytes.count
    case .floats(let floats): floats.count
    }
  }

  /// The number of bytes in one value.
  package var size: Int { if case .bytes = self { 1 } else { MemoryLayout<Float>.size } }

  var kind: String { if case .bytes = self { "bytes" } else { "floats" } }

  /// A range of the values.
  subscript(range: Range<Int>) -> Pixels {
    switch self {
    case .bytes(let bytes): .bytes(Array(bytes[range]))
    case .floats(let floats): .floats(Array(floats[range]))
    }
  }
}

extension Pixels {
  /// These values and those of the same kind after them.
  fileprivate func appending(_ other: Pixels) -> Pixels {
    switch (self, other) {
    case (.bytes(let first), .bytes(let second)): .bytes(first + second)
    case (.floats(let first), .floats(let second)): .floats(first + second)
    case (.bytes, .floats), (.floats, .bytes): self
    }
  }
}

/// Labelled images, or rows of a table, for training or for testing.
public struct Split: Sendable {
  /// More classes than this are taken for a mistake.
  public static let largestClassCount = 1000

  /// `[N, C, H, W]`
  public let images: Pixels
  /// `[N]`, each from 0; all 0 if `hasLabels` is false.
  public let labels: [Int32]
  /// Whether the samples have classes. If not, they have targets.
  public private(set) var hasLabels = true
  /// `[N, targetCount]`: the numbers that the outputs are to have; empty if the samples have classes alone.
  public private(set) var targets: [Float] = []
  /// The number of targets of a sample; 0 without targets.
  public private(set) var targetCount = 0
  /// The shape of one image.
  public let shape: Shape
  /// The names of their files, for errors.
  let names: (images: String, labels: String)
  /// What reading the file has changed about the images; `nil` if nothing.
  var note: String?

  /// The most features of a table's row.
  public static let largestFeatureCount = 65_536

  /// The number of samples.
  public var count: Int { labels.count }

  /// A split of bytes or floats.
  ///
  ///     let train = try Split(images: floats, labels: [0, 1, 1], shape: Shape(channels: 1, height: 8, width: 8))
  ///
  /// - Parameters:
  ///   - images: `[N, C, H, W]`, or a table `[N, C]` of at most 65,536 features, which has H = W = 1; floats are finite.
  ///   - labels: `[N]`, each in 0...999.
  ///   - shape: that of one image.
  ///   - names: the names of images and labels in errors.
  /// - Throws: `RSOError` if there are no images, the counts differ, a size or a label is out of range, or a float is
  ///   not finite.
  /// - Complexity: O(labels), and O(values) for floats.
  public init(
    images: Pixels, labels: [some BinaryInteger], shape: Shape,
    names: (images: String, labels: String) = ("images", "labels")
  ) throws {
    guard shape.channels >= 1, shape.height >= 1, shape.width >= 1 else {
      throw RSOError(
        names.images,
        "expected images of 1 channel, 1 row and 1 column or more, "
          + "found \(shape.channels)×\(shape.height)×\(shape.width)")
    }
    guard let size = product(of: [shape.channels, shape.height, shape.width]),
      size <= NetworkSize.largest
    else {
      throw RSOError(
        names.images,
        "expected images of at most \(NetworkSize.largest) values, found "
          + "\(shape.channels)×\(shape.height)×\(shape.width)")
    }
    guard size <= Self.largestFeatureCount || shape.height * shape.width > 1 else {
      throw RSOError(
        names.images,
        "expected a table of at most \(Self.largestFeatureCount) features, found \(size)")
    }
    guard images.count.isMultiple(of: size), images.count > 0 else {
      throw RSOError(
        names.images, "expected whole images of \(shape), found \(images.count) values")
    }
    guard labels.count == images.count / size else {
      throw RSOError(
        names.labels,
        "expected \(images.count / size) labels, as many as images in \(names.images), "
          + "found \(labels.count)")
    }
    if case .floats(let floats) = images, let index = floats.firstIndex(where: { !$0.isFinite }) {
      throw RSOError(
        names.images,
        "expected finite values, found \(floats[index]) in image \(index / size), value \(index % size)"
      )
    }
    try Self.check(labels, classes: Self.largestClassCount, name: names.labels)
    self.images = images
    self.labels = labels.map { Int32($0) }
    self.shape = shape
    self.names = names
  }

  /// A split of images of bytes, which a network reads as byte / 255.
  public init(
    images: [UInt8], labels: [some BinaryInteger], shape: Shape,
    names: (images: String, labels: String) = ("images", "labels")
  ) throws {
    try self.init(images: .bytes(images), labels: labels, shape: shape, names: names)
  }

  /// A split of images of floats, which a network reads as they are.
  public init(
    images: [Float], labels: [some BinaryInteger], shape: Shape,
    names: (images: String, labels: String) = ("images", "labels")
  ) throws {
    try self.init(images: .floats(images), labels: labels, shape: shape, names: names)
  }

  /// Samples with numbers for the outputs to have, for regression or for several labels at once.
  ///
  /// - Parameters:
  ///   - images: as above.
  ///   - targets: `[N, width]`, finite.
  ///   - labels: `[N]`, each below `width`; `nil` for samples without classes.
  ///   - shape: of one image.
  ///   - names: the names of images and labels in errors.
  ///   - targetsName: the name of the targets in errors.
  /// - Throws: `RSOError` as above, or if a target is not finite, or their number is not a multiple of the samples'.
  public init(
    images: Pixels, targets: [Float], labels: [Int32]? = nil, shape: Shape,
    names: (images: String, labels: String) = ("images", "labels"), targetsName: String = "targets"
  ) throws {
    let size = max(product(of: [shape.channels, shape.height, shape.width]) ?? 1, 1)
    let count = images.count / size
    try self.init(
      images: images, labels: labels ?? Array(repeating: 0, count: count), shape: shape,
      names: names)
    guard !targets.isEmpty, targets.count.isMultiple(of: count),
      targets.count / count <= Self.largestClassCount
    else {
      throw RSOError(
        targetsName,
        "expected 1 to \(Self.largestClassCount) targets for each of the \(count) samples in "
          + "\(names.images), found \(targets.count) numbers")
    }
    hasLabels = labels != nil
    targetCount = targets.count / count
    if let index = targets.firstIndex(where: { !$0.isFinite }) {
      throw RSOError(
        targetsName,
        "expected finite numbers, found \(targets[index]) at "
          + "[\(index / targetCount), \(index % targetCount)]")
    }
    self.targets = targets
    if labels != nil { try checkLabels(classes: targetCount) }
  }

  /// The same samples with other values.
  func replacing(_ images: Pixels) -> Split {
    Split(self, images: images, labels: labels, targets: targets)
  }

  private init(_ split: Split, _ range: Range<Int>) {
    let size = split.shape.count
    self.init(
      split, images: split.images[range.lowerBound * size..<range.upperBound * size],
      labels: Array(split.labels[range]),
      targets: Array(
        split.targets[
          range.lowerBound * split.targetCount..<range.upperBound * split.targetCount]))
  }

  private init(_ split: Split, images: Pixels, labels: [Int32], targets: [Float]) {
    self.images = images
    self.labels = labels
    self.targets = targets
    (hasLabels, targetCount) = (split.hasLabels, split.targetCount)
    shape = split.shape
    names = split.names
    note = split.note
  }

  /// `[targetCount]`: the targets of a sample.
  func targets(of sample: Int) -> ArraySlice<Float> {
    targets[sample * targetCount..<(sample + 1) * targetCount]
  }

  /// The first `n` samples; all of them if `n` is `nil` or there are no more.
  public func prefix(_ n: Int?) -> Split {
    guard let n, n < count else { return self }
    return Split(self, 0..<max(n, 0))
  }

  /// The last `n` samples; all of them if there are no more.
  func suffix(_ n: Int) -> Split { Split(self, max(count - n, 0)..<count) }

  /// These samples and those of a split of the same kind and shape.
  func appending(_ other: Split) -> Split {
    Split(
      self, images: images.appending(other.images), labels: labels + other.labels,
      targets: targets + other.targets)
  }

  func checkLabels(classes: Int) throws {
    try Self.check(labels, classes: classes, name: names.labels)
  }

  private static func check(
    _ labels: [some BinaryInteger], classes: Int, name: String
  ) throws {
    guard let index = labels.firstIndex(where: { $0 < 0 || $0 >= classes }) else { return }
    throw RSOError(
      name, "expected labels 0 to \(classes - 1), found \(labels[index]) at index \(index)")
  }

  /// The first `limit` samples; errors name `option`.
  func limited(to limit: Int?, option: String) throws -> Split {
    if let limit, !(1...count ~= limit) {
      throw RSOError(
        option, "expected 1 to \(count), found \(limit)",
        hint: "\(names.images) holds \(count) images")
    }
    try Memory.require(
      (limit ?? 0) * shape.count * images.size, for: "the images in use of \(names.images)",
      hint: "use a smaller \(option)")
    return prefix(limit)
  }
}
