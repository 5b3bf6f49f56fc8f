import ArgumentParser
import Foundation
import RSO

/// The run of a search: where it is, and what it says.
struct RunOptions: ParsableArguments {
  @Option(
    name: .customLong("run"),
    help: ArgumentHelp(
      "The run folder, new or empty (default: runs/, the name of the data or of --start, and the time).",
      valueName: "dir"), completion: .directory)
  var folder: String?

  @Flag(
    help: ArgumentHelp(
      "Go on with the run in --run, with its own settings, where it was stopped (after a kill, at its last finished "
        + "tensor); with more --cycles, also after its end."))
  var resume = false

  @OptionGroup var limit: TimeLimit

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Run these seeds one after another, each in a folder of --run: 0..4, or 0,3,7; with --resume, adds seeds.",
      valueName: "list"))
  var seeds: String?

  @Option(
    help: ArgumentHelp("Write a line of JSON for every proposal.", valueName: "file"),
    completion: .file())
  var trace: String?

  @Flag(name: .shortAndLong, help: "Say only how it ended.")
  var quiet = false

  @Flag(
    help: "Print a line of JSON for every finished tensor, as in metrics.jsonl, and one at the end."
  )
  var json = false

  var output: TrainingSession.Output { json ? .json : quiet ? .quiet : .table }

  func validate() throws {
    guard !(json && quiet) else { throw ValidationError("--json: expected it without --quiet") }
    guard folder != "" else {
      throw ValidationError("--run: expected the path of a folder, found nothing")
    }
    guard !resume || folder != nil else {
      throw ValidationError("--resume: expected --run DIR, the folder of the run to go on with")
    }
  }

  /// Whether it is a run of several seeds.
  var isOfSeeds: Bool { seeds != nil || resume && SeedList.exists(in: folder ?? "") }

  /// - Throws: `ValidationError` if an option that says how a run begins is given for one that goes on.
  func requireBeginning(_ options: [(option: String, value: String?)]) throws {
    guard resume else { return }
    for (option, value) in options where value != nil {
      throw ValidationError(
        "\(option): a run that goes on has begun already; leave \(option) out")
    }
  }

  /// The path of the trace as the run records it.
  func tracePath(in folder: String) -> String? {
    trace.map {
      RunFolder.path(of: URL(fileURLWithPath: $0), in: URL(fileURLWithPath: folder))
    }
  }
}
