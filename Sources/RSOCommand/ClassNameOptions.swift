import ArgumentParser
import RSO

/// The names of the classes.
struct ClassNameOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Names of the classes, from the first (default: their numbers).",
      valueName: "cat,dog,…"))
  var classNames: String?

  /// - Throws: `RSOError` if the number of names differs from the number of classes.
  func names(for network: Network) throws -> [String] {
    guard let classNames else { return (0..<network.classes).map(String.init) }
    let names = classNames.split(separator: ",", omittingEmptySubsequences: false)
      .map { String($0) }
    guard names.count == network.classes else {
      throw RSOError(
        "--class-names",
        "expected \(network.classes) names with commas between them, "
          + "found \(names.count)")
    }
    return names
  }
}
