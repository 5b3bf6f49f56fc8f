import Foundation

@testable import RSO

/// A compiler that says what it was given.
final class FakeNVRTC: @unchecked Sendable {
  var log = ""
  /// Of nvrtcCompileProgram.
  var status: Int32 = 0
  private(set) var seen: [String] = []
  /// That were not destroyed.
  private(set) var programs = 0
  private let name = strdup("NVRTC_ERROR_6")

  deinit { free(name) }

  func table() -> NVRTC {
    NVRTC(
      path: "fake",
      nvrtcGetErrorString: { _ in self.name.map { UnsafePointer($0) } },
      nvrtcVersion: { major, minor in
        (major.pointee, minor.pointee) = (13, 5)
        return 0
      },
      nvrtcCreateProgram: { program, text, name, count, texts, names in
        self.seen = [String(cString: name), String(cString: text)]
        for index in 0..<Int(count) {
          for strings in [names, texts] {
            if let string = strings?[index] { self.seen.append(String(cString: string)) }
          }
        }
        self.programs += 1
        program.pointee = OpaquePointer(bitPattern: 1)
        return 0
      },
      nvrtcCompileProgram: { _, count, options in
        for index in 0..<Int(count) {
          if let option = options[index] { self.seen.append(String(cString: option)) }
        }
        return self.status
      },
      nvrtcGetProgramLogSize: { _, size in
        size.pointee = self.log.utf8.count + 1
        return 0
      },
      nvrtcGetProgramLog: { _, out in
        strcpy(out, self.log)
        return 0
      },
      nvrtcGetCUBINSize: { _, size in
        size.pointee = 3
        return 0
      },
      nvrtcGetCUBIN: { _, out in
        for (index, byte) in [UInt8(7), 0, 255].enumerated() {
          out[index] = CChar(bitPattern: byte)
        }
        return 0
      },
      nvrtcDestroyProgram: { _ in
        self.programs -= 1
        return 0
      })
  }
}
