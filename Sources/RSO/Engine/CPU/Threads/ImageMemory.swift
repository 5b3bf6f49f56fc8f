/// A split's pixels where kernels read them.
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
