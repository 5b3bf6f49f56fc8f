import CRSO

/// The compiled kernels on a card.
final class CUDAModule {
  let context: CUDAContext
  private let module: CUDADriver.Handle
  private let functions: [CUDAKernel: CUDADriver.Handle]
  /// Whether launches may begin before the ones in front of them end.
  let canOverlap: Bool

  /// - Parameters:
  ///   - image: NVRTC's output for the card.
  ///   - overlaps: launches may begin before the ones in front of them end, if card and driver can do so.
  init(_ context: CUDAContext, image: [UInt8], overlaps: Bool = false) throws {
    // Graphs take such launches since CUDA 12.3.
    canOverlap =
      overlaps && context.card.capability.number >= 90 && context.card.driverVersion >= 12030
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
  ///
  /// - Parameter followsKernel: the last work on the stream is a kernel. Where launches may overlap, this one's blocks then
  ///   come to the card as soon as there is room, and wait for that kernel's end in their first line (`awaitEarlier`).
  func launch(
    _ launch: CUDALaunch, on stream: CUDADriver.Handle? = nil, followsKernel: Bool = false
  ) throws {
    guard let function = functions[launch.kernel] else { return }
    let (grid, block) = (launch.grid, launch.block)
    var arguments = launch.arguments
    let stream = stream ?? context.stream
    let overlaps = canOverlap && followsKernel
    let status = arguments.withUnsafeMutableBytes { bytes in
      var pointer = bytes.baseAddress
      return withUnsafeMutablePointer(to: &pointer) { pointers in
        guard overlaps else {
          return context.driver.cuLaunchKernel(
            function, UInt32(grid.x), UInt32(grid.y), UInt32(grid.z), UInt32(block.x),
            UInt32(block.y), 1, UInt32(launch.shared), stream, pointers, nil)
        }
        var attribute = rso_launch_attribute()
        attribute.id = Int32(rso_launch_overlaps)
        attribute.value.number = 1
        return withUnsafeMutablePointer(to: &attribute) { attributes in
          var configuration = rso_launch_configuration(
            grid: (UInt32(grid.x), UInt32(grid.y), UInt32(grid.z)),
            block: (UInt32(block.x), UInt32(block.y), 1), shared: UInt32(launch.shared),
            stream: stream.map { UnsafeMutableRawPointer($0) }, attributes: attributes,
            attribute_count: 1)
          return context.driver.cuLaunchKernelEx(&configuration, function, pointers, nil)
        }
      }
    }
    let call = overlaps ? "cuLaunchKernelEx" : "cuLaunchKernel"
    try context.check("\(call)(\(launch.kernel.rawValue))", status)
  }

  func launch(_ launches: [CUDALaunch]) throws { for one in launches { try launch(one) } }
}
