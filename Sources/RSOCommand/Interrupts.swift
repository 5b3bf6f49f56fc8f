import Foundation
import Synchronization

/// The signals that ask a run to stop. The first lets it stop between two runs of proposals; the second
/// of the same kind ends the program at once, as the system does.
enum Interrupts {
  private static let pending = Atomic<Int32>(0)

  /// The signal that asked to stop, if one did.
  static var received: Int32? {
    let signal = pending.load(ordering: .relaxed)
    return signal == 0 ? nil : signal
  }

  /// Stops as a signal would; for output that nobody reads any more.
  static func request(_ number: Int32) { pending.store(number, ordering: .relaxed) }

  /// A reader that goes away must not end the program in the middle of its work.
  static func ignoreClosedPipes() { signal(SIGPIPE, SIG_IGN) }

  static func install() {
    _ = received  // So that the handler finds it initialised.
    ignoreClosedPipes()
    // A file that grows past a limit of the system is an error with the file's name.
    signal(SIGXFSZ, SIG_IGN)
    // A program that starts this one from a thread on which signals are blocked passes that on.
    var blocked = sigset_t()
    sigemptyset(&blocked)
    for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&blocked, number) }
    sigprocmask(SIG_UNBLOCK, &blocked, nil)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      let previous = signal(number) { number in
        Interrupts.request(number)
        signal(number, SIG_DFL)
      }
      // `nohup` and shells that run it in the background have it ignored: so it stays.
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
