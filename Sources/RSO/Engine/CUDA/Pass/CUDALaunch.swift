import CRSO

/// The kernels, by their names in `Sources/CRSO/cuda`.
enum CUDAKernel: String, CaseIterable {
  case convolve16_3, convolve16_1, convolve16, convolve4
  case mix7, mix4
  case tile7, tile4
  case tile7Box = "tile7_box"
  case tile4Box = "tile4_box"
  case matrix7, matrix8
  case matrix7Box = "matrix7_box"
  case matrix8Box = "matrix8_box"
  case matrix7TF32 = "matrix7_tf32"
  case matrix8TF32 = "matrix8_tf32"
  case matrix7BoxTF32 = "matrix7_box_tf32"
  case matrix8BoxTF32 = "matrix8_box_tf32"
  case matrix7Halves = "matrix7_halves"
  case matrix8Halves = "matrix8_halves"
  case matrix7BoxHalves = "matrix7_box_halves"
  case matrix8BoxHalves = "matrix8_box_halves"
  case matrix7FP16 = "matrix7_fp16"
  case matrix8FP16 = "matrix8_fp16"
  case matrix7BoxFP16 = "matrix7_box_fp16"
  case matrix8BoxFP16 = "matrix8_box_fp16"
  case depthwise, pool, moments, settle, add, copy, pack, rows, start, take, classify
  case poolImages = "pool_images"
  case shiftAdd = "shift_add"
  case loadImages = "load_images"
  case crossEntropy = "cross_entropy"
  case sampleLosses = "sample_losses"
  case classifyLosses = "classify_losses"
  case decideGiven = "decide_given"

  /// Whether the kernel may ask for more shared memory than usual.
  var isTile: Bool { ["tile", "matrix", "mix"].contains { rawValue.hasPrefix($0) } }
}

/// One kernel launch with its arguments.
struct CUDALaunch {
  let kernel: CUDAKernel
  /// Number of blocks, and threads per block.
  let grid: (x: Int, y: Int, z: Int)
  let block: (x: Int, y: Int)
  /// Bytes of dynamic shared memory.
  let shared: Int
  /// Launches of a branch run in order, but beside other branches: see `CUDAGraph`.
  var branch: Int?
  /// The bytes of the kernel's argument struct.
  let arguments: [UInt8]

  init<Arguments>(
    _ kernel: CUDAKernel, grid: (x: Int, y: Int, z: Int), block: (x: Int, y: Int),
    shared: Int = 0, _ arguments: Arguments
  ) {
    self.kernel = kernel
    self.grid = grid
    self.block = block
    self.shared = shared
    self.arguments = withUnsafeBytes(of: arguments) { Array($0) }
  }

  /// One thread for `lanes` samples of every place. A block has 32 threads' worth of samples at neighbouring places,
  /// whose windows overlap.
  ///
  /// - Parameters:
  ///   - samples: samples of one place, including padding.
  ///   - lanes: samples per thread.
  ///   - planes: number of candidates and channels.
  static func overPlaces<Arguments>(
    _ kernel: CUDAKernel, samples: Int, lanes: Int = rso_gpu_quad, area: Int,
    planes: Int, _ arguments: Arguments
  ) -> CUDALaunch {
    let height = min(area, 4)
    return CUDALaunch(
      kernel,
      grid: ((samples + 32 * lanes - 1) / (32 * lanes), (area + height - 1) / height, planes),
      block: (32, height), arguments)
  }

  /// The most blocks that a card starts in the second and third direction of a grid.
  private static let most = 65_535

  /// Whether kernels of `overPlaces` can have so many candidates and channels.
  static func fits(planes: Int) -> Bool { planes <= most }

  /// - Throws: `RSOError` naming the card, and the layer whose channels or places are too many for the kernels of
  ///   `overPlaces`.
  static func check(_ network: Network, _ card: String) throws {
    let names = ["input"] + network.nodes.map(\.name)
    for (index, shape) in network.shapes.enumerated() {
      // Three candidates of a proposal are computed together.
      let channels = index == 0 ? most : most / 3
      guard shape.channels <= channels, (shape.area + 3) / 4 <= most else {
        throw RSOError(
          card,
          "\(names[index]): expected at most \(channels) channels of \(4 * most) values, found \(shape)",
          hint: "use --device cpu, which has no such limit")
      }
    }
  }

  /// One thread for each of `count` items.
  static func over<Arguments>(
    _ kernel: CUDAKernel, count: Int, _ arguments: Arguments
  ) -> CUDALaunch {
    CUDALaunch(kernel, grid: ((count + 127) / 128, 1, 1), block: (128, 1), arguments)
  }
}
