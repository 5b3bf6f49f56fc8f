import Foundation

/// A data set known by name: where to find it, and where it comes from.
package struct KnownData: Sendable {
  package enum Format: Sendable { case idx, cifar10 }

  /// The digest that identifies a genuine file.
  package enum Digest: Hashable, Sendable {
    /// The digest of the content, however it is compressed.
    case content(sha256: String)
    /// The digest of the published archive, for files without a published digest of the content. Only that archive
    /// is accepted, from any mirror.
    case archive(md5: String)
  }

  /// One file to download.
  package struct File: Hashable, Sendable {
    package let name: String
    package let digest: Digest
  }

  package let name: String
  /// Other names, in lower case; the authors' script has `M10` and `C10`.
  package let aliases: [String]
  package let title: String
  package let contents: String
  /// The shape of one image.
  package let shape: Shape
  package var classes: Int { 10 }
  package let format: Format
  package let authors: String
  package let licence: String
  /// Addresses of folders that hold the files, in the order to try them; `rso data list` shows the first as the source.
  package let mirrors: [String]
  package let files: [File]
  /// The approximate number of bytes to download.
  package let downloadSize: Int
  /// Folders where system packages install it.
  package let systemFolders: [String]
  /// The layers of the paper's network for it, and the paper's cycles.
  package let layers: Int
  package let cycles: Int

  /// The data set called `name`, ignoring case.
  package static func named(_ name: String) -> KnownData? {
    let name = name.lowercased()
    return all.first { $0.name == name || $0.aliases.contains(name) }
  }

  // MARK: Where it is

  /// The folder where `rso data fetch` puts it.
  package func cacheFolder(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> URL {
    UserCache.folder(environment).appendingPathComponent(name)
  }

  package var isBuiltIn: Bool { name == "mnist" }

  /// The folder that holds it on this machine; `nil` if there is none.
  ///
  /// A system folder takes precedence over a fetched copy.
  package func folder(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> URL? {
    if isBuiltIn { return try? BuiltInData.folder(name) }
    let folders =
      systemFolders.map { URL(fileURLWithPath: $0) } + [cacheFolder(environment)]
    return folders.first(where: isComplete)
  }

  /// Whether a folder has files with all the names.
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
  /// It is looked for where system packages install it and in the user's cache folder (`$XDG_CACHE_HOME/rso`, or
  /// `~/.cache/rso`), where `rso data fetch` puts it.
  ///
  /// - Parameters:
  ///   - name: the name, or one of its short forms.
  ///   - directory: a folder to use instead, in any format that `folder` reads.
  ///   - trainLimit: how many of the first training images to use; `nil` uses all.
  ///   - testLimit: how many of the first test images to use; `nil` uses all.
  /// - Throws: `RSOError` if the name is unknown, the data are missing, a file is wrong, or the folder has other images.
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
