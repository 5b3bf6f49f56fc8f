import CRSO
import CUDAHost
import Foundation

@testable import RSO

/// A driver without a card: its memory is this process's, and kernels run on the CPU, one thread after another.
///
/// It checks what a card would not: that every block of memory is given back once, that nothing was written beside one,
/// that calls come in an order the driver takes. What is new holds NaN, as if left by another program.
final class FakeCUDA: @unchecked Sendable {
  struct Recorded {
    var name: String
    var grid: [UInt32]
    var block: [UInt32]
    var shared: UInt32
    var stream: Int
    /// It may begin before the launch in front of it ends.
    var overlaps = false
    var arguments: [UInt8]
  }

  /// Of the cards.
  var names = ["Fake GPU"]
  var capability = (major: Int32(9), minor: Int32(0))
  var version: Int32 = 13000
  var memory = 1 << 34
  /// Kernels run their threads and blocks from the last to the first.
  var isBackwards = false
  /// Calls that fail from now on, by name, and with what.
  var failures: [String: Int32] = [:]

  /// Every call, in order.
  private(set) var calls: [String] = []
  /// What was found wrong.
  var faults: [String] = []
  /// Bytes of every block that is out.
  private(set) var blocks: [UInt64: Int] = [:]
  /// Handles that are out, by kind.
  var handles: [String: Set<Int>] = [:]
  private(set) var launched: [String: Int] = [:]
  /// Kernels in the order in which they ran.
  private(set) var sequence: [String] = []
  private(set) var ran: [Recorded] = []
  var contexts = 0
  var functions: [Int: String] = [:]
  var recorded: Set<Int> = []
  /// Streams whose last work is a kernel.
  var behindKernel: Set<Int> = []
  /// Bytes of shared memory that a kernel may ask for, if they were raised.
  var shared: [String: UInt32] = [:]
  var graphs: [Int: [Recorded]] = [:]
  var capture: [Recorded]?
  /// The stream that is captured; others join it.
  var captured = 0
  var next = 1000
  var kept: [Int32: UnsafeMutablePointer<CChar>] = [:]

  static let guardBytes = 64

  deinit { for text in kept.values { free(text) } }

  var used: Int { blocks.values.reduce(0, +) }
  /// Whether everything was given back.
  var isEmpty: Bool {
    blocks.isEmpty && contexts == 0 && handles.values.allSatisfy(\.isEmpty)
  }

  func call(_ name: String, _ body: () -> Int32) -> Int32 {
    calls.append(name)
    if let status = failures[name] { return status }
    return body()
  }

  func fault(_ text: String, _ status: Int32) -> Int32 {
    faults.append(text)
    return status
  }

  func handle(_ kind: String) -> Int {
    next += 1
    handles[kind, default: []].insert(next)
    return next
  }

  func drop(_ kind: String, _ handle: OpaquePointer?) -> Int32 {
    handles[kind, default: []].remove(Int(bitPattern: handle)) != nil
      ? 0 : fault("\(kind) is not there", 400)
  }

  func text(_ status: Int32, _ text: String) -> UnsafePointer<CChar>? {
    let key = status * 2 + (text.hasPrefix("CUDA") ? 1 : 0)
    if kept[key] == nil { kept[key] = strdup(text) }
    return kept[key].map { UnsafePointer($0) }
  }

  static let errors: [Int32: (String, String)] = [
    2: ("CUDA_ERROR_OUT_OF_MEMORY", "out of memory"),
    100: ("CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"),
    209: (
      "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"
    ),
    700: ("CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"),
  ]

  // MARK: Memory

  func allocate(_ address: UnsafeMutablePointer<UInt64>, _ bytes: Int) -> Int32 {
    guard used + bytes <= memory else { return 2 }
    let size = bytes + 2 * Self.guardBytes
    guard let block = aligned_alloc(256, (size + 255) / 256 * 256 + 256) else { return 2 }
    memset(block, 0xA5, 256)
    memset(block + 256, 0xFF, bytes)
    memset(block + 256 + bytes, 0xA5, Self.guardBytes)
    address.pointee = UInt64(UInt(bitPattern: block + 256))
    blocks[address.pointee] = bytes
    return 0
  }

  func release(_ address: UInt64) -> Int32 {
    guard let bytes = blocks.removeValue(forKey: address),
      let start = UnsafeMutableRawPointer(bitPattern: UInt(address))
    else { return fault("memory given back that was not out", 1) }
    let before = UnsafeRawBufferPointer(start: start - Self.guardBytes, count: Self.guardBytes)
    let behind = UnsafeRawBufferPointer(start: start + bytes, count: Self.guardBytes)
    if !(before.allSatisfy { $0 == 0xA5 } && behind.allSatisfy { $0 == 0xA5 }) {
      faults.append("\(bytes) bytes: written beside them")
    }
    free(start - 256)
    return 0
  }

  /// Whether so many bytes lie in a block.
  func isInside(_ address: UInt64, _ bytes: Int) -> Bool {
    blocks.contains { $0.key <= address && address + UInt64(bytes) <= $0.key + UInt64($0.value) }
  }

  func run(_ recorded: Recorded) -> Int32 {
    launched[recorded.name, default: 0] += 1
    sequence.append(recorded.name)
    ran.append(recorded)
    let status = recorded.arguments.withUnsafeBytes {
      cudahost_launch(
        recorded.name, recorded.grid, recorded.block, recorded.shared, $0.baseAddress,
        isBackwards ? 1 : 0)
    }
    if status == -1 { faults.append("\(recorded.name): written behind its shared memory") }
    if status == -2 { faults.append("\(recorded.name): did not await earlier launches") }
    return status != 0 ? 0 : fault("no kernel \(recorded.name)", 500)
  }

  /// Launches of a graph with those of branches in turns, as a card may take them.
  func interleaved(_ launches: [Recorded]) -> [Recorded] {
    var all: [Recorded] = []
    var branches: [Int: [Recorded]] = [:]
    func join() {
      while !branches.isEmpty {
        for stream in branches.keys.sorted() {
          guard let next = branches[stream]?.first else { continue }
          all.append(next)
          branches[stream]?.removeFirst()
          if branches[stream]?.isEmpty == true { branches[stream] = nil }
        }
      }
    }
    for launch in launches {
      if launch.stream == captured {
        join()
        all.append(launch)
      } else {
        branches[launch.stream, default: []].append(launch)
      }
    }
    join()
    return all
  }

  func launch(_ recorded: Recorded) -> Int32 {
    let threads = recorded.block.reduce(1, *)
    guard recorded.grid.allSatisfy({ $0 > 0 }), threads > 0, threads <= 1024,
      recorded.grid[1] <= 65535, recorded.grid[2] <= 65535,
      recorded.shared <= shared[recorded.name] ?? 49152
    else { return fault("\(recorded.name): grid \(recorded.grid), block \(recorded.block)", 1) }
    if recorded.overlaps, !behindKernel.contains(recorded.stream) {
      faults.append("\(recorded.name): overlaps what is no kernel")
    }
    behindKernel.insert(recorded.stream)
    if capture != nil {
      capture?.append(recorded)
      return 0
    }
    return run(recorded)
  }
}

extension FakeCUDA {
  /// The engine on this card.
  func engine(
    network: Network, data: Dataset, parameters: Parameters, precision: CUDAPrecision = .fp32,
    objective: Objective = .crossEntropy, mostTogether: Int = rso_gpu_group, overlaps: Bool = false
  ) throws -> CUDAEngine {
    try CUDAEngine(
      network: network, data: data, parameters: parameters, precision: precision,
      objective: objective, context: CUDAContext(driver: driver(), card: 0), image: [0],
      mostTogether: mostTogether, overlaps: overlaps)
  }
}
