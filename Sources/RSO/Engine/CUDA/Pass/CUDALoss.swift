import CRSO

/// What the last kernels of a pass compute: the paper's cross entropy, or other losses of samples, and a copy of the
/// outputs where the host computes the rest.
struct CUDALoss {
  /// The paper's loss has kernels of its own.
  var isCrossEntropy = true
  /// The addresses of `[rso_gpu_term]`, and how many there are.
  var terms: UInt64 = 0
  var count = 0
  /// Whether a proposal's losses are means per sample.
  var isMean = false
  /// Whether the host judges each proposal, by its outputs.
  var needsOutputs = false

  /// - Parameter terms: the address of the objective's terms.
  init(_ objective: Objective = .crossEntropy, terms: UInt64 = 0) {
    isCrossEntropy = objective.isCrossEntropy
    self.terms = terms
    count = objective.sampleTerms.count
    isMean = !objective.isSum
    needsOutputs = objective.needsOutputs
  }
}

extension rso_gpu_term {
  /// - Parameter classWeights: the address of `[classes]`, or 0: all 1.
  init(_ term: Objective.SampleTerm, classWeights: UInt64) {
    let kernel = term.loss.kernel(weights: nil)
    self.init(
      class_weights: classWeights, weight: term.weight, parameter: kernel.parameter,
      kind: kernel.kind)
  }
}
