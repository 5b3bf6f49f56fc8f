import ArgumentParser
import RSO

/// What the classes are called.
struct ClassNameOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Names of the classes, from the first (default: their numbers).",
      valueName: "cat,dog,…"))
  var classNames: String?

  /// - Throws: `RSOError` if they are not as many as the classes.
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
