import ArgumentParser
import RSO

/// The loss and the metrics of a search or an evaluation.
struct LossOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What a proposal and a model are judged by (default: cross-entropy, or squared-error for targets; of rso "
        + "evaluate, that of the model's run): a loss of samples (cross-entropy, which takes smoothing and weights, as in "
        + "cross-entropy:smoothing=0.1,weights=balanced; hinge; errors; of targets squared-error, absolute-error, "
        + "quantile=Q, binary-cross-entropy), a metric of the mini-batch (accuracy, macro-f1, balanced-accuracy, kappa, "
        + "auc, top-k=K), or a sum with weights: 'macro-f1 + 0.1 cross-entropy'. The best model is then that of the "
        + "smallest loss.",
      valueName: "loss"))
  var loss: String?

  @Option(
    name: .customLong("metric"),
    help: ArgumentHelp(
      "Evaluate and report this as well: the name of a loss or metric as for --loss; repeat it for more.",
      valueName: "name"))
  var metrics: [String] = []

  /// The loss, if one was given.
  func parsed() throws -> Loss? { try loss.map { try Loss($0) } }

  /// The metrics; `nil` if none were given.
  func parsedMetrics() throws -> [Measure]? {
    metrics.isEmpty ? nil : try metrics.map { try Measure($0) }
  }
}
