/// Parameters that act on single channels: batch norm's γ and β, and the weights of a depthwise convolution.
///
/// In a pass over a lone channel, a swept element is one of them, or it is a parameter of the layer that makes the channel.
protocol ChannelParameters: AnyObject {
  /// Index of the layer.
  var node: Int { get }
  /// Versions of the parameters, one for each candidate; 1: all lanes use the same.
  var candidates: Int { get }
  var roles: [Parameters.Role] { get }
  /// Sets one element of a tensor of the pass's channels.
  func set(_ role: Parameters.Role, _ element: Int, _ value: Float, candidate: Int)
}

extension ChannelParameters {
  /// Sets whole tensors for all candidates.
  ///
  /// - Parameter values: the elements of a tensor that belong to the pass's channels.
  func load(_ parameters: Parameters, _ values: (Parameters.Slot) -> some Collection<Float>) {
    for role in roles {
      guard let slot = parameters.slot(node: node, role) else { continue }
      for (element, value) in values(slot).enumerated() {
        for candidate in 0..<candidates { set(role, element, value, candidate: candidate) }
      }
    }
  }
}
