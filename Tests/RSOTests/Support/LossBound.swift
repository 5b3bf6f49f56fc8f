@testable import RSO

/// How far the loss of a mini-batch in single precision may be from the exact one.
///
/// A sum of n products, added up one after another, has a relative error of about √n · u (u = 2⁻²⁴,
/// the unit roundoff) if its roundings are independent: Higham and Mary, *A new approach to
/// probabilistic rounding error analysis*, SIAM J. Sci. Comput. 41 (2019), theorem 2.4; to exceed λ times
/// that has a probability below 2 exp(−λ² / 2) each. Layers add up: with He's initialisation and batch
/// norm a layer hands on the relative error of its input and adds its own, so that the squares sum to
/// u² · Σ n over the layers. The logits then err by that fraction of what they are made of, and a
/// sample's loss, whose gradient by the logits is at most √2 long, by √2 times the length of that. The
/// samples' errors are independent too: batch norm's sums, which they share, are in double precision.
enum LossBound {
  static let roundoff = 0x1p-24
  /// 2 exp(−λ² / 2) is 2.5e-14.
  static let λ = 8.0

  /// Numbers added up, one after another, in all layers together.
  static func terms(_ network: Network, updates: Int) -> Double {
    var terms = 0
    for (node, inputs) in zip(network.nodes, network.inputs) {
      let shape = network.shapes[inputs[0]]
      switch node.layer {
      case .conv2d(_, let kernel, _, _, _):
        // A mixing layer's rest has had channels taken out and added again.
        terms += (shape.channels + 2 * updates) * kernel * kernel
      case .linear: terms += shape.channels + 2 * updates
      // Per sample the sums run over the area in single precision; then four operations.
      case .batchNorm: terms += shape.area + 4
      case .averagePool(let kernel, _, _): terms += kernel * kernel + 1
      case .globalAveragePool: terms += shape.area + 1
      // The argument's reduction, a polynomial of degree 7 and a division.
      case .activation(.sigmoid), .activation(.tanh): terms += 12
      case .add: terms += 1
      case .activation, .maxPool, .globalMaxPool, .flatten: break
      }
    }
    // Softmax: the exponentials, their sum and its logarithm.
    return Double(terms + network.classes + 20)
  }

  /// - Parameter logits: `[samples][classes]`.
  static func absolute(_ network: Network, logits: [[Double]], updates: Int) -> Double {
    let ε = roundoff * terms(network, updates: updates).squareRoot()
    let largest = logits.joined().reduce(1) { max($0, abs($1)) }
    let length = Double(network.classes).squareRoot() * largest
    return λ * ε * 2.0.squareRoot() * length * Double(logits.count).squareRoot()
  }
}
