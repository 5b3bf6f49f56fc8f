import Foundation
import Testing

@testable import RSO

/// Targets instead of classes.
struct TargetTests {
  private static let shape = Shape(channels: 5)

  private static func value(_ i: Int, _ key: Int) -> Float {
    Float(Philox(seed: 9).normal(.initialisation, cycle: 0, tensor: key, element: i))
  }

  /// 90 samples whose targets are linear in the inputs, in [0, 1] if `areShares`.
  private static func data(targets count: Int, areShares: Bool = false) throws -> Dataset {
    func split(_ samples: Int, _ key: Int) throws -> Split {
      let inputs = (0..<5 * samples).map { value($0, key) }
      let targets = (0..<samples).flatMap { s in
        (0..<count).map { t -> Float in
          let sum = inputs[5 * s + t % 5] - 0.5 * inputs[5 * s + (t + 1) % 5] + 0.25
          return areShares ? (sum > 0 ? 1 : 0) : sum
        }
      }
      return try Split(images: .floats(inputs), targets: targets, shape: shape)
    }
    return try Dataset(name: "linear", train: split(90, 1), test: split(20, 2))
  }

  private static func network(_ outputs: Int) throws -> Network {
    try Network(input: shape) {
      Node.linear("h", features: 7)
      Node.relu("r")
      Node.linear("fc", features: outputs)
    }
  }

  @Test(arguments: [
    "squared-error", "absolute-error", "quantile=0.9", "binary-cross-entropy",
    "squared-error + 0.5 absolute-error",
  ])
  func enginesAgree(text: String) throws {
    for outputs in [1, 3] {
      let network = try Self.network(outputs)
      let data = try Self.data(targets: outputs, areShares: text.hasPrefix("binary"))
      #expect(data.classes == outputs && !data.hasLabels)
      let parameters = Parameters(initialFor: network, seed: 3)
      let objective = try Objective(
        Loss(text), reported: [.sample(.squaredError)], data: data, classes: outputs)
      var reference = ReferenceEngine(
        network: network, data: data, parameters: parameters, objective: objective)
      for kernels in Kernels.available {
        let engine = try CPUEngine(
          network: network, data: data, parameters: parameters, threads: 2, objective: objective,
          kernels: kernels)
        for (tensor, slot) in parameters.slots.enumerated() {
          let order = SampleOrder(
            Philox(seed: 5).permutation(.sampleOrder, cycle: 0, tensor: tensor, count: 90),
            batchSize: 45)
          try engine.beginSweep(of: tensor, order: order)
          try reference.beginSweep(of: tensor, order: order)
          for (turn, element) in CandidateComparison.elements(of: slot, tensor: tensor, atMost: 6)
            .enumerated()
          {
            let proposal = CandidateComparison.proposal(
              element, slot, tensor: tensor, batch: turn % 2, reference.parameters)
            let (a, b) = (try reference.judge([proposal])[0], try engine.judge([proposal])[0])
            // Sums of 45 losses of a few units each.
            for (a, b) in zip(a.losses, b.losses) {
              #expect(
                abs(a - b) <= 1e-5 * max(a, 1), "\(text), \(outputs), \(slot.name): \(a), \(b)")
            }
            if a.value != b.value { break }
          }
          engine.parameters = reference.parameters
        }
        let (a, b) = (try reference.evaluate(.test), try engine.evaluate(.test))
        #expect(abs(a.loss - b.loss) <= 1e-5 * max(a.loss, 1))
        #expect(!a.hasClasses && !b.hasClasses && a.accuracy.isNaN && b.count == 20)
        let (x, y) = (a.measures?["squared-error"] ?? 0, b.measures?["squared-error"] ?? 1)
        #expect(abs(x - y) < 1e-5)
        reference.parameters = parameters
      }
    }
  }

  /// A search of a linear network finds the line.
  @Test func learns() throws {
    let network = try Network(input: Self.shape) {
      Node.linear("fc", features: 2, bias: true)
    }
    var settings = SearchSettings()
    settings.loss = try Loss("squared-error")
    (settings.cycles, settings.batchSize, settings.rule) = (60, 90, .slope(c: 0.5))
    var search = try RandomSearch(
      network: network, data: Self.data(targets: 2), settings: settings, device: .cpu(threads: 1))
    let before = try search.evaluate(.test).meanLoss
    try search.run { _ in .goOn }
    let after = try search.evaluate(.test).meanLoss
    #expect(before > 0.5 && after < 0.01, "\(before), \(after)")
    #expect(try !search.model.hasClasses)
    let file = FileManager.default.temporaryDirectory
      .appendingPathComponent("rso-\(UUID().uuidString).safetensors")
    defer { try? FileManager.default.removeItem(at: file) }
    try search.model.write(to: file)
    #expect(try !Model(contentsOf: file).hasClasses)
  }

  @Test func splitsAreChecked() throws {
    let inputs = Pixels.floats([Float](repeating: 1, count: 20))
    func problem(_ targets: [Float], _ labels: [Int32]? = nil) -> String {
      let error = #expect(throws: RSOError.self) {
        _ = try Split(images: inputs, targets: targets, labels: labels, shape: Self.shape)
      }
      return error?.description ?? ""
    }
    #expect(problem([]).hasPrefix("targets: expected 1 to 1000 targets for each of the 4 samples"))
    #expect(problem([1, 2, 3]).contains("found 3 numbers"))
    #expect(problem([1, 2, 3, .nan]).contains("expected finite numbers, found nan at [3, 0]"))
    #expect(problem([1, 2, 3, 4], [0, 0, 0, 1]).contains("expected labels 0 to 0, found 1"))
    #expect(problem([1, 2, 3, 4], [0]).contains("expected 4 labels"))
    let both = try Split(
      images: inputs, targets: [0, 1, 2, 3, 4, 5, 6, 7], labels: [0, 1, 1, 0], shape: Self.shape)
    #expect(both.hasLabels && both.targetCount == 2)
    #expect(both.suffix(1).targets == [6, 7] && both.prefix(2).targets == [0, 1, 2, 3])
    // A data set is known by its targets, too.
    func digest(_ targets: [Float]) throws -> String {
      let split = try Split(images: inputs, targets: targets, shape: Self.shape)
      return try DataDescription(Dataset(name: "d", train: split, test: split)).digest
    }
    #expect(try digest([1, 2, 3, 4]) != digest([1, 2, 3, 5]))
  }

  @Test func lossesThatDoNotFit() throws {
    let data = try Self.data(targets: 3)
    func problem(_ text: String, classes: Int = 3) -> String {
      let error = #expect(throws: RSOError.self, "\(text)") {
        _ = try Objective(Loss(text), data: data, classes: classes)
      }
      return error?.description ?? ""
    }
    for text in ["cross-entropy", "macro-f1", "squared-error + auc"] {
      #expect(problem(text).contains("needs classes, found targets only in linear"))
    }
    #expect(problem("squared-error", classes: 4).contains("expected a network with 3 outputs"))
    #expect(problem("binary-cross-entropy").contains("targets from 0 to 1, found"))
  }
}
