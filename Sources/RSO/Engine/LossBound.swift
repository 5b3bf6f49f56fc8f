/// How far a loss that an engine computes in single precision may be from the exact one.
///
/// A sum of n products, added up one after another, has a relative error of about √n · u (u = 2⁻²⁴,
/// the unit roundoff) if its roundings are independent: Higham and Mary, *A new approach to
/// probabilistic rounding error analysis*, SIAM J. Sci. Comput. 41 (2019), theorem 2.4; to exceed λ times
/// that has a probability below 2 exp(−λ² / 2) each. Layers add up: with He's initialisation and batch
/// norm a layer hands on the relative error of its input and adds its own, so that the squares sum to
/// u² · Σ n over the layers. The logits then err by that fraction of what they are made of, and a
/// sample's loss, whose gradient by the logits is at most √2 long, by √2 times the length of that.
///
/// Most errors of one sample are independent of another's, so that those of N samples sum to √N of one.
/// Batch norm is what samples share. Its statistics are sums in double precision over S samples, so they err
/// by 1/√S of what one sample does; its scale and offset are rounded once each. These are the same for all
/// samples and sum to N of one.
enum LossBound {
  static let roundoff = 0x1p-24
  /// 2 exp(−λ² / 2) is 2.5e-14.
  static let λ = 8.0

  /// The error of an output of a convolution, as a multiple of that of its products added up one after
  /// another, which is what the kernel does. A convolution by other means has a larger one.
  ///
  /// Winograd's algorithm makes output k of a row as Σ A[k, i] · (G g)ᵢ · (B d)ᵢ over the points. For taps and
  /// inputs that are independent and alike, the squares of the rounded products add up to
  /// Σ A[k, i]² ‖Gᵢ‖² ‖Bᵢ‖² instead of 3: in the mean over the outputs of a tile 10.8 times as much for four
  /// outputs, 6.0 for three, 4.6 and 1.4 with stride 2. Two dimensions multiply.
  static let convolutionGrowth = 10.8

  /// Roundings of a convolution or linear layer's output, one for every product.
  private static func products(_ inputs: Int, _ outputs: Int, kernel: Int, updates: Int) -> Double {
    // A mixing layer's rest has had channels taken out and added again.
    let channels = Double(inputs + 2 * updates)
    guard kernel == 3, min(inputs, outputs) >= 6 else { return channels * Double(kernel * kernel) }
    // At every point the channels are added up, and some roundings take it there and back. Squares add up.
    return convolutionGrowth * convolutionGrowth * (channels + 12)
  }

  /// Numbers added up, one after another, in all layers together.
  ///
  /// - Parameter updates: proposals judged on the mini-batch before.
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

  /// The error of a loss that is summed over samples.
  ///
  /// - Parameters:
  ///   - logits: `[samples][classes]`.
  ///   - statistics: samples that batch norm's statistics are taken of; `nil`: the same.
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
}
