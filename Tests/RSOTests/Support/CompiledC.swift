import Foundation
import RSO
import RSOFormats
import Testing

/// A C file of an export, compiled with this machine's compiler.
struct CompiledC {
  /// A C compiler in the user's `PATH`; `nil` if there is none.
  static let compiler: URL? = {
    let folders = ProcessInfo.processInfo.environment["PATH", default: ""].split(separator: ":")
    let candidates = ["cc", "clang", "gcc"].flatMap { name in
      folders.map { URL(fileURLWithPath: "\($0)/\(name)") }
    }
    return candidates.first { FileManager.default.isExecutableFile(atPath: $0.path) }
  }()

  private let folder: URL
  private let source: CSource
  private let model: Model

  /// The class and the scores of an image, as bits.
  struct Result: Hashable {
    var label: Int
    var scores: [UInt32]
  }

  init(_ source: CSource, of model: Model) throws {
    self.source = source
    self.model = model
    folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("rso-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try source.write(to: folder.appendingPathComponent("net.c"))
    let scores = source.scoreExponent == nil ? "float" : "int32_t"
    let input = model.takesFloats ? "float" : "uint8_t"
    let main = """
      #include <stdint.h>
      #include <stdio.h>
      int \(source.name)_classify(const \(input) *, \(scores) *);
      int main(void)
      {
        static \(input) image[\(model.network.input.count)];
        static \(scores) scores[\(model.network.classes)];
        while (fread(image, sizeof image, 1, stdin) == 1) {
          const int32_t label = \(source.name)_classify(image, scores);
          fwrite(&label, 4, 1, stdout);
          fwrite(scores, sizeof scores, 1, stdout);
        }
        return 0;
      }
      """
    try Data(main.utf8).write(to: folder.appendingPathComponent("main.c"))
    guard let compiler = Self.compiler else { throw RSOError("cc", "no compiler") }
    let (code, _, errors) = try Self.run(
      compiler,
      ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-fsanitize=undefined"]
        + ["-fno-sanitize-recover=undefined", "net.c", "main.c", "-o", "net"], in: folder)
    guard code == 0 else { throw RSOError("net.c", errors) }
  }

  func remove() { try? FileManager.default.removeItem(at: folder) }

  /// The results for images.
  func run(_ images: Data) throws -> [Result] {
    let input = folder.appendingPathComponent("images")
    try images.write(to: input)
    let (code, output, errors) = try Self.run(
      folder.appendingPathComponent("net"), [], in: folder, input: input)
    guard code == 0 else { throw RSOError("net", errors) }
    let words = output.withUnsafeBytes { bytes in
      (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self) }
    }
    let size = 1 + model.network.classes
    return stride(from: 0, to: words.count, by: size).map {
      Result(label: Int(words[$0]), scores: Array(words[$0 + 1..<$0 + size]))
    }
  }

  static func run(
    _ program: URL, _ arguments: [String], in folder: URL, input: URL? = nil
  ) throws -> (code: Int32, output: Data, errors: String) {
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    process.currentDirectoryURL = folder
    let files = ["out", "err"].map { folder.appendingPathComponent($0) }
    for file in files { try Data().write(to: file) }
    process.standardInput = try input.map(FileHandle.init(forReadingFrom:)) ?? .nullDevice
    process.standardOutput = try FileHandle(forWritingTo: files[0])
    process.standardError = try FileHandle(forWritingTo: files[1])
    try process.run()
    process.waitUntilExit()
    return (
      process.terminationStatus, try Data(contentsOf: files[0]),
      String(decoding: try Data(contentsOf: files[1]), as: UTF8.self)
    )
  }
}
