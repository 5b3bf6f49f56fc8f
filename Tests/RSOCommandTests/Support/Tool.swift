import Foundation
import Testing

/// The built `rso`, run as a user runs it.
enum Tool {
  struct Result {
    var code: Int32
    /// The signal that ended it, if one did.
    var signal: Int32?
    var output: String
    var errors: String
  }

  /// Beside the test bundle, where SwiftPM builds it.
  static let url: URL = {
    let bundles = Bundle.allBundles.map(\.bundleURL).filter { $0.pathExtension == "xctest" }
    let process = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let folders = (bundles + [process]).map { $0.deletingLastPathComponent() }
    let candidates = folders.map { $0.appendingPathComponent("rso") }
    return candidates.first { FileManager.default.isExecutableFile(atPath: $0.path) }
      ?? URL(fileURLWithPath: "/no/rso/beside/the/tests")
  }()

  /// Runs `rso` to its end in `folder`.
  static func run(_ arguments: [String], in folder: URL) throws -> Result {
    try Running(arguments, in: folder).wait()
  }

  /// A started `rso`.
  final class Running {
    let process = Process()
    private let output: URL
    private let errors: URL

    /// - Parameter shell: a command of bash that comes before, such as `ulimit`.
    init(
      _ arguments: [String], in folder: URL, output: Any? = nil, shell: String? = nil,
      environment: [String: String] = [:]
    ) throws {
      let scratch = FileManager.default.temporaryDirectory
      self.output = scratch.appendingPathComponent("rso-\(UUID().uuidString).out")
      errors = scratch.appendingPathComponent("rso-\(UUID().uuidString).err")
      for file in [self.output, errors] { try Data().write(to: file) }
      if let shell {
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments =
          ["-c", "\(shell); exec \"$0\" \"$@\"", Tool.url.path] + arguments
      } else {
        process.executableURL = Tool.url
        process.arguments = arguments
      }
      process.currentDirectoryURL = folder
      // No test finds what the user has fetched.
      process.environment = ProcessInfo.processInfo.environment.merging(
        ["XDG_CACHE_HOME": folder.appendingPathComponent("cache").path]
      ) { $1 }.merging(environment) { $1 }
      process.standardOutput = try output ?? FileHandle(forWritingTo: self.output)
      process.standardError = try FileHandle(forWritingTo: errors)
      process.standardInput = FileHandle.nullDevice
      try process.run()
    }

    func wait() throws -> Result {
      process.waitUntilExit()
      defer { for file in [output, errors] { try? FileManager.default.removeItem(at: file) } }
      return Result(
        code: process.terminationStatus,
        signal: process.terminationReason == .uncaughtSignal ? process.terminationStatus : nil,
        output: String(decoding: try Data(contentsOf: output), as: UTF8.self),
        errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
    }

    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }
  }
}

/// A folder of its own for one test, with tiny data and a tiny network in it.
struct Workplace {
  let url: URL

  /// Options that train the tiny network on the tiny data.
  static let options = ["--data-dir", "digits", "--network", "net.json", "--batch", "30"]

  static let network = """
    {"input": {"channels": 1, "height": 8, "width": 8}, "layers": [
      {"name": "conv0", "type": "conv2d", "channels": 3, "kernel": 3, "padding": 1},
      {"name": "bn0", "type": "batchNorm"},
      {"name": "relu0", "type": "relu"},
      {"name": "conv1", "type": "conv2d", "channels": 4, "kernel": 3, "padding": 1},
      {"name": "bn1", "type": "batchNorm"},
      {"name": "pool", "type": "globalMaxPool"},
      {"name": "fc", "type": "linear", "features": 3}]}
    """

  /// Runs `body` in a folder that goes afterwards.
  static func with(_ body: (Workplace) throws -> Void) throws {
    let url = FileManager.default.temporaryDirectory
      .appendingPathComponent("rso-\(UUID().uuidString)").resolvingSymlinksInPath()
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: url) }
    let place = Workplace(url: url)
    try place.writeData("digits")
    try Data(network.utf8).write(to: place.file("net.json"))
    try body(place)
  }

  func file(_ path: String) -> URL { url.appendingPathComponent(path) }

  func run(_ arguments: [String]) throws -> Tool.Result { try Tool.run(arguments, in: url) }

  /// `rso train` on the tiny data.
  func train(_ arguments: [String]) throws -> Tool.Result {
    try run(["train"] + Self.options + arguments)
  }

  /// Every file below the folder, by path.
  func files() throws -> Set<String> {
    Set(try FileManager.default.subpathsOfDirectory(atPath: url.path))
  }

  func text(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: file(path)), as: UTF8.self)
  }

  /// Four IDX files: 90 images to train on and 30 to test, 8×8, in three classes.
  func writeData(_ folder: String, shift: Int = 0) throws {
    try FileManager.default.createDirectory(at: file(folder), withIntermediateDirectories: true)
    func word(_ value: Int) -> [UInt8] {
      [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }
    for (name, count) in [("train", 90), ("t10k", 30)] {
      let labels = (0..<count).map { UInt8($0 % 3) }
      var images: [UInt8] = []
      var state = UInt64(count + shift)
      for label in labels {
        for pixel in 0..<64 {
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          let noise = Int(state >> 57)
          // A bar whose place tells the class.
          images.append(UInt8(noise + (pixel / 8 == Int(label) * 2 + 1 ? 90 : 0)))
        }
      }
      try Data(word(2049) + word(count) + labels)
        .write(to: file("\(folder)/\(name)-labels-idx1-ubyte"))
      try Data(word(2051) + word(count) + word(8) + word(8) + images)
        .write(to: file("\(folder)/\(name)-images-idx3-ubyte"))
    }
  }
}
