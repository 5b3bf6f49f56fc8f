import Foundation
import Synchronization
import Testing

@testable import RSO
@testable import RSOCommand

/// `DataFetch` against a server on loopback that misbehaves.
struct DataFetchTests {
  static let content = Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0 * ($0 >> 7)) })
  static let sha256 = "6b21ebaf148e7b61f726134d949e7f1ce75d3da932710dc5b8f169b6bd931a86"

  private static func known(_ files: KnownData.File..., format: KnownData.Format = .idx)
    -> KnownData
  {
    KnownData(
      name: "letters", aliases: [], title: "", contents: "",
      shape: Shape(channels: 1, height: 1, width: 1), format: format, authors: "", licence: "",
      mirrors: [], files: files, downloadSize: 200_000, systemFolders: [], layers: 6, cycles: 50)
  }

  static let letters = known(.init(name: "letters.gz", digest: .content(sha256: sha256)))

  /// What came of a fetch.
  private struct Outcome {
    var error: String?
    var events: [DataFetch.Event]
    var requests: [[HTTPServer.Request]]
    /// Paths in the cache, files only, with their content.
    var files: [String: Data]

    var failures: [String] {
      events.compactMap { if case .failed(_, let why) = $0 { why } else { nil } }
    }
  }

  /// Fetches from one server after another into `cache`.
  private func fetch(
    _ known: KnownData = letters, into cache: URL, stopAfter: Int = .max, stall: Double = 20,
    _ answers: @Sendable (HTTPServer.Request, Int) -> HTTPServer.Answer...
  ) throws -> Outcome {
    let servers = try answers.map { try HTTPServer($0) }
    defer { for server in servers { server.stop() } }
    let events = Mutex<[DataFetch.Event]>([])
    let fetch = DataFetch(
      known: known, mirrors: servers.map(\.address), cache: cache, stallSeconds: stall,
      report: { event in events.withLock { $0.append(event) } })
    var error: String?
    do {
      let isStopped: @Sendable () -> Bool = {
        events.withLock {
          $0.contains { if case .loading(_, stopAfter..., _) = $0 { true } else { false } }
        }
      }
      let folder = try StopRequest.with(isStopped) { try fetch.run() }
      #expect(folder.path == cache.appendingPathComponent("letters").path)
    } catch let failure {
      error = "\(failure)"
    }
    var files: [String: Data] = [:]
    for path in try FileManager.default.subpathsOfDirectory(atPath: cache.path) {
      files[path] = try? Data(contentsOf: cache.appendingPathComponent(path))
    }
    return Outcome(
      error: error, events: events.withLock { $0 }, requests: servers.map(\.requests), files: files)
  }

  private static let whole = ["letters/letters": content]

  @Test func bringsWhatIsThere() throws {
    try withCache { cache in
      let zipped = try gzip(Self.content)
      let found = try fetch(into: cache, { request, _ in .range(zipped, request) })
      #expect(found.error == nil)
      #expect(found.files == Self.whole)
      #expect(found.requests[0].map(\.path) == ["/letters.gz"])
      #expect(found.events.last == .finished(file: "letters.gz"))
      #expect(
        found.events.contains(
          .loading(file: "letters.gz", received: zipped.count, expected: zipped.count)))
    }
  }

  /// The digest is that of the content: a mirror may compress it or not.
  @Test func takesWhatIsNotCompressed() throws {
    try withCache { cache in
      let found = try fetch(into: cache, { _, _ in .ok(Self.content) })
      #expect(found.error == nil && found.files == Self.whole)
      // No length is said either.
      let again = try fetch(into: cache, { _, _ in .ok(Self.content, length: -1) })
      #expect(again.error == nil && again.files == Self.whole)
    }
  }

  /// Cut connections are gone on with from where they broke.
  @Test func goesOnAfterTruncation() throws {
    try withCache { cache in
      let found = try fetch(
        into: cache,
        { request, number in .range(Self.content, request, sent: number < 3 ? 30_000 : nil) })
      #expect(found.error == nil)
      #expect(found.files == Self.whole)
      #expect(found.requests[0].map(\.from) == [nil, 30_000, 60_000, 90_000])
    }
  }

  /// A server that always breaks is given up, what came stays, and the next time goes on from there.
  @Test func keepsWhatCame() throws {
    try withCache { cache in
      let first = try fetch(into: cache, { _, _ in .ok(Self.content, sent: 40_000) })
      #expect(
        first.error?.hasPrefix("letters: letters.gz could not be fetched: http://127") == true)
      #expect(first.error?.contains("after 40000 of 100000 bytes") == true, "\(first.error ?? "")")
      #expect(first.error?.hasSuffix("(what came is kept: run it again to go on)") == true)
      #expect(first.files == ["letters.partial/letters.gz.part": Self.content.prefix(40_000)])
      #expect(first.requests[0].count == 2)
      let second = try fetch(into: cache, { request, _ in .range(Self.content, request) })
      #expect(second.error == nil && second.files == Self.whole)
      #expect(second.requests[0].map(\.from) == [40_000])
    }
  }

  @Test func aStallIsABrokenConnection() throws {
    try withCache { cache in
      let found = try fetch(
        into: cache, stall: 2,
        { request, number in
          number == 0
            ? .ok(Self.content, sent: 1000, stalls: true) : .range(Self.content, request)
        })
      #expect(found.error == nil && found.files == Self.whole)
      #expect(found.requests[0].map(\.from) == [nil, 1000])
    }
  }

  @Test func silenceIsGivenUp() throws {
    try withCache { cache in
      let found = try fetch(
        into: cache, stall: 2, { _, _ in .ok(Data(), length: 10, stalls: true) },
        { _, _ in .init(bytes: Data(), stalls: true) },
        { request, _ in .range(Self.content, request) })
      #expect(found.error == nil && found.files == Self.whole)
      #expect(found.failures.count == 2)
    }
  }

  @Test(arguments: ["404 Not Found", "403 Forbidden", "500 Internal Server Error", "503 Busy"])
  func triesTheNextMirror(status: String) throws {
    try withCache { cache in
      let found = try fetch(
        into: cache, { _, _ in .status(status) }, { request, _ in .range(Self.content, request) })
      #expect(found.error == nil && found.files == Self.whole)
      #expect(found.failures == ["the server answered \(status.prefix(3))"])
      #expect(found.requests.map(\.count) == [1, 1])
    }
  }

  @Test func saysWhatEachMirrorDid() throws {
    try withCache { cache in
      let found = try fetch(
        into: cache, { _, _ in .status("404 Gone") }, { _, _ in .status("500 No") })
      let error = try #require(found.error)
      #expect(error.contains("/letters.gz: the server answered 404; http://127.0.0.1:"))
      #expect(error.contains("/letters.gz: the server answered 500 (are you online?"))
      #expect(found.files == [:])
    }
  }

  @Test func nobodyListens() throws {
    try withCache { cache in
      let server = try HTTPServer { _, _ in .status("404") }
      server.stop()
      let fetch = DataFetch(known: Self.letters, mirrors: [server.address], cache: cache)
      #expect(throws: RSOError.self) { try fetch.run() }
      #expect(try FileManager.default.contentsOfDirectory(atPath: cache.path) == [])
    }
  }

  @Test func followsRedirections() throws {
    try withCache { cache in
      let found = try fetch(
        into: cache,
        { request, _ in
          request.path == "/letters.gz" ? .redirect("/elsewhere") : .range(Self.content, request)
        })
      #expect(found.error == nil && found.files == Self.whole)
      #expect(found.requests[0].map(\.path) == ["/letters.gz", "/elsewhere"])
    }
  }

  @Test func doesNotRedirectForEver() throws {
    try withCache { cache in
      let found = try fetch(into: cache, { _, number in .redirect("/\(number)") })
      #expect(found.failures.count == 1, "\(found.failures)")
      #expect(found.requests[0].count < 30)
      #expect(found.files == [:])
    }
  }

  /// Its length is too large, then too small; then it sends another range than was asked for.
  @Test func doesNotBelieveLengths() throws {
    try withCache { cache in
      let long = try fetch(into: cache, { _, _ in .ok(Self.content, length: 100_001) })
      #expect(long.error?.contains("100000 of 100001 bytes") == true, "\(long.error ?? "")")
    }
    try withCache { cache in
      let short = try fetch(into: cache, { _, _ in .ok(Self.content, length: 99_999) })
      #expect(
        short.failures.count == 1 && short.failures[0].hasPrefix("expected a file of digest "))
      #expect(short.files == [:])
    }
    try withCache { cache in
      let shifted = try fetch(
        into: cache,
        { request, number in
          if number == 0 { return .ok(Self.content, sent: 1000) }
          var other = request
          other.from = 2000
          return .range(Self.content, other)
        })
      #expect(
        shifted.failures == ["asked for bytes from 1000, it sends 'bytes 2000-99999/100000'"])
    }
  }

  @Test func endsWhatDoesNotEnd() throws {
    try withCache { cache in
      let found = try fetch(into: cache, { _, _ in .ok(Data(count: 1_000_000), length: -1) })
      #expect(found.failures == ["it sends more than 1 MB"])
    }
  }

  @Test func aWrongDigestLeavesNothing() throws {
    var wrong = Self.content
    wrong[77] ^= 1
    let zipped = try gzip(wrong)
    for bytes in [wrong, zipped, zipped.prefix(500), Data("<html>".utf8), Data()] {
      try withCache { cache in
        let found = try fetch(into: cache, { _, _ in .ok(bytes) })
        #expect(found.failures.count == 1)
        #expect(found.failures[0].hasPrefix("expected a file of digest \(Self.sha256), found "))
        #expect(try FileManager.default.contentsOfDirectory(atPath: cache.path) == [])
      }
    }
  }

  /// Two files: the first is well, and goes with the second where that is wrong. Where only the connection broke, both stay.
  @Test func aWrongDigestLeavesNothingOfTheOthers() throws {
    let both = Self.known(
      .init(name: "first.gz", digest: .content(sha256: Self.sha256)),
      .init(name: "second.gz", digest: .content(sha256: Self.sha256)))
    func answers(_ second: HTTPServer.Answer)
      -> @Sendable (HTTPServer.Request, Int) ->
      HTTPServer.Answer
    {
      { request, _ in request.path == "/first.gz" ? .range(Self.content, request) : second }
    }
    let (wrong, cut) = (
      HTTPServer.Answer.ok(Data("<html>".utf8)), HTTPServer.Answer.ok(Self.content, sent: 7)
    )
    try withCache { cache in
      let found = try fetch(both, into: cache, answers(wrong), answers(.status("404 No")))
      #expect(found.error?.contains("second.gz could not be fetched") == true)
      #expect(found.error?.hasSuffix("another place that has the files: --mirror URL)") == true)
      #expect(try FileManager.default.contentsOfDirectory(atPath: cache.path) == [])
    }
    try withCache { cache in
      let found = try fetch(both, into: cache, answers(wrong), answers(cut))
      #expect(found.error?.hasSuffix("(what came is kept: run it again to go on)") == true)
      #expect(
        found.files == [
          "letters.partial/first": Self.content,
          "letters.partial/second.gz.part": Self.content.prefix(7),
        ])
    }
    try withCache { cache in
      let found = try fetch(both, into: cache, answers(.status("404 No")))
      #expect(found.files == ["letters.partial/first": Self.content])
      let again = try fetch(both, into: cache, { request, _ in .range(Self.content, request) })
      #expect(again.requests[0].map(\.path) == ["/second.gz"] && again.error == nil)
    }
  }

  /// The beginning came from a mirror that had another file: once more, from the start.
  @Test func doesNotMixMirrors() throws {
    try withCache { cache in
      let found = try fetch(
        into: cache, { _, _ in .ok(Data(count: 100_000), sent: 50_000) },
        { request, _ in .range(Self.content, request) })
      #expect(found.error == nil && found.files == Self.whole)
      #expect(found.requests[1].map(\.from) == [50_000, nil])
    }
  }

  /// All of it had come, but the program ended before it was checked.
  @Test func acceptsAWholePart() throws {
    try withCache { cache in
      let partial = cache.appendingPathComponent("letters.partial")
      try FileManager.default.createDirectory(at: partial, withIntermediateDirectories: true)
      try Self.content.write(to: partial.appendingPathComponent("letters.gz.part"))
      let found = try fetch(into: cache, { request, _ in .range(Self.content, request) })
      #expect(found.error == nil && found.files == Self.whole)
      #expect(found.requests[0].map(\.from) == [100_000])
    }
  }

  @Test func stopsWhenAsked() throws {
    try withCache { cache in
      let found = try fetch(
        into: cache, stopAfter: 1, { _, _ in .ok(Self.content, sent: 5000, stalls: true) })
      #expect(found.error == "Stopped()")
      #expect(found.files == ["letters.partial/letters.gz.part": Self.content.prefix(5000)])
    }
  }

  /// An archive: checked as published, and unpacked by `tar`.
  @Test func unpacksAnArchive() throws {
    let names = CIFAR10.trainFiles + CIFAR10.testFiles
    for missing in [false, true] {
      try withCache { cache in
        let source = cache.appendingPathComponent("source/cifar-10-batches-bin")
        try FileManager.default.createDirectory(at: source, withIntermediateDirectories: true)
        for name in names.dropFirst(missing ? 1 : 0) {
          try Data(name.utf8).write(to: source.appendingPathComponent(name))
        }
        let archive = cache.appendingPathComponent("a.tar.gz")
        try system(
          "tar", "-czf", archive.path, "-C", cache.appendingPathComponent("source").path,
          "cifar-10-batches-bin")
        let bytes = try Data(contentsOf: archive)
        let md5 = try system("md5sum", archive.path).prefix(32)
        try FileManager.default.removeItem(at: cache.appendingPathComponent("source"))
        try FileManager.default.removeItem(at: archive)

        let known = Self.known(
          .init(name: "a.tar.gz", digest: .archive(md5: String(md5))), format: .cifar10)
        let found = try fetch(known, into: cache, { request, _ in .range(bytes, request) })
        if missing {
          #expect(found.error == "letters: the archive does not hold the files that it should")
          #expect(found.files == [:])
        } else {
          #expect(found.error == nil)
          #expect(Set(found.files.keys) == Set(names.map { "letters/cifar-10-batches-bin/\($0)" }))
        }
      }
    }
  }

  /// The digests in the catalogue are those of the files that come with the library.
  @Test func fetchesMNIST() throws {
    try withCache { cache in
      let mnist = try #require(KnownData.named("mnist"))
      let folder = try BuiltInData.folder("mnist")
      let server = try HTTPServer { request, _ in
        let file = folder.appendingPathComponent(request.path)
        return (try? Data(contentsOf: file)).map { .range($0, request) } ?? .status("404 No")
      }
      defer { server.stop() }
      let found = try DataFetch(known: mnist, mirrors: [server.address], cache: cache).run()
      let data = try Dataset.folder(found)
      #expect(try data.train.images == Dataset.mnist().train.images)
      #expect(server.requests.count == 4)
    }
  }
}

private func withCache(_ body: (URL) throws -> Void) throws {
  let url = FileManager.default.temporaryDirectory
    .appendingPathComponent("rso-\(UUID().uuidString)").resolvingSymlinksInPath()
  try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: url) }
  try body(url)
}

/// What a program of the system writes.
@discardableResult
private func system(_ arguments: String...) throws -> String {
  let process = Process()
  let output = Pipe()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = arguments
  process.standardOutput = output
  try process.run()
  let data = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  try #require(process.terminationStatus == 0)
  return String(decoding: data, as: UTF8.self)
}

func gzip(_ content: Data) throws -> Data {
  var result = Data()
  try withCache { folder in
    let file = folder.appendingPathComponent("content")
    try content.write(to: file)
    try system("gzip", file.path)
    result = try Data(contentsOf: file.appendingPathExtension("gz"))
  }
  return result
}
