import Foundation

/// Pixels of images, as they stand in the file.
public enum Pixels: Hashable, Sendable {
  /// A network reads byte / 255 − mean of the channel.
  case bytes([UInt8])
  /// A network reads value − mean of the channel.
  case floats([Float])

  /// Values of all images together.
  public var count: Int {
    switch self {
    case .bytes(let bytes): bytes.count
    case .floats(let floats): floats.count
    }
  }

  /// Bytes of one value.
  package var size: Int { if case .bytes = self { 1 } else { MemoryLayout<Float>.size } }

  fileprivate var kind: String { if case .bytes = self { "bytes" } else { "floats" } }

  /// The first `n` values.
  fileprivate func prefix(_ n: Int) -> Pixels {
    switch self {
    case .bytes(let bytes): .bytes(Array(bytes.prefix(n)))
    case .floats(let floats): .floats(Array(floats.prefix(n)))
    }
  }
}

/// Labelled images: those to train on, or those to test with.
public struct Split: Sendable {
  /// More classes than that are taken for a mistake.
  public static let largestClassCount = 1000

  /// `[N, C, H, W]`
  public let images: Pixels
  /// `[N]`, each from 0.
  public let labels: [Int32]
  /// Of one image.
  public let shape: Shape
  /// The files they came from, for errors.
  let names: (images: String, labels: String)

  /// Samples.
  public var count: Int { labels.count }

  /// - Parameters:
  ///   - images: `[N, C, H, W]`, with H and W at most 64.
  ///   - labels: `[N]`, each in 0...999.
  ///   - names: what errors call the two.
  /// - Throws: `RSOError` if there are none, their numbers differ, or a size or a label is out of range.
  public init(
    images: Pixels, labels: [Int32], shape: Shape,
    names: (images: String, labels: String) = ("images", "labels")
  ) throws {
    guard shape.channels >= 1, 1...64 ~= shape.height, 1...64 ~= shape.width else {
      throw RSOError(
        names.images,
        "expected images of 1×1 to 64×64 pixels and 1 channel or more, "
          + "found \(shape.channels)×\(shape.height)×\(shape.width)")
    }
    guard let size = product(of: [shape.channels, shape.height, shape.width]),
      images.count.isMultiple(of: size), images.count > 0
    else {
      throw RSOError(
        names.images, "expected whole images of \(shape), found \(images.count) values")
    }
    guard labels.count == images.count / size else {
      throw RSOError(
        names.labels,
        "expected \(images.count / size) labels, as many as images in \(names.images), "
          + "found \(labels.count)")
    }
    self.images = images
    self.labels = labels
    self.shape = shape
    self.names = names
    try checkLabels(classes: Self.largestClassCount)
  }

  /// Of images of bytes.
  public init(
    images: [UInt8], labels: [Int32], shape: Shape,
    names: (images: String, labels: String) = ("images", "labels")
  ) throws {
    try self.init(images: .bytes(images), labels: labels, shape: shape, names: names)
  }

  private init(_ split: Split, count: Int) {
    images = split.images.prefix(count * split.shape.count)
    labels = Array(split.labels.prefix(count))
    shape = split.shape
    names = split.names
  }

  /// The first `n` samples, or all where `n` is `nil` or there are no more.
  public func prefix(_ n: Int?) -> Split {
    guard let n, n < count else { return self }
    return Split(self, count: max(n, 0))
  }

  fileprivate func checkLabels(classes: Int) throws {
    guard let index = labels.firstIndex(where: { !(0..<classes ~= Int($0)) }) else { return }
    throw RSOError(
      names.labels, "expected labels 0 to \(classes - 1), found \(labels[index]) at index \(index)")
  }

  /// The first `limit` samples, as an option asks for them.
  fileprivate func limited(to limit: Int?, option: String) throws -> Split {
    if let limit, !(1...count ~= limit) {
      throw RSOError(
        option, "expected 1 to \(count), found \(limit)",
        hint: "\(names.images) holds \(count) images")
    }
    return prefix(limit)
  }
}

/// Images to train on and images to test with.
public struct Dataset: Sendable {
  /// What messages call it; for a folder, its name.
  public internal(set) var name: String
  /// What a search trains on, after the limit.
  public let train: Split
  /// What it is evaluated with, after the limit.
  public let test: Split
  /// Labels are in `0..<classes`.
  public let classes: Int
  /// `[C]`, the mean of pixel / 255, or of floats as they are, over the training images that are used.
  public internal(set) var mean: [Float]

  /// - Parameters:
  ///   - classes: at most 1000; where `nil`, 1 + the largest label of both splits, whatever the limits.
  ///   - trainLimit: how many training images to use, from the first; `nil` uses all.
  ///   - testLimit: how many test images to use, from the first; `nil` uses all.
  /// - Throws: `RSOError` if the splits' shapes differ, or a label or a limit is out of range.
  /// - Complexity: O(bytes of the training images used), for the mean.
  public init(
    name: String, train: Split, test: Split, classes: Int? = nil,
    trainLimit: Int? = nil, testLimit: Int? = nil
  ) throws {
    guard train.shape == test.shape else {
      throw RSOError(
        test.names.images,
        "expected images of \(train.shape) as in \(train.names.images), found \(test.shape)")
    }
    guard train.images.kind == test.images.kind else {
      throw RSOError(
        test.names.images,
        "expected images of \(train.images.kind) as in \(train.names.images), "
          + "found \(test.images.kind)")
    }
    if let classes {
      guard 1...Split.largestClassCount ~= classes else {
        throw RSOError(
          name, "expected 1 to \(Split.largestClassCount) classes, found \(classes)")
      }
      try train.checkLabels(classes: classes)
      try test.checkLabels(classes: classes)
    }
    let labels = [train.labels, test.labels].joined()
    self.name = name
    self.classes = classes ?? 1 + Int(labels.max() ?? 0)
    self.train = try train.limited(to: trainLimit, option: "--train-limit")
    self.test = try test.limited(to: testLimit, option: "--test-limit")
    mean = Self.mean(of: self.train)
  }

  /// MNIST, which is built in: 60,000 and 10,000 images of 28×28 pixels in 10 classes.
  public static func mnist(trainLimit: Int? = nil, testLimit: Int? = nil) throws -> Dataset {
    let folder = try BuiltInData.folder("mnist")
    return try Dataset(
      name: "mnist", train: IDX.split("train", in: folder), test: IDX.split("t10k", in: folder),
      classes: 10, trainLimit: trainLimit, testLimit: testLimit)
  }

  /// A folder of four IDX files under MNIST's names (`train-images-idx3-ubyte`, …), plain or `.gz`.
  ///
  /// Images are grey (`idx3`) or have any number of channels (`idx4`, `[N, C, H, W]`), up to 64×64 pixels.
  public static func idx(
    directory: URL, classes: Int? = nil, trainLimit: Int? = nil, testLimit: Int? = nil
  ) throws -> Dataset {
    try Dataset(
      name: directory.standardizedFileURL.lastPathComponent,
      train: IDX.split("train", in: directory), test: IDX.split("t10k", in: directory),
      classes: classes, trainLimit: trainLimit, testLimit: testLimit)
  }

  /// A folder of CIFAR-10's binary version (`data_batch_1.bin` … `test_batch.bin`), or of the unpacked archive.
  public static func cifar10(
    directory: URL, trainLimit: Int? = nil, testLimit: Int? = nil
  ) throws -> Dataset {
    let folder = CIFAR10.folder(in: directory) ?? directory
    return try Dataset(
      name: directory.standardizedFileURL.lastPathComponent,
      train: CIFAR10.split(CIFAR10.trainFiles, in: folder),
      test: CIFAR10.split(CIFAR10.testFiles, in: folder),
      classes: CIFAR10.classes, trainLimit: trainLimit, testLimit: testLimit)
  }

  /// A folder of four NumPy files: `train_images.npy` `[N, H, W]` or `[N, C, H, W]` of `uint8` or `float32`,
  /// `train_labels.npy` `[N]` of integers, and the same for `test_`.
  ///
  /// Bytes are divided by 255, floats taken as they are.
  public static func numPy(
    directory: URL, classes: Int? = nil, trainLimit: Int? = nil, testLimit: Int? = nil
  ) throws -> Dataset {
    try Dataset(
      name: directory.standardizedFileURL.lastPathComponent,
      train: NumPy.split("train", in: directory), test: NumPy.split("test", in: directory),
      classes: classes, trainLimit: trainLimit, testLimit: testLimit)
  }

  /// A folder of images in any format that is known: CIFAR-10's binary version, NumPy or IDX files, in this order.
  public static func folder(_ directory: URL, trainLimit: Int? = nil, testLimit: Int? = nil) throws
    -> Dataset
  {
    if isCIFAR10(directory) {
      return try cifar10(directory: directory, trainLimit: trainLimit, testLimit: testLimit)
    }
    let names = try? FileManager.default.contentsOfDirectory(atPath: directory.path)
    if names?.contains(where: NumPy.names.contains) ?? false {
      return try numPy(directory: directory, trainLimit: trainLimit, testLimit: testLimit)
    }
    guard names?.contains(where: { $0.hasPrefix("train-") || $0.hasPrefix("t10k-") }) ?? false
    else {
      throw RSOError(
        directory.path,
        "expected train-images-idx3-ubyte (IDX), train_images.npy (NumPy) or data_batch_1.bin "
          + "(CIFAR-10), found none", hint: names == nil ? "the folder does not exist" : nil)
    }
    return try idx(directory: directory, trainLimit: trainLimit, testLimit: testLimit)
  }

  /// Whether a folder has files of CIFAR-10's binary version.
  package static func isCIFAR10(_ directory: URL) -> Bool { CIFAR10.folder(in: directory) != nil }

  /// Bytes are summed as integers, so exactly, floats in order in double precision.
  private static func mean(of split: Split) -> [Float] {
    let (channels, area) = (split.shape.channels, split.shape.area)
    let count = Double(area * split.count)
    switch split.images {
    case .bytes(let bytes):
      let sums = channelSums(bytes, channels, area, zero: 0) { $0 &+ Int($1) }
      return sums.map { Float(Double($0) / (255 * count)) }
    case .floats(let floats):
      let sums = channelSums(floats, channels, area, zero: 0.0) { $0 + Double($1) }
      return sums.map { Float($0 / count) }
    }
  }

  /// The sum of every channel of `values` `[N, channels, area]`.
  private static func channelSums<Value, Sum>(
    _ values: [Value], _ channels: Int, _ area: Int, zero: Sum, add: (Sum, Value) -> Sum
  ) -> [Sum] {
    var sums = [Sum](repeating: zero, count: channels)
    values.withUnsafeBufferPointer { values in
      for start in stride(from: 0, to: values.count, by: area) {
        let channel = start / area % channels
        sums[channel] = values[start..<start + area].reduce(sums[channel], add)
      }
    }
    return sums
  }
}
