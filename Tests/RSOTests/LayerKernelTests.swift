import CRSO
import Testing

@testable import RSO

/// The kernels of whole layers and of mixing, of every instruction set, against plain loops in double
/// precision.
@Suite struct LayerKernelTests {
  struct Layer: Sendable, CustomStringConvertible {
    var height: Int, width: Int, inputs: Int, outputs: Int, stride: Int, padding: Int
    /// Of 2×2 sums; with the channel mixed in with that stride; with a shortcut added to that.
    var box = false
    var mixing = 0
    var shortcut = false
    var description: String {
      "\(inputs) to \(outputs) of \(height)×\(width), stride \(stride), padding \(padding)"
        + (box ? ", box sums" : "") + (mixing > 0 ? ", mixing of stride \(mixing)" : "")
        + (shortcut ? ", a shortcut" : "")
    }
    var shape: Shape { Shape(channels: inputs, height: height, width: width) }
    /// Sides of what the convolution reads, the border included.
    var read: (Int, Int) {
      let border = 2 * padding - (box ? 1 : 0)
      return (height + border, width + border)
    }
    var output: Shape {
      Shape(
        channels: outputs, height: (read.0 - 3) / stride + 1, width: (read.1 - 3) / stride + 1)
    }
    static let all = [
      Layer(height: 7, width: 7, inputs: 16, outputs: 16, stride: 1, padding: 1),
      Layer(height: 9, width: 13, inputs: 3, outputs: 5, stride: 1, padding: 0),
      Layer(height: 12, width: 11, inputs: 17, outputs: 9, stride: 2, padding: 1),
      Layer(height: 15, width: 14, inputs: 4, outputs: 4, stride: 2, padding: 0),
      Layer(height: 14, width: 9, inputs: 5, outputs: 17, stride: 2, padding: 1, box: true),
      Layer(height: 7, width: 8, inputs: 6, outputs: 8, stride: 1, padding: 1, mixing: 1),
      Layer(
        height: 14, width: 14, inputs: 9, outputs: 7, stride: 2, padding: 1, box: true, mixing: 1),
      Layer(height: 7, width: 7, inputs: 10, outputs: 6, stride: 1, padding: 1, mixing: 2),
      Layer(
        height: 8, width: 7, inputs: 6, outputs: 8, stride: 1, padding: 1, mixing: 1, shortcut: true
      ),
    ]
  }

  /// Everything random that a call reads.
  private struct Arguments {
    let layer: Layer
    let lanes: Int
    let x: KernelSample
    let mixed: KernelSample?
    let added: KernelSample?
    let mixing: MixingWeights?
    let column: [Float]
    let weights: [Float]
    let map: Buffer<Float>
    let bias: Buffer<Float>

    init(_ layer: Layer, lanes: Int) throws {
      self.layer = layer
      self.lanes = lanes
      // One rest for all lanes where a channel is mixed in, as the engine has it.
      x = try KernelSample(lanes: layer.mixing > 0 ? 1 : lanes, size: layer.shape.count, key: 1)
      func random(_ count: Int, _ key: Int) throws -> Buffer<Float> {
        try KernelSample(lanes: 1, size: (count + 15) / 16, key: key).buffer
      }
      func array(_ buffer: Buffer<Float>, _ count: Int) -> [Float] {
        Array(UnsafeBufferPointer(start: buffer.pointer, count: count))
      }
      let count = layer.inputs
      column = array(try random(count * 9, 2), count * 9)
      weights = array(try random(layer.outputs * count * 9, 3), layer.outputs * count * 9)
      map = try random(2 * lanes * count, 4)
      bias = try random(layer.outputs, 5)
      guard layer.mixing > 0 else {
        (mixed, added, mixing) = (nil, nil, nil)
        return
      }
      let source = Shape(
        channels: 1, height: layer.height * layer.mixing, width: layer.width * layer.mixing)
      let window = rso_window(source, layer.shape, kernel: 3, stride: layer.mixing, padding: 1)
      mixed = try KernelSample(lanes: lanes, size: source.area, key: 6)
      added =
        layer.shortcut ? try KernelSample(lanes: lanes, size: layer.shape.count, key: 7) : nil
      mixing = try MixingWeights(window, outputs: count, reading: nil)
      mixing?.set(outputs: count, column[...])
    }

    var source: rso_source {
      var source = rso_source()
      source.x = UnsafePointer(x.pointer)
      source.x_lane = layer.mixing > 0 ? 0 : x.stride
      if let mixed, let mixing {
        source.mixed = UnsafePointer(mixed.pointer)
        source.mixed_lane = mixed.stride
        source.mixing = mixing.window
        source.column = UnsafePointer(mixing.packed.buffer.pointer)
        source.at_points = mixing.atPoints.map { UnsafePointer($0.pointer) }
      }
      if let added {
        source.added = UnsafePointer(added.pointer)
        source.added_lane = added.stride
      }
      source.scale = UnsafePointer(map.pointer)
      source.offset = UnsafePointer(map.pointer + lanes * layer.inputs)
      source.norm_lane = layer.inputs
      source.relu = 1
      source.lanes = Int32(lanes)
      source.channels = Int32(layer.inputs)
      source.height = Int32(layer.height)
      source.width = Int32(layer.width)
      return source
    }

    /// The source before it is normalised, and the mixed part of it.
    func value(_ lane: Int, _ c: Int, _ row: Int, _ column: Int, _ s: Int) -> Double {
      let place = (c * layer.height + row) * layer.width + column
      var sum = x[layer.mixing > 0 ? 0 : lane, place, s] + (added?[lane, place, s] ?? 0)
      guard let mixed, let window = mixing?.window else { return sum }
      for tap in 0..<9 {
        let (r, e) = (row * layer.mixing - 1 + tap / 3, column * layer.mixing - 1 + tap % 3)
        guard 0..<Int(window.height) ~= r, 0..<Int(window.width) ~= e else { continue }
        sum += Double(self.column[c * 9 + tap]) * mixed[lane, r * Int(window.width) + e, s]
      }
      return sum
    }

    /// What the convolution reads, zero outside.
    func read(_ lane: Int, _ s: Int) -> [Double] {
      let (height, width) = layer.read
      var result = Array(repeating: 0.0, count: layer.inputs * height * width)
      for c in 0..<layer.inputs {
        let scale = Double(map.pointer[lane * layer.inputs + c])
        let offset = Double(map.pointer[(lanes + lane) * layer.inputs + c])
        for row in 0..<layer.height {
          for column in 0..<layer.width {
            let v = max(value(lane, c, row, column, s) * scale + offset, 0)
            for dy in 0...(layer.box ? 1 : 0) {
              for dx in 0...(layer.box ? 1 : 0) {
                let (r, e) = (row + layer.padding - dy, column + layer.padding - dx)
                guard 0..<height ~= r, 0..<width ~= e else { continue }
                result[(c * height + r) * width + e] += v
              }
            }
          }
        }
      }
      return result
    }
  }

  /// The outputs and their moments, of 1 to 4 lanes.
  ///
  /// The bound is that of `LossBound` for one output: λ times the root of the sum of squares of all
  /// roundings. Where a tile of four is worst, squares grow 31.4 times in each dimension; at a point every
  /// channel is one rounding, and 12 lead there and back. Mixing errs less than that, which twice allows for.
  @Test(arguments: Layer.all, [1, 3, 4])
  func layer(layer: Layer, lanes: Int) throws {
    let a = try Arguments(layer, lanes: lanes)
    let u = try WinogradWeights(
      outputs: layer.outputs, inputs: layer.inputs, stride: layer.stride)
    u.set(outputs: layer.outputs, a.weights[...])
    let (height, width) = layer.read
    let out = layer.output
    let read = (0..<lanes).map { lane in (0..<16).map { a.read(lane, $0) } }
    let largest = read.joined().joined().reduce(1, max)
    let factor: Float = layer.box ? 0.25 : 1
    let valid = try Buffer((0..<lanes).map { Int32(16 - 5 * $0) })
    for kernels in Kernels.available {
      let y = try KernelSample(lanes: lanes, size: out.count)
      let sums = try Buffer<Double>(lanes * out.channels * 2)
      var call = rso_layer()
      call.source = a.source
      (call.u, call.bias, call.factor) = (
        UnsafePointer(u.buffer.pointer), UnsafePointer(a.bias.pointer), factor
      )
      (call.y, call.y_lane) = (y.pointer, y.stride)
      (call.origin, call.valid) = (UnsafePointer(a.bias.pointer), UnsafePointer(valid.pointer))
      (call.sums, call.sums_lane) = (sums.pointer, out.channels * 2)
      (call.stride, call.padding, call.box) = (
        Int32(layer.stride), Int32(layer.padding), layer.box ? 1 : 0
      )
      (call.out_channels, call.out_height, call.out_width) = (
        Int32(out.channels), Int32(out.height), Int32(out.width)
      )
      let workspace = try Buffer<Float>(Int(rso_layer_workspace(&call)))
      call.workspace = workspace.pointer
      kernels.table.pointee.layer(&call)

      let wrong = y.wrong { lane, i, s in
        let (o, row, column) = (i / out.area, i % out.area / out.width, i % out.width)
        var (sum, squares) = (0.0, 0.0)
        for c in 0..<layer.inputs {
          for tap in 0..<9 {
            let w = Double(a.weights[(o * layer.inputs + c) * 9 + tap])
            let (r, e) = (row * layer.stride + tap / 3, column * layer.stride + tap % 3)
            sum += w * read[lane][s][(c * height + r) * width + e]
            squares += w * w
          }
        }
        let roundings = (Double(layer.inputs + 12) * squares).squareRoot() * largest
        return (
          Double(factor) * sum + Double(a.bias.pointer[o]),
          2 * LossBound.λ * LossBound.roundoff * 31.4 * Double(factor) * roundings
        )
      }
      #expect(wrong == 0, "\(kernels.name), \(layer)")
      for lane in 0..<lanes {
        for o in 0..<out.channels {
          var (sum, squares, size) = (0.0, 0.0, 0.0)
          for s in 0..<max(Int(valid.pointer[lane]), 0) {
            for i in 0..<out.area {
              let d = y[lane, o * out.area + i, s] - Double(a.bias.pointer[o])
              (sum, squares, size) = (sum + d, squares + d * d, size + abs(d))
            }
          }
          let found = sums.pointer + (lane * out.channels + o) * 2
          #expect(abs(found[0] - sum) <= γ(out.area + 2) * size, "\(kernels.name), \(layer)")
          #expect(abs(found[1] - squares) <= γ(out.area + 4) * squares, "\(kernels.name), \(layer)")
        }
      }
    }
  }

  /// The moments, and the extremes, of a mixing layer's output that is not stored.
  @Test(arguments: Layer.all.filter { $0.mixing > 0 }, [1, 3, 4])
  func mixedMoments(layer: Layer, lanes: Int) throws {
    let a = try Arguments(layer, lanes: lanes)
    let valid = try Buffer((0..<lanes).map { Int32(16 - 5 * $0) })
    let shift = try Buffer((0..<layer.inputs).map { Float($0) / 10 })
    for kernels in Kernels.available {
      let sums = try Buffer<Double>(lanes * layer.inputs * 2)
      var source = a.source
      let workspace = try Buffer<Float>(Int(rso_source_workspace(&source)) + 16)
      source.workspace = workspace.pointer
      let bounds = layer.mixing == 1 ? try KernelSample(lanes: lanes, size: 2 * layer.inputs) : nil
      kernels.table.pointee.mixed_moments(
        &source, shift.pointer, valid.pointer, sums.pointer, layer.inputs * 2, bounds?.pointer,
        bounds?.stride ?? 0)
      for lane in 0..<lanes {
        for c in 0..<layer.inputs {
          var (sum, squares, size, count) = (0.0, 0.0, 0.0, 0.0)
          for s in 0..<max(Int(valid.pointer[lane]), 0) {
            for i in 0..<layer.shape.area {
              let d =
                a.value(lane, c, i / layer.width, i % layer.width, s) - Double(shift.pointer[c])
              (sum, squares, size, count) = (sum + d, squares + d * d, size + abs(d), count + 1)
            }
          }
          // An output of nine products of numbers up to 5 errs as in `layer`, in one dimension.
          let one =
            LossBound.λ * LossBound.roundoff * 31.4.squareRoot() * 5 * (9.0 + 12).squareRoot()
          let found = sums.pointer + (lane * layer.inputs + c) * 2
          #expect(
            abs(found[0] - sum) <= γ(layer.shape.area + 2) * size + count * one,
            "\(kernels.name), \(layer)")
          #expect(
            abs(found[1] - squares) <= γ(layer.shape.area + 4) * squares + 2 * size * one
              + count * one * one, "\(kernels.name), \(layer)")
          guard let bounds else { continue }
          for s in 0..<16 {
            let plane = (0..<layer.shape.area).map {
              a.value(lane, c, $0 / layer.width, $0 % layer.width, s)
            }
            #expect(abs(bounds[lane, 2 * c, s] - (plane.max() ?? .nan)) <= one)
            #expect(abs(bounds[lane, 2 * c + 1, s] - (plane.min() ?? .nan)) <= one)
          }
        }
      }
    }
  }
}
