import Foundation

/// Reads CIFAR-10's binary version: six files of 10,000 records, each one label byte and 3 · 32 · 32 pixel bytes
/// `[C, H, W]`.
///
/// Source: https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
enum CIFAR10 {
  static let shape = Shape(channels: 3, height: 32, width: 32)
  static let classes = 10
  static let recordsPerFile = 10_000
  static let trainFiles = (1...5).map { "data_batch_\($0).bin" }
  static let testFiles = ["test_batch.bin"]
  /// The folder that the archive unpacks into.
  static let archiveFolder = "cifar-10-batches-bin"

  /// `directory`, or the archive's folder in it, whichever first holds any of the files; `nil` if neither does.
  static func folder(in directory: URL) -> URL? {
    [directory, directory.appendingPathComponent(archiveFolder)].first { folder in
      (trainFiles + testFiles).contains {
        FileManager.default.fileExists(atPath: folder.appendingPathComponent($0).path)
      }
    }
  }

  /// The records of several files, in the order of the files.
  ///
  /// - Throws: `RSOError` naming the file and what is wrong with it.
  static func split(_ files: [String], in folder: URL, recordsPerFile: Int = recordsPerFile) throws
    -> Split
  {
    var images: [UInt8] = []
    var labels: [Int32] = []
    try Memory.require(
      files.count * recordsPerFile * shape.count, for: "the images of CIFAR-10",
      hint: Memory.imagesHint)
    images.reserveCapacity(files.count * recordsPerFile * shape.count)
    labels.reserveCapacity(files.count * recordsPerFile)
    let record = 1 + shape.count
    for name in files {
      let bytes = try readFile(folder.appendingPathComponent(name))
      guard bytes.count == recordsPerFile * record else {
        let hint: String? =
          bytes.count.isMultiple(of: record + 1)
          ? "a file of CIFAR-100?"
          : bytes.count < recordsPerFile * record ? "it was cut short" : "surplus bytes at its end"
        throw RSOError(
          name,
          "expected \(recordsPerFile * record) bytes, \(recordsPerFile) records of \(record), "
            + "found \(bytes.count)", hint: hint)
      }
      for start in stride(from: 0, to: bytes.count, by: record) {
        guard bytes[start] < classes else {
          throw RSOError(
            name,
            "expected labels 0 to \(classes - 1), found \(bytes[start]) in record \(start / record)",
            hint: "is it CIFAR-10's binary version?")
        }
        labels.append(Int32(bytes[start]))
        images += bytes[(start + 1)..<(start + record)]
      }
    }
    let name = files.count == 1 ? files[0] : "data_batch_*.bin"
    return try Split(images: images, labels: labels, shape: shape, names: (name, name))
  }
}
