import Foundation
import Testing

/// Control-C at moments when a run is busy with something long.
struct StopTests {
  private static let answer = "rso: stopping after this step; again to quit now\n"

  /// Runs `rso`, stops it after some time, and measures how long it takes to end.
  private func stop(
    _ arguments: [String], after milliseconds: UInt32, in place: Workplace
  ) throws -> (result: Tool.Result, seconds: Double) {
    let running = try Tool.Running(arguments, in: place.url)
    usleep(1000 * milliseconds)
    let start = ContinuousClock.now
    running.send(SIGINT)
    let result = try running.wait()
    return (result, (ContinuousClock.now - start) / .seconds(1))
  }

  /// While data are loaded, the network is evaluated, a cache is filled and weights are searched.
  @Test(arguments: [300, 700, 1500, 3000, 6000] as [UInt32])
  func aLongRunStopsSoon(milliseconds: UInt32) throws {
    try Workplace.with { place in
      let (result, seconds) = try stop(
        ["train", "--run", "r", "--threads", "1"], after: milliseconds, in: place)
      // Two seconds on a machine that does nothing else.
      #expect(seconds < 6, "\(seconds)")
      #expect(result.code == 130 && result.signal == nil)
      let isBegun = try place.files().contains("r/checkpoint.safetensors")
      #expect(
        result.errors == Self.answer + "rso: stopped by Control-C; "
          + (isBegun ? "go on with: rso train --run r --resume\n" : "no run has begun\n"))
      #expect(try place.files().contains("r") == isBegun)
    }
  }

  /// The second one ends the program at once.
  @Test func controlCTwice() throws {
    try Workplace.with { place in
      let running = try Tool.Running(["train", "--run", "r", "--layers", "9"], in: place.url)
      usleep(500_000)
      running.send(SIGINT)
      usleep(1000)
      running.send(SIGINT)
      let result = try running.wait()
      #expect(result.errors.hasPrefix(Self.answer))
      #expect(result.signal == SIGINT || result.code == 130)
    }
  }
}
