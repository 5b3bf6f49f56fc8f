import CRSO

extension Activation {
  /// Whether all kernels apply it as they read. Only `copy` computes the others, so that they cost the rest nothing.
  var isAppliedByReaders: Bool {
    switch self {
    case .relu, .leakyReLU, .sigmoid, .tanh, .sign: true
    case .gelu, .silu, .hardSigmoid, .hardSwish, .hardStep, .quantize: false
    }
  }

  /// What no result exceeds in magnitude if no input exceeds `x`.
  func bound(_ x: Float) -> Float {
    switch self {
    case .relu, .gelu, .silu, .hardSwish: x
    case .leakyReLU(let slope): x * max(Float(slope).magnitude, 1)
    case .sigmoid, .tanh, .sign, .hardSigmoid, .hardStep, .quantize: 1
    }
  }
}

/// A value of a network on the card, `[candidates][channels][area][samples]` numbers: where they are, and the map that
/// readers apply to them. The map makes batch norm and an activation after it free of a pass over the numbers.
struct DeviceValue {
  var shape: Shape
  var address: UInt64
  /// Number of candidates with different numbers, or 1.
  var candidates = 1
  /// 0: the numbers are floats; otherwise halves, in this unit, a power of two.
  var unit: Float = 0
  /// Numbers between mini-batches, lone channels and candidates; 0: the same for all.
  var batchStride = 0
  var channelStride = 0
  var candidateStride = 0
  var scale: UInt64 = 0
  var offset: UInt64 = 0
  /// Floats between the candidates' scales and offsets.
  var affineStride = 0
  var activation: Activation?
  /// If set, readers average places after they apply the map.
  var box: Box?
  /// What no mapped number exceeds in magnitude, if batch norm on the mini-batch's own statistics says so. Whether it is
  /// there follows from the network alone, so that the memory of a sweep does.
  var bound: Float?
  /// The sums and sums of squares if they are available, and their number of chunks.
  var sums: (partial: UInt64, chunks: Int)?
  /// Keeps the memory alive.
  var pieces: [AddressSpace.Piece] = []

  /// The mean of 2×2 places with stride 1.
  struct Box {
    /// The shape of the value to average.
    var shape: Shape
    /// Zeros around that value.
    var padding: Int
  }

  var isPlain: Bool { scale == 0 && activation == nil && box == nil }

  /// One candidate as a value of its own.
  func result(_ number: Int) -> DeviceValue {
    guard candidates > 1 else { return self }
    var y = self
    y.candidates = 1
    y.candidateStride = 0
    y.address += UInt64(number * candidateStride * (unit == 0 ? 4 : 2))
    if affineStride > 0 {
      y.scale += UInt64(number * affineStride * 4)
      y.offset += UInt64(number * affineStride * 4)
      y.affineStride = 0
    }
    if let sums {
      y.sums = (sums.partial + UInt64(number * shape.channels * sums.chunks * 16), sums.chunks)
    }
    return y
  }

  var operand: rso_gpu_operand {
    rso_gpu_operand(
      data: address, batch_stride: Int64(batchStride), channel_stride: Int64(channelStride),
      candidate_stride: Int64(candidateStride), scale: scale, offset: offset,
      affine_stride: Int32(affineStride), activation: activation?.kernel ?? .identity,
      unit: unit)
  }

  var target: rso_gpu_target {
    rso_gpu_target(
      data: address, batch_stride: Int64(batchStride), candidate_stride: Int64(candidateStride),
      unit: unit)
  }
}
