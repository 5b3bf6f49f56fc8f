import Foundation

@testable import RSO

/// Ranks as threads of this process that exchange numbers when all of them have come.
final class FakeRanks: @unchecked Sendable {
  let count: Int
  private let condition = NSCondition()
  private var numbers: [[Double]]
  private var arrived = 0
  private var round = 0
  private var answer: [[Double]] = []

  init(_ count: Int) {
    self.count = count
    numbers = Array(repeating: [], count: count)
  }

  private func gather(_ own: [Double], rank: Int) -> [[Double]] {
    condition.lock()
    defer { condition.unlock() }
    numbers[rank] = own
    arrived += 1
    if arrived == count {
      (answer, arrived, round) = (numbers, 0, round + 1)
      condition.broadcast()
    } else {
      let mine = round
      while round == mine { condition.wait() }
    }
    return answer
  }

  /// What every rank answers, each in a thread of its own.
  func run<Value: Sendable>(
    _ body: @escaping @Sendable (Reduction) throws -> Value
  ) throws -> [Value] {
    let results = Results<Value>(count)
    let group = DispatchGroup()
    for rank in 0..<count {
      let reduction = Reduction(rank: rank, of: count) { self.gather($0, rank: rank) }
      group.enter()
      Thread {
        results.set(rank, Result { try body(reduction) })
        group.leave()
      }.start()
    }
    group.wait()
    return try results.all.map { try $0.get() }
  }

  private final class Results<Value>: @unchecked Sendable {
    private let lock = NSLock()
    private var values: [Int: Result<Value, any Error>] = [:]
    private let count: Int

    init(_ count: Int) { self.count = count }

    func set(_ rank: Int, _ value: Result<Value, any Error>) {
      lock.withLock { values[rank] = value }
    }

    var all: [Result<Value, any Error>] {
      lock.withLock { (0..<count).compactMap { values[$0] } }
    }
  }
}
