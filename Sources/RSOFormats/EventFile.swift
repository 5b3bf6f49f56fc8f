import Foundation
import RSO
import SwiftProtobuf

/// A file of TensorBoard events: records of a length, its checksum, an event and the event's checksum.
///
/// Source: https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details".
final class EventFile {
  private let file: AppendingFile
  /// Whether the file holds nothing but the event that states its version.
  private(set) var isEmpty: Bool

  /// Opens a file for appending; creates it with its version event if it does not exist.
  ///
  /// - Parameters:
  ///   - step: events after this step are cut off, as is everything from the first damaged event on.
  ///   - prefix: values under tags that begin with it are removed.
  init(_ url: URL, keepingTo step: Int, removing prefix: String? = nil) throws {
    var bytes = FileManager.default.fileExists(atPath: url.path) ? try readFile(url) : []
    var kept = Self.length(of: bytes, to: step)
    if let prefix, let rest = try Self.removing(prefix, from: bytes[..<kept]) {
      try AtomicFile.write(Data(rest), to: url)
      (bytes, kept) = (rest, rest.count)
    }
    let first = Self.content(of: bytes, at: 0).map { $0.count + 16 } ?? 0
    isEmpty = kept <= first
    file = try AppendingFile(url, keeping: kept)
    if kept == 0 {
      try append(
        .with {
          $0.wallTime = Date().timeIntervalSince1970
          $0.fileVersion = "brain.Event:2"
        })
    }
  }

  func append(_ event: TensorBoardEvent) throws {
    try file.append(bytes: Self.record(event.serializedBytes()))
    if case .summary = event.what { isEmpty = false }
  }

  /// Waits until all events are on disk.
  func synchronize() throws { try file.synchronize() }

  // MARK: Records

  static func record(_ content: [UInt8]) -> [UInt8] {
    let length = littleEndian(UInt64(content.count))
    return length + littleEndian(maskedChecksum(length[...])) + content
      + littleEndian(maskedChecksum(content[...]))
  }

  /// The content of the record at `place`; `nil` if it is cut short or damaged.
  static func content(of bytes: [UInt8], at place: Int) -> ArraySlice<UInt8>? {
    guard bytes.count - place >= 16 else { return nil }
    let head = bytes[place..<(place + 8)]
    let length = head.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard littleEndian(maskedChecksum(head)).elementsEqual(bytes[(place + 8)..<(place + 12)]),
      length <= UInt64(bytes.count - place - 16)
    else { return nil }
    let content = bytes[(place + 12)..<(place + 12 + Int(length))]
    let sum = bytes[content.endIndex..<(content.endIndex + 4)]
    return littleEndian(maskedChecksum(content)).elementsEqual(sum) ? content : nil
  }

  /// The number of bytes of intact events up to a step.
  private static func length(of bytes: [UInt8], to step: Int) -> Int {
    var place = 0
    while let content = content(of: bytes, at: place),
      let event = try? TensorBoardEvent(serializedBytes: Array(content)), event.step <= step
    {
      place += content.count + 16
    }
    return place
  }

  /// The records without the values under tags that begin with a prefix; `nil` if there are none.
  private static func removing(
    _ prefix: String, from bytes: ArraySlice<UInt8>
  ) throws -> [UInt8]? {
    let bytes = Array(bytes)
    var (rest, place, isChanged): ([UInt8], Int, Bool) = ([], 0, false)
    while let content = content(of: bytes, at: place) {
      var event = try TensorBoardEvent(serializedBytes: Array(content))
      if event.summary.value.contains(where: { $0.tag.hasPrefix(prefix) }) {
        event.summary.value.removeAll { $0.tag.hasPrefix(prefix) }
        isChanged = true
      }
      rest += try record(event.serializedBytes())
      place += content.count + 16
    }
    return isChanged ? rest : nil
  }

  private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  // MARK: Checksums

  /// CRC-32C, rotated and offset, so that checksums inside checksummed data do no harm.
  static func maskedChecksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    let sum = checksum(bytes)
    return (sum >> 15 | sum << 17) &+ 0xa282_ead8
  }

  /// CRC-32C (Castagnoli), as in RFC 3720, appendix B.4.
  static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    ~bytes.reduce(~0) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
  }

  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { sum, _ in sum >> 1 ^ (sum & 1 == 1 ? 0x82f6_3b78 : 0) }
  }
}
