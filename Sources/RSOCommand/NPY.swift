import Foundation
import RSO

/// Images in NumPy's `.npy` files: unsigned bytes, `[N, H, W]` or `[N, C, H, W]`, in C order.
///
/// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
enum NPY {
  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  static func isPossible(_ bytes: [UInt8]) -> Bool { bytes.starts(with: magic) }

  /// `[N, C, H, W]` and the shape of one image.
  static func images(
    _ bytes: [UInt8], name: String
  ) throws -> (pixels: [UInt8], shape: Shape) {
    // Version 1 has 16 bits of header length, later ones have 32.
    let start = bytes.count > 6 && bytes[6] > 1 ? 12 : 10
    let length = bytes.prefix(start).dropFirst(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    guard bytes.count >= start + length else {
      throw RSOError(name, "expected a header, found \(bytes.count) bytes", hint: "cut short?")
    }
    let header = String(decoding: bytes[start..<(start + length)], as: UTF8.self)
    let sizes = header.firstMatch(of: /'shape': *\(([0-9, ]*)\)/)?.1.split(separator: ",")
      .compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
    guard header.contains("'|u1'"), header.contains("False"), let sizes,
      (3...4).contains(sizes.count)
    else {
      throw RSOError(
        name,
        "expected unsigned bytes [N, H, W] or [N, C, H, W], found "
          + header.trimmingCharacters(in: .whitespacesAndNewlines),
        hint: "np.save(file, images.astype('uint8')) writes them")
    }
    let pixels = Array(bytes[(start + length)...])
    guard product(of: sizes) == pixels.count else {
      throw RSOError(
        name, "expected the bytes of shape \(sizes), found \(pixels.count)", hint: "cut short?")
    }
    let shape = Shape(
      channels: sizes.count == 4 ? sizes[1] : 1, height: sizes[sizes.count - 2],
      width: sizes[sizes.count - 1])
    return (pixels, shape)
  }
}
