import Dispatch
import Foundation
import Synchronization

/// Runs pieces of work on a fixed number of threads.
///
/// Which thread runs which piece is not fixed and must not matter: every piece writes only its own data.
struct Workers: Sendable {
  let threads: Int
  private let team: Team

  /// - Throws: `RSOError` if there is no memory for the threads' stacks.
  init(threads: Int) throws {
    try Memory.require(
      (threads - 1) * Helper.stackSize, for: "the stacks of \(threads) threads",
      hint: "use fewer `threads`")
    self.threads = threads
    team = Team(helpers: threads - 1)
  }

  /// Calls `work(piece, thread)` for every piece in `0 ..< pieces`; returns when all are done. Calls must not overlap.
  func run(_ pieces: Int, _ work: (_ piece: Int, _ thread: Int) -> Void) {
    withoutActuallyEscaping(work) { run(pieces, Closure($0)) }
  }

  /// The same without an allocation, for work that runs often.
  func run(_ pieces: Int, _ work: any Work) {
    if threads <= 1 || pieces <= 1 {
      for piece in 0..<pieces { work.run(piece, thread: 0) }
    } else {
      team.run(pieces, work)
    }
  }

  protocol Work: AnyObject {
    func run(_ piece: Int, thread: Int)
  }

  private final class Closure: Work {
    private let body: (Int, Int) -> Void
    init(_ body: @escaping (Int, Int) -> Void) { self.body = body }
    func run(_ piece: Int, thread: Int) { body(piece, thread) }
  }
}

/// Threads that wait for work. They spin for a moment, because the next pass over a mini-batch comes soon and waking up
/// takes as long as a small pass. Then they sleep, so that other processes can use the cores.
private final class Team: Sendable {
  private let helpers: [Helper]
  private let job = Job()

  /// The pieces to run; each goes to the first thread that is free.
  final class Job: @unchecked Sendable {
    /// Written only between two rounds.
    var work: (any Workers.Work)?
    var pieces = 0
    let next = Atomic(0)
    let busy = Atomic(0)

    func run(thread: Int) {
      while true {
        let piece = next.wrappingAdd(1, ordering: .relaxed).oldValue
        if piece >= pieces { return }
        work?.run(piece, thread: thread)
      }
    }
  }

  init(helpers: Int) {
    let job = job
    self.helpers = (0..<max(helpers, 0)).map { Helper(job, thread: $0 + 1) }
  }

  deinit { for helper in helpers { helper.call(.stop) } }

  func run(_ pieces: Int, _ work: any Workers.Work) {
    let called = helpers.prefix(pieces - 1)
    job.work = work
    job.pieces = pieces
    job.next.store(0, ordering: .relaxed)
    job.busy.store(called.count, ordering: .relaxed)
    for helper in called { helper.call(.work) }
    job.run(thread: 0)
    var turns = 0
    while job.busy.load(ordering: .acquiring) > 0 {
      turns += 1
      if turns > Helper.patience { sched_yield() }
    }
    job.work = nil
  }
}

/// One thread of a team.
private final class Helper: Sendable {
  enum Call: Int { case none, work, stop }

  /// How often a helper checks for a call before it sleeps: some tens of microseconds.
  static let patience = 20_000
  static let stackSize = 8 << 20

  private let state = State()

  private final class State: Sendable {
    let call = Atomic(Call.none.rawValue)
    let isAsleep = Atomic(false)
    let bell = DispatchSemaphore(value: 0)

    /// Waits for the next call and takes it.
    func wait() -> Call? {
      while true {
        for _ in 0..<Helper.patience {
          if call.load(ordering: .relaxed) != Call.none.rawValue {
            return Call(rawValue: call.exchange(Call.none.rawValue, ordering: .acquiring))
          }
        }
        isAsleep.store(true, ordering: .sequentiallyConsistent)
        // The call may have come before `isAsleep` was set. If it comes later, the caller signals the bell.
        let isCalled = call.load(ordering: .sequentiallyConsistent) != Call.none.rawValue
        if !isCalled || !isAsleep.exchange(false, ordering: .sequentiallyConsistent) {
          bell.wait()
        }
      }
    }
  }

  init(_ job: Team.Job, thread: Int) {
    let state = state
    let body = Thread {
      while state.wait() == .work {
        job.run(thread: thread)
        job.busy.wrappingSubtract(1, ordering: .releasing)
      }
    }
    body.stackSize = Self.stackSize
    body.start()
  }

  func call(_ call: Call) {
    state.call.store(call.rawValue, ordering: .sequentiallyConsistent)
    if state.isAsleep.exchange(false, ordering: .sequentiallyConsistent) { state.bell.signal() }
  }
}
