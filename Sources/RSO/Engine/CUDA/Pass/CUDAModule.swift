import CRSO

/// The compiled kernels on a card.
final class CUDAModule {
  let context: CUDAContext
  private let module: CUDADriver.Handle
  private let functions: [CUDAKernel: CUDADriver.Handle]

  /// - Parameter image: NVRTC's output for the card.
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

  /// Queues a kernel after all earlier work on its stream.
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
