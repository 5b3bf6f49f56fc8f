import Foundation
import Testing

@testable import RSO

/// What is said about JSON that a user hands in, word by word, with its line and column.
@Suite struct JSONErrorTests {
  private func error(_ text: String) -> String? {
    errorText { _ = try Network(json: Data(text.utf8), name: "net.json") }
  }

  /// A layer, alone on the second line of a file.
  private func error(ofLayer layer: String) -> String? {
    error(#"{"input": {"channels": 1, "height": 8, "width": 8}, "layers": ["# + "\n\(layer)\n]}")
  }

  /// What is not JSON.
  private static let syntax: [(text: String, error: String)] = [
    (
      "",
      "net.json: expected JSON, found nothing"
    ),
    (
      """
        
       
      """,
      #"net.json, line 2, column 2: expected a value, found the end of the text (cut short?)"#
    ),
    (
      "layers",
      #"net.json, line 1, column 1: expected a value, found 'layers'"#
    ),
    (
      """
      {"a": 1,
      }
      """,
      """
      net.json, line 1, column 8: found a comma before '}' (remove it: JSON has none after \
      the last entry)
      """
    ),
    (
      "[1, 2, ]",
      """
      net.json, line 1, column 6: found a comma before ']' (remove it: JSON has none after \
      the last entry)
      """
    ),
    (
      """
      {"é": 1, // one
      "b": 2}
      """,
      """
      net.json, line 1, column 10: expected a name in double quotes, found '/' (remove it \
      if it is a comment: JSON has none)
      """
    ),
    (
      """
      # mine
      {}
      """,
      """
      net.json, line 1, column 1: expected a value, found '#' (remove it if it is a \
      comment: JSON has none)
      """
    ),
    (
      """
      {
        'a': 1}
      """,
      """
      net.json, line 2, column 3: expected a name in double quotes, found ''' (JSON has \
      double quotes only)
      """
    ),
    (
      "{a: 1}",
      #"net.json, line 1, column 2: expected a name in double quotes, found 'a'"#
    ),
    (
      #"{"a" 1}"#,
      #"net.json, line 1, column 6: expected ':' after "a", found '1'"#
    ),
    (
      """
      {"a": 1
       "b": 2}
      """,
      #"net.json, line 2, column 2: expected ',' or '}', found '"' (a comma is missing)"#
    ),
    (
      "[1 2]",
      "net.json, line 1, column 4: expected ',' or ']', found '2'"
    ),
    (
      "[[1,2]",
      #"net.json, line 1, column 7: expected ',' or ']', found the end of the text (cut short?)"#
    ),
    (
      "[True]",
      #"net.json, line 1, column 2: expected a value, found 'True' (write true)"#
    ),
    (
      "[None]",
      #"net.json, line 1, column 2: expected a value, found 'None' (write null)"#
    ),
    (
      "[NaN]",
      #"net.json, line 1, column 2: expected a value, found 'NaN' (JSON has no such number)"#
    ),
    (
      "[01]",
      #"net.json, line 1, column 2: found a number that begins with 0"#
    ),
    (
      "[+1]",
      "net.json, line 1, column 2: expected a value, found '+1'"
    ),
    (
      "[1.]",
      "net.json, line 1, column 4: expected a digit, found ']'"
    ),
    (
      """
      ["a
      "]
      """,
      #"net.json, line 1, column 2: expected a closing '"' on the same line"#
    ),
    (
      #"["a]"#,
      #"net.json, line 1, column 2: expected a closing '"', found the end of the text"#
    ),
    (
      """
      ["\\x"]
      """,
      """
      net.json, line 1, column 3: found a backslash that begins no character (write a \
      backslash as \\\\)
      """
    ),
    (
      "[1] [2]",
      #"net.json, line 1, column 5: expected the end of the text, found '['"#
    ),
    (
      #"{"input": 1, "input": 2}"#,
      """
      net.json, line 1, column 14: expected each name once, found "input" again (remove one \
      of the two)
      """
    ),
  ]

  @Test(arguments: syntax.indices)
  func textThatIsNotJSON(index: Int) {
    #expect(error(Self.syntax[index].text) == Self.syntax[index].error)
  }

  @Test func deepNesting() {
    #expect(
      error(String(repeating: "[", count: 200))
        == "net.json, line 1, column 129: expected values at most 127 deep, found more")
  }

  @Test func encodings() {
    let network =
      #"{"input": {"channels": 1, "height": 1, "width": 1}, "layers": [{"name": "a", "type": "linear", "features": 2}]}"#
    #expect(error("\u{feff}" + network) == nil)
    let wide = network.utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
    #expect(
      errorText { _ = try Network(json: Data([0xff, 0xfe] + wide), name: "net.json") }
        == "net.json, line 1, column 1: expected text in UTF-8 (save it as UTF-8)")
  }

  /// JSON of the wrong shape.
  private static let values: [(text: String, error: String)] = [
    (
      "{}",
      """
      net.json, line 1, column 1: expected 'input', found none (`rso describe --json` \
      prints an example of a network)
      """
    ),
    (
      "[]",
      """
      net.json, line 1, column 1: expected an object such as {"input": {…}, "layers": […]}, \
      found a list
      """
    ),
    (
      """
      {
        "input": 3}
      """,
      """
      net.json, line 2, column 12: expected an object such as {"channels": 1, "height": 28, \
      "width": 28} for input, found 3
      """
    ),
    (
      #"{"input": null}"#,
      """
      net.json, line 1, column 11: expected an object such as {"channels": 1, "height": 28, \
      "width": 28} for input, found null
      """
    ),
    (
      #"{"input": {"channels": 1, "height": 8}}"#,
      """
      net.json, line 1, column 11: expected 'width' in input, found none (`rso describe \
      --json` prints an example of a network)
      """
    ),
    (
      #"{"inptu": {"channels": 1, "height": 8, "width": 8}, "layers": []}"#,
      """
      net.json, line 1, column 2: a network has no 'inptu' (did you mean 'input'? it has \
      input, layers, $schema, outputs, data, settings, cycle)
      """
    ),
    (
      #"{"input": {"channels": 1, "hieght": 8, "width": 8}, "layers": []}"#,
      """
      net.json, line 1, column 27: a shape has no 'hieght' (did you mean 'height'? it has \
      channels, height, width)
      """
    ),
    (
      #"{"input": {"channels": 1, "height": 8.5, "width": 8}, "layers": []}"#,
      """
      net.json, line 1, column 37: expected a whole number for input.height, \
      found 8.5 (`rso describe --json` prints an example of a network)
      """
    ),
    (
      #"{"input": {"channels": 0, "height": 8, "width": 8}, "layers": []}"#,
      """
      net.json, line 1, column 2, input: expected a shape of at least 1×1×1, found 0×8×8
      """
    ),
  ]

  @Test(arguments: values.indices)
  func valuesOfAnotherKind(index: Int) {
    #expect(error(Self.values[index].text) == Self.values[index].error)
  }

  /// Layers that are wrong, in line 2.
  private static let layers: [(layer: String, error: String)] = [
    (
      #"{"type": "relu"}"#,
      """
      column 1: expected 'name' in layers[0], found none (`rso describe --json` prints an \
      example of a network)
      """
    ),
    (
      #"{"nmae": "a", "type": "relu"}"#,
      #"column 1: expected 'name' in layers[0], found none (is 'nmae' meant for it?)"#
    ),
    (
      "3",
      """
      column 1: expected an object such as {"name": "fc", "type": "linear", "features": 10} \
      for layers[0], found 3
      """
    ),
    (
      #"{"name": "a", "type": "conv2d", "kernel": 3}"#,
      """
      column 1: expected 'channels' in layers[0] ('a'), found none (`rso describe --json` \
      prints an example of a network)
      """
    ),
    (
      #"{"name": "a", "type": "linear", "features": "ten"}"#,
      """
      column 45: expected a whole number for layers[0].features, found "ten" (`rso describe \
      --json` prints an example of a network)
      """
    ),
    (
      #"{"name": "a", "type": "conv2d", "channels": 2, "kernel": 3, "padding": "same"}"#,
      """
      column 72: expected a whole number such as 1, which keeps the size where the kernel \
      is 3 for layers[0].padding, found "same"
      """
    ),
    (
      #"{"name": "a", "type": "conv2d", "channels": 2, "kernel": [3, 3]}"#,
      """
      column 58: expected a whole number for layers[0].kernel, found a list (`rso describe \
      --json` prints an example of a network)
      """
    ),
    (
      #"{"name": "a", "type": "conv2d", "channels": 2, "kernel": 3, "bias": 1}"#,
      """
      column 69: expected true or false for layers[0].bias, found 1 (`rso describe --json` \
      prints an example of a network)
      """
    ),
    (
      #"{"name": "a", "type": "batchNorm", "epsilon": 1e999}"#,
      """
      column 36: expected a number that a 64-bit float can hold, \
      found 1e999
      """
    ),
    (
      #"{"name": "b c", "type": "relu"}"#,
      """
      column 2: expected a name of letters, digits, '_', '-' and '.', found 'b c'
      """
    ),
    (
      #"{"name": "a", "type": "conv2d", "channels": 2, "kernel": 3, "strid": 2}"#,
      """
      column 61, layer a: a conv2d has no 'strid' (did you mean 'stride'? it has name, \
      type, input, channels, kernel, stride, padding, bias, initialDeviation, \
      proposalDeviation, weights)
      """
    ),
    (
      #"{"name": "a", "type": "depthwiseConv2d", "channels": 2, "kernel": 3}"#,
      """
      column 42, layer a: a depthwiseConv2d has no 'channels' (it has name, type, input, \
      kernel, stride, padding, bias, initialDeviation, proposalDeviation, weights)
      """
    ),
    (
      #"{"name": "a", "type": "Relu", "kernel": 2}"#,
      #"column 15, layer a: unknown type 'Relu' (write "type": "relu")"#
    ),
    (
      #"{"name": "a", "type": "linear", "features": 2, "proposalDeviation": 0}"#,
      """
      column 48, layer a: expected proposalDeviation above 0 that a 32-bit float can hold, \
      found 0.0
      """
    ),
    (
      #"{"name": "a", "type": "linear", "features": 2}"#,
      """
      column 1, layer a: a linear layer takes a flat input, found 1×8×8 (put a flatten or \
      global pooling layer before it)
      """
    ),
    (
      #"{"name": "a", "type": "flatten"}, {"name": "a", "type": "flatten"}"#,
      """
      column 35, layer a: the name is used twice
      """
    ),
    (
      #"{"name": "a", "type": "globalmaxpol"}"#,
      """
      column 15, layer a: unknown type 'globalmaxpol' (did you mean 'globalMaxPool'? known: \
      conv2d, depthwiseConv2d, linear, batchNorm, averagePool, maxPool, globalMaxPool, \
      globalAveragePool, flatten, add, relu, leakyReLU, sigmoid, tanh, sign, gelu, silu, \
      hardSigmoid, hardSwish, hardStep, quantize)
      """
    ),
  ]

  @Test(arguments: layers.indices)
  func wrongLayers(index: Int) {
    let (layer, expected) = Self.layers[index]
    #expect(error(ofLayer: layer) == "net.json, line 2, \(expected)")
  }

  /// Lines of a file are counted from its beginning.
  @Test func linesOfAFile() {
    #expect(
      errorText {
        _ = try JSONDocument(#"{"a": [1, "b"]}"#.utf8, name: "f", line: 7).decode(
          [String: [Int]].self)
      }
        == "f, line 7, column 11: expected a whole number for a[1], found \"b\"")
  }
}
