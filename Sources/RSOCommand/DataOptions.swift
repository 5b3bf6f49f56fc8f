import ArgumentParser
import Foundation
import RSO

/// Which images to train on and to test with.
struct DataOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A built-in data set: mnist, also called M10 (default: mnist).", valueName: "name"))
  var data: String?

  @Option(
    help: ArgumentHelp(
      "A folder of four IDX files under MNIST's names, plain or .gz, instead.", valueName: "dir"))
  var dataDir: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Use only the first training images.", valueName: "n"))
  var trainLimit: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Use only the first test images.", valueName: "n"))
  var testLimit: Int?

  /// Whether any data were asked for.
  var isGiven: Bool { data != nil || dataDir != nil }

  /// The absolute path of the folder, so that a run can be resumed from elsewhere.
  var directory: String? { dataDir.map { URL(fileURLWithPath: $0).path } }

  /// - Throws: `RSOError` naming the option or the file that is wrong.
  func dataset() throws -> Dataset {
    if let dataDir {
      guard data == nil else {
        throw RSOError("--data-dir", "expected it without --data, found both", hint: "drop one")
      }
      return try .idx(
        directory: URL(fileURLWithPath: dataDir), trainLimit: trainLimit, testLimit: testLimit)
    }
    switch (data ?? "mnist").lowercased() {
    case "mnist", "m10": return try .mnist(trainLimit: trainLimit, testLimit: testLimit)
    case "cifar10", "cifar-10", "c10":
      throw RSOError(
        "--data", "CIFAR-10 is not built in yet",
        hint: "convert it to IDX files and use --data-dir DIR")
    default:
      throw RSOError(
        "--data", "expected mnist (or M10), found '\(data ?? "")'",
        hint: "your own images: --data-dir DIR")
    }
  }
}
