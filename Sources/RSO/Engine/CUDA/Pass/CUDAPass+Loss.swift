import CRSO

// The two ends of a pass: images and losses.

extension CUDAPass {
  /// The images of the turn's samples in `order`.
  func images(_ images: CUDABoard.Images, order: UInt64, into: DeviceValue? = nil) -> DeviceValue {
    let y = into ?? value(network.input)
    let (channels, area) = (network.input.channels, network.input.area)
    append(
      .overPlaces(
        .loadImages, samples: samples, lanes: 1, area: area, planes: channels,
        rso_gpu_load(
          turn: board.turn, bytes: images.bytes, floats: images.floats, table: images.table,
          mean: images.mean, deviation: images.deviation, order: order, y: y.target,
          samples: Int32(samples), count: Int32(count), channels: Int32(channels), area: Int32(area)
        )))
    return y
  }

  /// Sums the samples' losses, `[candidates][blocks]`, for the network's last value. `nodes` compute that value.
  ///
  /// - Parameters:
  ///   - samples: the labels and targets.
  ///   - partial: where to write.
  ///   - predicted: where to write the predicted classes; 0: nowhere. Only for the paper's loss.
  ///   - outputs: where to copy the outputs `[candidates][count][classes]`; 0: nowhere. Not for the paper's loss.
  ///   - isMean: divides the sums by the number of samples. Not for the paper's loss.
  ///   - decision: the last block of all candidates ends the group.
  /// - Returns: the number of blocks.
  @discardableResult
  func loss(
    _ nodes: [Int], of data: CUDABoard.Images, order: UInt64, partial: UInt64,
    predicted: UInt64 = 0, outputs: UInt64 = 0, isMean: Bool = false,
    decision: rso_gpu_choose? = nil
  ) -> Int {
    var arguments = rso_gpu_loss()
    var nodes = nodes
    var last = network.nodes.count
    if nodes.last == last - 1, case .linear = network.nodes[last - 1].layer,
      network.classes <= rso_gpu_classes, network.shapes[network.inputs[last - 1][0]].area == 1
    {
      nodes.removeLast()
      arguments.weights = weights.packed(last - 1, self)
      arguments.bias = board.parameter(parameters.slot(node: last - 1, .bias))
      arguments.padded_outputs = Int32(CUDAWeights.padded(network.classes))
      last = network.inputs[last - 1][0]
      arguments.inputs = Int32(network.shapes[last].channels)
      // The kernel also does a pooling of whole images in front of the layer.
      if nodes.last == last - 1, network.nodes[last - 1].layer.poolsImages {
        nodes.removeLast()
        arguments.maximum = network.nodes[last - 1].layer == .globalMaxPool ? 1 : 0
        last = network.inputs[last - 1][0]
      }
      arguments.area = Int32(network.shapes[last].area)
    }
    append(nodes, keeping: [last])
    guard let x = values[last].map({ $0.box == nil ? $0 : plain($0) }) else { return 0 }
    let blocks = lossBlocks
    arguments.turn = board.turn
    arguments.x = x.operand
    arguments.order = order
    arguments.labels = data.labels
    arguments.partial = partial
    arguments.predicted = predicted
    arguments.samples = Int32(samples)
    arguments.count = Int32(count)
    arguments.classes = Int32(network.classes)
    arguments.blocks = Int32(blocks)
    arguments.terms = Int32(board.loss.count)
    arguments.term = board.loss.terms
    arguments.targets = data.targets
    arguments.outputs = outputs
    arguments.factor = isMean ? 1 / Double(count) : 1
    if let decision {
      arguments.decides = 1
      arguments.decide = decision
    }
    let kernel: CUDAKernel =
      switch (board.loss.isCrossEntropy, arguments.weights == 0) {
      case (true, true): .crossEntropy
      case (true, false): .classify
      case (false, true): .sampleLosses
      case (false, false): .classifyLosses
      }
    append(
      CUDALaunch(
        kernel, grid: (blocks, x.candidates, 1), block: (rso_gpu_threads, 1), arguments))
    return blocks
  }

  /// Number of blocks that sum the loss of one candidate.
  var lossBlocks: Int { (count + rso_gpu_loss_samples - 1) / rso_gpu_loss_samples }

  /// The arguments of the decision.
  func choose(partial: UInt64 = 0, blocks: Int = 0) -> rso_gpu_choose {
    rso_gpu_choose(
      turn: board.turn, turns: board.turns, queue: board.queue, progress: board.progress,
      parameters: board.parameters, partial: partial, outcomes: board.outcomes,
      pending: board.pending, candidates: Int32(each), blocks: Int32(blocks), group: Int32(group))
  }
}
