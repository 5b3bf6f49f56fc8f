/// How whoever starts work that takes long tells it to stop: what loads data, fills a cache or evaluates asks often.
package enum StopRequest {
  /// Whether to stop; any thread may call it. `nil`: never.
  @TaskLocal package static var isMade: (@Sendable () -> Bool)?

  /// - Throws: `Stopped` if a stop is requested.
  package static func check() throws {
    if let isMade, isMade() { throw Stopped() }
  }
}

/// Work ended because a stop was requested. Weights that were decided stay; anything half made is gone.
package struct Stopped: Error {
  package init() {}
}
