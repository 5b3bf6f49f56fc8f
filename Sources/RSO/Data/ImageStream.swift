import Foundation

/// Reads the bytes of a file in order, inflating gzip files on the way.
package final class FileReader {
  private let file: Int32
  private let url: URL
  private var inflater: Inflater?
  /// Bytes already peeked at but not yet read.
  private var ahead: [UInt8] = []
  /// Bytes left in the file; `nil` for gzip data and anything but a regular file.
  package private(set) var remaining: Int?

  /// - Throws: `RSOError` if the file cannot be read.
  package init(_ url: URL) throws {
    self.url = url
    let file = try openFile(url)
    self.file = file
    ahead = try readFile(file, 2, url)
    if Gzip.isGzip(ahead) {
      var head = ahead
      ahead = []
      inflater = try Inflater(name: url.lastPathComponent) {
        defer { head = [] }
        return head.isEmpty ? try readFile(file, 1 << 16, url) : head
      }
    } else {
      remaining = fileSize(file)
    }
  }

  deinit { closeFile(file) }

  /// The next `count` bytes; fewer at the end.
  package func read(_ count: Int) throws -> [UInt8] {
    var bytes = Array(ahead.prefix(count))
    ahead.removeFirst(bytes.count)
    // In pieces: a header may claim more than the file has, or than there is memory for.
    while bytes.count < count {
      let wanted = min(count - bytes.count, 1 << 20)
      let piece = try inflater?.read(wanted) ?? readFile(file, wanted, url)
      bytes += piece
      if piece.count < wanted { break }
    }
    remaining = remaining.map { $0 - bytes.count }
    return bytes
  }

  /// The next `count` bytes, without consuming them.
  package func peek(_ count: Int) throws -> [UInt8] {
    let left = remaining
    ahead = try read(count)
    remaining = left
    return ahead
  }

  /// All remaining bytes.
  package func rest() throws -> [UInt8] {
    var bytes: [UInt8] = []
    while case let more = try read(1 << 20), !more.isEmpty { bytes += more }
    return bytes
  }
}

/// Unlabelled images of an `.npy` or IDX file, read in pieces, so that memory does not grow with their number.
package final class ImageStream {
  private enum Format {
    case numPy(NumPy.Header)
    case idx(IDX.Header)
  }

  /// The shape of one image.
  package let shape: Shape
  /// The number of images in the file.
  package let count: Int
  /// Whether the images are floats, which are used unchanged.
  package let isFloat: Bool
  /// What reading changes about the images; `nil` if nothing.
  package let note: String?
  private let reader: FileReader
  private let format: Format
  private let imageBytes: Int
  private var done = 0

  /// - Parameter reader: a reader at the start of the file.
  /// - Returns: `nil` for other kinds of file.
  /// - Throws: `RSOError` naming the file and what is wrong with its header or its length.
  package init?(_ reader: FileReader, name: String) throws {
    self.reader = reader
    let head = try reader.peek(8)
    let length: Int
    if NumPy.isPossible(head) {
      let header = try NumPy.Header(name: name, read: reader.read)
      let type = try header.pixelType()
      if case .float = type { isFloat = true } else { isFloat = false }
      (shape, length, count) = (try header.imageShape(), type.size, header.shape[0])
      note = header.note
      format = .numPy(header)
    } else if IDX.isPossible(head) {
      let header = try IDX.Header(name: name, magic: IDX.grayImagesMagic, read: reader.read)
      isFloat = false
      note = nil
      (shape, length, count) = (try header.imageShape(), 1, header.dimensions[0])
      format = .idx(header)
    } else {
      return nil
    }
    guard
      let size = product(of: [shape.channels, shape.height, shape.width, length]),
      product(of: [count, size]) != nil
    else {
      throw RSOError(
        name,
        "expected images that a file can hold, found \(count) of "
          + "\(shape.channels)×\(shape.height)×\(shape.width)")
    }
    imageBytes = size
    if let remaining = reader.remaining { try checkLength(remaining) }
  }

  /// The next images `[N, C, H, W]`, at most `limit` of them; `nil` after the last image.
  ///
  /// - Throws: `RSOError` if the file ends early or continues past the last image.
  package func next(_ limit: Int) throws -> Pixels? {
    guard done < count else { return nil }
    let wanted = min(limit, count - done)
    let bytes = try reader.read(wanted * imageBytes)
    if bytes.count < wanted * imageBytes { try checkLength(done * imageBytes + bytes.count) }
    let first = done * shape.count
    done += wanted
    if done == count, case let surplus = try reader.rest().count, surplus > 0 {
      try checkLength(count * imageBytes + surplus)
    }
    switch format {
    case .numPy(let header): return try header.pixels(bytes, from: first)
    case .idx: return .bytes(bytes)
    }
  }

  private func checkLength(_ found: Int) throws {
    switch format {
    case .numPy(let header): try header.checkLength(found, elementSize: header.pixelType().size)
    case .idx(let header): try header.checkLength(found)
    }
  }
}
