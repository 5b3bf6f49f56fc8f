import CRSO

/// The functions of NVIDIA's driver that the CUDA engine calls, under their own names.
///
/// A table, so that tests can substitute functions. `load` fills it from `libcuda.so.1` at run time: nothing is linked,
/// and building needs nothing from CUDA. Device addresses are `UInt64`, handles are opaque.
package struct CUDADriver: @unchecked Sendable {
  package typealias Status = Int32
  typealias Out<T> = UnsafeMutablePointer<T>
  typealias Handle = OpaquePointer?

  /// The path of the library.
  package var path: String

  var cuGetErrorName: (Status, Out<UnsafePointer<CChar>?>) -> Status
  var cuGetErrorString: (Status, Out<UnsafePointer<CChar>?>) -> Status
  var cuInit: (UInt32) -> Status
  var cuDriverGetVersion: (Out<Int32>) -> Status
  var cuDeviceGetCount: (Out<Int32>) -> Status
  var cuDeviceGet: (Out<Int32>, Int32) -> Status
  var cuDeviceGetName: (Out<CChar>, Int32, Int32) -> Status
  var cuDeviceGetAttribute: (Out<Int32>, Int32, Int32) -> Status
  var cuDeviceTotalMem: (Out<Int>, Int32) -> Status
  var cuDevicePrimaryCtxRetain: (Out<Handle>, Int32) -> Status
  var cuDevicePrimaryCtxRelease: (Int32) -> Status
  var cuCtxSetCurrent: (Handle) -> Status
  var cuMemGetInfo: (Out<Int>, Out<Int>) -> Status
  var cuMemAlloc: (Out<UInt64>, Int) -> Status
  var cuMemFree: (UInt64) -> Status
  var cuMemAllocHost: (Out<UnsafeMutableRawPointer?>, Int) -> Status
  var cuMemFreeHost: (UnsafeMutableRawPointer) -> Status
  var cuMemcpyHtoDAsync: (UInt64, UnsafeRawPointer, Int, Handle) -> Status
  var cuMemcpyDtoHAsync: (UnsafeMutableRawPointer, UInt64, Int, Handle) -> Status
  var cuMemsetD8Async: (UInt64, UInt8, Int, Handle) -> Status
  var cuModuleLoadData: (Out<Handle>, UnsafeRawPointer) -> Status
  var cuModuleUnload: (Handle) -> Status
  var cuModuleGetFunction: (Out<Handle>, Handle, UnsafePointer<CChar>) -> Status
  var cuFuncSetAttribute: (Handle, Int32, Int32) -> Status
  var cuStreamCreate: (Out<Handle>, UInt32) -> Status
  var cuStreamDestroy: (Handle) -> Status
  var cuStreamSynchronize: (Handle) -> Status
  var cuStreamWaitEvent: (Handle, Handle, UInt32) -> Status
  var cuEventCreate: (Out<Handle>, UInt32) -> Status
  var cuEventRecord: (Handle, Handle) -> Status
  var cuEventDestroy: (Handle) -> Status
  var cuStreamBeginCapture: (Handle, Int32) -> Status
  var cuStreamEndCapture: (Handle, Out<Handle>) -> Status
  var cuGraphInstantiate: (Out<Handle>, Handle, UInt64) -> Status
  var cuGraphLaunch: (Handle, Handle) -> Status
  var cuGraphExecDestroy: (Handle) -> Status
  var cuGraphDestroy: (Handle) -> Status
  /// Function, grid x, y, z, block x, y, z, bytes of shared memory, stream, arguments, extra.
  var cuLaunchKernel:
    (
      Handle, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, Handle,
      Out<UnsafeMutableRawPointer?>?, Out<UnsafeMutableRawPointer?>?
    ) -> Status
  /// Configuration, function, arguments, extra.
  var cuLaunchKernelEx:
    (
      UnsafePointer<rso_launch_configuration>, Handle, Out<UnsafeMutableRawPointer?>?,
      Out<UnsafeMutableRawPointer?>?
    ) -> Status
}

extension CUDADriver {
  /// Opens the driver.
  ///
  /// - Throws: `RSOError` if there is none, or it lacks a function.
  package static func load(_ paths: CUDAPaths = CUDAPaths()) throws -> CUDADriver {
    let library: SharedLibrary
    do {
      library = try SharedLibrary(
        paths.driver, hint: "install NVIDIA's driver, or set RSO_CUDA_PATH to the library's folder")
    } catch let error as RSOError {
      throw RSOError("libcuda.so.1", error.problem, hint: error.hint)
    }
    func find<F>(_ name: String, _ type: F.Type) throws -> F {
      try library.function(name, as: type)
    }
    typealias P = UnsafeMutablePointer
    return CUDADriver(
      path: library.path(of: "cuInit") ?? library.name,
      cuGetErrorName: try find(
        "cuGetErrorName", (@convention(c) (Status, P<UnsafePointer<CChar>?>) -> Status).self),
      cuGetErrorString: try find(
        "cuGetErrorString", (@convention(c) (Status, P<UnsafePointer<CChar>?>) -> Status).self),
      cuInit: try find("cuInit", (@convention(c) (UInt32) -> Status).self),
      cuDriverGetVersion: try find(
        "cuDriverGetVersion", (@convention(c) (P<Int32>) -> Status).self),
      cuDeviceGetCount: try find("cuDeviceGetCount", (@convention(c) (P<Int32>) -> Status).self),
      cuDeviceGet: try find("cuDeviceGet", (@convention(c) (P<Int32>, Int32) -> Status).self),
      cuDeviceGetName: try find(
        "cuDeviceGetName", (@convention(c) (P<CChar>, Int32, Int32) -> Status).self),
      cuDeviceGetAttribute: try find(
        "cuDeviceGetAttribute", (@convention(c) (P<Int32>, Int32, Int32) -> Status).self),
      cuDeviceTotalMem: try find(
        "cuDeviceTotalMem_v2", (@convention(c) (P<Int>, Int32) -> Status).self),
      cuDevicePrimaryCtxRetain: try find(
        "cuDevicePrimaryCtxRetain", (@convention(c) (P<Handle>, Int32) -> Status).self),
      cuDevicePrimaryCtxRelease: try find(
        "cuDevicePrimaryCtxRelease_v2", (@convention(c) (Int32) -> Status).self),
      cuCtxSetCurrent: try find("cuCtxSetCurrent", (@convention(c) (Handle) -> Status).self),
      cuMemGetInfo: try find(
        "cuMemGetInfo_v2", (@convention(c) (P<Int>, P<Int>) -> Status).self),
      cuMemAlloc: try find("cuMemAlloc_v2", (@convention(c) (P<UInt64>, Int) -> Status).self),
      cuMemFree: try find("cuMemFree_v2", (@convention(c) (UInt64) -> Status).self),
      cuMemAllocHost: try find(
        "cuMemAllocHost_v2",
        (@convention(c) (P<UnsafeMutableRawPointer?>, Int) -> Status).self),
      cuMemFreeHost: try find(
        "cuMemFreeHost", (@convention(c) (UnsafeMutableRawPointer) -> Status).self),
      cuMemcpyHtoDAsync: try find(
        "cuMemcpyHtoDAsync_v2",
        (@convention(c) (UInt64, UnsafeRawPointer, Int, Handle) -> Status).self),
      cuMemcpyDtoHAsync: try find(
        "cuMemcpyDtoHAsync_v2",
        (@convention(c) (UnsafeMutableRawPointer, UInt64, Int, Handle) -> Status).self),
      cuMemsetD8Async: try find(
        "cuMemsetD8Async", (@convention(c) (UInt64, UInt8, Int, Handle) -> Status).self),
      cuModuleLoadData: try find(
        "cuModuleLoadData", (@convention(c) (P<Handle>, UnsafeRawPointer) -> Status).self),
      cuModuleUnload: try find("cuModuleUnload", (@convention(c) (Handle) -> Status).self),
      cuModuleGetFunction: try find(
        "cuModuleGetFunction",
        (@convention(c) (P<Handle>, Handle, UnsafePointer<CChar>) -> Status).self),
      cuFuncSetAttribute: try find(
        "cuFuncSetAttribute", (@convention(c) (Handle, Int32, Int32) -> Status).self),
      cuStreamCreate: try find(
        "cuStreamCreate", (@convention(c) (P<Handle>, UInt32) -> Status).self),
      cuStreamDestroy: try find("cuStreamDestroy_v2", (@convention(c) (Handle) -> Status).self),
      cuStreamSynchronize: try find(
        "cuStreamSynchronize", (@convention(c) (Handle) -> Status).self),
      cuStreamWaitEvent: try find(
        "cuStreamWaitEvent", (@convention(c) (Handle, Handle, UInt32) -> Status).self),
      cuEventCreate: try find(
        "cuEventCreate", (@convention(c) (P<Handle>, UInt32) -> Status).self),
      cuEventRecord: try find("cuEventRecord", (@convention(c) (Handle, Handle) -> Status).self),
      cuEventDestroy: try find("cuEventDestroy_v2", (@convention(c) (Handle) -> Status).self),
      cuStreamBeginCapture: try find(
        "cuStreamBeginCapture_v2", (@convention(c) (Handle, Int32) -> Status).self),
      cuStreamEndCapture: try find(
        "cuStreamEndCapture", (@convention(c) (Handle, P<Handle>) -> Status).self),
      cuGraphInstantiate: try find(
        "cuGraphInstantiateWithFlags", (@convention(c) (P<Handle>, Handle, UInt64) -> Status).self),
      cuGraphLaunch: try find("cuGraphLaunch", (@convention(c) (Handle, Handle) -> Status).self),
      cuGraphExecDestroy: try find("cuGraphExecDestroy", (@convention(c) (Handle) -> Status).self),
      cuGraphDestroy: try find("cuGraphDestroy", (@convention(c) (Handle) -> Status).self),
      cuLaunchKernel: try find(
        "cuLaunchKernel",
        (@convention(c) (
          Handle, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, Handle,
          P<UnsafeMutableRawPointer?>?, P<UnsafeMutableRawPointer?>?
        ) -> Status).self),
      cuLaunchKernelEx: try find(
        "cuLaunchKernelEx",
        (@convention(c) (
          UnsafePointer<rso_launch_configuration>, Handle, P<UnsafeMutableRawPointer?>?,
          P<UnsafeMutableRawPointer?>?
        ) -> Status).self))
  }
}

// MARK: Errors

extension CUDADriver {
  /// The only place that turns a driver status into a Swift error, which names the call, what the driver says, and what
  /// to do.
  ///
  /// - Parameter subject: the device, if there is one.
  func check(_ call: String, _ subject: String = "cuda", _ status: Status) throws {
    guard status != 0 else { return }
    guard status != Self.isStub else {
      throw RSOError(
        subject,
        "\(path) is no driver but the stub of NVIDIA's toolkit, which programs are linked with: \(call) "
          + "failed with CUDA_ERROR_STUB_LIBRARY (\(status))",
        hint: "install NVIDIA's driver, or take the stub's folder out of RSO_CUDA_PATH and "
          + "LD_LIBRARY_PATH")
    }
    var (name, text): (UnsafePointer<CChar>?, UnsafePointer<CChar>?)
    let named = cuGetErrorName(status, &name) == 0 && cuGetErrorString(status, &text) == 0
    let reason =
      named
      ? [name, text].compactMap { $0.map { String(cString: $0) } }.joined(separator: ", ")
      : "error \(status)"
    throw RSOError(subject, "\(call) failed: \(reason)", hint: Self.hint(status))
  }

  /// The stub library returns it from every function (`CUDA_ERROR_STUB_LIBRARY` in NVIDIA's `cuda.h`).
  private static let isStub: Status = 34

  /// What to do about a status (`CUresult` in NVIDIA's `cuda.h`).
  static func hint(_ status: Status) -> String? {
    switch status {
    case 2: "the card's memory is full: use a smaller `batchSize`, or end what else runs on it"
    case 35: "update NVIDIA's driver: this one is older than what it is asked to do"
    case 46: "another process has the card to itself: see nvidia-smi"
    case 100: "the driver finds no card: see nvidia-smi, and CUDA_VISIBLE_DEVICES"
    case 101: "rso devices lists the cards"
    case 200, 209, 218, 222:
      "the kernels do not suit card or driver: delete rso/cuda in the cache folder"
    case 500: "the kernels are of another version: delete rso/cuda in the cache folder"
    case 700, 715, 717, 718, 719:
      "a kernel failed: please report it with the command; the CPU computes the same"
    case 702: "a kernel ran longer than the system allows a card that also drives a screen"
    case 802, 803, 804, 999:
      "driver and system do not fit together: a restart may help, see nvidia-smi"
    default: nil
    }
  }
}
