import CUDAHost
import Foundation

@testable import RSO

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
      cuMemAllocHost: { out, bytes in
        self.call("cuMemAllocHost") {
          out.pointee = malloc(bytes)
          self.handles["host memory", default: []].insert(Int(bitPattern: out.pointee))
          return 0
        }
      },
      cuMemFreeHost: { pointer in
        self.call("cuMemFreeHost") {
          let status = self.drop("host memory", OpaquePointer(pointer))
          if status == 0 { free(pointer) }
          return status
        }
      },
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
      cuStreamWaitEvent: { stream, event, _ in
        self.call("cuStreamWaitEvent") {
          self.behindKernel.remove(number(stream))
          return self.recorded.contains(number(event)) ? 0 : self.fault("waits for nothing", 400)
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
          self.behindKernel = []
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
      },
      cuLaunchKernelEx: { configuration, function, arguments, _ in
        self.call("cuLaunchKernelEx") {
          guard let name = self.functions[number(function)], let bytes = arguments?.pointee else {
            return self.fault("no function", 400)
          }
          let launch = configuration.pointee
          guard launch.attribute_count == 1, let attribute = launch.attributes?.pointee,
            attribute.id == 6, attribute.value.number == 1
          else { return self.fault("\(name): unknown attributes", 1) }
          let copy = UnsafeRawBufferPointer(start: bytes, count: cudahost_arguments(name))
          let (grid, block) = (launch.grid, launch.block)
          return self.launch(
            Recorded(
              name: name, grid: [grid.0, grid.1, grid.2], block: [block.0, block.1, block.2],
              shared: launch.shared, stream: Int(bitPattern: launch.stream), overlaps: true,
              arguments: Array(copy)))
        }
      })
  }
}
