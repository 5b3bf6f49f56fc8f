import Foundation
import RSO

/// The display of a run in progress: a line for every finished tensor and, on a terminal, one below them that is
/// rewritten in place.
struct ProgressDisplay {
  private let isTerminal: Bool
  private let isQuiet: Bool
  private var drawn = ContinuousClock.now - .seconds(1)
  private var hasLine = false

  init(quiet: Bool) {
    isQuiet = quiet
    isTerminal =
      !quiet && isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
  }

  /// Writes a permanent line.
  mutating func line(_ text: String) {
    if isQuiet { return }
    write((hasLine ? "\r\u{1B}[K" : "") + text + "\n")
    hasLine = false
  }

  /// Whether the bottom line is due for an update.
  var isDue: Bool { isTerminal && ContinuousClock.now - drawn > .milliseconds(100) }

  /// Replaces the bottom line.
  mutating func update(_ text: String) {
    // One write without an empty line in between avoids flicker.
    write("\r" + text.prefix(Self.width - 1) + "\u{1B}[K")
    hasLine = true
    drawn = .now
  }

  /// Removes the bottom line.
  mutating func clear() {
    if hasLine { write("\r\u{1B}[K") }
    hasLine = false
  }

  private func write(_ text: String) {
    if !Console.write(text) { Interrupts.request(SIGPIPE) }
  }

  /// The width of the terminal in characters.
  static var width: Int {
    var size = winsize()
    let found = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    return found ? Int(size.ws_col) : 80
  }
}

/// `4:05`, `3:04:05` or `12 d 3:04:05`.
func duration(_ seconds: Double) -> String {
  guard abs(seconds) < 1e9 else { return "?" }
  let total = Int(seconds.rounded())
  func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
  let (days, hours) = (total / 86400, total / 3600 % 24)
  let (minutes, rest) = (total / 60 % 60, two(total % 60))
  if total < 3600 { return "\(minutes):\(rest)" }
  return (days > 0 ? "\(days) d " : "") + "\(hours):\(two(minutes)):\(rest)"
}

/// A number with a fixed number of decimals.
func fixed(_ value: Double, _ decimals: Int) -> String {
  String(format: "%.\(decimals)f", value)
}

func percent(_ share: Double, _ decimals: Int = 2) -> String { fixed(100 * share, decimals) + " %" }

extension String {
  /// The text padded with spaces to a width.
  func padded(_ width: Int, right: Bool = false) -> String {
    let spaces = String(repeating: " ", count: max(0, width - count))
    return right ? spaces + self : self + spaces
  }
}
