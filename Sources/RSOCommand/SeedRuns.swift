import ArgumentParser
import Foundation
import RSO
import RSOFormats

/// Seeds in order: `0..4` is 0, 1, 2, 3, 4; `0,3,7` names them; `0..2,9` does both.
enum SeedsArgument {
  private static let most: UInt64 = 1000

  /// - Throws: `RSOError` naming the option and what is wrong with the text.
  static func seeds(_ text: String) throws -> [UInt64] {
    func error(_ expected: String, _ hint: String) -> RSOError {
      RSOError("--seeds", "expected \(expected), found \(text)", hint: hint)
    }
    var seeds: [UInt64] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let dots = part.firstRange(of: "..")
      guard let first = UInt64(part[..<(dots?.lowerBound ?? part.endIndex)]),
        let last = dots.map({ UInt64(part[$0.upperBound...]) }) ?? first, first <= last
      else {
        throw error(
          "seeds from 0 on as in 0..4 or 0,3,7",
          "a seed has no sign, and a range ends no lower than it begins")
      }
      guard last - first < most, UInt64(seeds.count) + (last - first) < most else {
        throw error("at most \(most) seeds", "every seed is a run of its own; 0..4 are five")
      }
      seeds += first...last
    }
    guard Set(seeds).count == seeds.count else {
      throw error("each seed once", "runs of one seed are the same run")
    }
    return seeds
  }
}

/// `seeds.json`: what the runs in a folder have in common. The runs themselves are in `seed-0` and so on.
struct SeedList: Codable {
  private static let name = "seeds.json"

  var seeds: [UInt64]
  /// That of every run, except for its seed.
  var configuration: RunConfiguration
  /// Whether all runs start from the same model, not from weights drawn from their seeds.
  var startsFromModel: Bool

  static func exists(in folder: String) -> Bool {
    FileManager.default.fileExists(atPath: url(folder).path)
  }

  static func folder(of seed: UInt64, in folder: String) -> String { "\(folder)/seed-\(seed)" }

  private static func url(_ folder: String) -> URL {
    URL(fileURLWithPath: folder).appendingPathComponent(name)
  }

  /// - Throws: `RSOError` if there is no list or it is damaged.
  static func read(_ folder: String) throws -> SeedList {
    guard exists(in: folder) else {
      throw RSOError(
        folder, "expected the runs of several seeds, found no \(name)",
        hint: "leave out --resume to start them, or --seeds to go on with a single run")
    }
    let url = url(folder)
    return try JSONDocument(readFile(url), name: url.path).decode(
      help: .init(
        examples: [
          "": #"{"configuration": {…}, "seeds": [0, 1], "startsFromModel": false}"#,
          "seeds": "[0, 1]",
        ]))
  }

  /// The file of what the run of a seed that has begun started with, and all others start with.
  ///
  /// - Throws: `RSOError` if none has begun.
  func initialFile(in folder: String) throws -> String {
    let begun = seeds.map { Self.folder(of: $0, in: folder) + "/initial.safetensors" }
    guard let file = begun.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
      throw RSOError(
        folder, "expected a run that has begun, whose start the others have, too",
        hint: "remove the folder and start again")
    }
    return file
  }

  /// Removes the list of runs of which none has begun, and folders that were made for them, outermost first.
  func remove(_ folder: String, made: [URL]) {
    try? FileManager.default.removeItem(at: Self.url(folder))
    for folder in made.reversed() { rmdir(folder.path) }
  }

  /// Whether a name is that of a temporary file that a killed program left behind.
  static func isTemporary(_ file: String) -> Bool {
    file.hasPrefix(".\(name).") && file.hasSuffix(".tmp")
  }

  func write(_ folder: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try AtomicFile.write(encoder.encode(self) + Data("\n".utf8), to: Self.url(folder))
  }
}

extension RunCommand {
  /// Runs every seed in a folder of its own, one after another, or goes on with those that are not finished.
  ///
  /// What cannot begin, or go on, leaves the folder as it was.
  ///
  /// - Parameter started: becomes the folder as soon as `--resume` can go on with it.
  func runSeeds(_ started: inout String?) throws {
    for (option, isGiven) in singleRunOptions + [("--trace", runOptions.trace != nil)]
    where isGiven {
      throw RSOError(option, "expected it for a single run, found it with several seeds")
    }
    let output = runOptions.output
    _ = try runOptions.seeds.map(SeedsArgument.seeds)
    var beginning = runOptions.resume ? nil : try self.beginning()
    // Several programs may begin in the same second.
    let path = try runOptions.folder ?? RunFolder.makeNew(Self.defaultFolder(beginning?.name ?? ""))
    let made = try beginning.map { _ in try madeFolder(path) } ?? []
    let (list, isChanged) = try beginning.map { try begunList($0, path) } ?? resumedList(path)
    var hasBegun = false
    /// The first run has begun or gone on, so the settings hold.
    func begin() throws {
      if !hasBegun, isChanged, runOptions.resume { try list.write(path) }
      (hasBegun, started) = (true, path)
    }
    defer { if !hasBegun, !runOptions.resume { list.remove(path, made: made) } }
    for seed in list.seeds {
      try StopRequest.check()
      let folder = SeedList.folder(of: seed, in: path)
      if output == .table {
        Console.line((seed == list.seeds.first ? "" : "\n") + "seed \(seed)")
      }
      var session: TrainingSession
      if FileManager.default.fileExists(atPath: "\(folder)/checkpoint.safetensors") {
        // A run may have been finished before all of them were given more cycles.
        session = try resumed(
          at: folder, parent: path, cycles: list.configuration.settings.cycles)
      } else {
        var start = try beginning ?? self.beginning(list, path)
        beginning = start
        start.configuration.settings.seed = seed
        session = try begun(start, folder: folder, isNumbered: false, parent: path)
      }
      try begin()
      if session.isFinished {
        if output == .table { Console.line("\(folder): finished") }
      } else {
        try session.run()
      }
    }
    if output == .table { Console.line("") }
    try StopRequest.check()
    try summary(of: list, path)
  }

  /// Makes a new or empty folder for several runs.
  ///
  /// - Returns: the folders it made, outermost first.
  private func madeFolder(_ path: String) throws -> [URL] {
    let url = URL(fileURLWithPath: path)
    let made = try runOptions.folder == nil ? [url] : RunFolder.make(url)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    if let name = names.sorted().first(where: { !SeedList.isTemporary($0) }) {
      throw RSOError(
        path, "expected an empty folder, found \(name)",
        hint: SeedList.exists(in: path)
          ? "go on with it: --resume; or use another folder: --run DIR"
          : "use another folder: --run DIR")
    }
    for name in names { unlink("\(path)/\(name)") }
    return made
  }

  /// The list of new runs.
  private func begunList(
    _ beginning: Beginning, _ path: String
  ) throws -> (list: SeedList, isChanged: Bool) {
    let list = SeedList(
      seeds: try runOptions.seeds.map(SeedsArgument.seeds) ?? [],
      configuration: beginning.configuration, startsFromModel: beginning.hasSameStart)
    try list.write(path)
    return (list, true)
  }

  /// The list in a folder, which the options must agree with, and whether they add runs or cycles.
  private func resumedList(_ path: String) throws -> (list: SeedList, isChanged: Bool) {
    var list = try SeedList.read(path)
    if case .tensors = list.configuration.subject, !Self.isOfTensors {
      throw RSOError.isSearch(path)
    }
    if case .network = list.configuration.subject, Self.isOfTensors {
      throw RSOError.isTraining(path)
    }
    let given = try runOptions.seeds.map(SeedsArgument.seeds) ?? list.seeds
    guard Set(given).isSuperset(of: list.seeds) else {
      func words(_ seeds: [UInt64]) -> String { seeds.map { "\($0)" }.joined(separator: ",") }
      throw RSOError(
        "--seeds", "the runs have \(words(list.seeds)), found \(words(given))",
        hint: "leave it out to go on, or name those and more to add runs")
    }
    let added = given.filter { !list.seeds.contains($0) }
    list.seeds += added
    let isExtended = cycles ?? 0 > list.configuration.settings.cycles
    if let cycles, isExtended { list.configuration.settings.cycles = cycles }
    try requireAgreement(with: list.configuration, done: nil)
    if case .network(let network, let data) = list.configuration.subject {
      try list.configuration.settings.validate(samples: data.train, network: network)
    }
    return (list, isExtended || !added.isEmpty)
  }

  // MARK: What is said

  private func summary(of list: SeedList, _ path: String) throws {
    let records = try list.seeds.map {
      try RunRecord(reading: URL(fileURLWithPath: SeedList.folder(of: $0, in: path)))
    }
    let isValidated = list.configuration.isValidated
    let best = Spread(records.compactMap { $0.checkpoint.best?.accuracy })
    let loss =
      list.configuration.choosesByLoss
      ? Spread(records.compactMap { $0.checkpoint.best?.loss }) : nil
    let test = Spread(
      records.compactMap {
        isValidated ? $0.checkpoint.best?.test?.accuracy : $0.metrics.last?.accuracy
      })
    if runOptions.output == .json {
      let answer = SeedAnswer(
        run: path, seeds: list.seeds, testAccuracy: test, bestAccuracy: best, bestLoss: loss)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      Console.line(String(decoding: try encoder.encode(answer), as: UTF8.self))
      return
    }
    let words = [
      test.map { "test accuracy \(isValidated ? "of the best " : "")\($0.percentages)" },
      best.map { "\(isValidated ? "validation accuracy" : "best") \($0.percentages)" },
      loss.map {
        "best loss \(fixed($0.mean, 4))"
          + ($0.standardDeviation.map { " ± \(fixed($0, 4))" } ?? "")
      },
    ].compactMap { $0 }
    let count = list.seeds.count
    Console.line(
      (count == 1 ? "1 seed: " : "\(count) seeds, mean ± standard deviation: ")
        + words.joined(separator: ", "))
    Console.line("show them: rso report \(TrainingSession.quoted(path))")
  }
}

/// How the runs of several seeds ended, for programs.
private struct SeedAnswer: Encodable {
  var run: String
  var seeds: [UInt64]
  /// Of the last models; of the best ones if validation images have chosen them.
  var testAccuracy: Spread?
  /// Of the best models, on the images that have chosen them.
  var bestAccuracy: Spread?
  /// The same, if the loss has chosen them.
  var bestLoss: Spread?
}

extension RSOError {
  /// A run for the other command.
  static func isSearch(_ folder: String) -> RSOError {
    RSOError(
      folder, "expected the run of a network, found a search without one",
      hint: "go on with it: rso search --run \(TrainingSession.quoted(folder)) --resume")
  }

  static func isTraining(_ folder: String) -> RSOError {
    RSOError(
      folder, "expected a search without a network, found the run of a network",
      hint: "go on with it: rso train --run \(TrainingSession.quoted(folder)) --resume")
  }
}
