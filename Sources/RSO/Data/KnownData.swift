import Foundation

/// A data set that is known by name: where it is found, and where it comes from.
package struct KnownData: Sendable {
  package enum Format: Sendable { case idx, cifar10 }

  /// What tells a genuine file.
  package enum Digest: Hashable, Sendable {
    /// Of the content, whatever compressed it.
    case content(sha256: String)
    /// Of the archive as published, where no source states one of its content. Only that archive will do, from whatever
    /// mirror.
    case archive(md5: String)
  }

  /// One file to download.
  package struct File: Hashable, Sendable {
    package let name: String
    package let digest: Digest
  }

  package let name: String
  /// Other names, in small letters; the authors' script has `M10` and `C10`.
  package let aliases: [String]
  package let title: String
  package let contents: String
  /// Of one image.
  package let shape: Shape
  package var classes: Int { 10 }
  package let format: Format
  package let authors: String
  package let licence: String
  /// Folders that hold the files, in the order in which they are tried; the first is the origin.
  package let mirrors: [String]
  package let files: [File]
  /// Bytes to download, about.
  package let downloadSize: Int
  /// Where packages of a system put it.
  package let systemFolders: [String]
  /// The paper's network and cycles for it.
  package let layers: Int
  package let cycles: Int

  /// The data set called `name`, in small or capital letters.
  package static func named(_ name: String) -> KnownData? {
    let name = name.lowercased()
    return all.first { $0.name == name || $0.aliases.contains(name) }
  }

  // MARK: Where it is

  /// Where `rso data fetch` puts it.
  package func cacheFolder(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> URL {
    UserCache.folder(environment).appendingPathComponent(name)
  }

  package var isBuiltIn: Bool { name == "mnist" }

  /// The folder that holds it on this machine; `nil` where there is none.
  ///
  /// What the system has comes before what was fetched.
  package func folder(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> URL? {
    if isBuiltIn { return try? BuiltInData.folder(name) }
    let folders =
      systemFolders.map { URL(fileURLWithPath: $0) } + [cacheFolder(environment)]
    return folders.first(where: isComplete)
  }

  /// Whether a folder has all the files, by name.
  package func isComplete(_ folder: URL) -> Bool {
    switch format {
    case .idx:
      files.allSatisfy { file in
        let plain = file.name.hasSuffix(".gz") ? String(file.name.dropLast(3)) : file.name
        return [plain, plain + ".gz"].contains {
          FileManager.default.fileExists(atPath: folder.appendingPathComponent($0).path)
        }
      }
    case .cifar10:
      CIFAR10.folder(in: folder).map { folder in
        (CIFAR10.trainFiles + CIFAR10.testFiles).allSatisfy {
          FileManager.default.fileExists(atPath: folder.appendingPathComponent($0).path)
        }
      } ?? false
    }
  }
}

extension Dataset {
  /// A data set known by name: `mnist`, `fashion-mnist`, `kmnist` or `cifar10`.
  ///
  /// It is looked for where packages of the system put it and in the user's cache folder
  /// (`$XDG_CACHE_HOME/rso`, or `~/.cache/rso`), where `rso data fetch` puts it.
  ///
  /// - Parameter directory: the folder to take it from instead, in any format that `folder` reads.
  /// - Throws: `RSOError` if the name is unknown, the data are not there, a file is wrong, or the folder has other images.
  public static func named(
    _ name: String, directory: URL? = nil, trainLimit: Int? = nil, testLimit: Int? = nil
  ) throws -> Dataset {
    guard let known = KnownData.named(name) else {
      throw RSOError(
        "`data`", "expected \(KnownData.all.map(\.name).joined(separator: ", ")), found '\(name)'",
        hint: "your own images: `directory`")
    }
    if known.isBuiltIn, directory == nil {
      return try mnist(trainLimit: trainLimit, testLimit: testLimit)
    }
    guard let folder = directory ?? known.folder() else {
      throw RSOError(
        known.name, "the data set is not on this machine",
        hint: "fetch it with: rso data fetch \(known.name)")
    }
    var data = try self.folder(folder, trainLimit: trainLimit, testLimit: testLimit)
    data.name = known.name
    guard data.train.shape == known.shape, data.classes == known.classes else {
      throw RSOError(
        folder.path,
        "expected images of \(known.shape) in \(known.classes) classes, as \(known.name) has, "
          + "found \(data.train.shape) in \(data.classes)", hint: "other images go without `data`")
    }
    return data
  }
}
