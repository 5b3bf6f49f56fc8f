import CRSO

// Convolutions and linear layers.

extension CUDAPass {
  /// A convolution or linear layer.
  ///
  /// - Parameters:
  ///   - weights: `[rows][taps][padded outputs]`; if absent, those of node `weightsOf`.
  ///   - rest: the value to start from instead of the bias.
  ///   - inputs: number of input channels, `width` for each lone channel; `nil`: all channels of `x`.
  ///   - fromUnits: the inputs are the lone channels in the list of units. `isLone`: they are the turn's lone channel.
  ///   - into: where to write; if absent, memory is allocated.
  ///   - needsSums: batch norm needs sums; they are computed here if that takes no extra pass.
  ///   - bound: what no output exceeds in magnitude, if that is known.
  func convolution(
    _ x: DeviceValue, to output: Shape, _ slide: rso_gpu_slide, weights packed: UInt64 = 0,
    weightsOf node: Int? = nil, bias: UInt64 = 0,
    rest: DeviceValue? = nil, inputs: Int? = nil, width: Int = 1, fromUnits: Bool = false,
    isLone: Bool = false, into: DeviceValue? = nil, needsSums: Bool = false, bound: Float? = nil
  ) -> DeviceValue {
    var x = x
    let padded = CUDAWeights.padded(output.channels)
    let isMixed = isLone && rest != nil && x.shape.channels == 1
    func cut(_ x: DeviceValue) -> (tile: CUDATile?, factors: HalfFactors?) {
      func cut(_ precision: CUDAPrecision?) -> CUDATile? {
        CUDATile(
          slide, box: x.box, inputs: x.shape.channels, outputs: padded, matrix: precision,
          readsHalves: x.unit != 0, mixed: isMixed ? proposed : nil)
      }
      let factors = node.flatMap { halfFactors(x, weightsOf: $0) }
      let precision = factors == nil ? board.precision.fallback : board.precision
      return (cut(node == nil ? nil : precision) ?? cut(nil), factors)
    }
    var (tile, factors) = cut(x)
    // These kernels apply at most batch norm and ReLU when they read.
    if tile != nil, ![nil, .relu].contains(x.activation) {
      x = mapped(x)
      (tile, factors) = cut(x)
    }
    if tile == nil {
      x = unboxed(x)
      if isRecomputed(x, slide) { x = plain(x) }
    }
    var y = into ?? value(output, candidates: x.candidates, bound: bound)
    // It is not what readers see: they apply batch norm.
    y.bound = nil
    var arguments = rso_gpu_convolve()
    arguments.turn = board.turn
    arguments.x = x.operand
    arguments.rest = rest?.operand ?? rso_gpu_operand()
    arguments.bias = bias
    arguments.weights = node.map { weights.packed($0, self, tile?.layout ?? .plain) } ?? packed
    arguments.units = fromUnits ? board.units : 0
    arguments.y = y.target
    arguments.window = tile?.window ?? slide
    arguments.samples = Int32(samples)
    arguments.inputs = Int32(inputs ?? x.shape.channels)
    arguments.outputs = Int32(output.channels)
    arguments.padded_outputs = Int32(padded)
    arguments.width = Int32(width)
    arguments.lone = isLone ? 1 : 0
    if let factors {
      arguments.x_factor = factors.inputs
      arguments.w_factor = factors.weights
      arguments.y_factor = factors.product
    }
    if let tile {
      let blocks = (samples + tile.samples - 1) / tile.samples
      if needsSums {
        let chunks = blocks * tile.bands
        let partial = scratch(x.candidates * output.channels * chunks * 2, Double.self)
        y.sums = (partial, chunks)
        arguments.partial = partial
      }
      arguments.count = Int32(count)
      arguments.candidates = Int32(x.candidates)
      arguments.each = Int32(each)
      arguments.tile_rows = Int32(tile.rows)
      append(
        CUDALaunch(
          tile.kernel,
          grid: (
            [.mix7, .mix4].contains(tile.kernel) ? blocks : blocks * x.candidates, tile.bands,
            padded / 16
          ),
          block: (tile.threads, 1), shared: tile.shared, arguments))
      return y
    }
    let outputs = padded % 16 == 0 ? 16 : 4
    let kernel: CUDAKernel =
      switch (outputs, slide.kernel_width) {
      case (16, 3): .convolve16_3
      case (16, 1): .convolve16_1
      case (16, _): .convolve16
      default: .convolve4
      }
    append(
      .overPlaces(
        kernel, samples: samples, area: output.area, planes: padded / outputs * x.candidates,
        arguments))
    return y
  }

  /// The factors for half precision; `nil` if it is not asked for, or not known to hold the inputs.
  private func halfFactors(_ x: DeviceValue, weightsOf node: Int) -> HalfFactors? {
    guard board.precision.isHalf, let bound = x.bound, [nil, .relu].contains(x.activation),
      let slot = parameters.slot(node: node, .weight)
    else { return nil }
    return HalfFactors(
      bound: bound, weights: parameters.values[slot.range], clamps: board.precision.keepsHalves)
  }

  /// A convolution of every channel with its own weights.
  func depthwise(
    _ node: Int, _ x: DeviceValue, to output: Shape, _ slide: rso_gpu_slide, _ channels: Channels
  ) -> DeviceValue {
    let weight = parameters.slot(node: node, .weight)
    let bias = parameters.slot(node: node, .bias)
    let count = x.shape.channels
    let bound = bound(of: node, reading: x)
    let x = isRecomputed(x, slide) ? plain(x) : x
    var arguments = rso_gpu_depthwise()
    arguments.turn = board.turn
    arguments.x = x.operand
    arguments.weights = board.parameter(weight)
    arguments.bias = board.parameter(bias)
    arguments.window = slide
    arguments.samples = Int32(samples)
    arguments.channels = Int32(count)
    arguments.each = Int32(each)
    switch channels {
    case .all: break
    case .lone:
      arguments.width = Int32(count)
      if let swept, swept.node == node { arguments.swept = swept.role == .weight ? 1 : 2 }
    case .units(let units):
      let taps = Int(slide.kernel_height * slide.kernel_width)
      arguments.weights = rows(of: weight, units: units, width: count / units * taps)
      arguments.bias = rows(of: bias, units: units, width: count / units)
    }
    let candidates = arguments.swept == 0 ? x.candidates : self.candidates
    var y = value(output, candidates: candidates, bound: bound)
    y.bound = nil
    arguments.y = y.target
    append(
      .overPlaces(
        .depthwise, samples: samples, area: output.area, planes: count * candidates, arguments))
    return y
  }

  /// Whether each tap of a window would recompute an activation that costs more than the tap's multiply-adds.
  private func isRecomputed(_ x: DeviceValue, _ slide: rso_gpu_slide) -> Bool {
    [.sigmoid, .tanh].contains(x.activation) && slide.kernel_width > 1
  }

  /// Writes out the mapped numbers and leaves the averaging to the reader.
  private func mapped(_ x: DeviceValue) -> DeviceValue {
    guard let box = x.box else { return plain(x) }
    var whole = x
    whole.box = nil
    whole.shape = box.shape
    var y = plain(whole)
    y.shape = x.shape
    y.box = box
    return y
  }

  /// Whether a reader of an average pooling does the averaging itself.
  func isBoxed(_ node: Int, _ padding: Int, _ input: Shape) -> Bool {
    let box = DeviceValue.Box(shape: input, padding: padding)
    return readers(of: node + 1).contains {
      network.nodes[$0].layer.mixesChannels
        && CUDATile(
          network.slide(of: $0), box: box, inputs: input.channels,
          outputs: CUDAWeights.padded(network.shapes[$0 + 1].channels)) != nil
    }
  }

  /// Elements of the units' lone channels, `width` per channel, with the values of each unit's time.
  func rows(of slot: Parameters.Slot?, units: Int, width: Int) -> UInt64 {
    guard let slot else { return 0 }
    let rows = scratch(units * width, Float.self)
    append(
      .over(
        .rows, count: units * width,
        rso_gpu_rows(
          turn: board.turn, parameters: board.parameter(slot), units: board.units,
          start: slot == swept ? board.start : 0, decided: slot == swept ? board.decided : 0,
          rows: rows, count: Int32(units), width: Int32(width))))
    return rows
  }

  /// The root's packed weights for the units' lone channels, with the values of each unit's time.
  func packedUnits(_ slot: Parameters.Slot?, units: Int) -> UInt64 {
    guard let slot else { return 0 }
    let taps = slot.shape.dropFirst(2).reduce(1, *)
    let padded = CUDAWeights.padded(units)
    let rows = slot.count / slot.shape[0]
    let weights = scratch(rows * padded, Float.self)
    append(
      .over(
        .pack, count: rows * padded,
        rso_gpu_pack(
          turn: board.turn, parameters: board.parameter(slot), units: board.units,
          start: slot == swept ? board.start : 0, decided: slot == swept ? board.decided : 0,
          weights: weights, inputs: Int32(rows / taps), taps: Int32(taps), outputs: Int32(units),
          padded_outputs: Int32(padded), row_length: 0, box: 0)))
    return weights
  }
}
