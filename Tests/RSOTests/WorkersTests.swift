import Foundation
import Synchronization
import Testing

@testable import RSO

@Suite struct WorkersTests {
  /// Every piece once, by a thread of the team, and all of them before the call returns; also right after the last
  /// call, when helpers are awake, and after a rest, when they sleep.
  @Test(arguments: [1, 2, 3, 7])
  func everyPieceOnce(threads: Int) throws {
    let workers = try Workers(threads: threads)
    for round in 0..<300 {
      let pieces = [0, 1, 2, 5, 64][round % 5]
      let done = try Buffer<Int32>(max(pieces, 1))
      let strangers = Atomic(0)
      workers.run(pieces) { piece, thread in
        done.pointer[piece] += 1
        if !(0..<threads).contains(thread) { strangers.wrappingAdd(1, ordering: .relaxed) }
      }
      #expect((0..<pieces).allSatisfy { done.pointer[$0] == 1 })
      #expect(strangers.load(ordering: .relaxed) == 0)
      if round % 100 == 99 { usleep(20_000) }
    }
  }

  /// No two pieces on one thread at once: what a thread has for itself is its own.
  @Test func aThreadDoesOneThingAtATime() throws {
    let workers = try Workers(threads: 4)
    let inside = try Buffer<Int32>(4)
    let clashes = Atomic(0)
    for _ in 0..<50 {
      workers.run(40) { _, thread in
        inside.pointer[thread] += 1
        if inside.pointer[thread] != 1 { clashes.wrappingAdd(1, ordering: .relaxed) }
        usleep(10)
        inside.pointer[thread] -= 1
      }
    }
    #expect(clashes.load(ordering: .relaxed) == 0)
  }

  /// Threads end with their team.
  @Test func teamsEnd() throws {
    for _ in 0..<200 { try Workers(threads: 8).run(16) { _, _ in } }
    usleep(200_000)
    let threads = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count
    // 1400 were begun; other tests have theirs.
    #expect((threads ?? 0) < 700)
  }

  /// Chunks are dealt out once each, from either end, fewer at a time from piece to piece, in the end singly.
  @Test(arguments: [1, 2, 5, 63, 64, 65, 104, 105, 1000], [1, 2, 3, 16, 64])
  func pieces(chunks: Int, threads: Int) {
    let pieces = Pass.Pieces(chunks: chunks, threads: threads)
    for isBackwards in [false, true] {
      let dealt = (0..<pieces.count).map { pieces.chunks(of: $0, isBackwards: isBackwards) }
      let ordered = isBackwards ? dealt.reversed() : dealt
      #expect(ordered.flatMap { Array($0) } == Array(0..<chunks))
      #expect(zip(dealt, dealt.dropFirst()).allSatisfy { $0.count >= $1.count })
      #expect(dealt.suffix(min(3 * threads, dealt.count)).allSatisfy { $0.count == 1 })
    }
  }
}
