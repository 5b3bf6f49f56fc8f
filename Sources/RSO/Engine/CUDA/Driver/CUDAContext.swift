/// One card, ready to compute: its context, one stream, and the single path for errors.
///
/// Every object on the card holds a reference to the context, so the context goes last.
final class CUDAContext {
  let driver: CUDADriver
  /// `cuda:0`
  let name: String
  let card: CUDACard
  private let context: CUDADriver.Handle
  let stream: CUDADriver.Handle
  /// Streams for concurrent work, and an event for each that tells other streams that its work is done.
  private var branches: [(stream: CUDADriver.Handle, event: CUDADriver.Handle)] = []
  private var event: CUDADriver.Handle = nil

  /// - Parameter number: number of the card.
  /// - Throws: `RSOError` naming the card if there is no such card, or the driver is too old.
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
        hint: "use the CPU")
    }
    var context: CUDADriver.Handle = nil
    try driver.check(
      "cuDevicePrimaryCtxRetain", name, driver.cuDevicePrimaryCtxRetain(&context, card.handle))
    var stream: CUDADriver.Handle = nil
    do {
      try driver.check("cuCtxSetCurrent", name, driver.cuCtxSetCurrent(context))
      // 1: the stream does not wait for the default stream.
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

  /// Makes the card current for the calling thread. The engine calls this on every entry.
  func enter() throws { try check("cuCtxSetCurrent", driver.cuCtxSetCurrent(context)) }

  /// The stream of a branch, counted from 0.
  func branch(_ number: Int) throws -> CUDADriver.Handle {
    while branches.count <= number {
      var (stream, event): (CUDADriver.Handle, CUDADriver.Handle) = (nil, nil)
      try check("cuStreamCreate", driver.cuStreamCreate(&stream, 1))
      // 2: the event records no time.
      let status = driver.cuEventCreate(&event, 2)
      if status != 0 { _ = driver.cuStreamDestroy(stream) }
      try check("cuEventCreate", status)
      branches.append((stream, event))
    }
    return branches[number].stream
  }

  /// Makes `stream` wait for the work queued on `other`.
  func order(_ stream: CUDADriver.Handle, after other: CUDADriver.Handle) throws {
    if event == nil { try check("cuEventCreate", driver.cuEventCreate(&event, 2)) }
    let event = branches.first { $0.stream == other }?.event ?? event
    try check("cuEventRecord", driver.cuEventRecord(event, other))
    try check("cuStreamWaitEvent", driver.cuStreamWaitEvent(stream, event, 0))
  }

  /// Waits until all queued work is done. Errors of kernels surface here.
  func synchronize() throws { try check("cuStreamSynchronize", driver.cuStreamSynchronize(stream)) }

  /// Free and total memory in bytes.
  func memory() throws -> (free: Int, total: Int) {
    var (free, total) = (0, 0)
    try check("cuMemGetInfo", driver.cuMemGetInfo(&free, &total))
    return (free, total)
  }
}
