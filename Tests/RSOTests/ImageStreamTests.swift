import Foundation
import Testing

@testable import RSO

struct ImageStreamTests {
  /// Five images of 1×2×3, the values of which count from 0.
  private static let pixels = (0..<30).map { UInt8($0) }
  private static let idx: [UInt8] =
    [0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0, 3] + pixels

  private static func npy(_ shape: String, _ content: [UInt8], type: String = "|u1") -> [UInt8] {
    let text = Array("{'descr': '\(type)', 'fortran_order': False, 'shape': (\(shape)), }\n".utf8)
    let head: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(text.count), 0]
    return head + text + content
  }

  private func withStream(
    _ bytes: [UInt8], zipped: Bool = false, _ body: (ImageStream?) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      let file = folder.appendingPathComponent("f")
      try (zipped ? gzip(Data(bytes)) : Data(bytes)).write(to: file)
      try body(ImageStream(FileReader(file), name: "f"))
    }
  }

  /// What comes in pieces of at most two images.
  private func pieces(_ bytes: [UInt8], zipped: Bool) throws -> [Pixels] {
    var pieces: [Pixels] = []
    try withStream(bytes, zipped: zipped) { stream in
      let stream = try #require(stream)
      #expect(stream.shape == Shape(channels: 1, height: 2, width: 3))
      #expect(stream.count == 5)
      while let piece = try stream.next(2) { pieces.append(piece) }
      #expect(try stream.next(2) == nil)
    }
    return pieces
  }

  @Test(arguments: [false, true]) func givesPieces(zipped: Bool) throws {
    let expected = [0..<12, 12..<24, 24..<30].map { Pixels.bytes(Array(Self.pixels[$0])) }
    #expect(try pieces(Self.idx, zipped: zipped) == expected)
    #expect(try pieces(Self.npy("5, 2, 3", Self.pixels), zipped: zipped) == expected)
    let floats = (0..<30).map { Float($0) / 7 }
    let bytes = floats.flatMap { value in
      withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
    }
    #expect(
      try pieces(Self.npy("5, 1, 2, 3", bytes, type: "<f4"), zipped: zipped)
        == [0..<12, 12..<24, 24..<30].map { .floats(Array(floats[$0])) })
  }

  /// A plain file is refused before its first image; of gzip data the end comes last.
  @Test(arguments: [false, true]) func refusesAnotherLength(zipped: Bool) throws {
    let cases: [([UInt8], String)] = [
      (
        Self.idx.dropLast(4),
        "f: expected 5×2×3 bytes after the header, found 26 (it was cut short)"
      ),
      (
        Self.idx + [1, 2],
        "f: expected 5×2×3 bytes after the header, found 32 (surplus bytes at its end)"
      ),
      (
        Array(Self.npy("5, 2, 3", Self.pixels).dropLast(4)),
        "f: expected 5×2×3 values of 1 bytes after the header, found 26 bytes (it was cut short)"
      ),
    ]
    for (bytes, problem) in cases {
      var given = 0
      let error = errorText {
        try withStream(bytes, zipped: zipped) { stream in
          while try stream?.next(2) != nil { given += 1 }
        }
      }
      #expect(error == problem)
      #expect(given == (zipped ? 2 : 0))
    }
  }

  /// Where in the array, whichever piece it is in.
  @Test func namesThePlaceOfAValueThatIsNone() throws {
    var bytes = [UInt8](repeating: 0, count: 120)
    bytes.replaceSubrange(100..<104, with: [0, 0, 0xc0, 0x7f])
    let error = errorText { _ = try pieces(Self.npy("5, 2, 3", bytes, type: "<f4"), zipped: false) }
    #expect(error == "f: expected finite values, found nan at [4, 0, 1]")
  }

  @Test func refusesWhatIsTooLarge() throws {
    let huge: [UInt8] = [0, 0, 8, 4] + [UInt8](repeating: 0xff, count: 16)
    for bytes in [huge, Self.npy("4000000000, 4000000000, 4000000000", [])] {
      let error = errorText { try withStream(bytes) { _ in } }
      #expect(error?.contains("expected images that a file can hold, found 4") == true)
    }
  }

  @Test func otherFilesAreNone() throws {
    for text in ["", "a", "{\"input\": 1}"] {
      for zipped in [false, true] {
        try withStream(Array(text.utf8), zipped: zipped) { #expect($0 == nil) }
      }
    }
  }
}
