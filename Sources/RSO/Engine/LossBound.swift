/// How far a loss that an engine computes in single precision may be from the exact loss.
///
/// A sum of n products, added one after another, has a relative error of about √n · u (u = 2⁻²⁴, the unit roundoff) if
/// its roundings are independent: Higham and Mary, *A new approach to probabilistic rounding error analysis*, SIAM J.
/// Sci. Comput. 41 (2019), theorem 2.4. The probability that one sum exceeds λ times that is below 2 exp(−λ² / 2).
/// Layers accumulate: with He's initialisation and batch norm, a layer passes on the relative error of its input and
/// adds its own, so the squares sum to u² · Σ n over the layers. The logits have that error relative to the terms they
/// consist of. The gradient of a sample's loss with respect to the logits is at most √2 long, so the loss errs by √2
/// times the length of the logits' error.
///
/// Most errors of one sample are independent of another's, so those of N samples sum to √N times one of them. Samples
/// share batch norm. Its statistics are sums in double precision over S samples, so they err by 1/√S of one sample's
/// error. Its scale and offset are rounded once each. These errors are the same for all samples and sum to N times one.
enum LossBound {
  static let roundoff = 0x1p-24
  /// 2 exp(−λ² / 2) is 2.5e-14.
  static let λ = 8.0

  /// The error of a convolution's output, as a multiple of the error of adding its products one after another, which is
  /// what the kernel does. Other ways to compute a convolution have a larger error.
  ///
  /// Winograd's algorithm computes output k of a row as Σ A[k, i] · (G g)ᵢ · (B d)ᵢ over the points. For taps and
  /// inputs that are independent and alike, the squares of the rounded products add up to Σ A[k, i]² ‖Gᵢ‖² ‖Bᵢ‖²
  /// instead of 3. Averaged over the outputs of a tile, that is 10.8 times as much for four outputs, 6.0 for three, 4.6
  /// and 1.4 with stride 2. Two dimensions multiply.
  static let convolutionGrowth = 10.8

  /// Roundings of one output of a convolution or linear layer, one per product.
  private static func products(_ inputs: Int, _ outputs: Int, kernel: Int, updates: Int) -> Double {
    // Channels have been subtracted from a mixing layer's rest and added again.
    let channels = Double(inputs + 2 * updates)
    guard kernel == 3, min(inputs, outputs) >= 6 else { return channels * Double(kernel * kernel) }
    // At every point the channels are added up, and the transforms there and back add a few roundings. Squares add up.
    return convolutionGrowth * convolutionGrowth * (channels + 12)
  }

  /// Numbers added one after another, summed over all layers.
  ///
  /// - Parameter updates: number of proposals already judged on the mini-batch.
  static func terms(_ network: Network, updates: Int = 0) -> Double {
    // Softmax: the exponentials, their sum and its logarithm.
    var terms = Double(network.classes + 20)
    for (node, inputs) in zip(network.nodes, network.inputs) {
      let shape = network.shapes[inputs[0]]
      switch node.layer.rounding(reading: shape) {
      case .mixing(let channels, let outputs, let kernel):
        terms += products(channels, outputs, kernel: kernel, updates: updates)
      case .operations(let count): terms += Double(count)
      }
    }
    return terms
  }

  /// The error of a loss summed over samples.
  ///
  /// - Parameters:
  ///   - logits: `[samples][classes]`.
  ///   - statistics: number of samples behind batch norm's statistics; `nil`: the number of `logits`.
  static func absolute(
    _ network: Network, logits: [[Double]], statistics: Int? = nil, updates: Int = 0
  ) -> Double {
    let terms = terms(network, updates: updates)
    let norms = Double(network.nodes.count { $0.layer.takesStatistics })
    let samples = Double(logits.count)
    let own = samples * terms
    let shared =
      norms == 0 ? 0 : samples * samples * (terms / Double(statistics ?? logits.count) + 2 * norms)
    let largest = logits.joined().reduce(1) { max($0, abs($1)) }
    let length = Double(network.classes).squareRoot() * largest
    return λ * roundoff * 2.0.squareRoot() * length * (own + shared).squareRoot()
  }

  /// How much more a loss summed over samples may err with numbers of 11 bits (`CUDAPrecision.tf32`, `fp16`), whose unit
  /// roundoff is 2⁻¹¹.
  ///
  /// A layer rounds each input, weight and output once. If these errors are independent, an output's is that of one rounding
  /// each, relative to the terms it consists of: by the argument above, squares sum to u² · 3 per layer that mixes channels,
  /// and to u² for any other that writes its output. An error of inputs and outputs is one sample's own; one of a weight is
  /// the same for all samples, and so is what batch norm's statistics take over from all of them.
  static func rounded(_ network: Network, logits: [[Double]]) -> Double {
    let mixing = Double(network.nodes.count { $0.layer.mixesChannels })
    let others = Double(network.nodes.count) - mixing
    let samples = Double(logits.count)
    let own = samples * (2 * mixing + others)
    let shared = samples * samples * (mixing + (2 * mixing + others) / samples)
    let largest = logits.joined().reduce(1) { max($0, abs($1)) }
    let length = Double(network.classes).squareRoot() * largest
    return λ * 0x1p-11 * 2.0.squareRoot() * length * (own + shared).squareRoot()
  }
}
