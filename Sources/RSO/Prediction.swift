import CRSO
import Foundation

/// A model's output for one image.
public struct Prediction: Hashable, Sendable {
  /// `[classes]`, the network's output.
  public let logits: [Float]

  /// - Parameter logits: one or more.
  public init(logits: [Float]) {
    self.logits = logits
  }

  /// The class of the largest logit; the first of equals.
  public var label: Int { logits.indices.reduce(0) { logits[$1] > logits[$0] ? $1 : $0 } }

  /// `[classes]`: softmax of the logits.
  public var probabilities: [Double] {
    let largest = Double(logits[label])
    let shares = logits.map { exp(Double($0) - largest) }
    let sum = shares.reduce(0, +)
    return shares.map { $0 / sum }
  }

  /// All classes, most probable first; ties in the order of the classes.
  public var ranking: [Int] {
    logits.indices.sorted { (-logits[$0], $0) < (-logits[$1], $1) }
  }
}

extension Model {
  /// The model's prediction for every image.
  ///
  ///     let model = try Model(contentsOf: URL(fileURLWithPath: "runs/five/best.safetensors"))
  ///     print(try model.predict(data.test.images).map(\.label))
  ///
  /// - Parameters:
  ///   - images: `[N, C, H, W]` of the network's input shape, bytes or floats as in training.
  ///   - threads: `nil` for one per core.
  /// - Throws: `RSOError` when they are not whole images, or not of the kind that the model was trained on.
  /// - Complexity: one forward pass. For repeated predictions, keep a `Predictor`.
  public func predict(_ images: Pixels, threads: Int? = nil) throws -> [Prediction] {
    try Predictor(self, threads: threads).predict(images)
  }

  /// The model's predictions for images of bytes.
  public func predict(_ images: [UInt8], threads: Int? = nil) throws -> [Prediction] {
    try predict(.bytes(images), threads: threads)
  }
}

/// A model prepared to predict on the CPU, batch by batch; memory does not grow with the number of images.
///
/// Batch norm uses the model's running statistics.
public final class Predictor {
  /// The number of images computed at once.
  public static let batch = 512

  private let shape: Shape
  private let kind: Model.Images?
  private let classes: Int
  private let workers: Workers
  private let built: NetworkPass
  private let output: Pass.ValueID
  /// `[blocks][classes + 1][16]`
  private let logits: Buffer<Float>
  private let normalization: Normalization
  /// `[channels]`, both.
  private let scaling: (mean: Buffer<Float>, deviation: Buffer<Float>)
  /// What bytes become; made when the first bytes come.
  private var table: Buffer<Float>?

  /// - Throws: `RSOError` if there is not enough memory, or the number of threads is out of range.
  public init(_ model: Model, threads: Int? = nil) throws {
    let threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
    guard (1...1024).contains(threads) else {
      throw RSOError("`threads`", "expected 1 to 1024, found \(threads)")
    }
    let network = model.network.foldingAveragePools()
    shape = network.input
    kind = model.images
    classes = network.classes
    workers = try Workers(threads: threads)
    let blocks = Self.batch / Kernels.block
    built = NetworkPass(
      network, lanes: .samples, kernels: try Kernels.preferred(), blockCapacity: blocks,
      usesRunningStatistics: true)
    built.values[0] = built.pass.append(.load, shape: network.input)
    try built.append(0..<network.nodes.count)
    let result = Shape(channels: classes)
    output = built.pass.bound(result)
    built.pass.append(
      .activate(.identity), built.values[network.nodes.count], shape: result, into: output)
    logits = try Buffer(blocks * Pass.stride(result))
    built.pass.bind(output, logits.pointer)
    try built.pass.compile()
    var parameters = Parameters(zerosFor: network)
    parameters.values = model.parameters.values
    built.load(parameters)
    built.use(model.statistics)
    normalization = model.normalization
    scaling = try (Buffer(normalization.mean), Buffer(normalization.deviation))
  }

  /// The model's prediction for every image.
  ///
  /// - Parameter images: `[N, C, H, W]` of the network's input shape.
  /// - Throws: `RSOError` when they are not whole images, or are bytes where the model was trained on floats of another
  ///   scale, or the other way round.
  public func predict(_ images: Pixels) throws -> [Prediction] {
    let adapted = try kind?.adapted(images, name: "images", divisor: normalization.divisor)
    let images = adapted?.pixels ?? images
    guard images.count.isMultiple(of: shape.count) else {
      throw RSOError("images", "expected whole images of \(shape), found \(images.count) values")
    }
    let count = images.count / shape.count
    switch images {
    case .bytes(let bytes):
      let table = try table ?? Buffer(normalization.table(for: images))
      self.table = table
      return try bytes.withUnsafeBufferPointer { bytes in
        guard let first = bytes.baseAddress else { return [] }
        return try predict(count) { .bytes(first + $0, table: UnsafePointer(table.pointer)) }
      }
    case .floats(let floats):
      return try floats.withUnsafeBufferPointer { floats in
        guard let first = floats.baseAddress else { return [] }
        return try predict(count) {
          .floats(
            first + $0, mean: UnsafePointer(scaling.mean.pointer),
            deviation: UnsafePointer(scaling.deviation.pointer))
        }
      }
    }
  }

  /// The model's predictions for images of bytes.
  public func predict(_ images: [UInt8]) throws -> [Prediction] { try predict(.bytes(images)) }

  /// - Parameter images: returns the images from the value with that index on.
  private func predict(
    _ count: Int, _ images: (_ value: Int) -> Pass.Images
  ) throws -> [Prediction] {
    var result: [Prediction] = []
    result.reserveCapacity(count)
    for start in stride(from: 0, to: count, by: Self.batch) {
      result += try predictBatch(
        images(start * shape.count), count: min(Self.batch, count - start))
    }
    return result
  }

  private func predictBatch(_ images: Pass.Images, count: Int) throws -> [Prediction] {
    let batches = try Batches(
      (0..<Int32(count)).map { $0 }, size: count)
    var input = try batches.input(0, candidates: 1)
    input.images = images
    _ = try built.pass.run(input, workers)
    let stride = Pass.stride(Shape(channels: classes))
    return (0..<count).map { sample in
      let lane = sample / Kernels.block * stride + sample % Kernels.block
      return Prediction(logits: (0..<classes).map { logits.pointer[lane + $0 * Kernels.block] })
    }
  }
}
