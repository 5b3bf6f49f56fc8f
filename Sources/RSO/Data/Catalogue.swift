/// The data sets known by name.
extension KnownData {
  package static let all = [mnist, fashionMNIST, kmnist, cifar10]

  private static let trainImages = "train-images-idx3-ubyte.gz"
  private static let trainLabels = "train-labels-idx1-ubyte.gz"
  private static let testImages = "t10k-images-idx3-ubyte.gz"
  private static let testLabels = "t10k-labels-idx1-ubyte.gz"
  private static let grey28 = Shape(channels: 1, height: 28, width: 28)

  private static let mnist = KnownData(
    name: "mnist", aliases: ["m10"], title: "MNIST, handwritten digits",
    contents: "60,000 + 10,000 images of 1×28×28 in 10 classes", shape: grey28, format: .idx,
    authors: "LeCun, Cortes, Burges", licence: "CC BY-SA 3.0",
    mirrors: [
      "https://ossci-datasets.s3.amazonaws.com/mnist/",
      "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    files: [
      content(trainImages, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
      content(trainLabels, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
      content(testImages, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
      content(testLabels, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ],
    downloadSize: 11_600_000, systemFolders: [], layers: 6, cycles: 50)

  private static let fashionMNIST = KnownData(
    name: "fashion-mnist", aliases: ["fashionmnist", "fashion"],
    title: "Fashion-MNIST, articles of clothing",
    contents: "60,000 + 10,000 images of 1×28×28 in 10 classes", shape: grey28, format: .idx,
    authors: "Xiao, Rasul, Vollgraf (Zalando)", licence: "MIT",
    mirrors: ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"],
    files: [
      content(trainImages, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
      content(trainLabels, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
      content(testImages, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
      content(testLabels, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
    ],
    downloadSize: 30_900_000, systemFolders: ["/usr/share/datasets/fashion-mnist"], layers: 6,
    cycles: 50)

  // For KMNIST and CIFAR-10 we found only the digests that torchvision and others state, those of the original
  // archives. No copy was certain enough to be genuine to take a digest of the content from, so we state none.
  private static let kmnist = KnownData(
    name: "kmnist", aliases: ["kuzushiji-mnist"], title: "KMNIST, cursive Japanese characters",
    contents: "60,000 + 10,000 images of 1×28×28 in 10 classes", shape: grey28, format: .idx,
    authors: "Clanuwat and others (ROIS-CODH)", licence: "CC BY-SA 4.0",
    mirrors: ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"],
    files: [
      archive(trainImages, "bdb82020997e1d708af4cf47b453dcf7"),
      archive(trainLabels, "e144d726b3acfaa3e44228e80efcd344"),
      archive(testImages, "5c965bf0a639b31b8f53240b1b52f4d7"),
      archive(testLabels, "7320c461ea6c1c855c0b718fb2a4b134"),
    ],
    downloadSize: 21_300_000, systemFolders: [], layers: 6, cycles: 50)

  private static let cifar10 = KnownData(
    name: "cifar10", aliases: ["c10", "cifar-10"], title: "CIFAR-10, photographs of ten things",
    contents: "50,000 + 10,000 images of 3×32×32 in 10 classes", shape: CIFAR10.shape,
    format: .cifar10,
    authors: "Krizhevsky, Nair, Hinton", licence: "none stated; cite its report",
    mirrors: ["https://www.cs.toronto.edu/~kriz/"],
    files: [archive("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")],
    downloadSize: 170_000_000, systemFolders: [], layers: 9, cycles: 500)

  private static func content(_ name: String, _ sha256: String) -> File {
    File(name: name, digest: .content(sha256: sha256))
  }

  private static func archive(_ name: String, _ md5: String) -> File {
    File(name: name, digest: .archive(md5: md5))
  }
}
