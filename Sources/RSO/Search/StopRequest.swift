import Foundation

/// How whoever starts work that takes long tells it to stop: what loads data, fills a cache or evaluates asks often.
///
/// It holds for one thread. A `TaskLocal` would say the same, but in an optimised build without a task, Swift 6.3 crashes
/// when one is bound.
package enum StopRequest {
  private static let key = "rso.StopRequest"

  private final class Box {
    let isMade: @Sendable () -> Bool
    init(_ isMade: @escaping @Sendable () -> Bool) { self.isMade = isMade }
  }

  /// Whether to stop; any thread may call it. `nil`: never.
  package static var isMade: (@Sendable () -> Bool)? {
    (Thread.current.threadDictionary[key] as? Box)?.isMade
  }

  /// Runs work on this thread that is to stop when `isMade` says so.
  package static func with<Value>(
    _ isMade: @escaping @Sendable () -> Bool, _ body: () throws -> Value
  ) rethrows -> Value {
    let before = Thread.current.threadDictionary[key]
    Thread.current.threadDictionary[key] = Box(isMade)
    defer { Thread.current.threadDictionary[key] = before }
    return try body()
  }

  /// - Throws: `Stopped` if a stop is requested.
  package static func check() throws {
    if let isMade, isMade() { throw Stopped() }
  }
}

/// Work ended because a stop was requested. Weights that were decided stay; anything half made is gone.
package struct Stopped: Error {
  package init() {}
}
