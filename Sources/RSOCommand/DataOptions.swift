import ArgumentParser
import Foundation
import RSO

/// The images to train on and to test with.
struct DataOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A data set known by name: mnist or M10, cifar10 or C10, fashion-mnist, kmnist; `rso data list` "
        + "says which are here (default: mnist).",
      valueName: "name"), completion: .list(KnownData.all.map(\.name)))
  var data: String?

  @Option(
    help: ArgumentHelp(
      "A folder of images: IDX files under MNIST's names, NumPy files (train_images.npy, …) or CIFAR-10's binary files; "
        + "with --data, the folder that has the data set of that name.",
      valueName: "dir"), completion: .directory)
  var dataDir: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Use only the first training images.", valueName: "n"))
  var trainLimit: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Use only the first test images.", valueName: "n"))
  var testLimit: Int?

  /// Whether any data were requested.
  var isGiven: Bool { data != nil || dataDir != nil }

  /// The absolute path of the folder, so that a run can be resumed from elsewhere.
  var directory: String? { dataDir.map { URL(fileURLWithPath: $0).path } }

  /// The paper's choices for these data: its CIFAR-10 network and cycles, or those for MNIST.
  func paper(_ network: NetworkOptions) -> (layers: Int, settings: SearchSettings) {
    let isCIFAR10 =
      data == nil && (dataDir.map { Dataset.isCIFAR10(URL(fileURLWithPath: $0)) } ?? false)
    let known = KnownData.named(isCIFAR10 ? "cifar10" : name(network))
    var settings = SearchSettings()
    settings.cycles = known?.cycles ?? settings.cycles
    return (known?.layers ?? 6, settings)
  }

  /// The data set's name, unless only a folder was given; a network of the paper implies its data set.
  func name(_ network: NetworkOptions?) -> String { data ?? network?.paperData ?? "mnist" }

  /// - Throws: `RSOError` naming the wrong option or file.
  func dataset(_ network: NetworkOptions? = nil) throws -> Dataset {
    let folder = dataDir.map { URL(fileURLWithPath: $0) }
    if let folder, data == nil {
      return try .folder(folder, trainLimit: trainLimit, testLimit: testLimit)
    }
    return try .named(
      name(network), directory: folder, trainLimit: trainLimit, testLimit: testLimit)
  }
}
