import Foundation
import RSO
import Testing

/// What a run records of the program and the machine.
struct SessionTests {
  @Test func everySessionIsRecorded() throws {
    try Workplace.with { place in
      let start = Date()
      let options = ["--cycles", "1", "--threads", "1", "--run", "r"]
      #expect(try place.train(options).code == 0)
      #expect(
        try place.run(["train", "--run", "r", "--resume", "--cycles", "2", "--threads", "2"]).code
          == 0)
      // There was nothing to do.
      #expect(try place.run(["train", "--run", "r", "--resume"]).code == 0)
      let sessions = try Session.read(place.file("r/sessions.jsonl"))
      #expect(sessions.map(\.device) == ["cpu", "cpu"] && sessions.map(\.threads) == [1, 2])
      let kernels = try Kernels.preferred().name
      var name = [CChar](repeating: 0, count: 256)
      gethostname(&name, 255)
      let host = String(decoding: name.prefix { $0 != 0 }.map { UInt8($0) }, as: UTF8.self)
      for session in sessions {
        #expect(session.kernels == kernels && session.version == rsoVersion)
        #expect(session.host == host && session.card == nil)
        let began = try Date(session.started, strategy: .iso8601)
        #expect(began > start - 2 && began < Date() + 1)
      }
      #expect(try place.run(["report", "r", "--quiet"]).code == 0)
      let page = try place.text("r/report.html")
      let words = "cpu, \(kernels), 1 thread on \(host); cpu, \(kernels), 2 threads on \(host)"
      #expect(page.contains("<td>\(words)</td>"))
      let commit = try Self.commit()
      #expect(sessions.allSatisfy { $0.commit == commit })
      #expect(page.contains("<td>rso \(rsoVersion)\(commit.map { ", commit \($0)" } ?? "")</td>"))
    }
  }

  /// A record of another version, or none, is no obstacle.
  @Test func aDamagedRecordIsNoObstacle() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "1", "--run", "r", "--quiet"]).code == 0)
      let file = place.file("r/sessions.jsonl")
      try Data("{\"half".utf8).write(to: file)
      #expect(try place.run(["train", "--run", "r", "--resume", "--cycles", "2"]).code == 0)
      #expect(try Session.read(file).count == 1)
      try FileManager.default.removeItem(at: file)
      #expect(try place.run(["report", "r", "--quiet"]).code == 0)
      #expect(try place.text("r/report.html").contains("<td>not recorded</td>"))
    }
  }

  @Test func version() throws {
    let result = try Tool.run(["--version"], in: FileManager.default.temporaryDirectory)
    #expect(result.code == 0 && result.errors == "")
    let lines = result.output.split(separator: "\n", omittingEmptySubsequences: false)
    let session = try Session(on: .cpu())
    #expect(
      lines.map(String.init) == [
        "rso \(rsoVersion)", "commit: \(try Self.commit() ?? "unknown")",
        "kernels: \(try Kernels.preferred().name)",
        "device: cpu, \(session.threads ?? 0) thread\(session.threads == 1 ? "" : "s")",
        "host: \(session.host)", "",
      ])
  }

  /// The commit that `rso --version` shows, if git knows it; else what git says of the checkout.
  private static func commit() throws -> String? {
    let shown = try Tool.run(["--version"], in: FileManager.default.temporaryDirectory).output
      .split(separator: "\n").first { $0.hasPrefix("commit: ") }?.dropFirst(8)
    let id = shown?.prefix { $0 != "-" } ?? ""
    // The tests may be older or newer than the last commit.
    if id.count == 12, try git("cat-file", "-t", String(id)) == "commit" {
      return shown.map(String.init)
    }
    return try git("rev-parse", "--short=12", "HEAD")
  }

  /// What git says about the checkout; `nil` without git, or outside of one.
  private static func git(_ arguments: String...) throws -> String? {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["git", "-C", root.path] + arguments
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { return nil }
    return String(decoding: text, as: UTF8.self).trimmingCharacters(in: .newlines)
  }

  @Test func aCardHasNoThreads() throws {
    let session = try Session(on: .cuda(99, precision: .tf32), host: "here")
    #expect(session.words == "cuda:99, tf32 on here" && session.threads == nil)
    #expect(try Session(on: .reference, host: "here").words == "reference on here")
  }
}
