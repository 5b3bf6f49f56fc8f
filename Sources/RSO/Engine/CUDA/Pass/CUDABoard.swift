/// Addresses that all passes of an engine share.
struct CUDABoard {
  /// The current turns, the turns of a run, and their numbers in the order in which they are judged.
  var turn: UInt64 = 0
  var turns: UInt64 = 0
  var queue: UInt64 = 0
  var progress: UInt64 = 0
  var outcomes: UInt64 = 0
  /// Values that wait for the end of their round.
  var pending: UInt64 = 0
  var changes: UInt64 = 0
  var units: UInt64 = 0
  var parameters: UInt64 = 0
  /// The swept tensor's values before the sweep, and the time at which each of its elements is decided.
  var start: UInt64 = 0
  var decided: UInt64 = 0
  /// Running mean and variance of every batch norm, in double precision; see `Network.statisticsOffset(of:)`.
  var statistics: UInt64 = 0
  var train = Images()
  /// Null if the data have no validation images.
  var validation = Images()
  var test = Images()
  /// The samples of the sweep, and 0, 1, 2, …
  var order: UInt64 = 0
  var everything: UInt64 = 0
  /// The precision of whole layers.
  var precision = CUDAPrecision.fp32
  /// What is minimised.
  var loss = CUDALoss()
  /// Partial losses, predicted classes and outputs of an evaluation.
  var partial: UInt64 = 0
  var predicted: UInt64 = 0
  var outputs: UInt64 = 0

  /// Addresses of a split's images, labels and targets. Pixels are bytes with a table, or floats with a mean and a deviation.
  struct Images {
    var bytes: UInt64 = 0
    var floats: UInt64 = 0
    var table: UInt64 = 0
    var mean: UInt64 = 0
    var deviation: UInt64 = 0
    var labels: UInt64 = 0
    /// 0 without targets.
    var targets: UInt64 = 0
  }

  func parameter(_ slot: Parameters.Slot?) -> UInt64 {
    slot.map { parameters + UInt64($0.offset * MemoryLayout<Float>.stride) } ?? 0
  }
}
