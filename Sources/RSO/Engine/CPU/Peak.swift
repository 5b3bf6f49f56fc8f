import CRSO
import Dispatch

extension CPUEngine {
  /// Floating-point operations per second that fused multiply-adds in registers reach on `threads` threads at once:
  /// the upper limit for any computation. The best of several rounds.
  ///
  /// - Complexity: about a third of a second.
  package static func measurePeak(threads: Int) throws -> Double {
    let kernels = try Kernels.preferred()
    // A factor close to 1 and an addend close to 0 keep the numbers in the normal range after any number of steps.
    let sinks = try (0..<threads).map { _ in
      try Buffer<Float>([0.999, 0.001] + Array(repeating: 0, count: 14))
    }
    let done = try Buffer<Double>(threads)
    func round(_ iterations: Int64) -> (operations: Double, seconds: Double) {
      let start = ContinuousClock.now
      DispatchQueue.concurrentPerform(iterations: threads) { thread in
        sinks[thread].pointer[0] = 0.999
        done.pointer[thread] = kernels.table.pointee.peak(iterations, sinks[thread].pointer)
      }
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      return ((0..<threads).reduce(0) { $0 + done.pointer[$1] }, seconds)
    }
    // Long enough that the time to start the threads does not matter.
    var iterations: Int64 = 10_000
    while round(iterations).seconds < 0.02 && iterations < 1 << 40 { iterations *= 2 }
    return (0..<8).map { _ in
      let (operations, seconds) = round(iterations)
      return operations / seconds
    }.max() ?? 0
  }
}
