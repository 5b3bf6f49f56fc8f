import Foundation
import Synchronization

/// The signals that ask a run to stop. The first one stops it between two runs of proposals; a second one of the
/// same kind ends the program at once, the system's default.
enum Interrupts {
  private static let pending = Atomic<Int32>(0)

  /// The signal that requested a stop, if any.
  static var received: Int32? {
    let signal = pending.load(ordering: .relaxed)
    return signal == 0 ? nil : signal
  }

  /// Requests a stop as a signal would, for output that nobody reads any more.
  static func request(_ number: Int32) { pending.store(number, ordering: .relaxed) }

  /// A reader that goes away, or a write past the system's file size limit, must not end the program in the middle of
  /// work: writing is then an error.
  static func ignoreLostOutput() {
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
  }

  static func install() {
    _ = received  // So that the handler finds it initialised.
    // A parent process that blocks signals passes the blocked signals on.
    var blocked = sigset_t()
    sigemptyset(&blocked)
    for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&blocked, number) }
    sigprocmask(SIG_UNBLOCK, &blocked, nil)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      let previous = signal(number) { number in
        Interrupts.request(number)
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
