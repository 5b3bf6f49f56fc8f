import CRSO
import Testing

@testable import RSO

/// The pooling kernels of every instruction set against plain loops in double precision.
@Suite struct PoolingKernelTests {
  struct Window: Sendable, CustomStringConvertible {
    var channels: Int, height: Int, width: Int, kernel: Int, stride: Int, padding: Int
    var description: String {
      "\(channels) of \(height)×\(width), kernel \(kernel), stride \(stride), padding \(padding)"
    }
    var area: Int { height * width }
    var outHeight: Int { (height + 2 * padding - kernel) / stride + 1 }
    var outWidth: Int { (width + 2 * padding - kernel) / stride + 1 }
    var outArea: Int { outHeight * outWidth }
    var c: rso_window {
      rso_window(
        Shape(channels: channels, height: height, width: width),
        Shape(channels: channels, height: outHeight, width: outWidth), kernel: kernel,
        stride: stride, padding: padding)
    }
    /// Inputs under the window at output `i`, counted over all channels.
    func inputs(_ i: Int) -> [Int] {
      let (channel, p) = (i / outArea, i % outArea)
      var found: [Int] = []
      for tap in 0..<kernel * kernel {
        let row = p / outWidth * stride - padding + tap / kernel
        let column = p % outWidth * stride - padding + tap % kernel
        guard 0..<height ~= row, 0..<width ~= column else { continue }
        found.append(channel * area + row * width + column)
      }
      return found
    }
    static let all = [
      Window(channels: 3, height: 7, width: 5, kernel: 2, stride: 2, padding: 0),
      Window(channels: 1, height: 9, width: 8, kernel: 3, stride: 2, padding: 1),
      Window(channels: 5, height: 6, width: 11, kernel: 3, stride: 1, padding: 1),
      Window(channels: 2, height: 8, width: 9, kernel: 7, stride: 3, padding: 3),
      Window(channels: 17, height: 5, width: 5, kernel: 5, stride: 1, padding: 0),
      Window(channels: 2, height: 3, width: 4, kernel: 1, stride: 2, padding: 0),
    ]
  }

  @Test(arguments: Window.all, [1, 2, 3])
  func averagePool(window w: Window, lanes: Int) throws {
    let x = try KernelSample(lanes: lanes, size: w.channels * w.area, key: 1)
    for kernels in Kernels.available {
      let y = try KernelSample(lanes: lanes, size: w.channels * w.outArea)
      var (map, window) = (x.map(to: y, channels: w.channels, area: w.area), w.c)
      kernels.table.pointee.average_pool(&map, &window)
      let wrong = y.wrong { lane, i, sample in
        let terms = w.inputs(i).map { x[lane, $0, sample] }
        let share = 1 / Double(w.kernel * w.kernel)
        // n − 1 additions, 1 / k² rounded, and its product.
        return (
          terms.reduce(0, +) * share,
          γ(terms.count + 1) * terms.reduce(0) { $0 + abs($1) } * share
        )
      }
      #expect(wrong == 0, "\(kernels.name), \(w)")
    }
  }

  @Test(arguments: Window.all, [1, 2, 3])
  func maxPool(window w: Window, lanes: Int) throws {
    let x = try KernelSample(lanes: lanes, size: w.channels * w.area, key: 2)
    for kernels in Kernels.available {
      let y = try KernelSample(lanes: lanes, size: w.channels * w.outArea)
      var (map, window) = (x.map(to: y, channels: w.channels, area: w.area), w.c)
      kernels.table.pointee.max_pool(&map, &window)
      // Comparing does not round.
      let wrong = y.wrong { lane, i, sample in
        (w.inputs(i).map { x[lane, $0, sample] }.max() ?? .nan, 0)
      }
      #expect(wrong == 0, "\(kernels.name), \(w)")
    }
  }

  static let planes = [(channels: 1, area: 1), (3, 35), (17, 4), (16, 49)]

  @Test(arguments: planes, [1, 2, 3])
  func globalPools(plane: (channels: Int, area: Int), lanes: Int) throws {
    let (channels, area) = plane
    let x = try KernelSample(lanes: lanes, size: channels * area, key: 3)
    for kernels in Kernels.available {
      let most = try KernelSample(lanes: lanes, size: channels)
      let mean = try KernelSample(lanes: lanes, size: channels)
      let both = try KernelSample(lanes: lanes, size: 2 * channels)
      func call(_ kernel: (UnsafePointer<rso_map>) -> Void, _ y: KernelSample) {
        var map = x.map(to: y, channels: channels, area: area)
        kernel(&map)
      }
      call(kernels.table.pointee.global_max, most)
      call(kernels.table.pointee.global_average, mean)
      call(kernels.table.pointee.extremes, both)
      func plane(_ lane: Int, _ channel: Int, _ sample: Int) -> [Double] {
        (0..<area).map { x[lane, channel * area + $0, sample] }
      }
      let at = "\(kernels.name), \(channels) of \(area), \(lanes) lanes"
      #expect(most.wrong { (plane($0, $1, $2).max() ?? .nan, 0) } == 0, "\(at)")
      #expect(
        both.wrong { lane, i, sample in
          let values = plane(lane, i / 2, sample)
          return ((i % 2 == 0 ? values.max() : values.min()) ?? .nan, 0)
        } == 0, "\(at)")
      #expect(
        mean.wrong { lane, i, sample in
          let values = plane(lane, i, sample)
          // n − 1 additions, 1 / n rounded, and its product.
          return (
            values.reduce(0, +) / Double(area),
            γ(area + 1) * values.reduce(0) { $0 + abs($1) } / Double(area)
          )
        } == 0, "\(at)")
    }
  }

  /// The larger of what an affine map makes of a maximum and a minimum: that of the minimum where the
  /// scale is negative.
  @Test(arguments: [1, 3, 17], [1, 3])
  func normalizeExtremes(channels: Int, lanes: Int) throws {
    let spread = try KernelSample(lanes: lanes, size: channels * 9, key: 4)
    let scale = try KernelSample(lanes: lanes, size: channels, key: 5)
    let offset = try KernelSample(lanes: lanes, size: channels, key: 6)
    for kernels in Kernels.available {
      let x = try KernelSample(lanes: lanes, size: 2 * channels)
      var map = spread.map(to: x, channels: channels, area: 9)
      kernels.table.pointee.extremes(&map)
      // Scale and offset are [channels] per lane: the first numbers of each lane serve.
      let y = try KernelSample(lanes: lanes, size: channels)
      map = x.map(to: y, channels: channels, area: 1)
      kernels.table.pointee.normalize_extremes(&map, scale.pointer, offset.pointer, scale.stride)
      let wrong = y.wrong { lane, c, sample in
        let s = Double(scale.pointer[lane * scale.stride + c])
        let o = Double(offset.pointer[lane * offset.stride + c])
        let mapped = [0, 1].map { s * x[lane, 2 * c + $0, sample] }
        let largest = mapped.max() ?? .nan
        // A product and a sum.
        return (largest + o, γ(2) * (abs(largest) + abs(o)))
      }
      #expect(wrong == 0, "\(kernels.name), \(channels), \(lanes) lanes")
    }
  }
}
