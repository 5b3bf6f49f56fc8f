import CRSO

/// The kernels by the names they have in `Sources/CRSO/cuda`.
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
  case pool, moments, settle, add, copy, shift, pack, rows, start, classify
  case poolImages = "pool_images"
  case loadImages = "load_images"
  case crossEntropy = "cross_entropy"

  /// May ask for more shared memory than is usual.
  var isTile: Bool { ["tile", "matrix", "mix"].contains { rawValue.hasPrefix($0) } }
}

/// One kernel to launch, with its arguments.
struct CUDALaunch {
  let kernel: CUDAKernel
  /// Blocks, and threads of each.
  let grid: (x: Int, y: Int, z: Int)
  let block: (x: Int, y: Int)
  /// Bytes of shared memory that the kernel leaves to the launch.
  let shared: Int
  /// Those of a branch run in order, but beside others: see `CUDAGraph`.
  var branch: Int?
  /// The bytes of the kernel's struct.
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

  /// A thread for `rso_gpu_lanes` samples of every place: a block has 32 threads' worth of samples at neighbouring
  /// places, which share what their windows read.
  ///
  /// - Parameters:
  ///   - samples: of one place, padding included.
  ///   - lanes: samples of one thread.
  ///   - planes: whatever else there is, results and channels.
  static func overPlaces<Arguments>(
    _ kernel: CUDAKernel, samples: Int, lanes: Int = rso_gpu_lanes, area: Int,
    planes: Int, _ arguments: Arguments
  ) -> CUDALaunch {
    let height = min(area, 4)
    return CUDALaunch(
      kernel,
      grid: ((samples + 32 * lanes - 1) / (32 * lanes), (area + height - 1) / height, planes),
      block: (32, height), arguments)
  }

  /// A thread for every one of `count` things.
  static func over<Arguments>(
    _ kernel: CUDAKernel, count: Int, _ arguments: Arguments
  ) -> CUDALaunch {
    CUDALaunch(kernel, grid: ((count + 127) / 128, 1, 1), block: (128, 1), arguments)
  }
}

/// The compiled kernels on a card.
final class CUDAModule {
  let context: CUDAContext
  private let module: CUDADriver.Handle
  private let functions: [CUDAKernel: CUDADriver.Handle]

  /// - Parameter image: what NVRTC made for the card.
  init(_ context: CUDAContext, image: [UInt8]) throws {
    let driver = context.driver
    var module: CUDADriver.Handle = nil
    try context.check("cuModuleLoadData", driver.cuModuleLoadData(&module, image))
    var functions: [CUDAKernel: CUDADriver.Handle] = [:]
    do {
      for kernel in CUDAKernel.allCases {
        var function: CUDADriver.Handle = nil
        try context.check(
          "cuModuleGetFunction(\(kernel.rawValue))",
          driver.cuModuleGetFunction(&function, module, kernel.rawValue))
        if kernel.isTile {
          // 8: CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
          try context.check(
            "cuFuncSetAttribute", driver.cuFuncSetAttribute(function, 8, Int32(rso_gpu_shared)))
        }
        functions[kernel] = function
      }
    } catch {
      _ = driver.cuModuleUnload(module)
      throw error
    }
    self.context = context
    self.module = module
    self.functions = functions
  }

  deinit { _ = context.driver.cuModuleUnload(module) }

  /// Asks for a kernel to run after everything asked for before it on its stream.
  func launch(_ launch: CUDALaunch, on stream: CUDADriver.Handle? = nil) throws {
    guard let function = functions[launch.kernel] else { return }
    let (grid, block) = (launch.grid, launch.block)
    var arguments = launch.arguments
    let status = arguments.withUnsafeMutableBytes { bytes in
      var pointer = bytes.baseAddress
      return withUnsafeMutablePointer(to: &pointer) { pointers in
        context.driver.cuLaunchKernel(
          function, UInt32(grid.x), UInt32(grid.y), UInt32(grid.z), UInt32(block.x),
          UInt32(block.y), 1, UInt32(launch.shared), stream ?? context.stream, pointers, nil)
      }
    }
    try context.check("cuLaunchKernel(\(launch.kernel.rawValue))", status)
  }

  func launch(_ launches: [CUDALaunch]) throws { for one in launches { try launch(one) } }
}

/// Launches captured once and started together, so that what the host does for one of them does not set the pace.
final class CUDAGraph {
  private let module: CUDAModule
  private let graph: CUDADriver.Handle

  /// - Parameter turns: launches of turns; all of one are done before the next begins.
  init(_ module: CUDAModule, _ turns: [[CUDALaunch]]) throws {
    let (context, driver) = (module.context, module.context.driver)
    // 1: only this thread's calls are looked at.
    try context.check("cuStreamBeginCapture", driver.cuStreamBeginCapture(context.stream, 1))
    var captured: CUDADriver.Handle = nil
    do {
      for turn in turns { try Self.launch(turn, module) }
    } catch {
      // The capture must end, or the stream takes nothing more.
      if driver.cuStreamEndCapture(context.stream, &captured) == 0 {
        _ = driver.cuGraphDestroy(captured)
      }
      throw error
    }
    try context.check("cuStreamEndCapture", driver.cuStreamEndCapture(context.stream, &captured))
    defer { _ = driver.cuGraphDestroy(captured) }
    var graph: CUDADriver.Handle = nil
    try context.check("cuGraphInstantiate", driver.cuGraphInstantiate(&graph, captured, 0))
    self.module = module
    self.graph = graph
  }

  deinit { _ = module.context.driver.cuGraphExecDestroy(graph) }

  /// Asks for a turn's launches: those of a branch after what came before the first of them, and beside what comes after.
  private static func launch(_ launches: [CUDALaunch], _ module: CUDAModule) throws {
    let context = module.context
    var branches: Set<Int> = []
    for launch in launches {
      guard let branch = launch.branch else {
        try module.launch(launch)
        continue
      }
      let stream = try context.branch(branch)
      if branches.insert(branch).inserted { try context.order(stream, after: context.stream) }
      try module.launch(launch, on: stream)
    }
    for branch in branches.sorted() {
      try context.order(context.stream, after: context.branch(branch))
    }
  }

  func launch() throws {
    let context = module.context
    try context.check("cuGraphLaunch", context.driver.cuGraphLaunch(graph, context.stream))
  }
}

/// The turns of a sweep, all of the same launches: one, and many in a row as one graph.
struct CUDATurnGraphs {
  static let many = 16
  private let one: CUDAGraph
  private let row: CUDAGraph

  /// - Parameter launches: of one turn.
  init(_ module: CUDAModule, _ launches: [CUDALaunch]) throws {
    one = try CUDAGraph(module, [launches])
    row = try CUDAGraph(module, Array(repeating: launches, count: Self.many))
  }

  func launch(_ turns: Int) throws {
    for _ in 0..<turns / Self.many { try row.launch() }
    for _ in 0..<turns % Self.many { try one.launch() }
  }
}
