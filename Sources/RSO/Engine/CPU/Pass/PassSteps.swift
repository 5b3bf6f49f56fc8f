import CRSO

/// What a pass is made of.
extension Pass {
  /// What a step computes from `x` and, where it reads two, `b`.
  enum Operation {
    /// Images by the numbers in `Input.samples`.
    case load
    /// From `b` where there is one, else from the bias. Reads the first `inputs` channels of `x`.
    case convolution(
      rso_window, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?, inputs: Int)
    /// A convolution of every channel with its own weights, packed as `DepthwiseWeights`: so many sets of them, one
    /// for each lane unless it is one for all.
    case depthwise(
      rso_window, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>, candidates: Int)
    /// A 3×3 convolution by Winograd's algorithm, with `WinogradWeights`, of the first `inputs` channels.
    case winograd(
      rso_window, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>, inputs: Int)
    /// `b` plus the convolution of the one channel `x`, row by row.
    case mix(MixingWeights)
    /// `b + δ[lane] · x` shifted by the tap.
    case shiftAdd(rso_window, delta: UnsafePointer<Float>, tap: UnsafePointer<Int32>)
    /// `x + δ[lane]`, one channel.
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
    /// Group `u` of channels of `y` is group `groups[u]` of `x`.
    case gather(channels: UnsafePointer<Int32>, count: Int)
    /// Group `groups[u]` of channels of `y` becomes group `u` of `x`; negative: none.
    case scatter(channels: UnsafePointer<Int32>, count: Int)
    /// `b` with group `groups[0]` of channels replaced by `x`.
    case replace(channels: UnsafePointer<Int32>)
    case moments(norm: Int)
    case crossEntropy
  }

  struct Value {
    var shape: Shape
    /// Whether lanes differ: always for `.samples`.
    var perLane: Bool
    /// Memory given from outside, or kept between segments; `nil`: scratch.
    var memory: UnsafeMutablePointer<Float>?
    /// Floats between blocks in memory.
    var blockStride: Int
    var isBound: Bool
    /// The first segment in which it can be computed.
    var level: Int
    var producer: Int?
  }

  struct Step {
    var operation: Operation
    var x: ValueID?
    var b: ValueID?
    var y: ValueID?
    var level: Int
  }

  /// `[N][channels · area]` pixels, and what is done to them.
  enum Images {
    /// `table`: `[channels][256]` what a byte becomes.
    case bytes(UnsafePointer<UInt8>, table: UnsafePointer<Float>)
    /// `mean`: `[channels]`, subtracted.
    case floats(UnsafePointer<Float>, mean: UnsafePointer<Float>)
  }

  /// What a run reads beside its values.
  struct Input {
    /// Samples in all, and this process's blocks of them.
    var count: Int
    var blocks: Int
    var reduction: Reduction
    /// Samples in each block: 16, or fewer in the last of a mini-batch.
    var valid: UnsafePointer<Int32>
    /// `[blocks][16]` class of each sample, for the loss.
    var labels: UnsafePointer<Int32>?
    /// `[blocks][16]` number of each sample or −1, for `load`.
    var samples: UnsafePointer<Int32>?
    var images: Images?
    /// `[blocks][16]` receives the predicted class.
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
    /// What is done to `x`, and `b`, on the way in.
    var source: Source
    /// The norm whose sums `y` is added to.
    var moments: Int?
    var x: Operand
    var b: Operand
    /// What `source` adds to a mixing layer's output.
    var added: Operand
    var y: Operand
    /// Of `x`, or of `y` where nothing is read.
    var shape: Shape
    /// Channels of `y`.
    var outputs: Int
  }

  struct Segment {
    var instructions: [Instruction]
    /// Of all runs.
    var seconds = 0.0
  }
}

extension Pass.Operation {
  /// Whether `y` may take the place of `x`.
  var mayOverwriteInput: Bool {
    switch self {
    case .normalize, .activate, .offset: true
    default: false
    }
  }
}
