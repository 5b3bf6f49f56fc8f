import Foundation
import RSO
import Testing

@testable import RSOCommand

struct ShortcutDrawingTests {
  private func drawing(_ network: Network) -> [String] {
    zip(["input"] + network.nodes.map(\.name), shortcutDrawing(network)).map { name, lines in
      String((name.padded(6) + lines).reversed().drop { $0 == " " }.reversed())
    }
  }

  @Test func aChainNeedsNone() throws {
    let network = try Network.mnist()
    #expect(Set(shortcutDrawing(network)) == [" "])
  }

  /// Three shortcuts, of which two overlap and two begin at the same layer; one has a convolution.
  @Test func shortcuts() throws {
    let network = try Network(input: Shape(channels: 2, height: 4, width: 4)) {
      Node.conv2d("conv0", channels: 2, kernel: 1)
      Node.conv2d("conv1", channels: 2, kernel: 1)
      Node.add("add1", "conv0")
      Node.conv2d("conv2", channels: 2, kernel: 1)
      Node.add("add2", "conv0")
      Node.conv2d("short", channels: 2, kernel: 1)
      Node.conv2d("conv3", channels: 2, kernel: 1, input: "add2")
      Node.add("add3", "short")
      Node.add("add4", "input")
      Node.globalMaxPool("pool")
    }
    #expect(
      drawing(network) == [
        "input ─╮", "conv0 ─┼╮", "conv1  ││", "add1  ◂┼┤", "conv2  ││", "add2  ◂┼┴╮",
        // conv0's line has ended: its column is free again.
        "short ─┼╮│", "conv3 ◂┼┼╯", "add3  ◂┼╯", "add4  ◂╯", "pool",
      ])
  }
}
