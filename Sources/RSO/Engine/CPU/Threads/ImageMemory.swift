/// A split's pixels, in memory that the kernels read.
enum ImageMemory {
  case bytes(Buffer<UInt8>)
  case floats(Buffer<Float>)

  init(_ pixels: Pixels) throws {
    switch pixels {
    case .bytes(let bytes): self = .bytes(try Buffer(bytes))
    case .floats(let floats): self = .floats(try Buffer(floats))
    }
  }
}
