import Foundation
import Synchronization
import Testing

@testable import RSO

/// What takes long ends when a stop is requested, and what comes after it is as if nothing had happened.
struct StopRequestTests {
  private static func engine(_ device: Device) throws -> any Engine {
    let network = try Network(input: Shape(channels: 1, height: 6, width: 6)) {
      Node.conv2d("conv0", channels: 2, kernel: 3, padding: 1)
      Node.batchNorm("bn0")
      Node.relu("relu0")
      Node.conv2d("conv1", channels: 3, kernel: 3, padding: 1)
      Node.batchNorm("bn1")
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 3)
    }
    let data = try Sample.dataset(network.input, classes: 3, train: 200)
    return try device.engine(
      network: network, data: data, parameters: Parameters(initialFor: network, seed: 3))
  }

  private static let order = SampleOrder((0..<200).map { $0 }, batchSize: 100)
  private static let proposals = [
    Proposal(element: 0, batch: 0, candidates: [0.1, 0.2, 0], delta: 0.1),
    Proposal(element: 1, batch: 1, candidates: [0.1, 0.3, -0.1], delta: 0.2),
  ]

  /// Statistics, an evaluation, a cache and a run of proposals, each stopped after a number of questions.
  @Test(arguments: [Device.cpu(threads: 1), .cpu(threads: 3), .reference])
  func whatIsStoppedCanBegin(device: Device) throws {
    var whole = try Self.engine(device)
    let expected = try whole.evaluate(.test)
    try whole.beginSweep(of: 3, order: Self.order)
    let decisions = try whole.judge(Self.proposals[...])
    for after in [0, 1, 2, 3, 5] {
      var engine = try Self.engine(device)
      /// Runs `body` until it has asked often enough, and then to its end.
      func stopped(_ body: (inout any Engine) throws -> Void) throws {
        let asked = Atomic(0)
        let isMade: @Sendable () -> Bool = {
          asked.wrappingAdd(1, ordering: .relaxed).oldValue >= after
        }
        #expect(throws: Stopped.self) {
          try StopRequest.with(isMade) { try body(&engine) }
        }
      }
      try stopped { _ = try $0.evaluate(.test) }
      #expect(try engine.evaluate(.test) == expected)
      try stopped { try $0.beginSweep(of: 3, order: Self.order) }
      try engine.beginSweep(of: 3, order: Self.order)
      if after < 2 {
        try stopped { _ = try $0.judge(Self.proposals[...]) }
        // The sweep is over; a new one begins with the same weights.
        try engine.beginSweep(of: 3, order: Self.order)
      }
      #expect(try engine.judge(Self.proposals[...]) == decisions, "\(after)")
    }
  }

  @Test func loadingDataStops() throws {
    let isMade: @Sendable () -> Bool = { true }
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("a")
      try Data(count: 10).write(to: url)
      StopRequest.with(isMade) {
        #expect(throws: Stopped.self) { try readFile(url) }
        #expect(throws: Stopped.self) { try Dataset.mnist() }
        #expect(throws: Stopped.self) {
          try Sample.dataset(Shape(channels: 1, height: 4, width: 4), classes: 3, train: 30)
        }
      }
      #expect(try readFile(url).count == 10)
    }
  }
}
