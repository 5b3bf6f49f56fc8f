import ArgumentParser
import Foundation
import RSO

/// A number of validation images, or a share of the training images: `5000`, `0.1` or `10%`.
struct ValidationArgument: ExpressibleByArgument {
  private enum Size { case count(Int), share(Double) }
  private var size: Size
  private var text: String

  init?(argument: String) {
    text = argument
    if let count = Int(argument) {
      size = .count(count)
    } else if argument.hasSuffix("%"), let percent = Double(argument.dropLast()) {
      size = .share(percent / 100)
    } else if let share = Double(argument) {
      size = .share(share)
    } else {
      return nil
    }
  }

  /// The number of images out of `count` training images; a share is rounded to the nearest whole number.
  ///
  /// - Throws: `RSOError` if a share is not between 0 and 1, or is of no image or of all.
  func count(of count: Int) throws -> Int {
    switch size {
    case .count(let count): return count
    case .share(let share):
      guard share > 0, share < 1 else {
        throw RSOError(
          "`validation`", "expected a number of images, or a share between 0 and 1, found \(text)",
          hint: "0.1 and 10% are a tenth of the training images")
      }
      let images = Int((share * Double(count)).rounded())
      guard 1..<max(count, 1) ~= images else {
        throw RSOError(
          "`validation`",
          "expected a share of 1 to \(count - 1) of the \(count) training images, found \(text), which is "
            + "\(images)",
          hint: "a number of images will do, too: 1 is one image, 0.1 a tenth of them")
      }
      return images
    }
  }
}

/// The images to train on and to test with.
struct DataOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A data set known by name: mnist or M10, cifar10 or C10, fashion-mnist, kmnist; `rso data list` "
        + "says which are here (default: mnist; cifar10 with --network cifar10).",
      valueName: "name"), completion: .list(KnownData.all.map(\.name)))
  var data: String?

  @Option(
    help: ArgumentHelp(
      "A folder of images or tables: IDX files under MNIST's names, NumPy files (train_images.npy, …) or CIFAR-10's "
        + "binary files; "
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

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Keep that many of the last training images, or a share such as 0.1 or 10%, out of training, and choose the best "
        + "model by them instead of the test images.", valueName: "n|share"))
  var validation: ValidationArgument?

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

  /// The data, and notes about what reading them has changed.
  ///
  /// - Throws: `RSOError` naming the wrong option or file.
  func dataset(_ network: NetworkOptions? = nil) throws -> Dataset {
    let data = try read(network)
    for note in data.notes { Console.note(note) }
    return data
  }

  private func read(_ network: NetworkOptions?) throws -> Dataset {
    let folder = dataDir.map { URL(fileURLWithPath: $0) }
    if let folder, data == nil {
      return try held(.folder(folder, trainLimit: trainLimit, testLimit: testLimit))
    }
    return try held(
      .named(name(network), directory: folder, trainLimit: trainLimit, testLimit: testLimit))
  }

  /// The data with the validation images that were asked for kept out of training.
  func held(_ data: Dataset) throws -> Dataset {
    try validation.map { try data.holdingOut($0.count(of: data.train.count)) } ?? data
  }
}
