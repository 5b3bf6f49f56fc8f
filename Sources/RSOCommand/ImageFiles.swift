import Foundation
import RSO
import RSOFormats

/// Images in files, read in pieces and converted to what a network takes.
struct ImageFiles {
  /// An image's name in the output.
  struct Name {
    var file: String
    /// Its index in a file of many images.
    var index: Int?
  }

  let paths: [String]
  /// The input shape of the network.
  let shape: Shape
  /// The images that the model was trained on, if that is known.
  let kind: Model.Images?
  /// Called once for every picture that had to be converted, and for every file of images of another kind.
  let note: (String) -> Void

  /// Calls `body` with at most `Predictor.batch` images `[N, C, H, W]` at a time; no more are in memory at once.
  func read(_ body: (_ names: [Name], _ pixels: Pixels) throws -> Void) throws {
    var names: [Name] = []
    var pixels: [UInt8] = []
    func flush() throws {
      if !names.isEmpty { try body(names, try adapted(.bytes(pixels), names[0].file)) }
      names = []
      pixels = []
    }
    for path in paths {
      let reader = try FileReader(URL(fileURLWithPath: path))
      if Image.Format(of: try reader.peek(8)) != nil {
        pixels += try picture(reader.rest(), path)
        names.append(Name(file: path))
        if names.count == Predictor.batch { try flush() }
        continue
      }
      try flush()
      guard let stream = try ImageStream(reader, name: path) else {
        try readTable(reader, path, body)
        continue
      }
      guard stream.shape == shape else {
        let sizes = shape.isTable ? [shape.channels] : [shape.channels, shape.height, shape.width]
        throw RSOError(
          path, "expected \(shape.sampleWords), found \(stream.shape.sampleWords)",
          hint: stream.shape.count == shape.count && stream.shape.isTable != shape.isTable
            ? "convert them: array.reshape(-1, \(sizes.map(String.init).joined(separator: ", ")))"
            : nil)
      }
      if stream.isFloat, kind == nil {
        note("\(path): float32, taken as they are; bytes are divided by 255")
      }
      var first = 0
      while let pixels = try stream.next(Predictor.batch) {
        let end = first + pixels.count / shape.count
        if first == 0, let words = stream.note { note("\(path): \(words)") }
        let adapted = try adapted(pixels, path, says: first == 0)
        try body((first..<end).map { Name(file: path, index: $0) }, adapted)
        first = end
      }
    }
    try flush()
  }

  /// Reads rows of comma-separated numbers, as `read` does.
  private func readTable(
    _ reader: FileReader, _ path: String, _ body: (_ names: [Name], _ pixels: Pixels) throws -> Void
  ) throws {
    guard shape.isTable else {
      let isTable = path.lowercased().hasSuffix(".csv")
      throw RSOError(
        path,
        "expected a PNG, JPEG, .npy or IDX file, found \(isTable ? "a table" : "something else")")
    }
    let stream = TableStream(reader, name: path, columns: shape.channels)
    var first = 0
    while let values = try stream.next(Predictor.batch) {
      let end = first + values.count / shape.channels
      let bytes = values.compactMap { UInt8(exactly: $0) }
      // A model of bytes was trained on whole numbers.
      let isBytes = kind == .bytes && bytes.count == values.count
      let adapted = try adapted(isBytes ? .bytes(bytes) : .floats(values), path, says: first == 0)
      try body((first..<end).map { Name(file: path, index: $0) }, adapted)
      first = end
    }
    guard first > 0 else { throw RSOError(path, "expected rows of numbers, found none") }
  }

  /// Pixels as the model takes them; what had to be done is said if `says`.
  private func adapted(_ pixels: Pixels, _ path: String, says: Bool = true) throws -> Pixels {
    guard let kind else { return pixels }
    let (pixels, words) = try kind.adapted(pixels, name: path)
    if let words, says { note("\(path): \(words)") }
    return pixels
  }

  /// A picture in the network's size and channels.
  private func picture(_ bytes: [UInt8], _ path: String) throws -> [UInt8] {
    var (image, changes) = try Image.decode(bytes, channels: shape.channels, name: path)
    if image.shape != shape {
      changes.append(
        "resized from \(image.shape.height)×\(image.shape.width) to "
          + "\(shape.height)×\(shape.width) pixels")
    }
    if !changes.isEmpty { note("\(path): \(changes.joined(separator: ", "))") }
    return image.resized(height: shape.height, width: shape.width).pixels
  }
}
