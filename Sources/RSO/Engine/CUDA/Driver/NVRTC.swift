import CRSO
import Foundation

/// NVIDIA's run-time compiler from CUDA C++ to machine code for one kind of card. It needs no card and no driver.
///
/// A table of its functions under their own names, so that tests can substitute functions.
package struct NVRTC: @unchecked Sendable {
  typealias Status = Int32
  typealias Out<T> = UnsafeMutablePointer<T>
  typealias Program = OpaquePointer?
  typealias Strings = UnsafePointer<UnsafePointer<CChar>?>

  /// The path of the library.
  package var path: String

  var nvrtcGetErrorString: (Status) -> UnsafePointer<CChar>?
  var nvrtcVersion: (Out<Int32>, Out<Int32>) -> Status
  /// Program, source, its name, number of headers, their texts, their names.
  var nvrtcCreateProgram:
    (Out<Program>, UnsafePointer<CChar>, UnsafePointer<CChar>, Int32, Strings?, Strings?) -> Status
  var nvrtcCompileProgram: (Program, Int32, Strings) -> Status
  var nvrtcGetProgramLogSize: (Program, Out<Int>) -> Status
  var nvrtcGetProgramLog: (Program, Out<CChar>) -> Status
  var nvrtcGetCUBINSize: (Program, Out<Int>) -> Status
  var nvrtcGetCUBIN: (Program, Out<CChar>) -> Status
  var nvrtcDestroyProgram: (Out<Program>) -> Status
}

extension NVRTC {
  /// A compute capability, such as `sm_90`.
  package struct Architecture: Hashable, Sendable, CustomStringConvertible {
    /// 10 · major + minor.
    package let number: Int
    package init(number: Int) { self.number = number }
    /// Parses `sm_90`; `nil` for anything else.
    package init?(_ name: String) {
      guard name.hasPrefix("sm_"), let number = Int(name.dropFirst(3)), 50...999 ~= number else {
        return nil
      }
      self.number = number
    }
    package var description: String { "sm_\(number)" }
  }

  /// Machine code, and the compiler's output.
  package struct Result: Hashable, Sendable {
    package var image: [UInt8]
    /// Warnings; empty if there are none.
    package var log: String
  }

  /// The text of one file.
  package struct File: Hashable, Sendable {
    package var name: String
    package var text: String
  }

  /// The engine's kernels: the file to compile first, then the files that it includes.
  package static var kernels: [File] {
    (0..<Int(rso_cuda_file_count())).map { index in
      let file = rso_cuda_file(Int32(index))
      return File(name: String(cString: file.name), text: String(cString: file.text))
    }
  }

  /// Opens the compiler.
  ///
  /// - Parameter driver: the latest CUDA version that the driver supports, 1000 · major + 10 · minor; it cannot run the
  ///   output of a newer compiler. `nil`: any.
  /// - Throws: `RSOError` that says what was found, if anything.
  package static func load(
    driver: Int? = nil, _ paths: CUDAPaths = CUDAPaths()
  ) throws -> NVRTC {
    var tooNew: String?
    var broken: RSOError?
    for path in paths.nvrtc {
      do {
        SharedLibrary.preload("libnvrtc-builtins.so", beside: path)
        let nvrtc = try NVRTC(SharedLibrary([path], hint: "another version?"))
        let (major, minor) = try nvrtc.version()
        if let driver, major > driver / 1000 {
          tooNew = tooNew ?? "\(path) is of CUDA \(major).\(minor)"
        } else {
          return nvrtc
        }
      } catch let error as RSOError {
        if error.problem != "the library was not found" { broken = broken ?? error }
      }
    }
    let newest = driver.map { min($0 / 1000, CUDAPaths.versions[0]) } ?? CUDAPaths.versions[0]
    let package = newest < 13 ? "nvidia-cuda-nvrtc-cu\(newest)" : "nvidia-cuda-nvrtc"
    let hint =
      "pip install \(package) in a Python environment that is active, "
      + "or set RSO_CUDA_PATH to the library's folder"
    if let driver, let tooNew {
      throw RSOError(
        "libnvrtc",
        "expected at most CUDA \(driver / 1000), which the driver knows, found \(tooNew)",
        hint: hint)
    }
    if let broken { throw broken }
    throw RSOError("libnvrtc.so.\(newest)", "the library was not found", hint: hint)
  }

  private init(_ library: SharedLibrary) throws {
    func find<F>(_ name: String, _ type: F.Type) throws -> F {
      try library.function(name, as: type)
    }
    typealias P = UnsafeMutablePointer
    path = library.name
    nvrtcGetErrorString = try find(
      "nvrtcGetErrorString", (@convention(c) (Status) -> UnsafePointer<CChar>?).self)
    nvrtcVersion = try find("nvrtcVersion", (@convention(c) (P<Int32>, P<Int32>) -> Status).self)
    nvrtcCreateProgram = try find(
      "nvrtcCreateProgram",
      (@convention(c) (
        P<Program>, UnsafePointer<CChar>, UnsafePointer<CChar>, Int32, Strings?, Strings?
      ) -> Status).self)
    nvrtcCompileProgram = try find(
      "nvrtcCompileProgram", (@convention(c) (Program, Int32, Strings) -> Status).self)
    nvrtcGetProgramLogSize = try find(
      "nvrtcGetProgramLogSize", (@convention(c) (Program, P<Int>) -> Status).self)
    nvrtcGetProgramLog = try find(
      "nvrtcGetProgramLog", (@convention(c) (Program, P<CChar>) -> Status).self)
    nvrtcGetCUBINSize = try find(
      "nvrtcGetCUBINSize", (@convention(c) (Program, P<Int>) -> Status).self)
    nvrtcGetCUBIN = try find("nvrtcGetCUBIN", (@convention(c) (Program, P<CChar>) -> Status).self)
    nvrtcDestroyProgram = try find(
      "nvrtcDestroyProgram", (@convention(c) (P<Program>) -> Status).self)
  }

  /// Such as (13, 0).
  package func version() throws -> (major: Int, minor: Int) {
    var (major, minor): (Int32, Int32) = (0, 0)
    try check("nvrtcVersion", nvrtcVersion(&major, &minor))
    return (Int(major), Int(minor))
  }

  /// The flags that kernels are compiled with. NVRTC 12.0 takes generic closures for functions of the host without the last.
  package static func options(_ architecture: Architecture) -> [String] {
    [
      "--gpu-architecture=\(architecture)", "--std=c++17", "--device-as-default-execution-space",
    ]
  }

  /// Compiles `files[0]`, which may include the others.
  ///
  /// - Throws: `RSOError` with the compiler's log.
  package func compile(_ files: [File], options: [String]) throws -> Result {
    guard let main = files.first else { throw RSOError("NVRTC", "there is nothing to compile") }
    var program: Program = nil
    let headers = files.dropFirst()
    try check(
      "nvrtcCreateProgram",
      withStrings(headers.map(\.text)) { texts in
        withStrings(headers.map(\.name)) { names in
          nvrtcCreateProgram(&program, main.text, main.name, Int32(headers.count), texts, names)
        }
      })
    defer { _ = nvrtcDestroyProgram(&program) }
    let status = withStrings(options) { nvrtcCompileProgram(program, Int32(options.count), $0) }
    let log = String(
      decoding: try bytes("Log", program, nvrtcGetProgramLogSize, nvrtcGetProgramLog)
        .prefix { $0 != 0 }, as: UTF8.self)
    try check("nvrtcCompileProgram", status, log: log)
    let image = try bytes("CUBIN", program, nvrtcGetCUBINSize, nvrtcGetCUBIN)
    return Result(image: image, log: log)
  }

  private func bytes(
    _ what: String, _ program: Program, _ size: (Program, Out<Int>) -> Status,
    _ copy: (Program, Out<CChar>) -> Status
  ) throws -> [UInt8] {
    var count = 0
    try check("nvrtcGet\(what)Size", size(program, &count))
    var bytes = [CChar](repeating: 0, count: max(count, 1))
    try check("nvrtcGet\(what)", copy(program, &bytes))
    return bytes.prefix(count).map { UInt8(bitPattern: $0) }
  }

  /// Like `CUDADriver.check`, for the compiler.
  private func check(_ call: String, _ status: Status, log: String = "") throws {
    guard status != 0 else { return }
    let name = nvrtcGetErrorString(status).map { String(cString: $0) } ?? "error \(status)"
    throw RSOError(
      "NVRTC", "\(call) failed: \(name)" + (log.isEmpty ? "" : "\n\(log)"),
      hint: "NVRTC is \(path)")
  }
}

/// Calls `body` with C strings.
private func withStrings<R>(
  _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> R
) -> R {
  let copies = strings.map { strdup($0) }
  defer { for copy in copies { free(copy) } }
  var pointers: [UnsafePointer<CChar>?] = copies.map { copy in copy.map { UnsafePointer($0) } }
  pointers.append(nil)
  return body(pointers)
}
