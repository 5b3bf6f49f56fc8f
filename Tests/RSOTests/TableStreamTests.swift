import Foundation
import Testing

@testable import RSO

/// Comma-separated numbers.
struct TableStreamTests {
  private static func rows(
    _ text: Data, columns: Int = 2, limit: Int = 100, name: String = "t.csv"
  ) throws -> [[Float]] {
    var pieces: [[Float]] = []
    try withTemporaryFolder { folder in
      let file = folder.appendingPathComponent(name)
      try text.write(to: file)
      let stream = TableStream(try FileReader(file), name: name, columns: columns)
      while let piece = try stream.next(limit) { pieces.append(piece) }
    }
    return pieces
  }

  @Test(arguments: [
    "1,2\n3,4\n", "a,b\n1,2\n3,4", "1.0,+2\n\n3e0,.4e1\n\n",
    "\"x\",y\n\"1\",\"2\"\n\" 3 \",4",
  ])
  func reads(text: String) throws {
    #expect(try Self.rows(Data(text.utf8)) == [[1, 2, 3, 4]])
  }

  @Test func marksAndBlanks() throws {
    let text = "\u{feff}mean,\"b\"\r\n 1 , 2 \r\n3,4\r\n"
    #expect(try Self.rows(Data(text.utf8)) == [[1, 2, 3, 4]])
    #expect(try Self.rows(Data("\u{feff}1,2\r\n3,4".utf8)) == [[1, 2, 3, 4]])
    #expect(try Self.rows(Data("".utf8)) == [] && Self.rows(Data("a,b\n".utf8)) == [])
    // As Python reads them; the nearest floats.
    #expect(
      try Self.rows(Data("0.1,-1e-45\n16777217,3.4028235e38".utf8))
        == [[0.1, -.leastNonzeroMagnitude, 16_777_216, .greatestFiniteMagnitude]])
  }

  /// Lines across the pieces that are read, and rows across the pieces that are given.
  @Test func pieces() throws {
    let lines = (0..<30_000).map { "\($0).5,\($0)" }
    let pieces = try Self.rows(Data(lines.joined(separator: "\n").utf8), limit: 7000)
    #expect(pieces.map(\.count) == [14_000, 14_000, 14_000, 14_000, 4000])
    #expect(
      pieces.joined().enumerated().allSatisfy { i, value in
        value == Float(i / 2) + (i % 2 == 0 ? 0.5 : 0)
      })
  }

  static let faults: [(String, String)] = [
    ("1,2\n3,x\n", "t.csv, line 2, column 2: expected a number, found 'x'"),
    ("a,b\n\n1,\n", "t.csv, line 3, column 2: expected a number, found ''"),
    // Not a header: one of its names is a number.
    ("1,b\n1,2\n", "t.csv, line 1, column 2: expected a number, found 'b'"),
    ("a,b\na,b\n", "t.csv, line 2, column 1: expected a number, found 'a'"),
    ("1,nan\n", "t.csv, line 1, column 2: expected a number, found 'nan'"),
    ("1,0x10\n", "t.csv, line 1, column 2: expected a number, found '0x10'"),
    (
      "1,1e39\n", "t.csv, line 1, column 2: expected a number that a 32-bit float holds, found 1e39"
    ),
    ("1,2\n3\n", "t.csv, line 2: expected 2 numbers, one for each feature, found 1"),
    (
      "1,2,0\n",
      "t.csv, line 1: expected 2 numbers, one for each feature, found 3 "
        + "(leave out the column of labels)"
    ),
    (
      "a;b\n",
      "t.csv, line 1: expected 2 names, one for each feature, found 1 (separate them by commas)"
    ),
  ]

  @Test(arguments: faults.indices)
  func names(index: Int) {
    let (text, error) = Self.faults[index]
    #expect(errorText { _ = try Self.rows(Data(text.utf8)) } == error)
  }

  @Test func refusesWhatIsNoText() {
    for bytes in [Data([0xff, 0xfe, 0x31]), Data("1,\0\n".utf8)] {
      #expect(
        errorText { _ = try Self.rows(bytes) }
          == "t.csv, line 1: expected comma-separated numbers, found no text "
          + "(PNG, JPEG, .npy and IDX files are read, too)")
    }
    let long = Data(repeating: UInt8(ascii: "1"), count: (1 << 24) + (1 << 17))
    #expect(
      errorText { _ = try Self.rows(long) }
        == "t.csv, line 1: expected at most 16777216 bytes, found more "
        + "(not a table of comma-separated numbers?)")
  }
}
