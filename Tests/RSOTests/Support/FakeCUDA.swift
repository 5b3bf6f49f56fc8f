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
  private(set) var faults: [String] = []
  /// Bytes of every block that is out.
  private(set) var blocks: [UInt64: Int] = [:]
  /// Handles that are out, by kind.
  private(set) var handles: [String: Set<Int>] = [:]
  private(set) var launched: [String: Int] = [:]
  /// Kernels in the order in which they ran.
  private(set) var sequence: [String] = []
  private(set) var contexts = 0
  private var functions: [Int: String] = [:]
  private var recorded: Set<Int> = []
  /// Bytes of shared memory that a kernel may ask for, if they were raised.
  private var shared: [String: UInt32] = [:]
  private var graphs: [Int: [Recorded]] = [:]
  private var capture: [Recorded]?
  /// The stream that is captured; others join it.
  private var captured = 0
  private var next = 1000
  private var kept: [Int32: UnsafeMutablePointer<CChar>] = [:]

  static let guardBytes = 64

  deinit { for text in kept.values { free(text) } }

  var used: Int { blocks.values.reduce(0, +) }
  /// Whether everything was given back.
  var isEmpty: Bool {
    blocks.isEmpty && contexts == 0 && handles.values.allSatisfy(\.isEmpty)
  }

  private func call(_ name: String, _ body: () -> Int32) -> Int32 {
    calls.append(name)
    if let status = failures[name] { return status }
    return body()
  }

  private func fault(_ text: String, _ status: Int32) -> Int32 {
    faults.append(text)
    return status
  }

  private func handle(_ kind: String) -> Int {
    next += 1
    handles[kind, default: []].insert(next)
    return next
  }

  private func drop(_ kind: String, _ handle: OpaquePointer?) -> Int32 {
    handles[kind, default: []].remove(Int(bitPattern: handle)) != nil
      ? 0 : fault("\(kind) is not there", 400)
  }

  private func text(_ status: Int32, _ text: String) -> UnsafePointer<CChar>? {
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

  private func allocate(_ address: UnsafeMutablePointer<UInt64>, _ bytes: Int) -> Int32 {
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

  private func release(_ address: UInt64) -> Int32 {
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
  private func isInside(_ address: UInt64, _ bytes: Int) -> Bool {
    blocks.contains { $0.key <= address && address + UInt64(bytes) <= $0.key + UInt64($0.value) }
  }

  private func run(_ recorded: Recorded) -> Int32 {
    launched[recorded.name, default: 0] += 1
    sequence.append(recorded.name)
    let status = recorded.arguments.withUnsafeBytes {
      cudahost_launch(
        recorded.name, recorded.grid, recorded.block, recorded.shared, $0.baseAddress,
        isBackwards ? 1 : 0)
    }
    if status < 0 { faults.append("\(recorded.name): written behind its shared memory") }
    return abs(status) == 1 ? 0 : fault("no kernel \(recorded.name)", 500)
  }

  /// Launches of a graph with those of branches in turns, as a card may take them.
  private func interleaved(_ launches: [Recorded]) -> [Recorded] {
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

  private func launch(_ recorded: Recorded) -> Int32 {
    let threads = recorded.block.reduce(1, *)
    guard recorded.grid.allSatisfy({ $0 > 0 }), threads > 0, threads <= 1024,
      recorded.grid[1] <= 65535, recorded.grid[2] <= 65535,
      recorded.shared <= shared[recorded.name] ?? 49152
    else { return fault("\(recorded.name): grid \(recorded.grid), block \(recorded.block)", 1) }
    if capture != nil {
      capture?.append(recorded)
      return 0
    }
    return run(recorded)
  }
}

// MARK: The table

extension FakeCUDA {
  func driver() -> CUDADriver {
    func number(_ handle: OpaquePointer?) -> Int { Int(bitPattern: handle) }
    return CUDADriver(
      path: "fake",
      cuGetErrorName: { status, out in
        guard let error = Self.errors[status] else { return 1 }
        out.pointee = self.text(status, error.0)
        return 0
      },
      cuGetErrorString: { status, out in
        guard let error = Self.errors[status] else { return 1 }
        out.pointee = self.text(status, error.1)
        return 0
      },
      cuInit: { _ in self.call("cuInit") { 0 } },
      cuDriverGetVersion: { out in
        self.call("cuDriverGetVersion") {
          out.pointee = self.version
          return 0
        }
      },
      cuDeviceGetCount: { out in
        self.call("cuDeviceGetCount") {
          out.pointee = Int32(self.names.count)
          return 0
        }
      },
      cuDeviceGet: { out, index in
        self.call("cuDeviceGet") {
          out.pointee = index + 70
          return 0
        }
      },
      cuDeviceGetName: { out, count, device in
        self.call("cuDeviceGetName") {
          strncpy(out, self.names[Int(device) - 70], Int(count))
          return 0
        }
      },
      cuDeviceGetAttribute: { out, attribute, _ in
        self.call("cuDeviceGetAttribute") {
          switch attribute {
          case 75: out.pointee = self.capability.major
          case 76: out.pointee = self.capability.minor
          case 16: out.pointee = 132
          default: return self.fault("attribute \(attribute)", 1)
          }
          return 0
        }
      },
      cuDeviceTotalMem: { out, _ in
        self.call("cuDeviceTotalMem") {
          out.pointee = self.memory
          return 0
        }
      },
      cuDevicePrimaryCtxRetain: { out, device in
        self.call("cuDevicePrimaryCtxRetain") {
          self.contexts += 1
          out.pointee = OpaquePointer(bitPattern: Int(device))
          return 0
        }
      },
      cuDevicePrimaryCtxRelease: { _ in
        self.call("cuDevicePrimaryCtxRelease") {
          if !self.blocks.isEmpty { self.faults.append("memory outlives the context") }
          self.contexts -= 1
          return self.contexts < 0 ? self.fault("the context was given back twice", 201) : 0
        }
      },
      cuCtxSetCurrent: { _ in self.call("cuCtxSetCurrent") { 0 } },
      cuMemGetInfo: { free, total in
        self.call("cuMemGetInfo") {
          free.pointee = self.memory - self.used
          total.pointee = self.memory
          return 0
        }
      },
      cuMemAlloc: { out, bytes in self.call("cuMemAlloc") { self.allocate(out, bytes) } },
      cuMemFree: { address in self.call("cuMemFree") { self.release(address) } },
      cuMemcpyHtoDAsync: { to, from, bytes, _ in
        self.call("cuMemcpyHtoDAsync") {
          guard self.isInside(to, bytes), let to = UnsafeMutableRawPointer(bitPattern: UInt(to))
          else { return self.fault("copy to nowhere", 700) }
          memcpy(to, from, bytes)
          return 0
        }
      },
      cuMemcpyDtoHAsync: { to, from, bytes, _ in
        self.call("cuMemcpyDtoHAsync") {
          guard self.isInside(from, bytes), let from = UnsafeRawPointer(bitPattern: UInt(from))
          else { return self.fault("copy from nowhere", 700) }
          memcpy(to, from, bytes)
          return 0
        }
      },
      cuMemsetD8Async: { to, value, bytes, _ in
        self.call("cuMemsetD8Async") {
          guard self.isInside(to, bytes), let to = UnsafeMutableRawPointer(bitPattern: UInt(to))
          else { return self.fault("nowhere to set", 700) }
          memset(to, Int32(value), bytes)
          return 0
        }
      },
      cuModuleLoadData: { out, _ in
        self.call("cuModuleLoadData") {
          out.pointee = OpaquePointer(bitPattern: self.handle("module"))
          return 0
        }
      },
      cuModuleUnload: { module in self.call("cuModuleUnload") { self.drop("module", module) } },
      cuModuleGetFunction: { out, _, name in
        self.call("cuModuleGetFunction") {
          let name = String(cString: name)
          guard cudahost_arguments(name) > 0 else { return 500 }
          self.next += 1
          self.functions[self.next] = name
          out.pointee = OpaquePointer(bitPattern: self.next)
          return 0
        }
      },
      cuFuncSetAttribute: { function, attribute, bytes in
        self.call("cuFuncSetAttribute") {
          guard let name = self.functions[number(function)], attribute == 8 else { return 1 }
          self.shared[name] = UInt32(bytes)
          return 0
        }
      },
      cuStreamCreate: { out, _ in
        self.call("cuStreamCreate") {
          out.pointee = OpaquePointer(bitPattern: self.handle("stream"))
          return 0
        }
      },
      cuStreamDestroy: { stream in self.call("cuStreamDestroy") { self.drop("stream", stream) } },
      cuStreamSynchronize: { _ in
        self.call("cuStreamSynchronize") {
          self.capture == nil ? 0 : self.fault("waits while it captures", 900)
        }
      },
      cuStreamWaitEvent: { _, event, _ in
        self.call("cuStreamWaitEvent") {
          self.recorded.contains(number(event)) ? 0 : self.fault("waits for nothing", 400)
        }
      },
      cuEventCreate: { out, _ in
        self.call("cuEventCreate") {
          out.pointee = OpaquePointer(bitPattern: self.handle("event"))
          return 0
        }
      },
      cuEventRecord: { event, _ in
        self.call("cuEventRecord") {
          self.recorded.insert(number(event))
          return 0
        }
      },
      cuEventDestroy: { event in self.call("cuEventDestroy") { self.drop("event", event) } },
      cuStreamBeginCapture: { stream, _ in
        self.call("cuStreamBeginCapture") {
          guard self.capture == nil else { return self.fault("captures twice", 900) }
          self.capture = []
          self.captured = number(stream)
          return 0
        }
      },
      cuStreamEndCapture: { _, out in
        self.call("cuStreamEndCapture") {
          guard let capture = self.capture else { return self.fault("captures nothing", 900) }
          let graph = self.handle("graph")
          self.graphs[graph] = self.interleaved(capture)
          self.capture = nil
          out.pointee = OpaquePointer(bitPattern: graph)
          return 0
        }
      },
      cuGraphInstantiate: { out, graph, _ in
        self.call("cuGraphInstantiate") {
          let made = self.handle("instance")
          self.graphs[made] = self.graphs[number(graph)]
          out.pointee = OpaquePointer(bitPattern: made)
          return 0
        }
      },
      cuGraphLaunch: { graph, _ in
        self.call("cuGraphLaunch") {
          guard let launches = self.graphs[number(graph)] else { return self.fault("no graph", 1) }
          return launches.map(self.run).first { $0 != 0 } ?? 0
        }
      },
      cuGraphExecDestroy: { graph in
        self.call("cuGraphExecDestroy") { self.drop("instance", graph) }
      },
      cuGraphDestroy: { graph in self.call("cuGraphDestroy") { self.drop("graph", graph) } },
      cuLaunchKernel: { function, gx, gy, gz, bx, by, bz, shared, stream, arguments, _ in
        self.call("cuLaunchKernel") {
          guard let name = self.functions[number(function)], let bytes = arguments?.pointee else {
            return self.fault("no function", 400)
          }
          let copy = UnsafeRawBufferPointer(start: bytes, count: cudahost_arguments(name))
          return self.launch(
            Recorded(
              name: name, grid: [gx, gy, gz], block: [bx, by, bz], shared: shared,
              stream: number(stream),
              arguments: Array(copy)))
        }
      })
  }
}

extension FakeCUDA {
  /// The engine on this card.
  func engine(
    network: Network, data: Dataset, parameters: Parameters, precision: CUDAPrecision = .fp32
  ) throws -> CUDAEngine {
    try CUDAEngine(
      network: network, data: data, parameters: parameters, precision: precision,
      context: CUDAContext(driver: driver(), card: 0), image: [0])
  }
}
