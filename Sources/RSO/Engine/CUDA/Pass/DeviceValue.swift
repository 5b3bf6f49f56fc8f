import CRSO

/// A value of a network on the card, `[candidates][channels][area][samples]` floats: where its numbers are, and the map
/// that its readers apply to them. So batch norm and an activation behind it cost no pass over the numbers.
struct DeviceValue {
  var shape: Shape
  var address: UInt64
  /// Candidates that it differs between, or 1.
  var candidates = 1
  /// Floats between mini-batches, between lone channels and between candidates; 0: the same for all.
  var batchStride = 0
  var channelStride = 0
  var candidateStride = 0
  var scale: UInt64 = 0
  var offset: UInt64 = 0
  /// Floats between candidates of scale and offset.
  var affineStride = 0
  var activation = rso_identity
  /// Its readers average places, after the map.
  var box: Box?
  /// Its sums and sums of squares, if they are there, in so many chunks.
  var sums: (partial: UInt64, chunks: Int)?
  /// What keeps its memory.
  var pieces: [AddressSpace.Piece] = []

  /// The mean of 2×2 places at a stride of 1.
  struct Box {
    /// Of what is averaged.
    var shape: Shape
    /// Zeros around it.
    var padding: Int
  }

  var isPlain: Bool { scale == 0 && activation == rso_identity && box == nil }

  /// One of its candidates, as a value of one.
  func result(_ number: Int) -> DeviceValue {
    guard candidates > 1 else { return self }
    var y = self
    y.candidates = 1
    y.candidateStride = 0
    y.address += UInt64(number * candidateStride * 4)
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
      affine_stride: Int32(affineStride), activation: Int32(activation.rawValue))
  }

  var target: rso_gpu_target {
    rso_gpu_target(
      data: address, batch_stride: Int64(batchStride), candidate_stride: Int64(candidateStride))
  }
}
