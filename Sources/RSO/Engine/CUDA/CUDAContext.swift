/// One card, ready to compute: its context, one stream, and the funnel for errors.
///
/// Everything that lives on the card holds the context, so it goes last.
final class CUDAContext {
  let driver: CUDADriver
  /// `cuda:0`
  let name: String
  let card: CUDACard
  private let context: CUDADriver.Handle
  let stream: CUDADriver.Handle
  /// Streams for work beside each other, and what tells one that another is done.
  private var branches: [(stream: CUDADriver.Handle, event: CUDADriver.Handle)] = []
  private var event: CUDADriver.Handle = nil

  /// - Parameter number: of the card.
  /// - Throws: `RSOError` naming the card: there is none of that number, or the driver is too old.
  init(driver: CUDADriver, card number: Int) throws {
    let name = "cuda:\(number)"
    let cards = try CUDACard.all(driver, subject: name)
    guard cards.indices.contains(number) else {
      throw RSOError(
        name, cards.count == 1 ? "there is one card, cuda:0" : "there are \(cards.count) cards",
        hint: "rso devices lists them")
    }
    let card = cards[number]
    guard card.capability.number >= 80 else {
      throw RSOError(
        name, "expected compute capability 8.0 or more, found \(card.capability) (\(card.name))",
        hint: "use --device cpu")
    }
    var context: CUDADriver.Handle = nil
    try driver.check(
      "cuDevicePrimaryCtxRetain", name, driver.cuDevicePrimaryCtxRetain(&context, card.handle))
    var stream: CUDADriver.Handle = nil
    do {
      try driver.check("cuCtxSetCurrent", name, driver.cuCtxSetCurrent(context))
      // 1: it does not wait for the default stream.
      try driver.check("cuStreamCreate", name, driver.cuStreamCreate(&stream, 1))
    } catch {
      _ = driver.cuDevicePrimaryCtxRelease(card.handle)
      throw error
    }
    self.driver = driver
    self.name = name
    self.card = card
    self.context = context
    self.stream = stream
  }

  deinit {
    for branch in branches {
      _ = driver.cuEventDestroy(branch.event)
      _ = driver.cuStreamDestroy(branch.stream)
    }
    if event != nil { _ = driver.cuEventDestroy(event) }
    _ = driver.cuStreamDestroy(stream)
    _ = driver.cuDevicePrimaryCtxRelease(card.handle)
  }

  func check(_ call: String, _ status: CUDADriver.Status) throws {
    try driver.check(call, name, status)
  }

  /// Makes the card current for the calling thread; asked for whenever a caller comes in.
  func enter() throws { try check("cuCtxSetCurrent", driver.cuCtxSetCurrent(context)) }

  /// The stream of a branch, from 0 on.
  func branch(_ number: Int) throws -> CUDADriver.Handle {
    while branches.count <= number {
      var (stream, event): (CUDADriver.Handle, CUDADriver.Handle) = (nil, nil)
      try check("cuStreamCreate", driver.cuStreamCreate(&stream, 1))
      // 2: it keeps no time.
      let status = driver.cuEventCreate(&event, 2)
      if status != 0 { _ = driver.cuStreamDestroy(stream) }
      try check("cuEventCreate", status)
      branches.append((stream, event))
    }
    return branches[number].stream
  }

  /// Lets a stream wait for what was asked for on another.
  func order(_ stream: CUDADriver.Handle, after other: CUDADriver.Handle) throws {
    if event == nil { try check("cuEventCreate", driver.cuEventCreate(&event, 2)) }
    let event = branches.first { $0.stream == other }?.event ?? event
    try check("cuEventRecord", driver.cuEventRecord(event, other))
    try check("cuStreamWaitEvent", driver.cuStreamWaitEvent(stream, event, 0))
  }

  /// Waits until everything asked for is done; errors of kernels come out here.
  func synchronize() throws { try check("cuStreamSynchronize", driver.cuStreamSynchronize(stream)) }

  /// Bytes of memory that are free, and that there are.
  func memory() throws -> (free: Int, total: Int) {
    var (free, total) = (0, 0)
    try check("cuMemGetInfo", driver.cuMemGetInfo(&free, &total))
    return (free, total)
  }
}

/// Memory on a card, given back once: when the last reference goes.
final class DeviceMemory<Element> {
  let context: CUDAContext
  let address: UInt64
  /// Elements.
  let count: Int

  /// Zeroed.
  init(_ context: CUDAContext, count: Int) throws {
    let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(
      by: MemoryLayout<Element>.stride)
    guard !overflow else {
      throw RSOError(context.name, "\(count) values are more than any memory holds")
    }
    var address: UInt64 = 0
    let status = context.driver.cuMemAlloc(&address, bytes)
    if status == 2, let free = try? context.memory().free {
      throw RSOError(
        context.name,
        "cuMemAlloc failed: expected room for \(megabytes(bytes)), found \(megabytes(free)) free",
        hint: CUDADriver.hint(2))
    }
    try context.check("cuMemAlloc", status)
    self.context = context
    self.address = address
    self.count = count
    try context.check(
      "cuMemsetD8Async", context.driver.cuMemsetD8Async(address, 0, bytes, context.stream))
  }

  /// - Throws: `RSOError` where there is no room.
  convenience init(_ context: CUDAContext, _ values: [Element]) throws {
    try self.init(context, count: values.count)
    try set(values)
  }

  deinit { _ = context.driver.cuMemFree(address) }

  /// Copies values to the card, from element `start` on.
  func set(_ values: [Element], at start: Int = 0) throws {
    guard !values.isEmpty else { return }
    precondition(start >= 0 && start + values.count <= count)
    let size = MemoryLayout<Element>.stride
    try values.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      try context.check(
        "cuMemcpyHtoDAsync",
        context.driver.cuMemcpyHtoDAsync(
          address + UInt64(start * size), base, bytes.count, context.stream))
      // The array goes when this returns.
      try context.synchronize()
    }
  }

  /// Copies the first `count` values from the card, after everything asked for is done.
  func values(_ count: Int? = nil) throws -> [Element] {
    let count = min(count ?? self.count, self.count)
    return try [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      guard count > 0, let base = buffer.baseAddress else { return }
      try context.check(
        "cuMemcpyDtoHAsync",
        context.driver.cuMemcpyDtoHAsync(
          base, address, count * MemoryLayout<Element>.stride, context.stream))
      try context.synchronize()
      initialized = count
    }
  }
}

/// As in `1,234 MB`.
func megabytes(_ bytes: Int) -> String {
  let digits = String((bytes + 999_999) / 1_000_000)
  let groups = stride(from: digits.count, to: 0, by: -3).map { end in
    digits.dropLast(digits.count - end).suffix(3)
  }
  return groups.reversed().joined(separator: ",") + " MB"
}

/// A card, as the driver describes it.
package struct CUDACard: Hashable, Sendable {
  package var handle: Int32
  /// As in `NVIDIA H100 80GB HBM3`.
  package var name: String
  package var capability: Capability
  package var multiprocessors: Int
  /// Bytes.
  package var memory: Int
  /// The version of CUDA that the driver knows, 1000 · major + 10 · minor.
  package var driverVersion: Int

  package struct Capability: Hashable, Sendable, CustomStringConvertible {
    var number: Int
    package var description: String { "\(number / 10).\(number % 10)" }
  }

  package var architecture: NVRTC.Architecture { .init(number: capability.number) }

  /// Every card of this machine.
  ///
  /// - Throws: `RSOError` where there is none, or the driver is too old.
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
