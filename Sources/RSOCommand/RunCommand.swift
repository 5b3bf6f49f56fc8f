import ArgumentParser
import Foundation
import RSO

/// What a new run begins from.
protocol RunBeginning {
  /// That of the data, or of the tensors to begin with, for a folder that no option names.
  var name: String { get }
  /// Without a trace.
  var configuration: RunConfiguration { get set }
  /// Whether the runs of all seeds begin with the same values, not with weights that their seeds draw.
  var hasSameStart: Bool { get }
}

/// A command that runs a search in a folder, or the searches of several seeds: `rso train` and `rso search`.
protocol RunCommand: ParsableCommand {
  associatedtype Beginning: RunBeginning
  /// Whether it searches tensors without a network.
  static var isOfTensors: Bool { get }
  var runOptions: RunOptions { get }
  /// The cycles that were asked for.
  var cycles: Int? { get }
  /// The options that are for a single run, and not for several seeds.
  var singleRunOptions: [(option: String, isGiven: Bool)] { get }

  /// What the options ask for.
  func beginning() throws -> Beginning
  /// What a run of the list that has not begun begins from.
  func beginning(_ list: SeedList, _ path: String) throws -> Beginning

  /// A session of a new run in a folder.
  ///
  /// - Parameters:
  ///   - isNumbered: whether the folder is a new one, with a number after its name if that exists.
  ///   - parent: the folder to name when it is told how to go on; `nil` for the run's own.
  func begun(
    _ beginning: Beginning, folder: String, isNumbered: Bool, parent: String?
  ) throws -> TrainingSession

  /// A session that resumes the run in a folder.
  ///
  /// - Parameters:
  ///   - parent: as above.
  ///   - cycles: those that the run has from now on; `nil` for what the options say.
  func resumed(at folder: String, parent: String?, cycles: Int?) throws -> TrainingSession

  /// - Parameter done: the number of cycles that the run has finished; `nil` for several runs.
  /// - Throws: `RSOError` naming the first option that is not as in the run, the run's value and the given value.
  func requireAgreement(with configuration: RunConfiguration, done: Int?) throws
}

extension RunCommand {
  /// Begins a run, or goes on with it, to its end or until a signal or --minutes stops it.
  func runToItsEnd() throws {
    Interrupts.install()
    runOptions.limit.begin()
    let (folder, isResumed) = (runOptions.folder, runOptions.resume)
    // The folder to go on with; `nil` until there is one.
    var path = isResumed ? folder : nil
    try Interrupts.stopping {
      if runOptions.isOfSeeds { return try runSeeds(&path) }
      var session =
        try isResumed ? resumed(at: folder ?? "", parent: nil, cycles: nil) : begun()
      path = session.path
      try session.run()
    } stopped: { signal in
      TrainingSession.sayStopped(by: signal, path, isTensors: Self.isOfTensors)
    } timeUp: {
      try runOptions.limit.sayStopped(
        path, isTensors: Self.isOfTensors, output: runOptions.output)
    }
  }

  /// A session of a new run.
  private func begun() throws -> TrainingSession {
    var beginning = try beginning()
    let path = runOptions.folder ?? Self.defaultFolder(beginning.name)
    beginning.configuration.trace = runOptions.tracePath(in: path)
    return try begun(beginning, folder: path, isNumbered: runOptions.folder == nil, parent: nil)
  }

  /// `runs/mnist-20260131-235959`
  static func defaultFolder(_ name: String) -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.dateFormat = "yyyyMMdd-HHmmss"
    return "runs/\(name)-\(formatter.string(from: Date()))"
  }
}
