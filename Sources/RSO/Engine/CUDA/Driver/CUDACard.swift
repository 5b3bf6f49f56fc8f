/// A card as the driver describes it.
package struct CUDACard: Hashable, Sendable {
  package var handle: Int32
  /// Such as `NVIDIA H100 80GB HBM3`.
  package var name: String
  package var capability: Capability
  package var multiprocessors: Int
  /// Bytes.
  package var memory: Int
  /// The latest CUDA version that the driver supports, 1000 · major + 10 · minor.
  package var driverVersion: Int

  package struct Capability: Hashable, Sendable, CustomStringConvertible {
    var number: Int
    package var description: String { "\(number / 10).\(number % 10)" }
  }

  package var architecture: NVRTC.Architecture { .init(number: capability.number) }

  /// Every card of this machine.
  ///
  /// - Throws: `RSOError` if there is none, or the driver is too old.
  package static func all(_ driver: CUDADriver, subject: String = "cuda") throws -> [CUDACard] {
    try driver.check("cuInit", subject, driver.cuInit(0))
    var version: Int32 = 0
    try driver.check("cuDriverGetVersion", subject, driver.cuDriverGetVersion(&version))
    guard version >= 12000 else {
      throw RSOError(
        subject,
        "expected a driver for CUDA 12.0 or later, found one for \(cudaVersion(Int(version)))",
        hint: "update NVIDIA's driver")
    }
    var count: Int32 = 0
    try driver.check("cuDeviceGetCount", subject, driver.cuDeviceGetCount(&count))
    guard count > 0 else {
      throw RSOError(subject, "the driver finds no card", hint: CUDADriver.hint(100))
    }
    return try (0..<count).map { index in
      var handle: Int32 = 0
      try driver.check("cuDeviceGet", subject, driver.cuDeviceGet(&handle, index))
      var name = [CChar](repeating: 0, count: 256)
      try driver.check(
        "cuDeviceGetName", subject, driver.cuDeviceGetName(&name, Int32(name.count), handle))
      func attribute(_ number: Int32) throws -> Int {
        var value: Int32 = 0
        try driver.check(
          "cuDeviceGetAttribute", subject, driver.cuDeviceGetAttribute(&value, number, handle))
        return Int(value)
      }
      var memory = 0
      try driver.check("cuDeviceTotalMem", subject, driver.cuDeviceTotalMem(&memory, handle))
      return CUDACard(
        handle: handle,
        name: String(
          decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self),
        // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR and _MULTIPROCESSOR_COUNT
        capability: Capability(number: try 10 * attribute(75) + attribute(76)),
        multiprocessors: try attribute(16), memory: memory, driverVersion: Int(version))
    }
  }
}

/// `12.4` for 12040.
package func cudaVersion(_ number: Int) -> String { "\(number / 1000).\(number % 1000 / 10)" }
