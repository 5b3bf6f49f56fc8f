import CRSO
import Testing

@testable import RSO

/// Layers of integers, of every instruction set that has them: the same bits as the layers of floats have, step by step.
struct IntegerKernelTests {
  private static func integers(_ count: Int, _ key: Int, _ range: ClosedRange<Int>) -> [Float] {
    let philox = Philox(seed: 23)
    return (0..<count).map {
      let normal = philox.normal(.initialisation, cycle: 0, tensor: key, element: $0)
      return Float(
        min(
          max(Int((normal * Double(range.count) / 3).rounded()), range.lowerBound), range.upperBound
        ))
    }
  }

  /// A layer with random numbers, and what the kernels of floats make of it.
  private struct Case {
    let layer: Layer
    let lanes: Int
    let x: KernelSample
    let map: Buffer<Float>
    let mixed: KernelSample
    let mixing: MixingWeights?
    let values: [Float]

    init(_ layer: Layer, lanes: Int) throws {
      (self.layer, self.lanes) = (layer, lanes)
      // Multiples of 1/8 where a channel is mixed in, and the layer's own numbers where no step makes them.
      x = try KernelSample(lanes: layer.mixing > 0 ? 1 : lanes, size: layer.shape.count, key: 1)
      for (i, value) in IntegerKernelTests.integers(x.buffer.count, 1, -100...100).enumerated() {
        x.pointer[i] = value / (layer.step == nil ? 2 : 64)
      }
      map = try KernelSample(lanes: 1, size: (2 * lanes * layer.inputs + 15) / 16, key: 2).buffer
      values = IntegerKernelTests.integers(
        layer.outputs * layer.inputs * layer.kernel * layer.kernel, 3,
        -layer.largest...layer.largest
      ).enumerated().map { i, level in
        // Each output has a scale of its own, and the fourth no weights but zeros.
        let output = i / (layer.inputs * layer.kernel * layer.kernel)
        return output == 3
          ? 0 : level * Float(sign: .plus, exponent: output % 5 - 6, significand: 1)
      }
      let scale = max(layer.mixing, 1)
      let source = Shape(channels: 1, height: layer.height * scale, width: layer.width * scale)
      mixed = try KernelSample(lanes: lanes, size: source.area, key: 4)
      for (i, value) in IntegerKernelTests.integers(mixed.buffer.count, 5, -15...15).enumerated() {
        mixed.pointer[i] = value / 16
      }
      mixing =
        layer.mixing == 0
        ? nil
        : try MixingWeights(
          rso_window(source, layer.shape, kernel: 3, stride: layer.mixing, padding: 1),
          outputs: layer.inputs, reading: .init(perUnit: 16, zero: 15, largest: 30))
      mixing?.set(
        outputs: layer.inputs,
        IntegerKernelTests.integers(9 * layer.inputs, 6, -7...7).enumerated().map {
          $1 * ($0 / 9 == 2 ? 0 : 0.25)
        }[...])
    }

    var source: rso_integer_source {
      var source = rso_integer_source()
      source.x = UnsafePointer(x.pointer)
      source.x_lane = layer.mixing > 0 ? 0 : x.stride
      source.step = layer.step?.kernel ?? .identity
      if layer.step != nil {
        source.scale = UnsafePointer(map.pointer)
        source.offset = UnsafePointer(map.pointer + lanes * layer.inputs)
        source.norm_lane = layer.inputs
      }
      source.per_unit = layer.bytes.perUnit
      source.zero = layer.bytes.zero
      source.lanes = Int32(lanes)
      source.channels = Int32(layer.inputs)
      source.height = Int32(layer.height)
      source.width = Int32(layer.width)
      if let mixing, let integers = mixing.integers {
        source.mixing.x = UnsafePointer(mixed.pointer)
        source.mixing.x_lane = mixed.stride
        source.mixing.window = mixing.window
        source.mixing.w = UnsafePointer(integers.packed.pointer)
        source.mixing.start = UnsafePointer(integers.start.pointer)
        source.mixing.unit = UnsafePointer(integers.unit.pointer)
        source.mixing.per_unit = integers.bytes.perUnit
        source.mixing.zero = integers.bytes.zero
      }
      return source
    }

    /// `x` as 16-bit integers, and what they are worth in each channel.
    func shorts() throws -> (KernelSample, Buffer<Float>) {
      let units = try Buffer<Float>((0..<layer.inputs).map { $0 % 2 == 0 ? 1 / 64 : 1 / 128 })
      let shorts = try KernelSample(lanes: x.lanes, size: x.size)
      x.forEach { lane, i, sample in
        let value = x[lane, i, sample] / Double(units.pointer[i / layer.shape.area])
        shorts.setShort(Int16(value), lane, i, sample)
      }
      return (shorts, units)
    }

    /// The source before its norm.
    func mixedIn(_ kernels: rso_kernels) throws -> KernelSample {
      guard let mixing else { return x }
      let y = try KernelSample(lanes: lanes, size: layer.shape.count)
      var call = rso_convolution()
      (call.x, call.x_lane, call.w) = (
        UnsafePointer(mixed.pointer), mixed.stride, UnsafePointer(mixing.packed.buffer.pointer)
      )
      (call.`init`, call.y, call.y_lane) = (UnsafePointer(x.pointer), y.pointer, y.stride)
      (call.window, call.lanes, call.in_channels) = (mixing.window, Int32(lanes), 1)
      call.out_channels = Int32(layer.inputs)
      kernels.convolution(&call)
      return y
    }

    /// The layer by kernels of floats.
    func floats(_ kernels: rso_kernels) throws -> KernelSample {
      var x = try mixedIn(kernels)
      if let step = layer.step {
        let y = try KernelSample(lanes: lanes, size: layer.shape.count)
        var call = x.map(to: y, channels: layer.inputs, area: layer.shape.area)
        kernels.normalize(
          &call, map.pointer, map.pointer + lanes * layer.inputs, layer.inputs, step.kernel)
        x = y
      }
      if let box = layer.box {
        let y = try KernelSample(lanes: lanes, size: layer.read.count)
        var call = x.map(to: y, channels: layer.inputs, area: layer.shape.area)
        var pool = rso_window(layer.shape, layer.read, kernel: 2, padding: box)
        kernels.average_pool(&call, &pool)
        x = y
      }
      let y = try KernelSample(lanes: lanes, size: layer.outputs * layer.outArea)
      let weights = try PackedWeights(
        outputs: layer.outputs, inputs: layer.inputs, taps: layer.kernel * layer.kernel)
      weights.set(outputs: layer.outputs, values[...])
      var call = rso_convolution()
      (call.x, call.x_lane) = (UnsafePointer(x.pointer), x.stride)
      (call.w, call.y, call.y_lane) = (UnsafePointer(weights.buffer.pointer), y.pointer, y.stride)
      (call.window, call.lanes) = (layer.window, Int32(lanes))
      (call.in_channels, call.out_channels) = (Int32(layer.inputs), Int32(layer.outputs))
      kernels.convolution(&call)
      return y
    }
  }

  private static let valid: [Int32] = [16, 5, 1]

  /// The number of channels whose moments around `origin` are not those of `y`.
  private static func wrongMoments(
    _ sums: Buffer<Double>, of y: KernelSample, channels: Int, origin: Float
  ) -> Int {
    let area = y.size / channels
    var wrong = 0
    for lane in 0..<y.lanes {
      for c in 0..<channels {
        var (sum, size, square) = (0.0, 0.0, 0.0)
        for i in 0..<area {
          for sample in 0..<Int(valid[lane]) {
            let d = y[lane, c * area + i, sample] - Double(origin)
            (sum, size, square) = (sum + d, size + abs(d), square + d * d)
          }
        }
        let found = sums.pointer + 2 * (lane * channels + c)
        // Exact where 24 bits do; elsewhere every addition rounds.
        let ε = Double(area) * LossBound.roundoff
        if !(abs(found[0] - sum) <= ε * size && abs(found[1] - square) <= ε * square) {
          wrong += 1
        }
      }
    }
    return wrong
  }

  @Test(arguments: Layer.all, [1, 2, 3])
  func layer(layer: Layer, lanes: Int) throws {
    let test = try Case(layer, lanes: lanes)
    let portable = try #require(Kernels.available.last).table.pointee
    let expected = try test.floats(portable)
    #expect(Set((0..<expected.size).map { expected[0, $0, 0] }).count > min(8, layer.outArea))
    let weights = try IntegerWeights(
      layer.window, inputs: layer.inputs, outputs: layer.outputs, levels: layer.largest,
      reading: layer.readBytes)
    #expect(weights.isAtPoints == layer.isAtPoints)
    weights.set(outputs: layer.outputs, test.values[...])
    let origin = try Buffer(Array(repeating: Float(-0.5), count: layer.outputs))
    let (shorts, units) = try test.shorts()
    for kernels in Kernels.available {
      guard let kernel = kernels.table.pointee.integer_layer else { continue }
      // Steps of floats round alike on all sets, so that one answer serves.
      for (reads, writes) in [(false, false), (true, false), (false, true)] {
        if reads && (layer.step == nil || layer.mixing > 0) || writes && !weights.areSumsShort {
          continue
        }
        let y = try KernelSample(lanes: lanes, size: expected.size)
        let sums = try Buffer<Double>(2 * lanes * layer.outputs)
        var call = rso_integer_layer()
        call.source = test.source
        if reads {
          (call.source.x, call.source.units) = (
            UnsafePointer(shorts.pointer), UnsafePointer(units.pointer)
          )
        }
        call.window = weights.window
        if let box = layer.box { (call.window.padding, call.box) = (Int32(box), 1) }
        call.w = UnsafePointer(weights.packed.pointer)
        (call.start, call.unit) = (
          UnsafePointer(weights.start.pointer), UnsafePointer(weights.unit.pointer)
        )
        call.at_points = weights.isAtPoints ? 1 : 0
        call.y_is_short = writes ? 1 : 0
        call.origin = UnsafePointer(origin.pointer)
        (call.y, call.y_lane, call.out_channels) = (y.pointer, y.stride, Int32(layer.outputs))
        let workspace = try Buffer<Float>(Int(rso_integer_workspace(&call)) + 16)
        // Whatever the memory had before, and nothing behind it.
        workspace.pointer.update(repeating: .nan, count: workspace.count)
        call.workspace = workspace.pointer
        (call.sums, call.sums_lane) = (sums.pointer, 2 * layer.outputs)
        Self.valid.withUnsafeBufferPointer {
          call.valid = $0.baseAddress
          kernel(&call)
        }
        let name =
          "\(kernels.name), \(layer), reads \(reads ? 16 : 32) bits, writes \(writes ? 16 : 32)"
        var wrong = 0
        expected.forEach { lane, i, sample in
          let unit = Double(weights.unit.pointer[i / layer.outArea])
          let found = writes ? y.short(lane, i, sample) * unit : y[lane, i, sample]
          if found != expected[lane, i, sample] { wrong += 1 }
        }
        #expect(wrong == 0, "\(name)")
        let outside = (0..<lanes * y.stride).count { i in
          let (lane, place) = (i / y.stride, i % y.stride)
          return place >= expected.size * 16 / (writes ? 2 : 1)
            && !y.pointer[lane * y.stride + place].isNaN
        }
        #expect(outside == 0, "\(name)")
        #expect((workspace.count - 16..<workspace.count).allSatisfy { workspace.pointer[$0].isNaN })
        wrong = Self.wrongMoments(sums, of: expected, channels: layer.outputs, origin: -0.5)
        #expect(wrong == 0, "moments, \(name)")
      }
    }
  }

  /// What is found of a mixing layer's output that is not stored: moments, moments and extremes, or maxima.
  @Test(arguments: Layer.all.filter { $0.mixing > 0 }, [1, 3])
  func mixedMoments(layer: Layer, lanes: Int) throws {
    let test = try Case(layer, lanes: lanes)
    let portable = try #require(Kernels.available.last).table.pointee
    let expected = try test.mixedIn(portable)
    let origin = try Buffer(Array(repeating: Float(0.25), count: layer.inputs))
    for kernels in Kernels.available {
      guard let kernel = kernels.table.pointee.mixed_integer_moments else { continue }
      for (hasMoments, bounds) in [(true, 0), (true, 2), (false, 1)] {
        var source = test.source
        let sums = try Buffer<Double>(2 * lanes * layer.inputs)
        let workspace = try Buffer<Float>(Int(rso_integer_source_workspace(&source)) + 16)
        workspace.pointer.update(repeating: .nan, count: workspace.count)
        source.workspace = workspace.pointer
        let extremes = try KernelSample(lanes: lanes, size: bounds * layer.inputs)
        Self.valid.withUnsafeBufferPointer {
          kernel(
            &source, hasMoments ? UnsafePointer(origin.pointer) : nil, $0.baseAddress,
            hasMoments ? sums.pointer : nil, 2 * layer.inputs,
            bounds > 0 ? extremes.pointer : nil, extremes.stride)
        }
        let name = "\(kernels.name), \(layer), \(lanes) lanes, \(bounds) bounds"
        let wrong =
          hasMoments
          ? Self.wrongMoments(sums, of: expected, channels: layer.inputs, origin: 0.25) : 0
        #expect(wrong == 0, "\(name)")
        let wrongBounds = extremes.wrong { lane, i, sample in
          let (channel, area) = (i / bounds, layer.shape.area)
          let plane = (0..<area).map { expected[lane, channel * area + $0, sample] }
          return ((i % bounds == 0 ? plane.max() : plane.min()) ?? .nan, 0)
        }
        #expect(wrongBounds == 0, "\(name)")
        #expect((workspace.count - 16..<workspace.count).allSatisfy { workspace.pointer[$0].isNaN })
      }
    }
  }

  /// Small layers of a single pixel are faster in floats.
  @Test func layersThatPay() {
    let pixel = rso_window(
      Shape(channels: 16), Shape(channels: 10), kernel: 1, stride: 1, padding: 0)
    #expect(!IntegerWeights.suits(pixel, inputs: 16, outputs: 31))
    #expect(IntegerWeights.suits(pixel, inputs: 4, outputs: 32))
    #expect(!IntegerWeights.suits(pixel, inputs: 3, outputs: 32))
    let shape = Shape(channels: 4, height: 1, width: 2)
    let pair = rso_window(shape, shape, kernel: 1, stride: 1, padding: 0)
    #expect(IntegerWeights.suits(pair, inputs: 4, outputs: 1))
  }

  /// Which values are bytes, and which layers read them.
  @Test func bytes() throws {
    let network = try Network(input: Shape(channels: 4, height: 8, width: 8)) {
      Node.conv2d("conv0", channels: 4, kernel: 3, padding: 1, weights: .ternary)
      Node.batchNorm("bn0")
      Node.activation("step0", .quantize(bits: 3, signed: true))
      Node.conv2d("conv1", channels: 4, kernel: 3, padding: 1, weights: .ternary)
      Node.activation("step1", .quantize(bits: 6))
      Node.add("sum", "step0")
      Node.averagePool("pool", kernel: 2)
      Node.conv2d("conv2", channels: 4, kernel: 3, weights: .integer(bits: 8))
      Node.activation("step2", .quantize(bits: 7, signed: true))
      Node.conv2d("conv3", channels: 4, kernel: 1, weights: .binary)
      Node.activation("step3", .quantize(bits: 8, signed: true))
      Node.flatten("flat")
      Node.linear("fc", features: 3, weights: .ternary)
    }
    func place(_ name: String) throws -> Int {
      try #require(network.nodes.firstIndex { $0.name == name })
    }
    let bytes = network.bytes
    // What images are is not known here.
    #expect(bytes[0] == nil)
    #expect(try bytes[place("step0") + 1] == .init(perUnit: 8, zero: 7, largest: 14))
    #expect(try bytes[place("step1") + 1] == .init(perUnit: 64, zero: 0, largest: 63))
    // 63 + 7 · 8 sixty-fourths, of both signs; four times as many do not fit.
    #expect(try bytes[place("sum") + 1] == .init(perUnit: 64, zero: 119, largest: 238))
    #expect(try bytes[place("pool") + 1] == nil)
    #expect(try bytes[place("step2") + 1] == .init(perUnit: 128, zero: 127, largest: 254))
    #expect(try bytes[place("flat") + 1] == nil)
    let layers = network.bytesOfIntegerLayers
    #expect(
      network.nodes.indices.filter { layers[$0] != nil }.map { network.nodes[$0].name } == [
        "conv1", "conv3",
      ])
  }
}
