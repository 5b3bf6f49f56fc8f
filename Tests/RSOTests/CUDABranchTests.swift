import Testing

@testable import RSO

/// The candidates' branches on a card, whose memory is told before it is there.
@Suite struct CUDABranchTests {
  /// An address of 0 means that there is no piece, so none is there, also where no card is asked.
  @Test func noPieceIsAtZero() {
    let space = AddressSpace(base: 0)
    let piece = space.take(1, Float.self)
    #expect(piece.address == 256 && space.peak == 256)
    let card = AddressSpace(base: 1 << 20)
    let other = card.take(3, Double.self)
    #expect(other.address == 1 << 20 && card.peak == 256)
  }

  /// Above the mixing layer, the first memory of a branch goes to a sum that a convolution reads, then to the scale of
  /// batch norm, whose result is flattened. With the scale at address 0 the plan without a card had no room for that,
  /// and branches wrote over each other.
  @Test(arguments: [1, 2])
  func branchesDoNotOverlap(stride: Int) throws {
    let network = try Network(input: Shape(channels: 3, height: 4, width: 3)) {
      Node.conv2d("conv0", channels: 4, kernel: 3, padding: 1, bias: true)
      Node.batchNorm("bn0")
      Node.averagePool("pool0", kernel: 3, stride: stride, padding: 1)
      Node.batchNorm("bn1")
      Node.conv2d("conv1", channels: 4, kernel: 1, bias: true)
      Node.add("add1", "pool0")
      Node.relu("relu1")
      Node.conv2d("conv2", channels: 4, kernel: 3, padding: 1, bias: true)
      Node.batchNorm("bn2")
      Node.flatten("flat")
      Node.linear("fc", features: 7, bias: true)
    }
    var comparison = try CandidateComparison(network: network, name: "branches", batchSize: 37)
    try comparison.run(elementsPerTensor: 3)
    #expect(comparison.compared > 0)
  }
}
