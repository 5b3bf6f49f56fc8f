import Foundation
import RSO
import RSOFormats

/// Images in files, read in pieces and converted to what a network takes.
struct ImageFiles {
  /// An image, as it is called in the output.
  struct Name {
    var file: String
    /// Its number in a file of many.
    var index: Int?
  }

  let paths: [String]
  /// What the network takes.
  let shape: Shape
  /// Told once for every picture that had to be resized.
  let note: (String) -> Void

  /// Calls `body` with pieces of at most `Predictor.batch` images `[N, C, H, W]`.
  ///
  /// A file of pictures is held in memory as a whole, single pictures one piece at a time.
  func read(_ body: (_ names: [Name], _ pixels: [UInt8]) throws -> Void) throws {
    var names: [Name] = []
    var pixels: [UInt8] = []
    func flush() throws {
      if !names.isEmpty { try body(names, pixels) }
      names = []
      pixels = []
    }
    for path in paths {
      let bytes = try readFile(URL(fileURLWithPath: path))
      if Image.Format(of: bytes) != nil {
        pixels += try picture(bytes, path)
        names.append(Name(file: path))
        if names.count == Predictor.batch { try flush() }
        continue
      }
      try flush()
      let isNPY = NPY.isPossible(bytes)
      guard isNPY || IDX.isPossible(bytes) else {
        throw RSOError(path, "expected a PNG, JPEG, .npy or IDX file, found something else")
      }
      let (all, found) =
        try isNPY
        ? NPY.images(bytes, name: path) : IDX.images(bytes, name: path)
      guard found == shape else {
        throw RSOError(path, "expected images of \(shape), found \(found)")
      }
      let count = all.count / shape.count
      for start in stride(from: 0, to: count, by: Predictor.batch) {
        let end = min(start + Predictor.batch, count)
        try body(
          (start..<end).map { Name(file: path, index: $0) },
          Array(all[(start * shape.count)..<(end * shape.count)]))
      }
    }
    try flush()
  }

  /// A picture in the network's size.
  private func picture(_ bytes: [UInt8], _ path: String) throws -> [UInt8] {
    let image = try Image(decoding: bytes, channels: shape.channels, name: path)
    if image.shape != shape {
      note(
        "\(path): resized from \(image.shape.height)×\(image.shape.width) to "
          + "\(shape.height)×\(shape.width) pixels")
    }
    return image.resized(height: shape.height, width: shape.width).pixels
  }
}
