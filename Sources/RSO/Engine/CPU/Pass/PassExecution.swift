import CRSO

extension Pass {
  /// The inputs of a run as plain pointers, so that no block pays for reference counting or copies.
  struct Context {
    private let values: UnsafeMutablePointer<Value>
    private let norms: UnsafeMutablePointer<NormPointers>
    private let input: Input
    private let losses: UnsafeMutablePointer<Double>
    private let kernels: rso_kernels
    /// The candidates that the pass has room for (`nil`: lanes are samples), and the candidates of this run.
    private let candidates: Int?
    private let lanes: Int
    /// The offset of the kernels' workspace in a thread's scratch.
    private let workspace: Int

    struct NormPointers {
      var scale: UnsafePointer<Float>
      var offset: UnsafePointer<Float>
      var origin: UnsafePointer<Float>
      var sums: UnsafeMutablePointer<Double>
      var channels: Int
      /// Floats between lanes of scale and offset.
      var lane: Int

      init(_ norm: Norm) {
        scale = UnsafePointer(norm.scale.pointer)
        offset = UnsafePointer(norm.offset.pointer)
        origin = UnsafePointer(norm.origin.pointer)
        sums = norm.sums.pointer
        channels = norm.channels
        lane = norm.candidates == 1 ? 0 : norm.channels
      }
    }

    init(
      pass: Pass, values: UnsafeMutablePointer<Value>, norms: UnsafeMutablePointer<NormPointers>,
      input: Input, losses: UnsafeMutablePointer<Double>, workspace: Int, lanes: Int
    ) {
      self.workspace = workspace
      self.lanes = lanes
      self.values = values
      self.norms = norms
      self.input = input
      self.losses = losses
      kernels = pass.kernels
      if case .candidates(let count) = pass.lanes { candidates = count } else { candidates = nil }
    }

    /// Runs the instructions on the blocks of one chunk.
    ///
    /// - Parameter isFollowed: whether the same thread takes the next chunk after this one.
    func run(
      _ instructions: UnsafeBufferPointer<Instruction>, chunk: Int, isFollowed: Bool,
      scratch: UnsafeMutablePointer<Float>
    ) {
      let first = chunk * Pass.blocksPerChunk
      let end = min(first + Pass.blocksPerChunk, input.blocks)
      if candidates != nil {
        for block in first..<end {
          for instruction in instructions {
            execute(
              instruction,
              Place(
                chunk: chunk, block: block, lanes: lanes, scratch: scratch, blocks: 1,
                next: block + 1 < end || isFollowed ? 1 : 0))
          }
        }
      } else {
        for instruction in instructions {
          execute(
            instruction,
            Place(
              chunk: chunk, block: first, lanes: end - first, scratch: scratch,
              blocks: end - first,
              next: isFollowed ? min(Pass.blocksPerChunk, input.blocks - end) : 0))
        }
      }
    }

    /// The lanes that an instruction works on.
    private struct Place {
      let chunk: Int
      let block: Int
      let lanes: Int
      let scratch: UnsafeMutablePointer<Float>
      /// The number of these blocks, and of the blocks that the same thread takes next.
      let blocks: Int
      let next: Int
    }

    @inline(__always)
    private func find(
      _ operand: Operand, _ place: Place
    ) -> (pointer: UnsafeMutablePointer<Float>?, lane: Int) {
      if operand.value < 0 { return (place.scratch + operand.scratch, operand.laneStride) }
      let value = values + operand.value
      let pointer = value.pointee.memory.map { $0 + place.block * value.pointee.blockStride }
      if candidates == nil { return (pointer, value.pointee.blockStride) }
      return (pointer, value.pointee.perLane ? value.pointee.laneStride : 0)
    }

    private func units(_ operand: Operand) -> UnsafePointer<Float>? {
      operand.value < 0 ? nil : values[operand.value].units
    }

    private func execute(_ i: Instruction, _ place: Place) {
      let (x, xLane) = find(i.x, place)
      let (b, bLane) = find(i.b, place)
      let (y, yLane) = find(i.y, place)
      let area = i.shape.area
      var map = rso_map(
        x: x, y: y, x_lane: xLane, y_lane: yLane, lanes: Int32(place.lanes),
        channels: Int32(i.shape.channels), area: Int32(area))
      let block = Kernels.block

      switch i.operation {
      case .load:
        guard let images = input.images, let samples = input.samples, let y else { return }
        for lane in 0..<place.lanes {
          let (samples, y) = (samples + (place.block + lane) * block, y + lane * yLane)
          let channels = Int32(i.shape.channels)
          switch images {
          case .bytes(let bytes, let table):
            rso_load_images(bytes, samples, table, channels, Int32(area), y)
          case .floats(let floats, let mean, let deviation):
            rso_load_floats(floats, samples, mean, deviation, channels, Int32(area), y)
          }
        }
      case .convolution(let window, let weights, let bias, let inputs):
        var convolution = rso_convolution(
          x: x, w: weights, bias: bias, init: i.b.isNothing ? nil : UnsafePointer(b), y: y,
          x_lane: xLane, y_lane: yLane, init_lane: bLane, next_x: 0, next_init: 0, window: window,
          lanes: Int32(place.lanes), in_channels: Int32(inputs), out_channels: Int32(i.outputs))
        kernels.convolution(&convolution)
      case .depthwise(let window, let weights, let bias, let candidates):
        let size = Int(window.kernel * window.kernel) * Int(rso_tile)
        let outArea = Int(window.out_height * window.out_width)
        // Lanes with the same weights go together.
        let together = candidates == 1 ? place.lanes : 1
        guard let x, let y else { return }
        for lane in Swift.stride(from: 0, to: place.lanes, by: together) {
          for c in 0..<i.outputs {
            let own = lane * i.outputs + c
            var convolution = rso_convolution(
              x: x + lane * xLane + c * area * block, w: weights + own * size, bias: bias + own,
              init: nil, y: y + lane * yLane + c * outArea * block, x_lane: xLane, y_lane: yLane,
              init_lane: 0, next_x: 0, next_init: 0, window: window, lanes: Int32(together),
              in_channels: 1, out_channels: 1)
            kernels.convolution(&convolution)
          }
        }
      case .mix(let weights):
        let next = place.next > 0 && i.b.value >= 0 ? values[i.b.value].blockStride : 0
        var convolution = rso_convolution(
          x: x, w: weights.packed.buffer.pointer, bias: nil, init: b, y: y, x_lane: xLane,
          y_lane: yLane, init_lane: bLane, next_x: 0, next_init: next * place.blocks,
          window: weights.window, lanes: Int32(place.lanes), in_channels: 1,
          out_channels: Int32(i.outputs))
        kernels.convolution(&convolution)
      case .winograd(let window, let weights, let bias, let inputs):
        var layer = i.layer(window, weights, bias, inputs)
        fill(&layer.source, i, place)
        layer.y = y
        layer.y_lane = yLane
        layer.y_is_far = i.y.value >= 0 ? 1 : 0
        layer.workspace = place.scratch + workspace
        if place.next > 0, i.x.value >= 0, let x {
          layer.next = UnsafePointer(x) + values[i.x.value].blockStride * place.blocks
          layer.next_size = values[i.x.value].blockStride * place.next
        }
        if let moments = i.moments {
          let n = norms[moments]
          layer.origin = n.origin
          layer.valid = valid(place)
          (layer.sums, layer.sums_lane) = sums(n, place)
        }
        kernels.layer(&layer)
      case .integers(let weights):
        var layer = i.layer(weights)
        fill(&layer.source, i, place)
        layer.y = y
        layer.y_lane = yLane
        layer.y_is_short = units(i.y) == nil ? 0 : 1
        layer.workspace = place.scratch + workspace
        if place.next > 0, i.x.value >= 0, let x {
          layer.next = UnsafePointer(x) + values[i.x.value].blockStride * place.blocks
          layer.next_size = values[i.x.value].blockStride * place.next
        }
        if let moments = i.moments {
          let n = norms[moments]
          layer.origin = n.origin
          layer.valid = valid(place)
          (layer.sums, layer.sums_lane) = sums(n, place)
        }
        kernels.integer_layer(&layer)
      case .shiftAdd(let window, let delta, let tap):
        let (added, addedLane) = find(i.added, place)
        var shift = rso_shift_add()
        (shift.x, shift.z, shift.delta) = (map.x, UnsafePointer(b), delta)
        shift.y = i.y.isNothing ? nil : y
        if !i.added.isNothing { shift.added = UnsafePointer(added) }
        (shift.z_lane, shift.added_lane, shift.y_lane) = (bLane, addedLane, yLane)
        if let norm = i.source.norm {
          (shift.scale, shift.offset) = (norms[norm].scale, norms[norm].offset)
          shift.norm_lane = norms[norm].lane
          shift.relu = i.source.relu ? 1 : 0
        }
        if let moments = i.moments {
          (shift.origin, shift.valid) = (norms[moments].origin, valid(place))
          (shift.sums, shift.sums_lane) = sums(norms[moments], place)
        }
        if place.next > 0, i.x.value >= 0, i.b.value >= 0 {
          shift.next_x = values[i.x.value].blockStride
          shift.next_z = values[i.b.value].blockStride
        }
        (shift.window, shift.lanes, shift.tap) = (window, map.lanes, tap.pointee)
        kernels.shift_add(&shift)
      case .offset(let one, let delta):
        // Lane by lane: `normalize` has one lane stride, but the deltas are 1 apart and all lanes share the factor 1.
        for lane in 0..<place.lanes {
          var single = map
          single.x = UnsafePointer(x.map { $0 + lane * xLane })
          single.y = y.map { $0 + lane * yLane }
          single.lanes = 1
          kernels.normalize(&single, one, delta + lane, 0, .identity)
        }
      case .normalize(let norm, let activation):
        kernels.normalize(&map, norms[norm].scale, norms[norm].offset, norms[norm].lane, activation)
      case .normalizeExtremes(let norm):
        map.channels /= 2
        kernels.normalize_extremes(&map, norms[norm].scale, norms[norm].offset, norms[norm].lane)
      case .activate(let activation): kernels.activate(&map, activation)
      case .add: kernels.add(&map, b, bLane)
      case .averagePool(var window): kernels.average_pool(&map, &window)
      case .maxPool(var window): kernels.max_pool(&map, &window)
      case .globalMax where i.source.mixing != nil: measureIntegers(i, place, nil)
      case .globalMax: kernels.global_max(&map)
      case .globalAverage: kernels.global_average(&map)
      case .extremes: kernels.extremes(&map)
      case .gather(let channels, let count):
        let size = i.outputs * area / count * block
        copy(place.lanes, count) { lane, u in
          guard let x, let y else { return nil }
          return (y + lane * yLane + u * size, x + lane * xLane + Int(channels[u]) * size, size)
        }
      case .scatter(let channels, let count):
        let size = i.shape.count / count * block
        copy(place.lanes, count) { lane, u in
          guard let x, let y, channels[u] >= 0 else { return nil }
          return (y + lane * yLane + Int(channels[u]) * size, x + lane * xLane + u * size, size)
        }
      case .replace(let channels):
        let size = i.shape.count * block
        copy(place.lanes, 1) { lane, _ in
          guard let x, let y, let b else { return nil }
          let total = i.outputs * area * block
          (y + lane * yLane).update(from: b + lane * bLane, count: total)
          return (y + lane * yLane + Int(channels[0]) * size, x + lane * xLane, size)
        }
      case .moments(let norm):
        let n = norms[norm]
        let (sums, lane) = sums(n, place)
        if i.source.mixing?.integers != nil {
          measureIntegers(i, place, n)
        } else if i.source.mixing == nil {
          kernels.moments(&map, n.origin, valid(place), sums, lane)
        } else {
          var source = i.kernelSource
          fill(&source, i, place)
          source.workspace = place.scratch + workspace
          if place.next > 0, i.x.value >= 0 {
            source.next = values[i.x.value].blockStride * place.blocks
          }
          kernels.mixed_moments(
            &source, n.origin, valid(place), sums, lane, i.y.isNothing ? nil : y, yLane)
        }
      case .loss(var loss):
        guard let labels = input.labels.map({ $0 + place.block * block }) else { return }
        let (lane, own) = (candidates == nil ? block : 0, losses + place.chunk * (candidates ?? 1))
        if loss.isPlain {
          kernels.cross_entropy(
            &map, labels, lane, valid(place), own, candidates == nil ? 0 : 1,
            input.predicted.map { $0 + place.block * block })
        } else {
          kernels.sample_loss(
            &map, &loss, labels, lane,
            input.targets.map { $0 + place.block * i.shape.count * block },
            candidates == nil ? i.shape.count * block : 0, valid(place), own,
            candidates == nil ? 0 : 1)
        }
      case .outputs(let copy, let samples):
        guard let x else { return }
        for lane in 0..<place.lanes {
          let (first, candidate) =
            candidates == nil ? (place.block + lane, 0) : (place.block, lane)
          for sample in 0..<Int(valid(place)[lane]) {
            let row = copy + (candidate * samples + first * block + sample) * i.shape.count
            for c in 0..<i.shape.count { row[c] = x[lane * xLane + c * block + sample] }
          }
        }
      }
    }

    /// The moments around a norm's origin and, if there is a `y`, the extremes of a mixing layer of integers, or only its
    /// maxima.
    private func measureIntegers(_ i: Instruction, _ place: Place, _ norm: NormPointers?) {
      let (y, yLane) = find(i.y, place)
      let moments = norm.map { sums($0, place) }
      var source = i.integerSource(i.shape.channels, nil)
      fill(&source, i, place)
      source.workspace = place.scratch + workspace
      if place.next > 0, i.x.value >= 0 {
        source.next = values[i.x.value].blockStride * place.blocks
      }
      kernels.mixed_integer_moments(
        &source, norm?.origin, valid(place), moments?.0, moments?.1 ?? 0,
        i.y.isNothing ? nil : y, yLane)
    }

    /// Sets a source's pointers to the current block.
    private func fill(_ source: inout rso_source, _ i: Instruction, _ place: Place) {
      let (x, xLane) = find(i.x, place)
      source.x = UnsafePointer(x)
      source.x_lane = xLane
      source.lanes = Int32(place.lanes)
      if i.source.mixing != nil {
        let (mixed, mixedLane) = find(i.b, place)
        source.mixed = UnsafePointer(mixed)
        source.mixed_lane = mixedLane
        if !i.added.isNothing {
          let (added, addedLane) = find(i.added, place)
          source.added = UnsafePointer(added)
          source.added_lane = addedLane
        }
      }
      if let norm = i.source.norm {
        source.scale = norms[norm].scale
        source.offset = norms[norm].offset
        source.norm_lane = norms[norm].lane
      }
    }

    private func fill(_ source: inout rso_integer_source, _ i: Instruction, _ place: Place) {
      let (x, xLane) = find(i.x, place)
      source.x = UnsafePointer(x)
      source.x_lane = xLane
      source.units = units(i.x)
      source.lanes = Int32(place.lanes)
      if i.source.mixing != nil {
        let (mixed, mixedLane) = find(i.b, place)
        source.mixing.x = UnsafePointer(mixed)
        source.mixing.x_lane = mixedLane
      }
      if let norm = i.source.norm {
        source.scale = norms[norm].scale
        source.offset = norms[norm].offset
        source.norm_lane = norms[norm].lane
      }
    }

    /// The place of a chunk's sums for a norm, and the distance between lanes.
    private func sums(_ norm: NormPointers, _ place: Place) -> (UnsafeMutablePointer<Double>, Int) {
      let size = norm.channels * 2
      return (
        norm.sums + place.chunk * (candidates ?? 1) * size, candidates == nil ? 0 : size
      )
    }

    /// `[lanes]`: the number of samples in each lane.
    private func valid(_ place: Place) -> UnsafePointer<Int32> {
      input.valid + place.block * (candidates ?? 1)
    }

    @inline(__always)
    private func copy(
      _ lanes: Int, _ count: Int,
      _ piece: (Int, Int) -> (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, Int)?
    ) {
      for lane in 0..<lanes {
        for u in 0..<count {
          if let (to, from, size) = piece(lane, u) { to.update(from: from, count: size) }
        }
      }
    }
  }
}

extension rso_loss {
  /// Whether it is the paper's loss, which has a kernel of its own.
  fileprivate var isPlain: Bool {
    kind == rso_cross_entropy && parameter == 0 && class_weights == nil && weight == 1
  }
}
