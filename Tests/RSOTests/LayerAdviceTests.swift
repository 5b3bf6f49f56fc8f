import Foundation
import Testing

@testable import RSO

/// What is said about layers and keys that exist elsewhere, or that are misspelt.
@Suite struct LayerAdviceTests {
  private func error(ofLayer layer: String) -> String? {
    let text =
      #"{"input": {"channels": 1, "height": 8, "width": 8}, "layers": ["# + "\n\(layer)\n]}"
    return errorText { _ = try Network(json: Data(text.utf8), name: "net.json") }
  }

  /// What other libraries call layers and keys.
  private static let advice: [(type: String, advice: String)] = [
    (#""dropout", "rate": 0.5"#, "leave it out"), (#""Dropout2d""#, "leave it out"),
    (#""Identity""#, "leave it out: it changes nothing"),
    (#""Softmax""#, "leave it out: the loss applies it"),
    (#""log_softmax""#, "leave it out: the loss applies it"),
    (#""dense", "units": 10"#, #"write "type": "linear""#),
    (#""Conv""#, #"write "type": "conv2d""#),
    (#""MaxPooling2D""#, #"write "type": "maxPool""#),
    (#""max_pool""#, #"write "type": "maxPool""#),
    (#""BatchNorm2d""#, #"write "type": "batchNorm""#),
    (#""leaky_relu""#, #"write "type": "leakyReLU""#),
    (#""swish""#, #"write "type": "silu""#), (#""Hardswish""#, #"write "type": "hardSwish""#),
    (#""LayerNorm""#, "the only normalisation here is batchNorm"),
    (#""linear", "units": 10"#, "here it is 'features'"),
    (#""linear", "in_features": 10"#, "leave it out: it follows from the layer before"),
    (#""conv2d", "kernel_size": 3"#, "here it is 'kernel'"),
    (#""conv2d", "filters": 3"#, "here it is 'channels'"),
    (#""conv2d", "activation": "relu""#, "put a layer of that type behind this one"),
    (#""leakyReLU", "negative_slope": 0.2"#, "here it is 'slope'"),
    (#""batchNorm", "eps": 0.2"#, "here it is 'epsilon'"),
  ]

  @Test(arguments: advice.indices)
  func otherLibraries(index: Int) {
    let (type, advice) = Self.advice[index]
    let text = error(ofLayer: #"{"name": "a", "type": \#(type)}"#) ?? "none"
    #expect(text.hasPrefix("net.json, line 2, column ") && text.contains(advice), "\(text)")
  }

  /// No advice stands in the way of the name that only needs its capitals.
  @Test func namesInOtherCapitals() {
    for kind in Layer.kinds {
      #expect(Layer.advice(onType: kind.uppercased()) == "write \"type\": \"\(kind)\"")
    }
  }

  @Test func nearestWord() {
    let words = ["relu", "leakyReLU", "sigmoid", "conv2d"]
    #expect(nearest(to: "rleu", in: words) == "relu")
    #expect(nearest(to: "Conv2D", in: words) == "conv2d")
    #expect(nearest(to: "leaky_relu", in: words) == "leakyReLU")
    #expect(nearest(to: "sigmod", in: words) == "sigmoid")
    #expect(nearest(to: "transformer", in: words) == nil)
    #expect(nearest(to: "x", in: words) == nil && nearest(to: "", in: words) == nil)
    #expect(nearest(to: String(repeating: "relu", count: 100_000), in: words) == nil)
  }
}
