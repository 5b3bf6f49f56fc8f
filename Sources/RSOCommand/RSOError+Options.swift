import RSO

extension RSOError {
  /// The same error with options in place of the library's names: `batchSize` becomes `--batch`.
  var inOptions: RSOError {
    RSOError(
      Self.inOptions(subject), Self.inOptions(problem), hint: hint.map(Self.inOptions))
  }

  private static let options = [
    "cycles": "--cycles", "batchSize": "--batch", "hold": "--hold", "round": "--round",
    "rule": "--rule", "loss": "--loss", "metrics": "--metric",
    "lossCommand": "--loss-command", "lossTimeout": "--loss-timeout",
    "timeout": "--timeout", "sigma": "--sigma", "anneal": "--anneal",
    "weightDecay": "--weight-decay",
    "deviationScale": "--sigma-scale", "only": "--only", "sweeps": "--sweeps",
    "threads": "--threads", "trainLimit": "--train-limit", "testLimit": "--test-limit",
    "validation": "--validation", "freeze": "--freeze", "statistics": "--statistics",
    "from": "--from FILE", "normalize": "--normalize", "weights": "--weights",
    "activations": "--activations", "scales": "--scales",
    "layers": "--layers", "name": "--name", "test": "--test", "data": "--data",
    "directory": "--data-dir DIR", "network": "--network FILE.json",
  ]

  private static func inOptions(_ text: String) -> String {
    // Every second part was between backticks.
    let parts = text.split(separator: "`", omittingEmptySubsequences: false).map(String.init)
    guard parts.count > 2 else { return text }
    return parts.enumerated().reduce("") { result, part in
      guard part.offset % 2 == 1, part.offset + 1 < parts.count else {
        return result + part.element
      }
      return result + (options[part.element] ?? "`\(part.element)`")
    }
  }
}
