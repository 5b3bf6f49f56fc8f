import CRSO
import Foundation
import Testing

@testable import RSO

/// (x − mean) / deviation, in every engine and in files.
struct NormalizationTests {
  /// NumPy 2.4: `((np.arange(0, 256, 51) / 255 - np.float64(np.float32(0.1307))) / np.float64(np.float32(0.3081)))
  /// .astype('f4')`.
  @Test func bytesAreAsInNumPy() {
    let table = Normalization(mean: [0, 0.1307], deviation: [1, 0.3081]).table(for: .bytes([0]))
    #expect(table.count == 512 && table[51] == 0.2)
    #expect(
      stride(from: 256, to: 512, by: 51).map { table[$0] } == [
        -0.42421296, 0.22492696, 0.8740669, 1.5232068, 2.1723468, 2.8214867,
      ])
    #expect(Normalization(mean: [0]).table(for: .floats([1])).isEmpty)
  }

  @Test func loadFloats() throws {
    let (channels, area) = (2, 15)
    let philox = Philox(seed: 3)
    let values = try Buffer<Float>(
      (0..<4 * channels * area).map {
        Float(philox.normal(.initialisation, cycle: 0, tensor: 0, element: $0))
      })
    let (mean, deviation) = try (Buffer<Float>([0.25, -7]), Buffer<Float>([1, 0.3081]))
    let samples = try Buffer<Int32>((0..<16).map { $0 % 5 == 4 ? -1 : Int32($0 * 3 % 4) })
    let y = try KernelSample(lanes: 1, size: channels * area)
    rso_load_floats(
      values.pointer, samples.pointer, mean.pointer, deviation.pointer, Int32(channels),
      Int32(area), y.pointer)
    let wrong = y.wrong { _, i, sample in
      let number = Int(samples.pointer[sample])
      guard number >= 0 else { return (0, 0) }
      let x = values.pointer[number * channels * area + i]
      // Without a division, what single precision gives.
      if i < area { return (Double(x - 0.25), 0) }
      return (Double(Float((Double(x) + 7) / Double(deviation.pointer[1]))), 0)
    }
    #expect(wrong == 0)
  }

  private static let shape = Shape(channels: 2, height: 3, width: 2)
  private static let normalization = Normalization(
    mean: [0.125, 0.5], deviation: [0.25, 3.5])

  private static func network() throws -> Network {
    try Network(input: shape) {
      Node.conv2d("conv", channels: 3, kernel: 3, padding: 1, bias: true)
      Node.batchNorm("bn")
      Node.relu("relu")
      Node.flatten("flat")
      Node.linear("fc", features: 2)
    }
  }

  /// Images, and floats that are what the network is to read of them.
  private static func data(_ isFloat: Bool) throws -> (given: Dataset, read: Dataset) {
    let bytes = try Sample.dataset(shape, classes: 2, train: 24, test: 20)
    func split(_ split: Split, _ change: (Double, Int) -> Float) throws -> Split {
      guard case .bytes(let bytes) = split.images else { return split }
      return try Split(
        images: .floats(
          bytes.enumerated().map { i, byte in
            change(Double(byte) / 255, i % shape.count / shape.area)
          }), labels: split.labels, shape: shape)
    }
    func dataset(_ change: (Double, Int) -> Float) throws -> Dataset {
      try Dataset(name: "d", train: split(bytes.train, change), test: split(bytes.test, change))
    }
    let read = try dataset { x, channel in
      let x = isFloat ? Double(Float(x)) : x
      return Float(
        (x - Double(normalization.mean[channel])) / Double(normalization.deviation[channel]))
    }.normalized(Normalization(mean: [0, 0]))
    let given = isFloat ? try dataset { x, _ in Float(x) } : bytes
    return (given.normalized(normalization), read)
  }

  /// Every engine, and predictions, read (x − mean) / deviation, to the bit.
  @Test(arguments: [false, true])
  func enginesReadThem(isFloat: Bool) throws {
    let network = try Self.network()
    let (given, read) = try Self.data(isFloat)
    let parameters = Parameters(initialFor: network, seed: 3)
    let engines: [(String, (Dataset) throws -> any Engine)] = [
      ("reference", { ReferenceEngine(network: network, data: $0, parameters: parameters) }),
      ("cpu", { try CPUEngine(network: network, data: $0, parameters: parameters, threads: 1) }),
      ("cuda", { try FakeCUDA().engine(network: network, data: $0, parameters: parameters) }),
    ]
    for (name, engine) in engines {
      var (one, two, plain) = try (
        engine(given), engine(read), engine(given.normalized(Normalization(mean: [0.125, 0.5])))
      )
      let (a, b) = try (one.evaluate(.test), two.evaluate(.test))
      #expect(a.loss == b.loss && a.confusion == b.confusion, "\(name)")
      #expect(one.statistics == two.statistics, "\(name)")
      #expect(try plain.evaluate(.test).loss != a.loss, "\(name)")
    }
    let (model, other) = try (
      PredictionTests.model(network, given), PredictionTests.model(network, read)
    )
    #expect(try model.predict(given.test.images) == other.predict(read.test.images))
    // A model brings its own.
    let found = try model.evaluate(on: given.normalized(Normalization(mean: [9, 9])))
    #expect(found.loss == (try other.evaluate(on: read).loss))
  }

  @Test func filesKeepThem() throws {
    let network = try Self.network()
    var model = try PredictionTests.model(network, Self.data(false).given)
    model.normalization = Normalization(mean: [0.1, 1e-30], deviation: [0.3081, 3e30])
    let tensors = try model.safeTensors(file: "m")
    #expect(tensors.metadata["format_version"] == "2")
    #expect(try Model(tensors, file: "m").normalization == model.normalization)
    #expect(
      try model.stateDict(file: "m").metadata.keys.sorted() == ["deviation", "format", "mean"])
    // Without a division it is a file that earlier versions read.
    model.normalization = Normalization(mean: [0.1, 0.2])
    let plain = try model.safeTensors(file: "m")
    #expect(plain.metadata["format_version"] == "1" && plain.metadata["deviation"] == nil)
    #expect(try Model(plain, file: "m").normalization == model.normalization)
    // Earlier versions would divide by 255.
    model.normalization = Normalization(mean: [0, 0], divisor: 256)
    var integers = try model.safeTensors(file: "m")
    #expect(integers.metadata["format_version"] == "3")
    #expect(try Model(integers, file: "m").normalization == model.normalization)
    #expect(
      try model.stateDict(file: "m").metadata.keys.sorted() == ["divisor", "format", "mean"])
    integers.metadata["divisor"] = "128"
    #expect(
      errorText { _ = try Model(integers, file: "m") }
        == "m: expected a divisor of 255 or 256, found 128.0")
  }

  // MARK: Methods

  private static func normalization(
    _ method: Normalization.Method?, _ pixels: Pixels, _ shape: Shape
  ) throws -> Normalization {
    let count = pixels.count / shape.count
    let split = try Split(images: pixels, labels: [Int32](repeating: 0, count: count), shape: shape)
    let data = try Dataset(name: "d", train: split, test: split)
    return try method.map { try data.normalized(by: $0) }?.normalization ?? data.normalization
  }

  /// `mean_` and `scale_` of scikit-learn 1.9's `StandardScaler`, as 32-bit floats; 0.1 three times is constant.
  @Test func standardIsAsInScikitLearn() throws {
    let table: [Float] = [1, 200, 0.1, -5, 2, 100, 0.1, 1e4, 4, 400, 0.1, 3, 7, 100, 0.1, 0.25]
    let expected = Normalization(
      mean: [3.5, 200, 0.1, 2499.5625], deviation: [2.291288, 122.47449, 1, 4330.3804])
    // The default of tables.
    for method in [nil, Normalization.Method.standard] {
      #expect(try Self.normalization(method, .floats(table), Shape(channels: 4)) == expected)
    }
    #expect(
      try Self.normalization(nil, .bytes([0, 10, 255, 10, 51, 10, 102, 10]), Shape(channels: 2))
        == Normalization(mean: [0.4, 0.039215688], deviation: [0.37416574, 1]))
    // An image's channel: `images.mean()` and `images.std()` of NumPy.
    let image = Shape(channels: 1, height: 2, width: 2)
    let bytes = Pixels.bytes([1, 2, 3, 4, 5, 6, 7, 10])
    #expect(
      try Self.normalization(.standard, bytes, image)
        == Normalization(mean: [0.018627452], deviation: [0.010694816]))
    #expect(try Self.normalization(nil, bytes, image) == Normalization(mean: [0.018627452]))
  }

  @Test func theOtherMethods() throws {
    let shape = Shape(channels: 2)
    let (bytes, floats) = (Pixels.bytes([0, 255, 3, 4]), Pixels.floats([-1, 2, 3, 4]))
    #expect(try Self.normalization(.mean, floats, shape) == Normalization(mean: [1, 3]))
    #expect(try Self.normalization(.unchanged, floats, shape) == Normalization(mean: [0, 0]))
    #expect(try Self.normalization(.pixels, bytes, shape) == Normalization(mean: [0, 0]))
    let raw = try Self.normalization(.unchanged, bytes, shape).table(for: bytes)
    #expect((0..<512).allSatisfy { abs(raw[$0] - Float($0 % 256)) <= Float($0 % 256).ulp })
    #expect(
      errorText { _ = try Self.normalization(.pixels, floats, shape) }
        == "`normalize`: pixels: expected bytes in images, found floats "
        + "(none takes floats as they are)")
    #expect(
      errorText { _ = try Self.normalization(.integers, floats, shape) }
        == "`normalize`: integers: expected bytes in images, found floats "
        + "(none takes floats as they are)")
  }

  /// Multiples of 2⁻⁸, in every engine.
  @Test func integersAreExact() throws {
    let (given, _) = try Self.data(false)
    let data = try given.normalized(by: .integers)
    #expect(data.normalization.table(for: .bytes([])) == (0..<512).map { Float($0 % 256) / 256 })
    let network = try Network(input: Self.shape) {
      Node.flatten("flat")
      Node.linear("fc", features: 2)
    }
    var parameters = Parameters(zerosFor: network)
    // The logits are a pixel and a sum of pixels: integers in units of 2⁻⁸.
    parameters.values = (0..<24).map { $0 == 5 || $0 >= 12 ? 1 : 0 }
    let model = Model(
      network: network, parameters: parameters, statistics: .init(),
      normalization: data.normalization)
    guard case .bytes(let bytes) = data.test.images else { return }
    for (index, prediction) in try Predictor(model).predict(data.test.images).enumerated() {
      let image = bytes[12 * index..<12 * (index + 1)].map { Float($0) }
      #expect(prediction.logits == [image[5] / 256, image.reduce(0, +) / 256])
    }
  }

  /// Bytes that discrete weights read are integers; others are as before.
  @Test func theDefaultOfANetwork() throws {
    func method(_ pixels: Pixels, _ weights: [Domain]) throws -> Normalization.Method? {
      let network = try Network(input: Shape(channels: 1, height: 4, width: 4)) {
        Node.maxPool("pool", kernel: 2)
        Node.conv2d("conv", channels: 2, kernel: 1, weights: weights[0])
        Node.flatten("flat")
        Node.linear("fc", features: 2, weights: weights[1])
      }
      return Normalization.Method.standard(for: network, reading: pixels)
    }
    #expect(try method(.bytes([]), [.ternary, .float]) == .integers)
    #expect(try method(.bytes([]), [.float, .ternary]) == nil)
    #expect(try method(.floats([]), [.ternary, .ternary]) == nil)
  }

  /// Validation images do not count, and what was given stays.
  @Test func heldOutImages() throws {
    let split = try Split(
      images: .floats([1, 2, 3, 100]), labels: [0, 0, 0, 0], shape: Shape(channels: 1))
    let data = try Dataset(name: "d", train: split, test: split)
    #expect(try data.holdingOut(1).mean == [2])
    #expect(
      try data.normalized(by: .unchanged).holdingOut(1).normalization == Normalization(mean: [0]))
    let given = Normalization(mean: [5], deviation: [7])
    #expect(try data.normalized(given).holdingOut(1).normalization == given)
    #expect(data.normalized(given).method == nil)
  }

  // MARK: Sizes

  /// Images beyond 64×64, and rows of many features: the fast engine agrees with the definition.
  @Test func largeSamples() throws {
    for (network, shape) in [
      (
        try Network(input: Shape(channels: 1, height: 70, width: 97)) {
          Node.conv2d("conv", channels: 2, kernel: 3, stride: 2, padding: 1)
          Node.batchNorm("bn")
          Node.relu("relu")
          Node.maxPool("pool", kernel: 2)
          Node.flatten("flat")
          Node.linear("fc", features: 2)
        }, Shape(channels: 1, height: 70, width: 97)
      ),
      (try .table(features: 65536, classes: 2), Shape(channels: 65536)),
    ] {
      let bytes = (0..<4 * shape.count).map {
        UInt8(truncatingIfNeeded: $0 &* $0 / 7 &+ $0 / shape.count * 31)
      }
      let split = try Split(images: bytes, labels: [0, 1, 0, 1], shape: shape)
      let data = try Dataset(name: "d", train: split, test: split).normalized(by: .mean)
      let parameters = Parameters(initialFor: network, seed: 1)
      var reference = ReferenceEngine(network: network, data: data, parameters: parameters)
      let cpu = try CPUEngine(network: network, data: data, parameters: parameters, threads: 1)
      let (a, b) = try (reference.evaluate(.test), cpu.evaluate(.test))
      #expect(abs(a.loss - b.loss) < 1e-4 * abs(a.loss), "\(shape): \(a.loss) \(b.loss)")
      let order = SampleOrder([2, 0, 3, 1], batchSize: 4)
      try reference.beginSweep(of: 0, order: order)
      try cpu.beginSweep(of: 0, order: order)
      let slot = parameters.slots[0]
      let proposal = CandidateComparison.proposal(
        slot.count - 1, slot, tensor: 1, batch: 0, parameters)
      let losses = try (reference.judge([proposal])[0].losses, cpu.judge([proposal])[0].losses)
      for index in 0..<3 {
        #expect(abs(losses.0[index] - losses.1[index]) < 1e-4 * abs(losses.0[index]))
      }
    }
  }
}
