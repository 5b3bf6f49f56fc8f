import ArgumentParser
import RSO

/// The device to compute on.
struct DeviceOptions: ParsableArguments {
  enum Name: Hashable, ExpressibleByArgument {
    case cpu, reference
    case cuda(Int)

    init?(argument: String) {
      switch argument {
      case "cpu": self = .cpu
      case "reference": self = .reference
      case "cuda": self = .cuda(0)
      default:
        guard argument.hasPrefix("cuda:"), let number = UInt16(argument.dropFirst(5)) else {
          return nil
        }
        self = .cuda(Int(number))
      }
    }

    func device(threads: Int? = nil, precision: CUDAPrecision? = nil) -> Device {
      switch self {
      case .cpu: .cpu(threads: threads)
      case .reference: .reference
      case .cuda(let number): .cuda(number, precision: precision ?? .fp32)
      }
    }

    /// The device as typed on the command line.
    var text: String {
      switch self {
      case .cpu: "cpu"
      case .reference: "reference"
      case .cuda(let number): "cuda:\(number)"
      }
    }

    static var allValueStrings: [String] { ["cpu", "reference", "cuda:0"] }
    static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
  }

  @Option(
    help: ArgumentHelp(
      "What to compute on (default: cpu): cpu; reference, which is slow, in double precision, and for checks; or a "
        + "GPU, cuda:0.", valueName: "device"))
  var device: Name?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Threads of the CPU (default: one per core).", valueName: "n"))
  var threads: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The GPU's number; the same as --device cuda:n.", valueName: "n"))
  var gpu: Int?

  @Option(
    help: ArgumentHelp(
      "How exactly a GPU multiplies (default: fp32): fp32; or tf32, with factors of 11 bits, which is faster and "
        + "decides otherwise now and then; halves and fp16 are the same in half precision, and fp16 keeps most values in 16 "
        + "bits: no card has run them yet.",
      valueName: "precision"))
  var precision: CUDAPrecision?

  /// The requested device.
  var name: Name { gpu.map { .cuda($0) } ?? device ?? .cpu }

  /// - Throws: `RSOError` naming the option.
  func resolved() throws -> Device {
    if let threads, !(1...1024).contains(threads) {
      throw RSOError("--threads", "expected 1 to 1024, found \(threads)")
    }
    if let gpu, !(0...Int(UInt16.max)).contains(gpu) {
      throw RSOError("--gpu", "expected a GPU's number from 0 on, found \(gpu)")
    }
    if let gpu, let device, device != .cuda(gpu) {
      throw RSOError("--gpu", "expected it without another --device, found both", hint: "drop one")
    }
    guard name == .cpu || threads == nil else {
      let other = name == .reference ? "the reference has one thread" : "it is for the CPU"
      throw RSOError("--threads", "\(other), found \(threads ?? 0)", hint: "drop it")
    }
    if let precision {
      guard case .cuda = name else {
        throw RSOError(
          "--precision", "it is for a GPU, found \(precision.rawValue) with --device \(name.text)",
          hint: "drop it")
      }
    }
    return name.device(threads: threads, precision: precision)
  }
}

extension CUDAPrecision: ExpressibleByArgument {}
