import CRSO

/// The parts of a pass.
extension Pass {
  /// What a step computes from `x` and, if it reads two values, `b`.
  enum Operation {
    /// Loads the images whose indices are in `Input.samples`.
    case load
    /// A convolution of the first `inputs` channels of `x`. It starts from `b` if there is one, else from the bias.
    case convolution(
      rso_window, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?, inputs: Int)
    /// A convolution of each channel with its own weights, packed as `DepthwiseWeights`. `candidates` is the number of
    /// sets of weights: one for each lane, or one for all.
    case depthwise(
      rso_window, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>, candidates: Int)
    /// A 3×3 convolution by Winograd's algorithm, with `WinogradWeights`, of the first `inputs` channels.
    case winograd(
      rso_window, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>, inputs: Int)
    /// A convolution of integers.
    case integers(IntegerWeights)
    /// `b` plus the convolution of the single channel `x`, row by row.
    case mix(MixingWeights)
    /// `b + δ[lane] · x`, where `x` is shifted by the tap.
    case shiftAdd(rso_window, delta: UnsafePointer<Float>, tap: UnsafePointer<Int32>)
    /// `x + δ[lane]`, for one channel.
    case offset(one: UnsafePointer<Float>, delta: UnsafePointer<Float>)
    case normalize(norm: Int, rso_activation)
    case normalizeExtremes(norm: Int)
    case activate(rso_activation)
    case add
    case averagePool(rso_window)
    case maxPool(rso_window)
    case globalMax
    case globalAverage
    case extremes
    /// Group `u` of the channels of `y` is group `channels[u]` of `x`.
    case gather(channels: UnsafePointer<Int32>, count: Int)
    /// Group `channels[u]` of the channels of `y` becomes group `u` of `x`; a negative `channels[u]` skips the group.
    case scatter(channels: UnsafePointer<Int32>, count: Int)
    /// `b` with group `channels[0]` of its channels replaced by `x`.
    case replace(channels: UnsafePointer<Int32>)
    case moments(norm: Int)
    /// The sum of a loss over samples, for each lane.
    case loss(rso_loss)
    /// Copies `x` to `[candidates][samples][channels]`, for losses that need all samples.
    case outputs(UnsafeMutablePointer<Float>, samples: Int)
  }

  struct Value {
    var shape: Shape
    /// Whether lanes have different values; always true for `.samples`.
    var perLane: Bool
    /// Memory bound by the caller or kept between segments; `nil`: scratch.
    var memory: UnsafeMutablePointer<Float>?
    /// `[channels]`: what its numbers are worth if they are 16-bit integers in memory; `nil`: they are floats.
    var units: UnsafePointer<Float>?
    /// Floats from one block to the next in memory.
    var blockStride: Int
    var isBound: Bool
    /// The first segment in which it can be computed.
    var level: Int
    var producer: Int?

    /// Floats from one candidate to the next in memory.
    var laneStride: Int {
      units == nil ? Pass.stride(shape) : (shape.count / 2 + 2) * Kernels.block
    }
  }

  struct Step {
    var operation: Operation
    var x: ValueID?
    var b: ValueID?
    var y: ValueID?
    var level: Int
  }

  /// Pixels `[N][channels · area]`, and how they become inputs.
  enum Images {
    /// `table`: `[channels][256]`, the float for each byte.
    case bytes(UnsafePointer<UInt8>, table: UnsafePointer<Float>)
    /// `mean`: `[channels]`, subtracted; `deviation`: `[channels]`, what the difference is divided by.
    case floats(
      UnsafePointer<Float>, mean: UnsafePointer<Float>, deviation: UnsafePointer<Float>)
  }

  /// What a run reads besides its values.
  struct Input {
    /// The samples of all processes, and this process's blocks of them.
    var count: Int
    var blocks: Int
    var reduction: Reduction
    /// Samples in each block: 16, or fewer in the last of a mini-batch.
    var valid: UnsafePointer<Int32>
    /// `[blocks][16]`: the class of each sample, for the loss.
    var labels: UnsafePointer<Int32>?
    /// `[blocks][targets][16]`, as many targets as outputs, for the losses of targets.
    var targets: UnsafePointer<Float>?
    /// `[blocks][16]`: the index of each sample or −1, for `load`.
    var samples: UnsafePointer<Int32>?
    var images: Images?
    /// `[blocks][16]`: receives the predicted classes.
    var predicted: UnsafeMutablePointer<Int32>?
  }

  /// Where an instruction finds a value.
  struct Operand {
    /// Index into `values`; −1: scratch.
    var value = -1
    var scratch = 0
    var laneStride = 0
    init() {}
    var isNothing: Bool { value < 0 && laneStride == 0 }
    init(value: Int) { self.value = value }
    init(scratch: Int, laneStride: Int) {
      self.scratch = scratch
      self.laneStride = laneStride
    }
  }

  struct Instruction {
    var operation: Operation
    /// What the kernel does to `x` and `b` as it reads them.
    var source: Source
    /// The norm to whose sums the kernel adds the moments of `y`.
    var moments: Int?
    var x: Operand
    var b: Operand
    /// The value that `source` adds to a mixing layer's output.
    var added: Operand
    var y: Operand
    /// The shape of `x`, or of `y` if the instruction reads nothing.
    var shape: Shape
    /// Channels of `y`.
    var outputs: Int
  }

  struct Segment {
    var instructions: [Instruction]
    /// Summed over all runs.
    var seconds = 0.0
  }
}

extension Pass.Operation {
  /// Whether `y` may use the memory of `x`.
  var mayOverwriteInput: Bool {
    switch self {
    case .normalize, .activate, .offset: true
    default: false
    }
  }
}
