import Dispatch
import Synchronization

/// Runs pieces of work on a fixed number of threads.
///
/// Who does which piece is left to chance and must not matter: every piece writes only what is its own.
struct Workers: Sendable {
  let threads: Int

  /// Calls `work(piece, thread)` for every piece in `0 ..< pieces`; returns when all are done.
  func run(_ pieces: Int, _ work: (_ piece: Int, _ thread: Int) -> Void) {
    let busy = min(threads, pieces)
    if busy <= 1 {
      for piece in 0..<pieces { work(piece, 0) }
      return
    }
    let next = Atomic(0)
    // Blocks instead of spinning, so that another process on the same cores costs its share, no more.
    withoutActuallyEscaping(work) { work in
      nonisolated(unsafe) let work = work
      DispatchQueue.concurrentPerform(iterations: busy) { thread in
        while true {
          let piece = next.wrappingAdd(1, ordering: .relaxed).oldValue
          if piece >= pieces { return }
          work(piece, thread)
        }
      }
    }
  }
}
