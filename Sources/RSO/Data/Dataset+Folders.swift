import Foundation

extension Dataset {
  /// The built-in MNIST: 60,000 and 10,000 images of 28×28 pixels in 10 classes.
  public static func mnist(trainLimit: Int? = nil, testLimit: Int? = nil) throws -> Dataset {
    let folder = try BuiltInData.folder("mnist")
    return try Dataset(
      name: "mnist", train: IDX.split("train", in: folder), test: IDX.split("t10k", in: folder),
      classes: 10, trainLimit: trainLimit, testLimit: testLimit)
  }

  /// A folder of four IDX files with MNIST's names (`train-images-idx3-ubyte`, …), plain or `.gz`.
  ///
  /// Images are grey (`idx3`) or have any number of channels (`idx4`, `[N, C, H, W]`).
  public static func idx(
    directory: URL, classes: Int? = nil, trainLimit: Int? = nil, testLimit: Int? = nil
  ) throws -> Dataset {
    try Dataset(
      name: directory.standardizedFileURL.lastPathComponent,
      train: IDX.split("train", in: directory), test: IDX.split("t10k", in: directory),
      classes: classes, trainLimit: trainLimit, testLimit: testLimit)
  }

  /// A folder of CIFAR-10's binary version (`data_batch_1.bin` … `test_batch.bin`), or of the unpacked archive.
  public static func cifar10(
    directory: URL, trainLimit: Int? = nil, testLimit: Int? = nil
  ) throws -> Dataset {
    let folder = CIFAR10.folder(in: directory) ?? directory
    return try Dataset(
      name: directory.standardizedFileURL.lastPathComponent,
      train: CIFAR10.split(CIFAR10.trainFiles, in: folder),
      test: CIFAR10.split(CIFAR10.testFiles, in: folder),
      classes: CIFAR10.classes, trainLimit: trainLimit, testLimit: testLimit)
  }

  /// A folder of four NumPy files: `train_images.npy` `[N, H, W]` or `[N, C, H, W]` of `uint8` or floats, or a table
  /// `[N, F]` of any numbers, `train_labels.npy` `[N]` of whole numbers, and the same for `test_`.
  ///
  /// Bytes are divided by 255. Floats are used unchanged, those of 64 bits rounded to 32, and bool is 0 and 1. Images of
  /// other integers are taken as bytes if their values fill the range from 0 to 255.
  public static func numPy(
    directory: URL, classes: Int? = nil, trainLimit: Int? = nil, testLimit: Int? = nil
  ) throws -> Dataset {
    try Dataset(
      name: directory.standardizedFileURL.lastPathComponent,
      train: NumPy.split("train", in: directory), test: NumPy.split("test", in: directory),
      classes: classes, trainLimit: trainLimit, testLimit: testLimit)
  }

  /// A folder of images in any known format. Formats are tried in this order: CIFAR-10's binary version, NumPy, IDX.
  public static func folder(_ directory: URL, trainLimit: Int? = nil, testLimit: Int? = nil) throws
    -> Dataset
  {
    if isCIFAR10(directory) {
      return try cifar10(directory: directory, trainLimit: trainLimit, testLimit: testLimit)
    }
    let names = try? FileManager.default.contentsOfDirectory(atPath: directory.path)
    if names?.contains(where: NumPy.names.contains) ?? false {
      return try numPy(directory: directory, trainLimit: trainLimit, testLimit: testLimit)
    }
    guard names?.contains(where: { $0.hasPrefix("train-") || $0.hasPrefix("t10k-") }) ?? false
    else {
      throw RSOError(
        directory.path,
        "expected train-images-idx3-ubyte (IDX), train_images.npy (NumPy) or data_batch_1.bin "
          + "(CIFAR-10), found none", hint: names == nil ? "the folder does not exist" : nil)
    }
    return try idx(directory: directory, trainLimit: trainLimit, testLimit: testLimit)
  }

  /// Whether a folder holds files of CIFAR-10's binary version.
  package static func isCIFAR10(_ directory: URL) -> Bool { CIFAR10.folder(in: directory) != nil }
}
