/// What to write for the layers and keys of other libraries.
extension Layer {
  /// What to do about a type that does not exist here; `nil` if nothing is known about it.
  static func advice(onType word: String) -> String? {
    advice[plain(word)]
      ?? kinds.first { plain($0) == plain(word) }.map(write)
  }

  private static func write(_ type: String) -> String { "write \"type\": \"\(type)\"" }

  /// By the words without capitals, hyphens and underscores.
  private static let advice: [String: String] = {
    let entries: [([String], String)] = [
      (
        ["dropout", "dropout1d", "dropout2d", "spatialdropout2d", "alphadropout", "droppath"],
        "leave it out: it is for training with gradients, and does nothing when a network is used"
      ),
      (["identity", "noop", "linearactivation"], "leave it out: it changes nothing"),
      (
        ["inputlayer", "input"],
        "leave it out: \"input\" beside \"layers\" is the shape of the images"
      ),
      (
        ["rescaling", "rescale", "normalization", "normalize", "preprocessing"],
        "leave it out: pixels are divided by 255 and centred before the first layer"
      ),
      (
        ["softmax", "logsoftmax", "softmax2d"],
        "leave it out: the loss applies it, and the class of the largest output stays the same"
      ),
      (
        ["dense", "fc", "fullyconnected", "linearlayer", "gemm", "innerproduct", "affine"],
        "write \"type\": \"linear\", with \"features\": the number of outputs"
      ),
      (
        ["conv", "conv2", "convolution", "convolution2d", "convolutional"],
        "write \"type\": \"conv2d\", with \"channels\" and \"kernel\""
      ),
      (
        ["depthwise", "depthwiseconv", "depthwiseconvolution", "dwconv"], write("depthwiseConv2d")
      ),
      (
        ["separableconv", "separableconv2d", "mobilenetblock"],
        "write a depthwiseConv2d and a conv2d with \"kernel\": 1 behind it"
      ),
      (["maxpool2d", "maxpooling", "maxpooling2d"], write("maxPool")),
      (
        ["avgpool", "avgpool2d", "averagepool2d", "averagepooling2d", "meanpool"],
        write("averagePool")
      ),
      (
        ["globalavgpool", "globalaveragepooling2d", "adaptiveavgpool2d", "gap"],
        write("globalAveragePool")
      ),
      (["globalmaxpooling2d", "adaptivemaxpool2d", "gmp"], write("globalMaxPool")),
      (
        ["batchnorm1d", "batchnorm2d", "batchnormalization", "bn", "norm"], write("batchNorm")
      ),
      (
        [
          "layernorm", "layernormalization", "groupnorm", "groupnormalization", "instancenorm",
          "instancenorm2d", "rmsnorm", "lrn",
        ],
        "the only normalisation here is batchNorm"
      ),
      (["lrelu", "leaky"], write("leakyReLU")),
      (["relu6"], "write \"type\": \"relu\", or hardSigmoid for min(max(x + 3, 0), 6) / 6"),
      (
        ["elu", "selu", "celu", "prelu", "softplus", "mish", "softsign", "rrelu"],
        "the smooth activations here are gelu, silu, sigmoid and tanh; leakyReLU has a slope"
      ),
      (["swish", "sil"], write("silu")),
      (["hsigmoid"], write("hardSigmoid")),
      (["hswish"], write("hardSwish")),
      (["logistic"], write("sigmoid")),
      (
        ["heaviside", "step", "binarize", "threshold"],
        "write \"type\": \"hardStep\", or sign for −1 and 1"
      ),
      (
        ["quant", "quantise", "fakequantize", "round"],
        "write \"type\": \"quantize\", with \"bits\""
      ),
      (["flat", "reshape", "view", "squeeze"], write("flatten")),
      (
        ["residual", "shortcut", "skip", "sum", "plus", "addition"],
        "write \"type\": \"add\", with \"of\": the name of the other layer"
      ),
      (
        ["concat", "concatenate", "cat"], "there is none here: add sums two layers of one shape"
      ),
      (
        ["pad", "zeropad", "zeropad2d", "zeropadding2d", "padding"],
        "leave it out: convolutions and pooling layers have \"padding\""
      ),
      (
        [
          "lstm", "gru", "rnn", "embedding", "attention", "multiheadattention", "transformer",
          "convtranspose2d", "conv2dtranspose", "upsample", "upsampling2d", "conv1d", "conv3d",
        ],
        "networks here consist of 2D convolutions, linear layers, pooling and element-wise functions"
      ),
      (
        ["activation", "nonlinearity"],
        "write the function itself: "
          + Activation.Kind.allCases.map { "\"type\": \"\($0.rawValue)\"" }.prefix(3).joined(
            separator: ", ") + ", …"
      ),
    ]
    return Dictionary(
      entries.flatMap { words, advice in words.map { ($0, advice) } },
      uniquingKeysWith: { first, _ in first })
  }()

  /// What to do about a key that this kind of layer does not have; `nil` if nothing is known about it.
  static func advice(onKey key: String, known: [String]) -> String? {
    switch plain(key) {
    case "inchannels", "infeatures", "inputshape", "numfeatures", "inputdim":
      return "leave it out: it follows from the layer before"
    case "activation": return "put a layer of that type behind this one"
    case "dilation", "dilationrate", "paddingmode", "outputpadding", "ceilmode", "dataformat":
      return "leave it out: there is no such choice here"
    case "momentum", "inplace", "approximate", "trainable", "trackrunningstats":
      return "leave it out: it has no meaning here"
    case "groups": return "with as many groups as channels, write \"type\": \"depthwiseConv2d\""
    case let word:
      return known.first { names[$0]?.contains(word) == true }.map { "here it is '\($0)'" }
    }
  }

  /// What other libraries call the keys.
  private static let names = [
    "channels": ["outchannels", "filters", "features", "units", "outputs"],
    "features": ["outfeatures", "units", "outputs", "channels", "neurons", "outputdim"],
    "kernel": ["kernelsize", "poolsize", "size", "window"],
    "stride": ["strides"],
    "padding": ["pad", "pads"],
    "bias": ["usebias"],
    "epsilon": ["eps"],
    "slope": ["negativeslope", "alpha"],
    "bits": ["bitwidth", "precision", "levels"],
    "of": ["with", "other", "source", "inputs"],
    "input": ["inputs", "from", "source"],
    "type": ["kind", "layer", "op", "classname"],
    "name": ["id", "label"],
  ]
}
