import ArgumentParser
import Foundation
import RSO
import Synchronization

/// What asks a run to stop: signals, and the end of the time it was given. The first signal stops it as soon as nothing is
/// lost; a second one of the same kind ends the program at once, the system's default.
enum Interrupts {
  private static let pending = Atomic<Int32>(0)

  /// The signal that requested a stop, if any.
  static var received: Int32? {
    let signal = pending.load(ordering: .relaxed)
    return signal == 0 ? nil : signal
  }

  private static let begun = ContinuousClock.now
  /// When time is up, in nanoseconds after `begun`.
  private static let deadline = Atomic<Int64>(.max)

  /// Requests a stop so many minutes from now; at most a year.
  static func stop(after minutes: Double) {
    let now = (ContinuousClock.now - begun) / .nanoseconds(1)
    deadline.store(Int64(now + 6e10 * minutes), ordering: .relaxed)
  }

  /// Whether the time that the run was given is over.
  static var isTimeUp: Bool {
    let deadline = deadline.load(ordering: .relaxed)
    return deadline != .max && (ContinuousClock.now - begun) / .nanoseconds(1) >= Double(deadline)
  }

  /// Whether to stop, for either reason.
  static var isStopping: Bool { received != nil || isTimeUp }

  /// Requests a stop as a signal would, for output that nobody reads any more.
  static func request(_ number: Int32) { pending.store(number, ordering: .relaxed) }

  /// A reader that goes away, or a write past the system's file size limit, must not end the program in the middle of
  /// work: writing is then an error.
  static func ignoreLostOutput() {
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
  }

  /// What Control-C says at once, for the handler: it may neither allocate nor take a lock.
  private static let answer = (
    text: StaticString(stringLiteral: "rso: stopping after this step; again to quit now\n"),
    isTerminal: isatty(STDERR_FILENO) == 1
  )

  private static func sayStopping() {
    // The terminal has shown ^C in the line of the display.
    let newline: StaticString = "\n"
    if answer.isTerminal { _ = write(STDERR_FILENO, newline.utf8Start, 1) }
    _ = write(STDERR_FILENO, answer.text.utf8Start, answer.text.utf8CodeUnitCount)
  }

  /// Runs work that stops when a signal has come or time is up.
  ///
  /// - Parameters:
  ///   - stopped: called if a signal has come, with its number; it says what is kept.
  ///   - timeUp: called if time is up; it says what is kept, and throws if that is nothing.
  /// - Throws: the signal's `ExitCode`, or what `body` and `timeUp` throw.
  static func stopping(
    _ body: () throws -> Void, stopped: (Int32) -> Void, timeUp: () throws -> Void = {}
  ) throws {
    do {
      try StopRequest.with({ isStopping }, body)
    } catch is Stopped {
      try Console.check()
      if received == nil, isTimeUp { return try timeUp() }
      let signal = received ?? SIGTERM
      stopped(signal)
      throw ExitCode(128 + signal)
    }
  }

  static func install() {
    _ = (received, answer)  // So that the handler finds them initialised.
    // A parent process that blocks signals passes the blocked signals on.
    var blocked = sigset_t()
    sigemptyset(&blocked)
    for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&blocked, number) }
    sigprocmask(SIG_UNBLOCK, &blocked, nil)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      let previous = signal(number) { number in
        Interrupts.request(number)
        if number == SIGINT { Interrupts.sayStopping() }
        signal(number, SIG_DFL)
      }
      // `nohup` and shells that run it in the background ignore the signal: keep it ignored.
      if isIgnore(previous) { signal(number, SIG_IGN) }
    }
  }

  private static func isIgnore(_ handler: sig_t?) -> Bool {
    unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  static func name(_ number: Int32) -> String {
    switch number {
    case SIGINT: "Control-C"
    case SIGTERM: "SIGTERM"
    case SIGHUP: "a lost terminal"
    case SIGPIPE: "output that nobody reads"
    default: "signal \(number)"
    }
  }
}
