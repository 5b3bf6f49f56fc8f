import Testing

@testable import RSO

/// Images kept out of training to choose a model by.
struct ValidationTests {
  private static let shape = Shape(channels: 2, height: 3, width: 3)

  private static func data() throws -> Dataset {
    try Sample.dataset(shape, classes: 3, train: 30, test: 9)
  }

  private static func pixels(_ split: Split) throws -> [UInt8] {
    guard case .bytes(let bytes) = split.images else { throw RSOError("images", "not bytes") }
    return bytes
  }

  /// The last images, and the mean of those that are left.
  @Test func theLastTrainingImages() throws {
    let data = try Self.data()
    let held = try data.holdingOut(10)
    let validation = try #require(held.validation)
    #expect(held.train.count == 20 && validation.count == 10)
    #expect(held.train.labels + validation.labels == data.train.labels)
    #expect(
      try Self.pixels(held.train) + Self.pixels(validation) == Self.pixels(data.train))
    #expect(held.test.labels == data.test.labels)
    let pixels = try Self.pixels(held.train)
    for channel in 0..<2 {
      let own = pixels.indices.filter { $0 / 9 % 2 == channel }.map { Double(pixels[$0]) / 255 }
      #expect(abs(Double(held.mean[channel]) - own.reduce(0, +) / 180) < 1e-6)
    }
    #expect(data.validation == nil && data.evaluatedSplit == .test)
    #expect(held.evaluatedSplit == .validation)
    #expect(try data.holdingOut(29).train.count == 1)
  }

  @Test func theyGoBack() throws {
    let data = try Self.data()
    let whole = try data.holdingOut(7).undivided
    #expect(whole.train.labels == data.train.labels && whole.validation == nil)
    #expect(try Self.pixels(whole.train) == Self.pixels(data.train))
    #expect(try DataDescription(whole).digest == DataDescription(data).digest)
    let floats = try Split(
      images: (0..<12).map { Float($0) }, labels: [0, 1, 0],
      shape: Shape(channels: 1, height: 2, width: 2))
    let held = try Dataset(name: "f", train: floats, test: floats).holdingOut(1).undivided
    #expect(held.train.images == floats.images && held.train.labels == [0, 1, 0])
  }

  /// However the data are split, they are the run's or they are not; what a split has of the other is said.
  @Test func aSplitThatIsNotTheRuns() throws {
    let data = try Self.data()
    let own = try DataDescription(data.holdingOut(10))
    for count in [3, 10, 25] { #expect(try own.agrees(with: data.holdingOut(count)) == true) }
    #expect(try own.agrees(with: data) == true)
    let other = try Sample.dataset(Self.shape, classes: 3, train: 30, test: 9, seed: 4)
    #expect(try own.agrees(with: other.holdingOut(3)) == false)
    func doubt(_ held: Int, _ split: EvaluatedSplit, limit: Int = 30) throws -> String? {
      own.doubt(about: split, of: try data.prefix(train: limit, test: 9).holdingOut(held))
    }
    for held in [1, 9, 10] { #expect(try doubt(held, .validation) == nil) }
    #expect(
      try doubt(14, .validation)
        == "the model was trained on 4 of these 14 validation images (the run kept out the last 10 of 30 images: "
        + "--train-limit 30 --validation 10)")
    #expect(try doubt(5, .validation, limit: 22)?.contains("on 3 of these 5 ") == true)
    #expect(try doubt(5, .validation, limit: 12)?.contains("on 5 of these 5 ") == true)
    #expect(
      try doubt(4, .train) == "6 of the 26 training images had no part in the training of the model"
    )
    for held in [10, 14] { #expect(try doubt(held, .train) == nil) }
    #expect(try doubt(14, .test) == nil)
    let none = try DataDescription(data)
    #expect(
      none.doubt(about: .validation, of: try data.holdingOut(5))
        == "the model was trained on 5 of these 5 validation images (the run kept none out)")
  }

  /// Labels of 120 images, how many are held out, and what is said.
  @Test(arguments: [
    ((0..<120).map { $0 % 4 }, 60, nil),
    (
      (0..<120).map { $0 / 30 }, 30,
      "no validation image is of classes 0, 1, 2, and no image of class 3 is left to train on"
    ), ((0..<120).map { $0 / 60 }, 30, "no validation image is of class 0"),
    // Three are no more than chance.
    ((0..<120).map { $0 < 12 ? 0 : 1 }, 30, nil), ((0..<120).map { $0 / 30 }, 1, nil),
  ])
  func sortedImages(labels: [Int], held: Int, expected: String?) throws {
    let shape = Shape(channels: 1, height: 1, width: 1)
    let split = try Split(images: [UInt8](repeating: 7, count: 120), labels: labels, shape: shape)
    let data = try Dataset(name: "d", train: split, test: split)
    #expect(data.validationDoubt == nil)
    let found = try data.holdingOut(held).validationDoubt
    #expect(
      found
        == expected.map {
          $0 + "; validation images are the last ones: shuffle images that are sorted by class"
        })
  }

  @Test(arguments: [0, -1, 30, 31])
  func refusesACountOutOfRange(count: Int) throws {
    let error = errorText { _ = try Self.data().holdingOut(count) }
    #expect(
      error == "`validation`: expected 1 to 29, found \(count) "
        + "(there are 30 training images, and at least one must be left)")
  }

  @Test func refusesASecondTime() throws {
    let held = try Self.data().holdingOut(10)
    #expect(
      errorText { _ = try held.holdingOut(5) }?.contains("without validation images") == true)
  }

  private static func search(_ data: Dataset, _ device: Device) throws -> RandomSearch {
    let network = try Network(input: shape) {
      Node.conv2d("conv", channels: 4, kernel: 3, padding: 1)
      Node.batchNorm("bn")
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 3)
    }
    var settings = SearchSettings()
    (settings.cycles, settings.batchSize, settings.hold) = (1, 10, .elements(4))
    return try RandomSearch(network: network, data: data, settings: settings, device: device)
  }

  /// The images that are kept out have no part in the search, and every report is about them: the search is that of
  /// data that never had them, and they stand where the test images would.
  @Test(arguments: [Device.reference, .cpu(threads: 1)])
  func everyReportIsAboutThem(device: Device) throws {
    let data = try Self.data()
    let held = try data.holdingOut(10)
    let validation = try #require(held.validation)
    let without = try Dataset(
      name: "without", train: data.train.prefix(20), test: validation, classes: 3)
    func reports(_ data: Dataset) throws -> ([RandomSearch.SweepReport], RandomSearch) {
      var search = try Self.search(data, device)
      var reports: [RandomSearch.SweepReport] = []
      try search.run { event in
        if case .swept(let report) = event { reports.append(report) }
        return .goOn
      }
      return (reports, search)
    }
    var (found, search) = try reports(held)
    let (expected, other) = try reports(without)
    #expect(found.map(\.evaluation) == expected.map(\.evaluation))
    #expect(found.map(\.meanLoss) == expected.map(\.meanLoss))
    #expect(found.allSatisfy { $0.split == .validation })
    #expect(expected.allSatisfy { $0.split == .test })
    #expect(search.parameters == other.parameters)
    // The test images are still there.
    #expect(try search.evaluate(.test).count == 9)
    #expect(try search.evaluate(.train).count == 20)
    #expect(
      try search.model.evaluate(on: held, .validation, device: device) == found.last?.evaluation)
    var plain = try Self.search(data, device)
    #expect(
      errorText { _ = try plain.evaluate(.validation) }?.hasPrefix("`validation`: expected") == true
    )
  }

  /// The counts that a report gives, by hand: with four weights on each mini-batch, the first has three candidates to
  /// compute and the others two.
  @Test func reportsCountTheirWork() throws {
    var search = try Self.search(Self.data(), .reference)
    var reports: [RandomSearch.SweepReport] = []
    try search.run { event in
      if case .swept(let report) = event { reports.append(report) }
      return .goOn
    }
    // fc.weight [3, 4], conv.weight [4, 2, 3, 3], bn.bias and bn.weight [4].
    #expect(reports.map(\.parameter) == ["fc.weight", "conv.weight", "bn.bias", "bn.weight"])
    #expect(reports.map(\.proposals) == [12, 72, 4, 4])
    #expect(reports.map(\.evaluations) == [12 * 2 + 3, 72 * 2 + 18, 9, 9])
    #expect(reports.map(\.batchSize) == [10, 10, 10, 10])
    // σ of γ and β is 0.167 in the first cycle.
    #expect(reports[2].deviation == 0.167 && reports[3].deviation == 0.167)
  }

  /// The evaluation after a sweep is on the validation images, and all images take memory.
  @Test func theCostIsThatOfTheImages() throws {
    let network = try Network.mnist()
    let settings = SearchSettings()
    let model = CostModel(
      network: network, settings: settings, train: 50_000, validation: 10_000, test: 30_000)
    let same = CostModel(network: network, settings: settings, train: 50_000, test: 10_000)
    #expect(model.sweeps.map(\.evaluation) == same.sweeps.map(\.evaluation))
    #expect(model.dataMemory == same.dataMemory / 60_000 * 90_000)
  }

  @Test func theDigestKnowsThem() throws {
    let data = try Self.data()
    let digests = try [data, data.holdingOut(10), data.holdingOut(11)].map {
      try DataDescription($0).digest
    }
    #expect(Set(digests).count == 3)
    #expect(try DataDescription(data.holdingOut(10)).validation == 10)
  }
}
