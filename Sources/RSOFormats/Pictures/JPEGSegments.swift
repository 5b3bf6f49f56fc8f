/// The parts of a JPEG file, as decoders find them.
///
/// Source: ITU-T T.81, annex B.
struct JPEGSegments {
  /// A marker's second byte and what follows its length.
  struct Segment {
    let marker: UInt8
    let content: ArraySlice<UInt8>
  }

  private enum Marker {
    static let start: UInt8 = 0xd8
    static let end: UInt8 = 0xd9
    static let scan: UInt8 = 0xda
    static let restarts: ClosedRange<UInt8> = 0xd0...0xd7
    static let temporary: UInt8 = 0x01
  }

  /// The segments of the file that have a content.
  private(set) var segments: [Segment] = []
  /// The file without the bytes between segments and after its end, which decoders skip.
  private(set) var cleaned: [UInt8] = [0xff, Marker.start]
  /// Whether the end is marked, which that of a truncated file is not.
  private(set) var hasEnd = false

  /// - Parameter bytes: a file that begins with the marker of a start.
  init(_ bytes: [UInt8]) {
    var place = 2
    while let start = bytes[min(place, bytes.count)...].firstIndex(of: 0xff),
      let type = bytes[start...].firstIndex(where: { $0 != 0xff })
    {
      place = type + 1
      let marker = bytes[type]
      if marker == Marker.end {
        cleaned += [0xff, marker]
        hasEnd = true
        return
      }
      // Stray bytes, or a marker without a content that means nothing here.
      if marker == 0 || marker == Marker.temporary || marker == Marker.start { continue }
      if Marker.restarts.contains(marker) { continue }
      guard place + 2 <= bytes.count else { return }
      let length = max(Int(bytes[place]) << 8 | Int(bytes[place + 1]), 2)
      var end = min(place + length, bytes.count)
      segments.append(Segment(marker: marker, content: bytes[min(place + 2, end)..<end]))
      if marker == Marker.scan { end = Self.scanEnd(bytes, end) }
      cleaned += [0xff, marker] + bytes[place..<end]
      place = end
    }
  }

  /// The place of the marker after a scan's data, in which 0xff is followed by 0 or a restart's number.
  private static func scanEnd(_ bytes: [UInt8], _ start: Int) -> Int {
    var place = start
    while let next = bytes[place...].firstIndex(of: 0xff), next + 1 < bytes.count {
      let type = bytes[next + 1]
      if type == 0xff {
        place = next + 1
      } else if type == 0 || Marker.restarts.contains(type) {
        place = next + 2
      } else {
        return next
      }
    }
    return bytes.count
  }
}
