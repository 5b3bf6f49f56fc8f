/// How a picture must be turned and mirrored to be upright, with Exif's numbers.
///
/// Sources: Exif 2.32 (JEITA CP-3451), 4.6.4, tag 274; TIFF 6.0, section 2; PNG 3, 11.3.4.5.
enum Orientation: Int, CaseIterable {
  case upright = 1
  case mirrored, turnedHalf, flipped, transposed, turnedRight, transversed, turnedLeft

  /// The size of the upright picture.
  func size(height: Int, width: Int) -> (height: Int, width: Int) {
    rawValue < 5 ? (height, width) : (width, height)
  }

  /// The place in the file's picture, of `height` × `width`, of a pixel of the upright one.
  func source(_ row: Int, _ column: Int, height: Int, width: Int) -> (row: Int, column: Int) {
    let (bottom, right) = (height - 1, width - 1)
    return switch self {
    case .upright: (row, column)
    case .mirrored: (row, right - column)
    case .turnedHalf: (bottom - row, right - column)
    case .flipped: (bottom - row, column)
    case .transposed: (column, row)
    case .turnedRight: (bottom - column, row)
    case .transversed: (bottom - column, right - row)
    case .turnedLeft: (column, right - row)
    }
  }
}

// MARK: - Where files say it

extension Orientation {
  /// A file may have none, which is no error: the picture is then upright. Exif's word goes before that of XMP.
  private init(exif: [UInt8]?, xmp: [UInt8]?) {
    let number = exif.flatMap(Self.number(exif:)) ?? xmp.flatMap(Self.number(xmp:))
    self = number.flatMap(Orientation.init) ?? .upright
  }

  /// Reads the first segments of Exif and XMP.
  init(of segments: JPEGSegments) {
    func content(_ head: String) -> [UInt8]? {
      let head = Array(head.utf8)
      let segment = segments.segments.first {
        $0.marker == 0xe1 && $0.content.starts(with: head)
      }
      return (segment?.content.dropFirst(head.count)).map { Array($0) }
    }
    self.init(exif: content("Exif\0\0"), xmp: content("http://ns.adobe.com/xap/1.0/\0"))
  }

  /// Reads the chunks `eXIf` and, for XMP, `iTXt`, wherever they are.
  init(ofPNG bytes: [UInt8]) {
    let exifHead = Array("Exif\0\0".utf8)
    let xmpHead = Array("XML:com.adobe.xmp\0".utf8)
    var exif: [UInt8]?
    var xmp: [UInt8]?
    var place = 8
    while place + 12 <= bytes.count {
      let length = bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) }
      guard length <= bytes.count - place - 12 else { break }
      let content = bytes[place + 8..<place + 8 + length]
      let type = bytes[place + 4..<place + 8]
      if type.elementsEqual("eXIf".utf8) {
        exif = Array(content.starts(with: exifHead) ? content.dropFirst(exifHead.count) : content)
      } else if type.elementsEqual("iTXt".utf8), content.starts(with: xmpHead) {
        xmp = Array(content.dropFirst(xmpHead.count))
      }
      place += 12 + length
    }
    self.init(exif: exif, xmp: xmp)
  }

  /// Tag 274 of a TIFF header's first directory; `nil` without one.
  private static func number(exif bytes: [UInt8]) -> Int? {
    guard bytes.count >= 8 else { return nil }
    let isBig = bytes.starts(with: "MM".utf8)
    guard isBig || bytes.starts(with: "II".utf8) else { return nil }
    /// The unsigned number of `count` bytes; `nil` beyond the end.
    func number(_ place: Int, _ count: Int) -> Int? {
      guard place >= 0, place + count <= bytes.count else { return nil }
      let bytes = bytes[place..<place + count]
      return isBig
        ? bytes.reduce(0) { $0 << 8 | Int($1) } : bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    guard number(2, 2) == 42, let directory = number(4, 4), let count = number(directory, 2)
    else { return nil }
    for index in 0..<count {
      let entry = directory + 2 + 12 * index
      guard let tag = number(entry, 2) else { return nil }
      guard tag == 274, number(entry + 4, 4) == 1, let type = number(entry + 2, 2) else { continue }
      // One byte, two or four: the standard says two.
      guard let size = [1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4][type] else { return nil }
      return number(entry + 8, size)
    }
    return nil
  }

  /// `tiff:Orientation="6"` or `tiff:Orientation>6`, as an attribute or an element.
  private static func number(xmp bytes: [UInt8]) -> Int? {
    let word = Array("tiff:Orientation".utf8)
    var rest = bytes[...]
    while let start = rest.firstIndex(of: word[0]) {
      rest = rest[start...]
      if rest.starts(with: word) {
        var value = rest.dropFirst(word.count)
        if value.starts(with: "=\"".utf8) {
          value = value.dropFirst(2)
        } else if value.first == UInt8(ascii: ">") {
          value = value.dropFirst()
        } else {
          value = []
        }
        if let digit = value.first, (0x30...0x39).contains(digit) { return Int(digit) - 0x30 }
      }
      rest = rest.dropFirst()
    }
    return nil
  }
}
