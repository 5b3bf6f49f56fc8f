import ArgumentParser
import Foundation
import RSO
import Synchronization

/// `rso data`
struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data",
    abstract: "List and fetch the data sets that are known by name.",
    discussion: """
        rso data list
        rso data fetch fashion-mnist
        rso train --data fashion-mnist
      """,
    subcommands: [List.self, Fetch.self])

  /// `rso data list`
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say which data sets are known, and where they are on this machine.")

    @Flag(help: "Print JSON.")
    var json = false

    /// A data set in the JSON output.
    private struct Entry: Encodable {
      var name: String
      var title: String
      var contents: String
      /// The number of bytes to download.
      var bytes: Int
      var isBuiltIn: Bool
      /// The folder that has it; `nil` if it is built in or not on this machine.
      var folder: String?
      var licence: String
      var authors: String
      var sources: [String]

      init(_ known: KnownData) {
        (name, title, contents) = (known.name, known.title, known.contents)
        (bytes, licence, authors) = (known.downloadSize, known.licence, known.authors)
        sources = known.mirrors
        isBuiltIn = known.isBuiltIn
        folder = known.isBuiltIn ? nil : known.folder()?.path
      }
    }

    func run() throws {
      guard json else {
        Console.line(KnownData.all.map(Self.words).joined(separator: "\n\n"))
        return
      }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      let entries = KnownData.all.map(Entry.init)
      Console.line(String(decoding: try encoder.encode(entries), as: UTF8.self))
    }

    private static func words(_ known: KnownData) -> String {
      let here =
        known.isBuiltIn
        ? "built in" : known.folder()?.path ?? "no; fetch it with: rso data fetch \(known.name)"
      return """
        \(known.name): \(known.title)
          contents  \(known.contents)
          size      \(bytes(known.downloadSize)) to download
          here      \(here)
          licence   \(known.licence)
          source    \(known.authors); \(known.mirrors[0])
        """
    }
  }

  /// `rso data fetch NAME`
  struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Download a data set into your cache folder.",
      discussion: """
        It goes to $XDG_CACHE_HOME/rso, or ~/.cache/rso. Every file's digest is checked. Control-C keeps \
        what came; the same command goes on from there. What the system or the cache has already is not \
        fetched.

          rso data fetch cifar10
          rso data fetch cifar10 --mirror http://intranet/datasets/
        """)

    @Argument(
      help: "The data set's name, as in `rso data list`.",
      completion: .list(KnownData.all.filter { !$0.isBuiltIn }.map(\.name)))
    var name: String

    @Option(
      help: ArgumentHelp(
        "The address of a folder that holds the files, instead of the known ones; it can be given several times.",
        valueName: "url"))
    var mirror: [String] = []

    @Option(
      parsing: .unconditional,
      help: ArgumentHelp("How long to wait for the next bytes.", valueName: "s"))
    var timeout = 30.0

    func validate() throws {
      guard KnownData.named(name) != nil else {
        throw ValidationError(
          "expected \(KnownData.all.map(\.name).joined(separator: ", ")), found '\(name)'")
      }
    }

    func run() throws {
      guard let known = KnownData.named(name) else { return }
      guard timeout > 0, timeout <= 3600 else {
        throw RSOError("--timeout", "expected more than 0 and at most 3600, found \(timeout)")
      }
      if let folder = known.folder() {
        Console.line("\(known.name) is here: \(known.isBuiltIn ? "built in" : folder.path)")
        return
      }
      Interrupts.install()
      let display = Mutex(FetchDisplay())
      let fetch = DataFetch(
        known: known, mirrors: mirror.isEmpty ? known.mirrors : mirror, cache: UserCache.folder(),
        stallSeconds: timeout,
        report: { event in display.withLock { $0.show(event) } })
      try Interrupts.stopping {
        defer { display.withLock { $0.clear() } }
        let folder = try fetch.run()
        Console.line("\(known.name) is in \(folder.path); use it with: --data \(known.name)")
      } stopped: { signal in
        Console.write(
          "rso: stopped by \(Interrupts.name(signal)); go on with: rso data fetch \(known.name)\n",
          to: STDERR_FILENO)
      }
    }
  }
}

/// The display while files are downloaded.
private struct FetchDisplay {
  private var display = ProgressDisplay(quiet: false)
  /// The current file, when its download started, and how many bytes were already there.
  private var current: (file: String, start: ContinuousClock.Instant, bytes: Int)?

  mutating func show(_ event: DataFetch.Event) {
    switch event {
    case .loading(let file, let received, let expected):
      if current?.file != file { current = (file, .now, received) }
      guard display.isDue, let current else { return }
      let seconds = (.now - current.start) / .seconds(1)
      let rate = seconds > 0 ? Int(Double(received - current.bytes) / seconds) : 0
      let share = expected.map { ", \(percent(Double(received) / Double(max($0, 1)), 0))" } ?? ""
      let of = expected.map { " of \(bytes($0))" } ?? ""
      display.update("\(file)  \(bytes(received))\(of)\(share)  \(bytes(max(rate, 0)))/s")
    case .failed(let url, let why): display.line("\(url): \(why)")
    case .finished(let file): display.line("\(file): fetched and checked")
    }
  }

  mutating func clear() { display.clear() }
}
