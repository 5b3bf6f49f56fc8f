import Foundation
import Testing

@testable import RSO

/// Loading, errors and memory of the CUDA engine, with a driver that has no card.
@Suite struct CUDADriverTests {
  private func text(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "no error"
    } catch { return "\(error)" }
  }

  @Test func aLibraryThatIsNotThereIsNamed() {
    let nowhere = CUDAPaths(["RSO_CUDA_PATH": "/no/such/folder"])
    // A machine may have a driver; then there is nothing to see.
    if (try? CUDADriver.load(nowhere)) == nil {
      #expect(
        text { _ = try CUDADriver.load(nowhere) }
          == "libcuda.so.1: the library was not found (install NVIDIA's driver, or set RSO_CUDA_PATH "
          + "to the library's folder)")
    }
  }

  @Test func librariesAreLookedForInTheirOrder() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("rso-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func touch(_ path: String) throws -> String {
      let url = URL(fileURLWithPath: "\(folder)/\(path)")
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data("no library".utf8).write(to: url)
      return url.path
    }
    let asked = try touch("asked/libnvrtc.so.12")
    let home = try touch("home/lib64/libnvrtc.so.13")
    let new = try touch("venv/lib/python3.13/site-packages/nvidia/cu13/lib/libnvrtc.so.13")
    let old = try touch("venv/lib/python3.9/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
    let driver = try touch("asked/libcuda.so.1")
    let paths = CUDAPaths([
      "RSO_CUDA_PATH": "\(folder)/none:\(folder)/asked", "CUDA_HOME": "\(folder)/home",
      "VIRTUAL_ENV": "\(folder)/venv",
    ])
    #expect(Array(paths.nvrtc.prefix(5)) == [asked, home, old, new, "libnvrtc.so.13"])
    #expect(Array(paths.driver.prefix(2)) == [driver, "libcuda.so.1"])
    // A file that is there and cannot be loaded says why.
    let error = text { _ = try NVRTC.load(driver: 12040, paths) }
    if !error.contains("no error") { #expect(error.contains("cannot be loaded"), "\(error)") }
  }

  @Test func aStatusBecomesAnErrorWithTheCallAndWhatToDo() {
    let driver = FakeCUDA().driver()
    #expect(text { try driver.check("cuInit", "cuda", 0) } == "no error")
    #expect(
      text { try driver.check("cuInit", "cuda:1", 100) }
        == "cuda:1: cuInit failed: CUDA_ERROR_NO_DEVICE, no CUDA-capable device is detected "
        + "(the driver finds no card: see nvidia-smi, and CUDA_VISIBLE_DEVICES)")
    // A status that even the driver does not know.
    #expect(
      text { try driver.check("cuInit", "cuda", 12345) } == "cuda: cuInit failed: error 12345")
  }

  @Test func noCardAnOldDriverAnOldCardAndAWrongNumber() {
    let fake = FakeCUDA()
    func open(_ number: Int = 0) -> String {
      text { _ = try CUDAContext(driver: fake.driver(), card: number) }
    }
    #expect(open() == "no error")
    #expect(open(1) == "cuda:1: there is one card, cuda:0 (rso devices lists them)")
    fake.names = []
    #expect(open().hasPrefix("cuda:0: the driver finds no card ("))
    fake.failures = ["cuInit": 100]
    #expect(open().hasPrefix("cuda:0: cuInit failed: CUDA_ERROR_NO_DEVICE, no CUDA"))
    fake.failures = [:]
    fake.names = ["a", "b"]
    #expect(open(2) == "cuda:2: there are 2 cards (rso devices lists them)")
    fake.version = 11080
    #expect(
      open()
        == "cuda:0: expected a driver for CUDA 12.0 or later, found one for 11.8 "
        + "(update NVIDIA's driver)"
    )
    fake.version = 12040
    fake.capability = (6, 1)
    #expect(
      open() == "cuda:0: expected compute capability 8.0 or more, found 6.1 (a) (use the CPU)")
    #expect(fake.isEmpty && fake.faults.isEmpty, "\(fake.faults)")
  }

  /// The library of NVIDIA's toolkit that is there to link with.
  @Test func theStubLibraryIsNoDriver() throws {
    let fake = FakeCUDA()
    fake.failures = ["cuInit": 34]
    #expect(
      text { _ = try CUDAContext(driver: fake.driver(), card: 0) }
        == "cuda:0: fake is no driver but the stub of NVIDIA's toolkit, which programs are linked with: "
        + "cuInit failed with CUDA_ERROR_STUB_LIBRARY (34) (install NVIDIA's driver, or take the stub's "
        + "folder out of RSO_CUDA_PATH and LD_LIBRARY_PATH)")
    // The file that the loader found is named.
    let library = try SharedLibrary(["libz.so.1"], hint: "")
    #expect(library.path(of: "crc32")?.hasSuffix("/libz.so.1") == true)
  }

  /// Every call of opening a card fails once; nothing stays behind.
  @Test(arguments: [
    "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuStreamCreate", "cuDeviceGetName",
  ])
  func whatFailsOnTheWayGivesBackWhatItHad(call: String) {
    let fake = FakeCUDA()
    fake.failures = [call: 700]
    let error = text { _ = try CUDAContext(driver: fake.driver(), card: 0) }
    #expect(error.hasPrefix("cuda:0: \(call) failed: CUDA_ERROR_ILLEGAL_ADDRESS"), "\(error)")
    #expect(fake.isEmpty && fake.faults.isEmpty, "\(fake.faults)")
  }

  @Test func memoryIsGivenBackOnce() throws {
    let fake = FakeCUDA()
    do {
      let context = try CUDAContext(driver: fake.driver(), card: 0)
      let values: [Float] = [1, 2, 3, 4, 5]
      let memory = try DeviceMemory(context, values)
      let copy = memory
      try copy.set([9, 8], at: 3)
      #expect(try memory.values() == [1, 2, 3, 9, 8])
      #expect(try DeviceMemory<Double>(context, count: 3).values() == [0, 0, 0])
      #expect(fake.blocks.values.sorted() == [20])
      // A copy that fails gives back what was asked for before it.
      fake.failures = ["cuMemcpyHtoDAsync": 700]
      #expect(throws: RSOError.self) { try DeviceMemory(context, values) }
      fake.failures = ["cuMemsetD8Async": 700]
      #expect(throws: RSOError.self) { try DeviceMemory<Float>(context, count: 7) }
      #expect(fake.blocks.values.sorted() == [20])
      fake.failures = [:]
      fake.memory = 100_000_000
      #expect(
        text { _ = try DeviceMemory<Float>(context, count: 1_000_000_000) }
          == "cuda:0: cuMemAlloc failed: expected room for 4,000 MB, found 100 MB free "
          + "(the card's memory is full: use a smaller `batchSize`, or end what else runs on it)")
    }
    #expect(fake.isEmpty && fake.faults.isEmpty, "\(fake.faults)")
  }

  @Test func devicesSayWhatTheyAreOrWhyNot() {
    let fake = FakeCUDA()
    fake.names = ["Fake GPU", "Other"]
    func cards(_ compiler: @escaping (Int) throws -> NVRTC) -> [DeviceDescription] {
      let all = DeviceDescription.all(driver: { fake.driver() }, compiler: compiler)
      #expect(all.prefix(2).map(\.name) == ["cpu", "reference"])
      return Array(all.dropFirst(2))
    }
    let found = cards { _ in FakeNVRTC().table() }
    #expect(found.map(\.name) == ["cuda:0", "cuda:1"] && found.allSatisfy(\.available))
    #expect(
      found[0].description
        == "Fake GPU, compute capability 9.0, 17,180 MB of 17,180 MB free, driver for CUDA 13.0, "
        + "NVRTC 13.5 (fake)")
    let without = cards { _ in
      throw RSOError("libnvrtc.so.13", "the library was not found", hint: "x")
    }
    #expect(without.allSatisfy { !$0.available })
    #expect(without[1].description == "libnvrtc.so.13: the library was not found")
    #expect(without[1].hint == "x")
    fake.names = []
    let none = cards { _ in FakeNVRTC().table() }
    #expect(none.map(\.name) == ["cuda:0"] && !none[0].available)
    #expect(none[0].description == "the driver finds no card")
    #expect(fake.isEmpty)
  }
}

/// Compiling and keeping kernels, with a compiler that compiles nothing.
@Suite struct CUDACompilerTests {
  let files = [
    NVRTC.File(name: "main.cu", text: "main"), NVRTC.File(name: "more.h", text: "more"),
  ]

  @Test func theCompilerGetsEveryFileAndOptionAndItsLogComesBack() throws {
    let fake = FakeNVRTC()
    fake.log = "main.cu(1): warning"
    let result = try fake.table().compile(files, options: ["-a", "-b"])
    #expect(result.image == [7, 0, 255])
    #expect(result.log == "main.cu(1): warning")
    #expect(fake.seen == ["main.cu", "main", "more.h", "more", "-a", "-b"])
    #expect(fake.programs == 0)
  }

  @Test func anErrorOfTheCompilerCarriesItsLog() {
    let fake = FakeNVRTC()
    fake.log = "main.cu(3): error: expected a \";\""
    fake.status = 6
    #expect {
      _ = try fake.table().compile(files, options: [])
    } throws: { error in
      "\(error)"
        == "NVRTC: nvrtcCompileProgram failed: NVRTC_ERROR_6\nmain.cu(3): error: expected a \";\" "
        + "(NVRTC is fake)"
    }
    #expect(fake.programs == 0)
  }

  /// The kernels that are built in are all there, and every one that the engine asks for.
  @Test func theKernelsAreBuiltIn() throws {
    let kernels = NVRTC.kernels
    #expect(
      kernels.map(\.name) == [
        "kernels.cu", "crso_cuda.h", "crso_rule.h", "numbers.cu", "layers.cu", "tile.cu",
        "matrix.cu", "tf32.cu", "half.cu", "mix.cu", "lone.cu", "weights.cu", "decide.cu",
        "losses.cu", "../losses.inc",
      ])
    for file in kernels.dropFirst() {
      #expect(kernels.contains { $0.text.contains("#include \"\(file.name)\"") }, "\(file.name)")
    }
    let all = kernels.map(\.text).joined()
    for kernel in CUDAKernel.allCases {
      let name = kernel.rawValue
      #expect(all.contains(" \(name)(rso_gpu_") || all.contains("(\(name), "), "\(name)")
    }
  }

  @Test func architectures() {
    #expect(NVRTC.Architecture("sm_90")?.number == 90)
    #expect(NVRTC.Architecture("sm_100")?.description == "sm_100")
    for name in ["sm_", "90", "sm_9", "sm_x", "compute_90"] {
      #expect(NVRTC.Architecture(name) == nil, "\(name)")
    }
  }

  @Test func aDamagedOrForeignFileIsCompiledAgain() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("rso-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let cache = KernelCache(folder: folder.appendingPathComponent("cuda"))
    let key = KernelCache.key(files, options: ["-a"], compiler: "13.0", driver: 13000)
    var compiled = 0
    func image(_ key: String) throws -> [UInt8] {
      try cache.image(key) {
        compiled += 1
        return [1, 2, 3]
      }
    }
    for _ in 0..<2 { #expect(try image(key) == [1, 2, 3]) }
    #expect(compiled == 1)
    let other = KernelCache.key(files, options: ["-a"], compiler: "13.0", driver: 13010)
    _ = try image(other)
    #expect(compiled == 2)
    let url = folder.appendingPathComponent("cuda/\(KernelCache.fileName(key))")
    let good = try Data(contentsOf: url)
    var damage = [good.prefix(good.count - 1), Data(), good.prefix(3)]
    for index in [0, good.count / 2, good.count - 1] {
      var bytes = good
      bytes[index] ^= 4
      damage.append(bytes)
    }
    // Another key under this file's name: whole, and not what is wanted.
    damage.append(Data(try KernelCache.encoded([9], other)))
    for bytes in damage {
      try bytes.write(to: url)
      let before = compiled
      #expect(try image(key) == [1, 2, 3])
      #expect(compiled == before + 1)
      #expect(try Data(contentsOf: url) == good)
    }
    // Where nothing can be written, it is compiled each time.
    let nowhere = KernelCache(folder: URL(fileURLWithPath: "/proc/none"))
    #expect(try nowhere.image(key) { [5] } == [5])
  }
}
