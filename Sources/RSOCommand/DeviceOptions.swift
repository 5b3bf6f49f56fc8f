import ArgumentParser
import RSO

/// What to compute on.
struct DeviceOptions: ParsableArguments {
  enum Name: String, CaseIterable, ExpressibleByArgument { case cpu, reference }

  @Option(
    help:
      "What to compute on; reference is slow, in double precision, and for checks (default: cpu).")
  var device: Name?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Threads of the CPU (default: one per core).", valueName: "n"))
  var threads: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The GPU's number; there is no GPU engine yet.", valueName: "n"))
  var gpu: Int?

  /// - Throws: `RSOError` naming the option.
  func resolved() throws -> Device {
    if let gpu {
      throw RSOError(
        "--gpu", "there is no GPU engine yet, found \(gpu)", hint: "use --device cpu instead")
    }
    if let threads, !(1...1024).contains(threads) {
      throw RSOError("--threads", "expected 1 to 1024, found \(threads)")
    }
    switch device ?? .cpu {
    case .cpu: return .cpu(threads: threads)
    case .reference:
      guard threads == nil else {
        throw RSOError(
          "--threads", "the reference has one thread, found \(threads ?? 0)", hint: "drop it")
      }
      return .reference
    }
  }
}
