import Foundation
import RSO
import Testing

@testable import RSOFormats

/// Runs `body` in a folder that goes afterwards.
func withTemporaryFolder(_ body: (URL) throws -> Void) throws {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent("rso-\(UUID())")
  try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: url) }
  try body(url)
}

struct EventFileTests {
  /// The vectors of RFC 3720, appendix B.4, and the usual check value.
  @Test func checksums() {
    func sum(_ bytes: [UInt8]) -> UInt32 { EventFile.checksum(bytes[...]) }
    #expect(sum([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
    #expect(sum([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
    #expect(sum((0..<32).map { UInt8($0) }) == 0x46dd_794e)
    #expect(sum(Array("123456789".utf8)) == 0xe306_9283)
  }

  /// Length, sums and content; the sums are those that TensorBoard's own code finds.
  @Test func recordsReadBack() {
    let record = EventFile.record(Array("foo".utf8))
    #expect(record[8..<12] == [0xb0, 0x99, 0x49, 0x0e])
    #expect(record[15...] == [0x61, 0x8a, 0xbe, 0xfe])
    #expect(record.prefix(8) == [3, 0, 0, 0, 0, 0, 0, 0])
    #expect(record.count == 19)
    #expect(EventFile.content(of: record, at: 0) == Array("foo".utf8)[...])
    for place in record.indices {
      var damaged = record
      damaged[place] ^= 4
      #expect(EventFile.content(of: damaged, at: 0) == nil, "\(place)")
      #expect(EventFile.content(of: Array(record.prefix(place)), at: 0) == nil, "\(place)")
    }
  }

  private static func steps(_ url: URL) throws -> [Int64] {
    let bytes = try readFile(url)
    var (place, steps) = (0, [Int64]())
    while let content = EventFile.content(of: bytes, at: place) {
      steps.append(try TensorBoardEvent(serializedBytes: Array(content)).step)
      place += content.count + 16
    }
    #expect(place == bytes.count)
    return steps
  }

  @Test func whatIsBehindTheStepOrDamagedIsCutOff() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("events")
      func open(_ step: Int) throws { _ = try EventFile(url, keepingTo: step) }
      var file: EventFile? = try EventFile(url, keepingTo: 0)
      for step in 1...5 { try file?.append(.with { $0.step = Int64(step) }) }
      try file?.synchronize()
      file = nil
      #expect(try Self.steps(url) == [0, 1, 2, 3, 4, 5])
      let whole = try Data(contentsOf: url)
      try open(9)
      #expect(try Data(contentsOf: url) == whole)
      try open(3)
      #expect(try Self.steps(url) == [0, 1, 2, 3])
      // A record that was not finished, and one that was changed.
      try whole.dropLast(3).write(to: url)
      try open(9)
      #expect(try Self.steps(url) == [0, 1, 2, 3, 4])
      var damaged = whole
      damaged[damaged.count - 25] ^= 1
      try damaged.write(to: url)
      try open(9)
      #expect(try Self.steps(url).count < 6)
      // Nothing is left: it begins anew.
      try Data("no events".utf8).write(to: url)
      try open(9)
      #expect(try Self.steps(url) == [0])
    }
  }
}

struct EventLogTests {
  @Test func histogramsCountEveryValueOnce() {
    let values: [Float] = (0..<100).map { Float($0 * $0) / 7 - 300 }
    let histogram = TensorBoardHistogram(values[...])
    #expect(histogram.bucket.count == 30 && histogram.bucketLimit.count == 30)
    #expect(histogram.bucket.reduce(0, +) == 100 && histogram.num == 100)
    #expect(histogram.min == -300 && histogram.max == Double(values[99]))
    #expect(histogram.bucketLimit.last == histogram.max)
    for (index, limit) in histogram.bucketLimit.dropLast().enumerated() {
      let below = values.count { Double($0) < limit }
      #expect(histogram.bucket[...index].reduce(0, +) == Double(below))
    }
    #expect(abs(histogram.sum - values.reduce(0) { $0 + Double($1) }) < 1e-6)
    let equal = TensorBoardHistogram([2, 2, 2])
    #expect(equal.bucket == [3] && equal.bucketLimit == [2] && equal.min == 2)
  }

  static func network(_ shape: Shape = Shape(channels: 1, height: 6, width: 6)) throws -> Network {
    try Network(input: shape) {
      Node.conv2d("conv", channels: 5, kernel: 3)
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 3)
    }
  }

  @Test func filtersOfConvolutionsAndLinearLayers() throws {
    var network = try Self.network()
    var parameters = Parameters(zerosFor: network)
    parameters.values[0] = 2
    parameters.values[4] = -2
    var sheet = try #require(FilterSheet(network, parameters))
    // Five tiles in three columns and two rows, eight pixels a weight and a border of one.
    #expect((sheet.width, sheet.height, sheet.channels) == (78, 52, 1))
    #expect(sheet.name == "conv.weight")
    func pixel(_ row: Int, _ column: Int) -> UInt8 { sheet.pixels[row * sheet.width + column] }
    #expect(pixel(0, 0) == 255)
    #expect(pixel(1, 1) == 255 && pixel(8, 8) == 255 && pixel(8, 9) == 128)
    #expect(pixel(9, 9) == 0 && pixel(16, 16) == 0 && pixel(17, 17) == 128)
    #expect(try sheet.png().count > 60)

    network = try Self.network(Shape(channels: 3, height: 6, width: 6))
    sheet = try #require(FilterSheet(network, Parameters(initialFor: network, seed: 1)))
    #expect(sheet.channels == 3 && sheet.width == 78)
    network = try Self.network(Shape(channels: 2, height: 6, width: 6))
    sheet = try #require(FilterSheet(network, Parameters(initialFor: network, seed: 1)))
    #expect(sheet.channels == 1 && sheet.width == 4 * 26 && sheet.height == 3 * 26)

    network = try Network(input: Shape(channels: 1, height: 4, width: 5)) {
      Node.flatten("flat")
      Node.linear("fc", features: 3)
    }
    sheet = try #require(FilterSheet(network, Parameters(initialFor: network, seed: 1)))
    #expect(sheet.width == 2 * 42 && sheet.height == 2 * 34)
    network = try Network(input: Shape(channels: 1, height: 4, width: 5)) {
      Node.globalMaxPool("pool")
      Node.linear("fc", features: 3)
    }
    #expect(FilterSheet(network, Parameters(initialFor: network, seed: 1)) == nil)
  }
}
