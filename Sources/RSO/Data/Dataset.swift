/// Images to train on and images to test with.
public struct Dataset: Sendable {
  /// The name used in messages; for a folder, the folder's name.
  public internal(set) var name: String
  /// The training images, after applying the limit, without the validation images.
  public let train: Split
  /// Images kept out of training to choose a model by; `nil` if there are none.
  public let validation: Split?
  /// The test images, after applying the limit.
  public let test: Split
  /// Labels are in `0..<classes`. With targets, it is their number: a network has an output for each.
  public let classes: Int
  /// Whether the samples have classes, and so an accuracy.
  public var hasLabels: Bool { train.hasLabels }
  /// What a network reads instead of the images' values. By default, the mean of each channel over the training images
  /// in use is subtracted, and in tables the difference is divided by the standard deviation.
  public internal(set) var normalization: Normalization
  /// How the training images gave the normalization; `nil` if it was given.
  public private(set) var method: Normalization.Method?
  /// `[C]`, the mean of `normalization`.
  public var mean: [Float] { normalization.mean }
  private let labelNotes: [String]
  /// The kind of the training images in use, and for floats their range.
  let kind: Model.Images

  /// - Parameters:
  ///   - name: what messages call the data.
  ///   - train: the images to train on.
  ///   - test: the images to test with, of the same shape and kind.
  ///   - classes: at most 1000; if `nil`, 1 + the largest label of both splits, whatever the limits.
  ///   - trainLimit: how many of the first training images to use; `nil` uses all.
  ///   - testLimit: how many of the first test images to use; `nil` uses all.
  /// - Throws: `RSOError` if the splits' shapes differ, or a label or a limit is out of range.
  /// - Complexity: O(bytes of the training images in use), for the normalization and the range.
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
    guard train.targetCount == test.targetCount, train.hasLabels == test.hasLabels else {
      throw RSOError(
        name,
        "expected test samples with labels and targets as the training samples have, found "
          + (train.hasLabels == test.hasLabels
            ? "\(train.targetCount) and \(test.targetCount) targets for each sample"
            : "labels in one of them only"))
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
    labelNotes = Self.labelNotes(train, test)
    self.classes =
      classes ?? (train.targetCount > 0 ? train.targetCount : 1 + Int(labels.max() ?? 0))
    self.train = try train.limited(to: trainLimit, option: "`trainLimit`")
    validation = nil
    self.test = try test.limited(to: testLimit, option: "`testLimit`")
    let method = Normalization.Method.standard(for: train.shape)
    (normalization, self.method) = (try Normalization(method, over: self.train), method)
    kind = Model.Images(self.train.images)
  }

  private init(_ data: Dataset, train: Split, validation: Split?, test: Split) {
    (self.train, self.validation, self.test) = (train, validation, test)
    (name, classes, kind) = (data.name, data.classes, data.kind)
    labelNotes = data.labelNotes
    (normalization, method) = (data.normalization, data.method)
  }

  /// The same data, of which a network reads other values: those that a model was trained on, for example.
  ///
  /// - Parameter normalization: with as many channels as the images have.
  public func normalized(_ normalization: Normalization) -> Dataset {
    var data = self
    (data.normalization, data.method) = (normalization, nil)
    return data
  }

  /// The same data with another normalization over the training images in use.
  ///
  /// - Throws: `RSOError` if the method is for other images.
  /// - Complexity: O(values of the training images)
  public func normalized(by method: Normalization.Method) throws -> Dataset {
    var data = self
    (data.normalization, data.method) = (try Normalization(method, over: train), method)
    return data
  }

  /// What reading the files has changed about the images, and what is odd about the labels.
  package var notes: [String] {
    if let note = train.note, note == test.note {
      return ["\(train.names.images) and \(test.names.images): \(note)"] + labelNotes
    }
    return [train, test].compactMap { split in
      split.note.map { "\(split.names.images): \($0)" }
    } + labelNotes
  }

  /// Notes about classes without samples, which a mistake may have made.
  private static func labelNotes(_ train: Split, _ test: Split) -> [String] {
    guard train.hasLabels else { return [] }
    let (known, asked) = (Set(train.labels), Set(test.labels))
    var notes: [String] = []
    let all = known.union(asked)
    if let least = all.min(), let largest = all.max(), least > 0 {
      notes.append(
        "\(train.names.labels): labels are \(least) to \(largest), and classes count from 0: that makes "
          + "\(largest + 1) classes, of which \(least == 1 ? "0 has" : "0 to \(least - 1) have") no samples; subtract \(least) to "
          + "have \(largest + 1 - least)")
    }
    let unknown = asked.subtracting(known).sorted()
    if !unknown.isEmpty {
      let names = unknown.prefix(5).map { "\($0)" } + (unknown.count > 5 ? ["…"] : [])
      notes.append(
        "\(test.names.labels): no training sample is of class \(names.joined(separator: ", ")), so nothing is learned "
          + "about \(unknown.count == 1 ? "it" : "them")")
    }
    return notes
  }

  /// The first samples, with the classes of all. Validation images are left out unless they are asked for.
  package func prefix(train: Int, test: Int, validation isKept: Bool = false) -> Dataset {
    Dataset(
      self, train: self.train.prefix(train), validation: isKept ? validation : nil,
      test: self.test.prefix(test))
  }

  /// The same data with images as a model takes them that was trained on `images`.
  ///
  /// - Parameter divisor: what the model divides bytes by (`Normalization.divisor`).
  /// - Returns: the data, and a note if they are of the other kind but certain to mean the same.
  /// - Throws: `RSOError` if they are of the other kind.
  package func adapted(
    to images: Model.Images, divisor: Float = 255
  ) throws -> (data: Dataset, note: String?) {
    func adapted(_ split: Split) throws -> (split: Split, note: String?) {
      let found = try images.adapted(split.images, name: split.names.images, divisor: divisor)
      return (split.replacing(found.pixels), found.note)
    }
    let (train, test) = (try adapted(train), try adapted(test))
    let data = Dataset(
      self, train: train.split, validation: try validation.map { try adapted($0).split },
      test: test.split)
    return (data, train.note ?? test.note)
  }

  /// The same data with the last training images kept out of training, as validation images.
  ///
  /// A search evaluates its weights on the validation images, so a model can be chosen without looking at the test
  /// images.
  ///
  /// - Parameter count: how many; at least one image must be left to train on.
  /// - Throws: `RSOError` if the count is out of range, or if there are validation images already.
  /// - Complexity: O(bytes of the training images in use), for the new mean.
  public func holdingOut(_ count: Int) throws -> Dataset {
    guard validation == nil else {
      throw RSOError("`validation`", "expected data without validation images, found some")
    }
    guard count >= 1, count < train.count else {
      throw RSOError(
        "`validation`", "expected 1 to \(train.count - 1), found \(count)",
        hint: "there are \(train.count) training images, and at least one must be left")
    }
    try Memory.require(
      train.images.count * train.images.size, for: "the training and validation images",
      hint: "use a smaller `trainLimit`")
    return try Dataset(
      self, train: train.prefix(train.count - count), validation: train.suffix(count))
  }

  /// What to know about validation images that stand for other classes than the training images do; else `nil`.
  ///
  /// A class of the training images that would be expected five times or more is missing by chance once in 150 times.
  package var validationDoubt: String? {
    guard let validation else { return nil }
    func counts(_ split: Split) -> [Int] {
      split.labels.reduce(into: Array(repeating: 0, count: classes)) { $0[Int($1)] += 1 }
    }
    let (train, held) = (counts(self.train), counts(validation))
    func words(_ labels: [Int]) -> String {
      (labels.count == 1 ? "class " : "classes ") + labels.map { "\($0)" }.joined(separator: ", ")
    }
    let share = Double(validation.count) / Double(self.train.count + validation.count)
    let absent = held.indices.filter {
      held[$0] == 0 && Double(train[$0]) * share >= 5
    }
    let unlearnt = train.indices.filter { train[$0] == 0 && held[$0] > 0 }
    let problems = [
      absent.isEmpty ? nil : "no validation image is of \(words(absent))",
      unlearnt.isEmpty ? nil : "no image of \(words(unlearnt)) is left to train on",
    ].compactMap { $0 }
    return problems.isEmpty
      ? nil
      : problems.joined(separator: ", and ")
        + "; validation images are the last ones: shuffle images that are sorted by class"
  }

  /// The same data with the validation images back among the training images.
  package var undivided: Dataset {
    guard let validation else { return self }
    return Dataset(self, train: train.appending(validation), validation: nil, test: test)
  }

  /// The split that judges the weights after every sweep of a search: validation if there is one, else test.
  public var evaluatedSplit: EvaluatedSplit { validation == nil ? .test : .validation }

  /// What makes targets hard to learn: proposals have a fixed width, which suits numbers of about 1.
  package var targetDoubt: String? {
    let targets = train.targets
    guard !targets.isEmpty else { return nil }
    let count = Double(targets.count)
    let mean = targets.reduce(0) { $0 + Double($1) } / count
    let square = targets.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
    let deviation = (square / count).squareRoot()
    guard abs(mean) > 10 || deviation > 10 else { return nil }
    return
      "the targets have a mean of \(Float(mean)) and a deviation of \(Float(deviation)); the search fits numbers of about 1 "
      + "best: subtract the mean and divide by the deviation"
  }

  /// The samples of a split.
  ///
  /// - Throws: `RSOError` if there are no validation images.
  func samples(_ split: EvaluatedSplit) throws -> Split {
    switch split {
    case .train: return train
    case .test: return test
    case .validation:
      guard let validation else {
        throw RSOError(
          "`validation`", "expected the number of validation images, found none",
          hint: "they are the last of the training images")
      }
      return validation
    }
  }

  private init(_ other: Dataset, train: Split, validation: Split) throws {
    name = other.name
    self.train = train
    self.validation = validation
    test = other.test
    classes = other.classes
    method = other.method
    labelNotes = other.labelNotes
    normalization = try method.map { try Normalization($0, over: train) } ?? other.normalization
    kind = Model.Images(train.images)
  }
}
