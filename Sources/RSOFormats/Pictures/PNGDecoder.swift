import CPNG
import RSO

/// libpng 1.6.
///
/// Its simplified interface would be shorter, but takes samples of 16 bits for linear light, scrambles interlaced ones
/// in several versions, and blends transparency in linear light.
struct PNGDecoder: Sendable {
  static let shared = Result { try PNGDecoder() }

  private let library: cpng_library

  init() throws {
    let file = try SharedLibrary(
      ["libpng16.so.16", "libpng16.dylib", "/opt/homebrew/lib/libpng16.dylib"],
      hint: "install it (Debian: apt-get install libpng16-16), or give .npy or IDX files")
    func find<Function>(_ name: String, _ place: inout Function?) throws {
      place = try file.function("png_\(name)", as: Function.self)
    }
    var library = cpng_library()
    try find("get_libpng_ver", &library.get_libpng_ver)
    try find("create_read_struct", &library.create_read_struct)
    try find("create_info_struct", &library.create_info_struct)
    try find("destroy_read_struct", &library.destroy_read_struct)
    try find("set_read_fn", &library.set_read_fn)
    try find("read_info", &library.read_info)
    try find("get_IHDR", &library.get_IHDR)
    try find("get_valid", &library.get_valid)
    try find("set_expand", &library.set_expand)
    try find("set_scale_16", &library.set_scale_16)
    try find("set_gray_to_rgb", &library.set_gray_to_rgb)
    try find("set_add_alpha", &library.set_add_alpha)
    try find("set_interlace_handling", &library.set_interlace_handling)
    try find("read_update_info", &library.read_update_info)
    try find("get_rowbytes", &library.get_rowbytes)
    try find("read_row", &library.read_row)
    self.library = library
  }

  func decode(_ bytes: [UInt8], name: String) throws -> DecodedPicture {
    var image = cpng_image()
    func read(_ pixels: UnsafeMutablePointer<UInt8>?) throws {
      let isRead = withUnsafePointer(to: library) {
        cpng_read($0, bytes, bytes.count, &image, pixels) != 0
      }
      guard isRead else {
        let message = withUnsafeBytes(of: image.message) {
          String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        throw RSOError(name, "the PNG file cannot be decoded: \(message)")
      }
    }
    try read(nil)
    let (width, height) = (Int(image.width), Int(image.height))
    try DecodedPicture.checkSize(width, height, name)
    var pixels = [UInt8](repeating: 0, count: 4 * width * height)
    try pixels.withUnsafeMutableBufferPointer { try read($0.baseAddress) }
    return DecodedPicture(
      height: height, width: width, pixels: pixels, isColoured: image.is_coloured != 0,
      changes: image.depth == 16 ? ["reduced to 8 bits"] : [])
  }
}
