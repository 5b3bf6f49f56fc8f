import CRSO

extension Pass {
  /// What a kernel does to its input as it reads it, which saves writing and reading an intermediate value.
  struct Source {
    /// The input is `x` plus the convolution of the single channel `b` with a column of weights, plus the value that
    /// a shortcut has `added`.
    var mixing: MixingWeights?
    var norm: Int?
    var relu = false
    /// The step that a layer of integers applies after the norm.
    var step = rso_activation.identity
    /// The padding of the box sums of 2×2 neighbours; `nil`: no box sums.
    var box: Int32?
  }

  /// A step, and the steps before and after it that the same kernel does.
  struct FusedStep {
    var operation: Operation
    var source = Source()
    var moments: Int?
    var x: ValueID?
    var b: ValueID?
    var added: ValueID?
    var y: ValueID?

    var inputs: [ValueID] { [x, b, added].compactMap { $0 } }

    /// Whether its kernel can sum the moments of its output and does not do so yet.
    var findsMoments: Bool {
      switch operation {
      case .winograd, .integers: moments == nil
      case .shiftAdd: moments == nil && source.norm == nil
      default: false
      }
    }
  }

  /// Joins the steps of one segment where one kernel can do several at once.
  ///
  /// - A Winograd convolution also does its input's box sums, normalisation, ReLU and mixing, and sums the moments of
  ///   its output.
  /// - A convolution of integers does the same with a step activation instead of ReLU.
  /// - The kernel that adds a changed weight's shifted input to a channel also adds a shortcut's value, and then
  ///   normalises the channel or sums its moments.
  /// - The moments and extremes of a mixing layer's output are computed without storing it, even if a shortcut is added
  ///   to it, and so are the maxima alone of a mixing layer of integers.
  ///
  /// - Parameter order: the steps of the segment.
  func fuse(_ order: [Int]) -> [FusedStep] {
    let members = Set(order)
    var readers: [ValueID: [Int]] = [:]
    for index in order {
      for input in [steps[index].x, steps[index].b] {
        if let input { readers[input, default: []].append(index) }
      }
    }
    /// The step that makes a value, if exactly `count` steps of the segment read the value.
    func producer(_ value: ValueID?, readBy count: Int = 1) -> Int? {
      guard let value, !isInMemory(value), readers[value]?.count == count,
        let producer = values[value].producer, members.contains(producer)
      else { return nil }
      return producer
    }
    var absorbed = Set<Int>()
    /// The mixing step that makes a value, with the step after it that adds a shortcut, if there is one.
    func mixing(_ value: ValueID?, readBy count: Int) -> (steps: [Int], added: ValueID?)? {
      guard let index = producer(value, readBy: count) else { return nil }
      if case .mix = steps[index].operation { return ([index], nil) }
      guard case .add = steps[index].operation else { return nil }
      for (mixed, added) in [(steps[index].x, steps[index].b), (steps[index].b, steps[index].x)] {
        if let maker = producer(mixed), case .mix(let weights) = steps[maker].operation,
          weights.atPoints != nil
        {
          return ([maker, index], added)
        }
      }
      return nil
    }
    func isBoxSum(_ pool: rso_window) -> Bool {
      pool.kernel == 2 && pool.stride == 1 && pool.padding <= 1
    }
    func takeMixing(_ fused: inout FusedStep, readBy count: Int = 1) -> Bool {
      guard let found = mixing(fused.x, readBy: count),
        case .mix(let weights) = steps[found.steps[0]].operation,
        count == 1 || weights.atPoints != nil || weights.integers != nil
      else { return false }
      absorbed.formUnion(found.steps)
      fused.source.mixing = weights
      (fused.x, fused.b) = (steps[found.steps[0]].b, steps[found.steps[0]].x)
      fused.added = found.added
      return true
    }
    /// Whether a mixing layer of integers makes a value that one step reads.
    func mixesIntegers(_ value: ValueID?) -> Bool {
      guard let index = producer(value), case .mix(let mixing) = steps[index].operation else {
        return false
      }
      return mixing.integers != nil
    }
    /// The step that computes the extremes of the value that step `index` reads.
    func extremes(beside index: Int) -> Int? {
      steps[index].x.flatMap { readers[$0] }?.first {
        if case .extremes = steps[$0].operation { true } else { false }
      }
    }
    var fused: [Int: FusedStep] = [:]
    for index in order {
      let step = steps[index]
      var joined = FusedStep(operation: step.operation, x: step.x, b: step.b, y: step.y)
      switch step.operation {
      case .winograd(let window, _, _, _):
        if window.stride == 2, window.padding == 0, let index = producer(joined.x),
          case .averagePool(let pool) = steps[index].operation, isBoxSum(pool)
        {
          absorbed.insert(index)
          joined.source.box = pool.padding
          joined.x = steps[index].x
        }
        if let index = producer(joined.x) {
          switch steps[index].operation {
          case .normalize(let norm, let activation)
          where [rso_relu, rso_identity].contains(activation.function):
            joined.source.norm = norm
            joined.source.relu = activation.function == rso_relu
            absorbed.insert(index)
            joined.x = steps[index].x
          case .activate(let activation) where activation.function == rso_relu:
            joined.source.relu = true
            absorbed.insert(index)
            joined.x = steps[index].x
          default: break
          }
        }
        _ = takeMixing(&joined)
      case .integers(let weights):
        if weights.window.padding == 0, let index = producer(joined.x),
          case .averagePool(let pool) = steps[index].operation, isBoxSum(pool)
        {
          absorbed.insert(index)
          joined.source.box = pool.padding
          joined.x = steps[index].x
        }
        guard let index = producer(joined.x) else { break }
        switch steps[index].operation {
        case .normalize(let norm, let activation) where activation.isStep:
          (joined.source.norm, joined.source.step) = (norm, activation)
        case .activate(let activation) where activation.isStep: joined.source.step = activation
        default: break
        }
        guard joined.source.step.isStep else { break }
        absorbed.insert(index)
        joined.x = steps[index].x
        if mixesIntegers(joined.x) { _ = takeMixing(&joined) }
      case .globalMax:
        if mixesIntegers(joined.x) { _ = takeMixing(&joined) }
      case .normalize(let norm, let activation)
      where [rso_relu, rso_identity].contains(activation.function):
        if let maker = producer(step.x), let shift = fused[maker], case .shiftAdd = shift.operation,
          shift.moments == nil
        {
          absorbed.insert(maker)
          joined = shift
          joined.source.norm = norm
          joined.source.relu = activation.function == rso_relu
          joined.y = step.y
        }
      case .moments(let norm):
        if let maker = step.x.flatMap({ values[$0].producer }), fused[maker]?.findsMoments == true {
          fused[maker]?.moments = norm
          absorbed.insert(index)
          // A value that nothing else reads is not stored. Only the shift can skip the store; a layer cannot.
          if case .shiftAdd = fused[maker]?.operation, producer(step.x) != nil {
            fused[maker]?.y = nil
          }
        } else if !takeMixing(&joined), let other = extremes(beside: index),
          takeMixing(&joined, readBy: 2)
        {
          absorbed.insert(other)
          joined.y = steps[other].y
        }
      case .add:
        // The shortcut must be in memory: one made from the changed channel is not ready when that channel is shifted.
        for (shifted, added) in [(step.x, step.b), (step.b, step.x)] {
          guard let index = producer(shifted), case .shiftAdd = steps[index].operation,
            let shift = fused[index], let added, isInMemory(added)
          else { continue }
          absorbed.insert(index)
          joined = shift
          joined.added = added
          joined.y = step.y
        }
      default: break
      }
      fused[index] = joined
    }
    return order.filter { !absorbed.contains($0) }.compactMap { fused[$0] }
  }
}

extension Pass.Instruction {
  /// Floats of scratch that the kernel needs for `lanes` lanes.
  func workspace(lanes: Int) -> Int {
    switch operation {
    case .winograd(let window, let weights, let bias, let inputs):
      var layer = layer(window, weights, bias, inputs)
      layer.source.lanes = Int32(lanes)
      return Int(rso_layer_workspace(&layer))
    case .integers(let weights):
      var layer = layer(weights)
      return Int(rso_integer_workspace(&layer))
    case .moments where source.mixing?.integers != nil, .globalMax where source.mixing != nil:
      var source = integerSource(shape.channels, nil)
      source.lanes = Int32(lanes)
      return Int(rso_integer_source_workspace(&source))
    case .moments:
      var source = kernelSource
      source.lanes = Int32(lanes)
      return Int(rso_source_workspace(&source))
    default: return 0
    }
  }

  /// The kernel's argument, without the fields that differ from block to block.
  func layer(
    _ window: rso_window, _ weights: UnsafePointer<Float>, _ bias: UnsafePointer<Float>,
    _ inputs: Int
  ) -> rso_layer {
    var layer = rso_layer()
    layer.source = kernelSource
    layer.source.channels = Int32(inputs)
    layer.u = weights
    layer.bias = bias
    layer.factor = source.box == nil ? 1 : 0.25
    layer.stride = window.stride
    layer.padding = source.box ?? window.padding
    layer.box = source.box == nil ? 0 : 1
    layer.out_channels = Int32(outputs)
    layer.out_height = window.out_height
    layer.out_width = window.out_width
    return layer
  }

  /// The same for a layer of integers.
  func layer(_ weights: IntegerWeights) -> rso_integer_layer {
    var layer = rso_integer_layer()
    layer.source = integerSource(
      weights.inputs, source.box == nil ? weights.bytes : weights.bytes.ofFour)
    layer.window = weights.window
    if let box = source.box {
      layer.window.padding = box
      layer.box = 1
    }
    layer.w = UnsafePointer(weights.packed.pointer)
    layer.start = UnsafePointer(weights.start.pointer)
    layer.unit = UnsafePointer(weights.unit.pointer)
    layer.at_points = weights.isAtPoints ? 1 : 0
    layer.out_channels = Int32(outputs)
    return layer
  }

  func integerSource(_ channels: Int, _ bytes: Network.Bytes?) -> rso_integer_source {
    var result = rso_integer_source()
    result.step = source.step
    result.per_unit = bytes?.perUnit ?? 1
    result.zero = bytes?.zero ?? 0
    result.channels = Int32(channels)
    result.height = Int32(shape.height)
    result.width = Int32(shape.width)
    if let mixing = source.mixing, let integers = mixing.integers {
      result.mixing.window = mixing.window
      result.mixing.w = UnsafePointer(integers.packed.pointer)
      result.mixing.start = UnsafePointer(integers.start.pointer)
      result.mixing.unit = UnsafePointer(integers.unit.pointer)
      result.mixing.per_unit = integers.bytes.perUnit
      result.mixing.zero = integers.bytes.zero
    }
    return result
  }

  var kernelSource: rso_source {
    var result = rso_source()
    result.relu = source.relu ? 1 : 0
    result.channels = Int32(shape.channels)
    result.height = Int32(shape.height)
    result.width = Int32(shape.width)
    if let mixing = source.mixing {
      result.mixing = mixing.window
      result.column = UnsafePointer(mixing.packed.buffer.pointer)
      result.at_points = mixing.atPoints.map { UnsafePointer($0.pointer) }
    }
    return result
  }
}
