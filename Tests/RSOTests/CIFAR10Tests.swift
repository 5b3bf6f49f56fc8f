import Foundation
import Testing

@testable import RSO

/// Records with label `k % 10` and pixels `k`, `k + 1`, …, for `k` from `first`.
private func records(_ count: Int, first: Int = 0) -> Data {
  var bytes: [UInt8] = []
  for k in first..<first + count {
    bytes.append(UInt8(k % 10))
    bytes += (0..<3072).map { UInt8(truncatingIfNeeded: k + $0) }
  }
  return Data(bytes)
}

struct CIFAR10Tests {
  private static let names = ["data_batch_1.bin", "data_batch_2.bin"]

  private func withFiles(
    _ files: [String: Data], _ body: (_ split: () throws -> Split, URL) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      for (name, data) in files { try data.write(to: folder.appendingPathComponent(name)) }
      try body({ try CIFAR10.split(Self.names, in: folder, recordsPerFile: 3) }, folder)
    }
  }

  @Test func readsRecordsInTheOrderOfTheFiles() throws {
    try withFiles([Self.names[0]: records(3), Self.names[1]: records(3, first: 11)]) { split, _ in
      let split = try split()
      #expect(split.shape == Shape(channels: 3, height: 32, width: 32))
      #expect(split.labels == [0, 1, 2, 1, 2, 3])
      #expect(split.images.count == 6 * 3072)
      #expect(split.images.bytes[3 * 3072..<3 * 3072 + 3] == [11, 12, 13])
      #expect(split.images.bytes[5 * 3072 + 3071] == UInt8(truncatingIfNeeded: 13 + 3071))
    }
  }

  /// What is written over the second file, and what is wrong with that.
  @Test(arguments: [
    (
      records(3).dropLast(), "expected 9219 bytes, 3 records of 3073, found 9218 (it was cut short)"
    ),
    (records(2), "expected 9219 bytes, 3 records of 3073, found 6146 (it was cut short)"),
    (
      records(4),
      "expected 9219 bytes, 3 records of 3073, found 12292 (surplus bytes at its end)"
    ),
    (
      Data(count: 3 * 3074),
      "expected 9219 bytes, 3 records of 3073, found 9222 (a file of CIFAR-100?)"
    ),
    (
      records(2) + [10] + Data(count: 3072),
      "expected labels 0 to 9, found 10 in record 2 (is it CIFAR-10's binary version?)"
    ),
  ])
  func refuses(_ data: Data, _ problem: String) throws {
    try withFiles([Self.names[0]: records(3), Self.names[1]: data]) { split, _ in
      #expect(errorText { _ = try split() } == "data_batch_2.bin: \(problem)")
    }
  }

  @Test func namesAMissingFile() throws {
    try withFiles([Self.names[0]: records(3)]) { split, folder in
      #expect(
        errorText { _ = try split() }
          == "\(folder.path)/data_batch_2.bin: cannot be read: No such file or directory "
          + "(its folder is there: check the name)")
    }
  }

  /// Six whole files, found as a folder and as the folder of the unpacked archive, with the mean of each channel.
  @Test(arguments: ["", "cifar-10-batches-bin"])
  func isADataset(below: String) throws {
    try withTemporaryFolder { root in
      let folder = below.isEmpty ? root : root.appendingPathComponent(below)
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      var record = Data([7])
      for value: UInt8 in [10, 20, 40] { record += Data(repeating: value, count: 1024) }
      let empty = Data(count: 3073 * 9999)
      for name in CIFAR10.trainFiles + CIFAR10.testFiles {
        try (record + empty).write(to: folder.appendingPathComponent(name))
      }
      #expect(Dataset.isCIFAR10(root))
      let data = try Dataset.folder(root, trainLimit: 20_000)
      #expect(data.name == root.lastPathComponent)
      #expect(data.train.count == 20_000 && data.test.count == 10_000)
      #expect(data.classes == 10)
      #expect(data.train.labels[10_000] == 7 && data.train.labels[10_001] == 0)
      let means = [10.0, 20, 40].map { (value: Double) in Float(2 * value / (255 * 20_000)) }
      #expect(data.mean == means)
      #expect(
        errorText { _ = try Dataset.folder(root, trainLimit: 50_001) }
          == "`trainLimit`: expected 1 to 50000, found 50001 "
          + "(data_batch_*.bin holds 50000 images)")
    }
  }
}

struct KnownDataTests {
  @Test func namesAndAliases() {
    for (name, found) in [
      ("M10", "mnist"), ("MNIST", "mnist"), ("C10", "cifar10"), ("cifar-10", "cifar10"),
      ("Fashion-MNIST", "fashion-mnist"), ("kmnist", "kmnist"),
    ] {
      #expect(KnownData.named(name)?.name == found)
    }
    #expect(KnownData.named("cifar100") == nil)
    #expect(KnownData.named("c10")?.layers == 9 && KnownData.named("c10")?.cycles == 500)
    let words = KnownData.all.flatMap { [$0.name] + $0.aliases }
    #expect(Set(words).count == words.count)
  }

  @Test(arguments: [
    (["XDG_CACHE_HOME": "/x", "HOME": "/h"], "/x/rso"),
    (["XDG_CACHE_HOME": "x", "HOME": "/h"], "/h/.cache/rso"),
    (["XDG_CACHE_HOME": "", "HOME": "/h"], "/h/.cache/rso"),
    (["HOME": "/h"], "/h/.cache/rso"),
  ])
  func cacheFolder(environment: [String: String], path: String) {
    #expect(UserCache.folder(environment).path == path)
  }

  /// Found only where every file is, plain or compressed.
  @Test func isFoundWhenItIsWhole() throws {
    let known = try #require(KnownData.named("kmnist"))
    try withTemporaryFolder { cache in
      let environment = ["XDG_CACHE_HOME": cache.path]
      let folder = known.cacheFolder(environment)
      #expect(folder.path == cache.path + "/rso/kmnist")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      for (index, file) in known.files.enumerated() {
        #expect(known.folder(environment) == nil)
        let name = index == 2 ? file.name : String(file.name.dropLast(3))
        try Data().write(to: folder.appendingPathComponent(name))
      }
      #expect(known.folder(environment)?.path == folder.path)
    }
  }

  /// What a package of the system brought comes before what was fetched.
  @Test func theSystemsOwnComesFirst() throws {
    try withTemporaryFolder { root in
      let system = root.appendingPathComponent("system")
      let known = KnownData(
        name: "letters", aliases: [], title: "", contents: "",
        shape: Shape(channels: 1, height: 1, width: 1), format: .idx, authors: "", licence: "",
        mirrors: [], files: [.init(name: "a.gz", digest: .archive(md5: ""))], downloadSize: 1,
        systemFolders: [root.appendingPathComponent("none").path, system.path], layers: 6,
        cycles: 50)
      let environment = ["XDG_CACHE_HOME": root.path]
      let cache = known.cacheFolder(environment)
      for folder in [cache, system] {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data().write(to: folder.appendingPathComponent("a"))
        #expect(known.folder(environment)?.path == folder.path)
      }
      #expect(
        KnownData.named("fashion-mnist")?.systemFolders == ["/usr/share/datasets/fashion-mnist"])
    }
  }
}
