import CRSO
import Dispatch

/// Bytes per second between memory and the cores.
package struct Bandwidth: Hashable, Sendable {
  /// Reading one stream per thread.
  package var read: Double
  /// Reading one stream and writing another, counting both, but not what the processor reads before it writes.
  package var copy: Double
  /// The larger of the two: nothing streams faster.
  package var most: Double { max(read, copy) }

  /// Measures on `threads` threads at once, over much more than the caches hold, and takes the best of several rounds.
  ///
  /// - Complexity: about a third of a second, and a quarter of a gigabyte that is freed at the end.
  package init(measuredOn threads: Int) throws {
    let bytes = 256 << 20
    // Each thread reads its part, or copies the first half of it to the second.
    let part = bytes / MemoryLayout<UInt64>.size / threads / 1024 * 1024
    let buffer = try Buffer<UInt64>(part * threads)
    let sums = try Buffer<UInt64>(threads)
    func seconds(_ work: @Sendable (Int) -> Void) -> Double {
      let start = ContinuousClock.now
      DispatchQueue.concurrentPerform(iterations: threads, execute: work)
      return (ContinuousClock.now - start) / .seconds(1)
    }
    func copy() -> Double {
      seconds { thread in
        let x = buffer.pointer + thread * part
        rso_stream_copy(x, x + part / 2, Int64(part / 2))
      }
    }
    func read() -> Double {
      seconds { thread in
        sums.pointer[thread] = rso_stream_read(buffer.pointer + thread * part, Int64(part))
      }
    }
    // A page does not exist until it is written, and the first copy would write only half of them.
    buffer.pointer.update(repeating: 1, count: buffer.count)
    let size = Double(part * threads * MemoryLayout<UInt64>.size)
    self.read = (0..<4).map { _ in size / read() }.max() ?? 0
    self.copy = (0..<4).map { _ in size / copy() }.max() ?? 0
  }
}
