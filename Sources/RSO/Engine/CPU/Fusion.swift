import CRSO

extension Pass {
  /// What happens to an input on its way into a kernel, so that it is not written and read again.
  struct Source {
    /// The input is `x` plus the convolution of the one channel `b` with a column of weights.
    var mixing: MixingWeights?
    var norm: Int?
    var relu = false
    /// Padding of the box sums of 2×2 neighbours, if they are taken.
    var box: Int32?
  }

  /// A step, and the steps before and after it that its kernel does along.
  struct FusedStep {
    var operation: Operation
    var source = Source()
    var moments: Int?
    var x: ValueID?
    var b: ValueID?
    var y: ValueID?

    var inputs: [ValueID] { [x, b].compactMap { $0 } }
  }

  /// Joins the steps of one segment where a kernel does several at once.
  ///
  /// - A Winograd convolution takes in its input's box sums, normalisation, ReLU, and the mixing
  ///   that makes it; sums of its output are taken on the way out.
  /// - Sums of a mixing layer's output are taken without storing it.
  ///
  /// - Parameter order: the steps of the segment.
  func fuse(_ order: [Int]) -> [FusedStep] {
    let members = Set(order)
    var readers: [ValueID: Int] = [:]
    for index in order {
      for input in [steps[index].x, steps[index].b] {
        if let input { readers[input, default: 0] += 1 }
      }
    }
    /// The step that makes a value which nothing else in the segment reads.
    func producer(_ value: ValueID?) -> Int? {
      guard let value, !isInMemory(value), readers[value] == 1,
        let producer = values[value].producer, members.contains(producer)
      else { return nil }
      return producer
    }
    var absorbed = Set<Int>()
    func takeMixing(_ fused: inout FusedStep) {
      guard let index = producer(fused.x),
        case .mix(let weights) = steps[index].operation, let rest = steps[index].b
      else { return }
      absorbed.insert(index)
      fused.source.mixing = weights
      (fused.x, fused.b) = (rest, steps[index].x)
    }
    var fused: [Int: FusedStep] = [:]
    for index in order {
      let step = steps[index]
      var joined = FusedStep(operation: step.operation, x: step.x, b: step.b, y: step.y)
      switch step.operation {
      case .winograd(let window, _, _, _):
        if window.stride == 2, window.padding == 0, let index = producer(joined.x),
          case .averagePool(let pool) = steps[index].operation, pool.kernel == 2, pool.stride == 1,
          pool.padding <= 1
        {
          absorbed.insert(index)
          joined.source.box = pool.padding
          joined.x = steps[index].x
        }
        if let index = producer(joined.x) {
          switch steps[index].operation {
          case .normalize(let norm, let activation)
          where activation == rso_relu || activation == rso_identity:
            joined.source.norm = norm
            joined.source.relu = activation == rso_relu
            absorbed.insert(index)
            joined.x = steps[index].x
          case .activate(rso_relu):
            joined.source.relu = true
            absorbed.insert(index)
            joined.x = steps[index].x
          default: break
          }
        }
        takeMixing(&joined)
      case .moments(let norm):
        if let maker = step.x.flatMap({ values[$0].producer }), fused[maker]?.moments == nil,
          case .winograd = fused[maker]?.operation
        {
          fused[maker]?.moments = norm
          absorbed.insert(index)
        } else {
          takeMixing(&joined)
        }
      default: break
      }
      fused[index] = joined
    }
    return order.filter { !absorbed.contains($0) }.compactMap { fused[$0] }
  }
}

extension Pass.Instruction {
  /// Floats of scratch that the kernel needs for that many lanes.
  func workspace(lanes: Int) -> Int {
    switch operation {
    case .winograd(let window, let weights, let bias, let inputs):
      var layer = layer(window, weights, bias, inputs)
      layer.source.lanes = Int32(lanes)
      return Int(rso_layer_workspace(&layer))
    case .moments:
      var source = kernelSource
      source.lanes = Int32(lanes)
      return Int(rso_source_workspace(&source))
    default: return 0
    }
  }

  /// The kernel's argument, without what differs from block to block.
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
