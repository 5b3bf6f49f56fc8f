import Foundation
import RSO
import Testing

@testable import RSOFormats

/// Every reader of this library, with damaged inputs: each is read or refused, and nothing ends the program.
@Suite(.serialized) struct FormatFuzzTests {
  @Test(.enabled(if: ImageTests.hasPNG && ImageTests.hasJPEG)) func pictures() {
    let jpeg = Array(ImageTests.jpeg)
    let (jpegs, pngs) = (
      PictureTests.known.map(\.file).filter { $0.first == 0xff } + [jpeg],
      PictureTests.known.map(\.file).filter { $0.first == 0x89 }
    )
    Fuzzer.run("JPEG", jpegs) { _ = try Image(decoding: $0, channels: 1, name: "p") }
    Fuzzer.run("PNG", pngs) { _ = try Image(decoding: $0, channels: 3, name: "p") }
    // With sound checksums, damage goes deeper.
    Fuzzer.run("PNG chunks", pngs) {
      _ = try Image(decoding: Self.withChecksums($0), channels: 3, name: "p")
    }
  }

  /// The file with the right checksum after every chunk.
  private static func withChecksums(_ bytes: [UInt8]) throws -> [UInt8] {
    var bytes = bytes
    var place = 8
    while place + 12 <= bytes.count {
      let length = bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) }
      guard length <= bytes.count - place - 12 else { break }
      let end = place + 8 + length
      bytes.replaceSubrange(end..<end + 4, with: try PNG.checksum(Array(bytes[(place + 4)..<end])))
      place = end + 4
    }
    return bytes
  }

  /// A damaged event file is cut, and goes on.
  @Test func events() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("e")
      let log = try EventFile(url, keepingTo: 0)
      for step in 0..<3 {
        try log.append(
          .with {
            $0.step = Int64(step)
            $0.summary.value = [.with { $0.tag = "a" }]
          })
      }
      try log.synchronize()
      let whole = try readFile(url)
      Fuzzer.run("events", [whole]) { damaged in
        try Data(damaged).write(to: url)
        let file = try EventFile(url, keepingTo: 1)
        try file.synchronize()
        if try readFile(url).count < damaged.count { throw RSOError("events", "cut") }
      }
    }
  }
}
