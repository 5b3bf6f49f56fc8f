import Foundation
import Testing

/// A limit on memory, as of `ulimit -v`.
struct MemoryTests {
  /// Runs `rso` with a limit on its address space, in MB.
  private func run(
    _ arguments: [String], megabytes: Int, in place: Workplace
  ) throws -> Tool.Result {
    try Tool.Running(
      arguments, in: place.url, shell: "ulimit -v \(megabytes * 1000)"
    ).wait()
  }

  /// 200 MB of images, in steps from too little for anything to enough.
  @Test func whatDoesNotFitIsAnError() throws {
    try Workplace.with { place in
      let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (50000, 64, 64), }\n"
      let images =
        [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0] + Array(header.utf8)
      let labels = "{'descr': '|u1', 'fortran_order': False, 'shape': (50000,), }\n"
      let ends =
        [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(labels.utf8.count), 0] + Array(labels.utf8)
      try FileManager.default.createDirectory(
        at: place.file("large"), withIntermediateDirectories: false)
      for name in ["train", "test"] {
        try (Data(images) + Data(count: 50_000 * 64 * 64))
          .write(to: place.file("large/\(name)_images.npy"))
        try (Data(ends) + Data((0..<50_000).map { UInt8($0 % 3) }))
          .write(to: place.file("large/\(name)_labels.npy"))
      }
      var refused = 0
      for megabytes in stride(from: 100, through: 1600, by: 100) {
        let result = try run(
          [
            "train", "--data-dir", "large", "--layers", "6", "--run", "r", "--batch", "100",
            "--train-limit", "200", "--test-limit", "10", "--only", "fc.weight", "--cycles", "1",
            "--threads", "2",
          ], megabytes: megabytes, in: place)
        if result.code == 0 { break }
        refused += 1
        #expect(result.code == 1 && result.signal == nil, "\(megabytes) MB: \(result.errors)")
        let lines = result.errors.split(separator: "\n")
        #expect(lines.count == 1, "\(megabytes) MB: \(result.errors)")
        #expect(
          result.errors.hasPrefix("rso: error: memory: expected "),
          "\(megabytes) MB: \(result.errors)"
        )
        #expect(result.errors.contains("; or raise the limit: ulimit -v)"))
        #expect(try !place.files().contains("r"))
      }
      #expect(refused > 4)
    }
  }
}
