import Foundation

/// A device that a search could use on this machine, and the reason if it cannot.
package struct DeviceDescription: Hashable, Codable, Sendable {
  /// The name that `--device` takes.
  package var name: String
  package var available: Bool
  /// The device if it is available, otherwise the reason why it is not.
  package var description: String
  /// What to do if it is not available.
  package var hint: String?

  package init(name: String, available: Bool, description: String, hint: String? = nil) {
    self.name = name
    self.available = available
    self.description = description
    self.hint = hint
  }

  /// The CPU and the reference engine, then every card, or one entry that says why there is none.
  package static func all(
    driver open: () throws -> CUDADriver = { try .load() },
    compiler: (_ driver: Int) throws -> NVRTC = { try .load(driver: $0) }
  ) -> [DeviceDescription] {
    let cores = ProcessInfo.processInfo.activeProcessorCount
    let own = [
      DeviceDescription(
        name: "cpu", available: true,
        description: "\(Kernels.available[0].name), \(cores) thread\(cores == 1 ? "" : "s")"),
      DeviceDescription(
        name: "reference", available: true,
        description: "plain loops in double precision, slow; for checks"),
    ]
    do {
      let driver = try open()
      let cards = try CUDACard.all(driver)
      return own + cards.indices.map { card(cards[$0], number: $0, driver, compiler) }
    } catch {
      return own + [unavailable("cuda:0", error)]
    }
  }

  private static func card(
    _ card: CUDACard, number: Int, _ driver: CUDADriver, _ compiler: (Int) throws -> NVRTC
  ) -> DeviceDescription {
    let name = "cuda:\(number)"
    do {
      let free = try CUDAContext(driver: driver, card: number).memory().free
      let compiler = try compiler(card.driverVersion)
      let version = try compiler.version()
      return DeviceDescription(
        name: name, available: true,
        description: "\(card.name), compute capability \(card.capability), "
          + "\(megabytes(free)) of \(megabytes(card.memory)) free, "
          + "driver for CUDA \(cudaVersion(card.driverVersion)), "
          + "NVRTC \(version.major).\(version.minor) (\(compiler.path))")
    } catch {
      return unavailable(name, error)
    }
  }

  private static func unavailable(_ name: String, _ error: any Error) -> DeviceDescription {
    guard let error = error as? RSOError else {
      return DeviceDescription(name: name, available: false, description: "\(error)")
    }
    let subject = error.subject.hasPrefix("cuda") ? "" : "\(error.subject): "
    return DeviceDescription(
      name: name, available: false, description: subject + error.problem, hint: error.hint)
  }
}
