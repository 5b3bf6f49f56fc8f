import CRSO

/// Bytes of card memory for sweeping any tensor of a network: the maximum over the tensors, known without a card.
struct CUDANeed: Hashable {
  /// The cached value, rests, placed and fixed values of all mini-batches, and packed weights.
  private(set) var storage = 0
  /// What one pass over a mini-batch, or over the samples of the statistics, works in.
  private(set) var work = 0

  var total: Int { storage + work }

  /// What groups of turns may work in where no single turn needs as much. More would hardly help: then the kernels fill a
  /// card for long enough.
  private static let roomForGroups = 1 << 28

  /// - Parameters:
  ///   - samples: number of training samples.
  ///   - loss: what is minimised.
  ///   - precision: of proposals.
  ///   - mostTogether: the most turns that are judged together. With 1, groups have only what single turns of other
  ///     tensors need.
  /// - Complexity: O(tensors · layers), without data.
  init(
    network: Network, batchSize: Int, batches: Int, samples: Int, candidates: Int,
    loss: CUDALoss = CUDALoss(), precision: CUDAPrecision = .fp32,
    mostTogether: Int = rso_gpu_group
  ) {
    let parameters = Parameters(zerosFor: network)
    var board = CUDABoard()
    board.loss = loss
    board.precision = precision
    func pass(_ kind: CUDAWholePass.Kind, _ count: Int) -> Int {
      CUDAWholePass(network, parameters, board, kind, count: count, work: 0).bytes
    }
    work = max(
      pass(.statistics, min(statisticsSamples, samples)), pass(.loss(.test), statisticsSamples))
    var cached: Set<Int> = []
    var sweeps: [CUDASweep] = []
    for slot in parameters.slots {
      let sweep = CUDASweep(
        network: network, parameters: parameters, slot: slot, board: board, batchSize: batchSize,
        batches: batches, candidates: candidates, storage: 0, work: 0)
      sweep.foresee()
      sweeps.append(sweep)
      work = max(work, sweep.workBytes)
      let value = sweep.lone.plan.cachedValue
      if cached.insert(value).inserted {
        work = max(work, pass(.value(value, into: sweep.cachedValue), batchSize))
      }
    }
    let room = max(work, Self.roomForGroups)
    for sweep in sweeps {
      _ = sweep.largestGroup(in: room, atMost: mostTogether)
      storage = max(storage, sweep.storageBytes)
      work = max(work, sweep.workBytes)
    }
  }

  /// The largest mini-batch below `size` that fits into `free` bytes; `nil`: none does.
  static func largestBatch(
    network: Network, below size: Int, samples: Int, candidates: Int, free: Int,
    loss: CUDALoss = CUDALoss(), precision: CUDAPrecision = .fp32
  ) -> Int? {
    // Two digits are enough, and easy to type. The samples left over after the last mini-batch need no memory, so a
    // larger mini-batch may need less.
    var step = 1
    while step * 100 <= size { step *= 10 }
    var batch = (size - 1) / step * step
    while batch > 0 {
      let need = CUDANeed(
        network: network, batchSize: batch, batches: samples / batch, samples: samples,
        candidates: candidates, loss: loss, precision: precision,
        mostTogether: 1)
      if need.total <= free { return batch }
      if step > 1, batch == 10 * step { step /= 10 }
      batch -= step
    }
    return nil
  }
}
