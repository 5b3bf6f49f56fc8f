import Foundation
import Testing

@testable import RSO

/// An IDX file: the magic number, the dimensions, and `count` bytes 0, 1, 2, …, 255, 0, … or those given.
private func idx(_ magic: Int, _ dimensions: [Int], _ bytes: [UInt8]? = nil) -> Data {
  let words = ([magic] + dimensions).flatMap { word in
    stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> $0) }
  }
  let content = bytes ?? (0..<dimensions.reduce(1, *)).map { UInt8(truncatingIfNeeded: $0) }
  return Data(words + content)
}

/// A small data set, to be damaged: three images of 2×4 to train on, two to test with, labels 0, 1, 2, ….
private struct Folder {
  let url: URL

  init(_ url: URL) throws {
    self.url = url
    try write("train-images-idx3-ubyte", idx(2051, [3, 2, 4]))
    try write("train-labels-idx1-ubyte", idx(2049, [3]))
    try write("t10k-images-idx3-ubyte", idx(2051, [2, 2, 4]))
    try write("t10k-labels-idx1-ubyte", idx(2049, [2]))
  }

  func write(_ name: String, _ data: Data) throws {
    try data.write(to: url.appendingPathComponent(name))
  }

  func remove(_ name: String) throws {
    try FileManager.default.removeItem(at: url.appendingPathComponent(name))
  }

  func error(classes: Int? = nil) -> String? {
    errorText { _ = try Dataset.idx(directory: url, classes: classes) }
  }
}

/// Compresses by the program `gzip`, so that what is read was written by another hand.
func gzip(_ content: Data) throws -> Data {
  var result = Data()
  try withTemporaryFolder { folder in
    let file = folder.appendingPathComponent("content")
    try content.write(to: file)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["gzip", "-9", file.path]
    try process.run()
    process.waitUntilExit()
    result = try Data(readFile(file.appendingPathExtension("gz")))
  }
  return result
}

extension Pixels {
  /// Empty where they are floats.
  var bytes: [UInt8] { if case .bytes(let bytes) = self { bytes } else { [] } }
}

private func withFolder(_ body: (Folder) throws -> Void) throws {
  try withTemporaryFolder { try body(Folder($0)) }
}

struct MNISTTests {
  @Test func isBuiltIn() throws {
    let mnist = try Dataset.mnist()
    #expect(mnist.name == "mnist")
    #expect(mnist.train.count == 60000)
    #expect(mnist.test.count == 10000)
    #expect(mnist.train.images.count == 60000 * 28 * 28)
    #expect(mnist.train.shape == Shape(channels: 1, height: 28, width: 28))
    #expect(mnist.classes == 10)
    #expect(mnist.mean == [0.1306604762738431])
    #expect(mnist.train.labels.prefix(5) == [5, 0, 4, 1, 9])
    #expect(mnist.test.labels.prefix(5) == [7, 2, 1, 0, 4])
  }

  @Test func limitsKeepTheFirstAndTheClasses() throws {
    let mnist = try Dataset.mnist(trainLimit: 2, testLimit: 1)
    #expect(mnist.train.labels == [5, 0])
    #expect(mnist.train.images.count == 2 * 28 * 28)
    #expect(mnist.test.labels == [7])
    #expect(mnist.classes == 10)
    let sum = mnist.train.images.bytes.reduce(0) { $0 + Int($1) }
    #expect(mnist.mean == [Float(Double(sum) / Double(255 * 2 * 28 * 28))])
  }

  @Test func saysWhereItLooked() {
    let folders = BuiltInData.candidates("mnist")
    #expect(folders.contains { $0.path.hasSuffix("Sources/RSO/Resources/mnist") })
    #expect(
      "\(BuiltInData.missing("mnist", [URL(fileURLWithPath: "/a"), URL(fileURLWithPath: "/b")]))"
        .hasPrefix("mnist: the built-in data are in none of /a, /b (keep rso_RSO."))
  }

  #if os(Linux)
    /// The copy beside the program is found, not only the one in the source.
    @Test func isFoundBesideTheProgram() {
      let beside = BuiltInData.candidates("mnist").filter { $0.path.contains("rso_RSO.resources") }
      #expect(beside.contains { FileManager.default.fileExists(atPath: $0.path) })
    }
  #endif
}

struct DatasetTests {
  @Test func readsAFolder() throws {
    try withFolder { folder in
      let data = try Dataset.idx(directory: folder.url)
      #expect(data.name == folder.url.lastPathComponent)
      #expect(data.train.shape == Shape(channels: 1, height: 2, width: 4))
      #expect(data.train.images.bytes == Array(0..<24))
      #expect(data.train.labels == [0, 1, 2])
      #expect(data.test.images.bytes == Array(0..<16))
      #expect(data.test.labels == [0, 1])
      #expect(data.classes == 3)
      #expect(data.mean == [Float(11.5 / 255)])
    }
  }

  @Test func plainAndGzipAreEqualWhateverTheirNames() throws {
    try withFolder { folder in
      let images = Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0 * $0 >> 7) })
      let plain = idx(2051, [50, 50, 40], Array(images))
      try folder.write("train-labels-idx1-ubyte", idx(2049, [50]))
      // Plain under a plain name, gzip under a plain name, gzip under .gz, plain under .gz.
      for (name, data) in [
        ("train-images-idx3-ubyte", plain),
        ("train-images-idx3-ubyte", try gzip(plain)),
        ("train-images-idx3-ubyte.gz", try gzip(plain)),
        ("train-images.idx3-ubyte.gz", plain),
        ("train-images-idx4-ubyte", idx(2052, [50, 1, 50, 40], Array(images))),
      ] {
        try folder.write(name, data)
        let split = try IDX.split("train", in: folder.url)
        #expect(split.images.bytes == Array(images), "\(name)")
        #expect(split.names.images == name)
        try folder.remove(name)
      }
    }
  }

  @Test func readsChannels() throws {
    try withFolder { folder in
      for (prefix, count) in [("train", 3), ("t10k", 2)] {
        try folder.remove("\(prefix)-images-idx3-ubyte")
        try folder.write("\(prefix)-images-idx4-ubyte", idx(2052, [count, 2, 1, 2]))
      }
      let data = try Dataset.idx(directory: folder.url, trainLimit: 2)
      #expect(data.train.shape == Shape(channels: 2, height: 1, width: 2))
      // Channel 0 is 0 1 4 5, channel 1 is 2 3 6 7.
      #expect(data.mean == [Float(2.5 / 255), Float(4.5 / 255)])
    }
  }

  @Test func limitsAreChecked() throws {
    try withFolder { folder in
      #expect(
        errorText { _ = try Dataset.idx(directory: folder.url, trainLimit: 4) }
          == "`trainLimit`: expected 1 to 3, found 4 (train-images-idx3-ubyte holds 3 images)")
      #expect(
        errorText { _ = try Dataset.idx(directory: folder.url, testLimit: 0) }
          == "`testLimit`: expected 1 to 2, found 0 (t10k-images-idx3-ubyte holds 2 images)")
      #expect(
        errorText { _ = try Dataset.idx(directory: folder.url, trainLimit: -1) }
          == "`trainLimit`: expected 1 to 3, found -1 (train-images-idx3-ubyte holds 3 images)")
      let data = try Dataset.idx(directory: folder.url, trainLimit: 3, testLimit: 1)
      #expect(data.train.prefix(nil).count == 3)
      #expect(data.train.prefix(9).count == 3)
      #expect(data.train.prefix(1).images.bytes == Array(0..<8))
      #expect(data.train.prefix(-1).count == 0)
      #expect(data.test.count == 1)
    }
  }

  @Test func splitsMustAgree() throws {
    try withFolder { folder in
      try folder.write("t10k-images-idx3-ubyte", idx(2051, [2, 3, 4]))
      #expect(
        folder.error()
          == "t10k-images-idx3-ubyte: expected images of 1×2×4 as in train-images-idx3-ubyte, "
          + "found 1×3×4")
    }
  }

  @Test func labelsAreInRange() throws {
    try withFolder { folder in
      #expect(folder.error(classes: 3) == nil)
      #expect(
        folder.error(classes: 2)
          == "train-labels-idx1-ubyte: expected labels 0 to 1, found 2 at index 2")
      try folder.write("t10k-labels-idx1-ubyte", idx(2049, [2], [9, 255]))
      #expect(
        folder.error(classes: 10)
          == "t10k-labels-idx1-ubyte: expected labels 0 to 9, found 255 at index 1")
      #expect(try Dataset.idx(directory: folder.url).classes == 256)
      #expect(
        folder.error(classes: 1001)
          == "\(folder.url.lastPathComponent): expected 1 to 1000 classes, found 1001")
    }
  }
}

/// A file of the data set, what is written over it, and what is wrong with that.
private let damagedFiles: [(String, Data, String)] = [
  (
    "train-images-idx3-ubyte", idx(2049, [3]),
    "expected magic 2051, found 2049 (a labels file? are the two paths swapped?)"
  ),
  (
    "train-labels-idx1-ubyte", idx(2051, [3, 2, 4]),
    "expected magic 2049, found 2051 (an images file? are the two paths swapped?)"
  ),
  (
    "train-labels-idx1-ubyte", idx(2052, [3, 1, 2, 4]),
    "expected magic 2049, found 2052 (an images file? are the two paths swapped?)"
  ),
  (
    "train-images-idx3-ubyte", idx(0x0d03, [3, 2, 4]),
    "expected magic 2051, found 3331 (its values are not unsigned bytes)"
  ),
  (
    "train-images-idx3-ubyte", Data("<html>".utf8),
    "expected magic 2051, found 1013478509 (not an IDX file?)"
  ),
  ("train-images-idx3-ubyte", Data([0, 0]), "expected a header, found a file of 2 bytes"),
  (
    "train-images-idx3-ubyte", idx(2051, [3, 2, 4]).prefix(14),
    "expected a header, found a file of 14 bytes"
  ),
  (
    "train-images-idx3-ubyte", idx(2051, [3, 0, 4]),
    "expected dimensions above zero, found 3×0×4"
  ),
  (
    "train-images-idx3-ubyte", idx(2051, [3, 2, 4]).dropLast(),
    "expected 3×2×4 bytes after the header, found 23 (it was cut short)"
  ),
  (
    "train-images-idx3-ubyte", idx(2051, [3, 2, 4]) + [0],
    "expected 3×2×4 bytes after the header, found 25 (surplus bytes at its end)"
  ),
  (
    "train-images-idx3-ubyte", idx(2052, [0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 1], []),
    "expected 4294967295×4294967295×4294967295×1 bytes after the header, found 0 "
      + "(it was cut short)"
  ),
  (
    "train-labels-idx1-ubyte", idx(2049, [4]),
    "expected 3 labels, as many as images in train-images-idx3-ubyte, found 4"
  ),
  (
    "train-images-idx3-ubyte", Data([0x1f, 0x8b]), "the gzip data end too early (fetch it again)"
  ),
  (
    "train-images-idx3-ubyte", Data([0x1f, 0x8b] + [UInt8](repeating: 0, count: 20)),
    "corrupt gzip data: unknown compression method (fetch it again)"
  ),
]

struct IDXTests {
  @Test(arguments: damagedFiles)
  func refuses(_ name: String, _ data: Data, _ problem: String) throws {
    try withFolder { folder in
      try folder.write(name, data)
      #expect(folder.error() == "\(name): \(problem)")
    }
  }

  @Test func channelsDoNotComeLast() throws {
    try withFolder { folder in
      try folder.write(
        "train-images-idx3-ubyte",
        idx(2052, [1, 8, 6, 3], [UInt8](repeating: 0, count: 144)))
      #expect(
        folder.error() == "train-images-idx3-ubyte: expected images [N, C, H, W], found the shape "
          + "[1, 8, 6, 3], which is [N, H, W, C] (convert it: write the channels before rows and "
          + "columns; if they are images of 8 channels and 6×3 pixels, turn them: write them as 3 rows)"
      )
    }
  }

  @Test func saysThatAGzipNameIsNoGzip() throws {
    try withFolder { folder in
      try folder.remove("train-images-idx3-ubyte")
      try folder.write("train-images-idx3-ubyte.gz", Data("<html>".utf8))
      #expect(
        folder.error()
          == "train-images-idx3-ubyte.gz: expected magic 2051, found 1013478509 (nor is it gzip data)"
      )
      try folder.remove("train-images-idx3-ubyte.gz")
      try folder.write("train-images-idx4-ubyte", idx(2049, [3]))
      #expect(
        folder.error()
          == "train-images-idx4-ubyte: expected magic 2052, found 2049 "
          + "(a labels file? are the two paths swapped?)")
    }
  }

  @Test func saysWhichNamesItLookedFor() throws {
    try withFolder { folder in
      try folder.remove("t10k-labels-idx1-ubyte")
      #expect(
        folder.error()
          == "\(folder.url.path): expected t10k-labels-idx1-ubyte or t10k-labels.idx1-ubyte, "
          + "plain or .gz, found none")
      let none = folder.url.appendingPathComponent("none")
      #expect(
        errorText { _ = try Dataset.idx(directory: none) }
          == "\(none.path): expected train-images-idx3-ubyte or train-images.idx3-ubyte or "
          + "train-images-idx4-ubyte or train-images.idx4-ubyte, plain or .gz, found none "
          + "(the folder does not exist)")
    }
  }

  @Test(arguments: [1, 64])
  func readsTheSmallestAndTheLargestImages(side: Int) throws {
    try withFolder { folder in
      for (prefix, count) in [("train", 3), ("t10k", 2)] {
        try folder.write("\(prefix)-images-idx3-ubyte", idx(2051, [count, side, side]))
      }
      #expect(try Dataset.idx(directory: folder.url).train.shape.area == side * side)
    }
  }
}

struct GzipTests {
  /// Several chunks of output from a few bytes of input, and of input.
  @Test(arguments: [0, 1, 1 << 18, 3_000_000])
  func inflatesZeros(count: Int) throws {
    let zeros = [UInt8](repeating: 0, count: count)
    let data = try Array(gzip(Data(zeros)))
    #expect(try Gzip.inflate(data, name: "f") == zeros)
  }

  @Test func readsSeveralMembers() throws {
    let members = try gzip(Data("one, ".utf8)) + gzip(Data("two".utf8))
    #expect(try Gzip.inflate(Array(members), name: "f") == Array("one, two".utf8))
  }

  @Test func refusesWhatIsDamaged() throws {
    let whole = try Array(gzip(Data("some content".utf8)))
    func error(_ bytes: [UInt8]) -> String? {
      errorText { _ = try Gzip.inflate(bytes, name: "f") }
    }
    #expect(error(whole) == nil)
    for length in 2..<whole.count {
      #expect(
        error(Array(whole.prefix(length))) == "f: the gzip data end too early (fetch it again)")
    }
    var damaged = whole
    damaged[whole.count - 5] ^= 1
    #expect(error(damaged) == "f: corrupt gzip data: incorrect data check (fetch it again)")
    damaged = whole
    damaged[whole.count - 1] ^= 1
    #expect(error(damaged) == "f: corrupt gzip data: incorrect length check (fetch it again)")
    #expect(error(whole + [0, 0]) == "f: 2 surplus bytes after the gzip data")
    #expect(error([1, 2, 3]) == "f: expected gzip data, found something else")
    #expect(error([]) == "f: expected gzip data, found something else")
  }
}
