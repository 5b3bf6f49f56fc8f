import CRSO
import Testing

@testable import RSO

/// Launches that may begin before the ones in front of them end. The driver without a card takes them in order; it checks that
/// each follows a kernel on its own stream, and that every thread of every kernel awaits the earlier ones.
@Suite struct CUDAOverlapTests {
  /// Judges seventeen elements of a tensor on one mini-batch.
  private func judged(
    _ tensor: String, overlaps: Bool = true, _ set: (FakeCUDA) -> Void = { _ in }
  ) throws -> (decisions: [Decision], launches: [FakeCUDA.Recorded]) {
    let network = try Network.paper(
      layers: 6, input: Shape(channels: 1, height: 8, width: 8), classes: 10)
    let data = try Sample.dataset(network.input, classes: 10, train: 21)
    let parameters = Parameters(initialFor: network, seed: 3)
    let fake = FakeCUDA()
    set(fake)
    let engine = try fake.engine(
      network: network, data: data, parameters: parameters, overlaps: overlaps)
    let index = try #require(parameters.slot(named: tensor))
    try engine.beginSweep(of: index, order: SampleOrder((0..<21).reversed(), batchSize: 21))
    let before = fake.ran.count
    let proposals = (0..<17).map {
      CandidateComparison.proposal($0, parameters.slots[index], tensor: 1, batch: 0, parameters)
    }
    let decisions = try engine.judge(proposals[...])
    #expect(fake.faults.isEmpty, "\(fake.faults)")
    return (decisions, Array(fake.ran[before...]))
  }

  /// Without branches, all launches of the turns in a row but the first: here sixteen turns of five launches. Those that are
  /// queued one by one do not overlap: the host waits anyway.
  @Test func turnsInARow() throws {
    let turn = ["shift_add", "settle", "pool_images", "convolve16_1", "cross_entropy"]
    let (decisions, launches) = try judged("conv5.weight")
    #expect(launches.suffix(5).map(\.name) == turn)
    let overlapping = launches.map(\.overlaps)
    let single = [false, true, true, true, true]
    let row = [false] + Array(repeating: true, count: 16 * turn.count - 1)
    #expect(Array(overlapping.suffix(5 + row.count)) == row + single)
    #expect(overlapping.prefix(overlapping.count - 5 - row.count - 5).allSatisfy { !$0 })
    let apart = try judged("conv5.weight", overlaps: false)
    #expect(apart.launches.allSatisfy { !$0.overlaps })
    #expect(apart.launches.map(\.arguments.count) == launches.map(\.arguments.count))
    #expect(apart.decisions == decisions)
  }

  /// A branch begins after what is in front of it on another stream, and the next turn after all branches: there, whole
  /// launches must have ended.
  @Test func branches() throws {
    let (decisions, launches) = try judged("conv1.weight")
    let streams = Set(launches.map(\.stream))
    #expect(streams.count == 4)
    let decided = launches.count { $0.name == "classify" }
    #expect(decided == 3 * 17)
    // Nothing overlaps at the beginning of a turn and of each branch.
    #expect(launches.count { $0.name == "shift_add" && $0.overlaps } == 0)
    for stream in streams {
      #expect(launches.contains { $0.stream == stream && $0.overlaps })
    }
    #expect(try judged("conv1.weight", overlaps: false).decisions == decisions)
  }

  /// Cards before Hopper, and drivers whose graphs take no such launches, get the usual ones.
  @Test func olderCardsAndDrivers() throws {
    let (_, old) = try judged("conv5.weight") { $0.capability = (8, 9) }
    #expect(old.allSatisfy { !$0.overlaps })
    let (_, driver) = try judged("conv5.weight") { $0.version = 12020 }
    #expect(driver.allSatisfy { !$0.overlaps })
    let (_, new) = try judged("conv5.weight") { $0.version = 12030 }
    #expect(new.contains { $0.overlaps })
  }
}
