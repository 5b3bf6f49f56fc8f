import CRSO
import CUDAHost
import Foundation
import Testing

@testable import RSO

/// Values that `--precision fp16` keeps in 16 bits, with the kernels on the CPU, which round as a card does.
@Suite struct CUDAStorageTests {
  /// Layers on memory of this process.
  private final class Bench {
    let pass: CUDAPass
    private let fake = FakeCUDA()
    private let memory: UnsafeMutableRawPointer
    private let weights: CUDAWeights
    private let pieces: [AddressSpace.Piece]
    static let bytes = 1 << 24

    init(_ network: Network, count: Int, proposed: Int = 1) {
      let memory = UnsafeMutableRawPointer.allocate(byteCount: 2 * Self.bytes, alignment: 256)
      memset(memory, 0xFF, 2 * Self.bytes)
      let parameters = Parameters(initialFor: network, seed: 3)
      let address = UInt64(UInt(bitPattern: memory))
      let space = AddressSpace(base: address)
      pieces = [
        space.take(1, rso_gpu_turn.self), space.take(parameters.values.count, Float.self),
      ]
      let (turn, values) = (pieces[0].address, pieces[1].address)
      memory.storeBytes(
        of: rso_gpu_turn(), toByteOffset: Int(turn - address), as: rso_gpu_turn.self)
      memcpy(memory + Int(values - address), parameters.values, 4 * parameters.values.count)
      var board = CUDABoard(turn: turn, parameters: values)
      board.precision = .fp16
      self.memory = memory
      weights = CUDAWeights(space: AddressSpace(base: address + UInt64(Self.bytes)))
      pass = CUDAPass(
        network: network, parameters: parameters, board: board, weights: weights, space: space,
        count: count, candidates: proposed)
    }

    deinit { memory.deallocate() }

    static func pointer(_ address: UInt64) -> UnsafeMutableRawPointer {
      UnsafeMutableRawPointer(bitPattern: UInt(address)) ?? .allocate(byteCount: 0, alignment: 1)
    }

    /// A value of numbers that 11 bits hold, with a map.
    func value(
      _ shape: Shape, candidates: Int = 1, isHalf: Bool, seed: Int = 0, isMapped: Bool = true
    ) -> DeviceValue {
      pass.keepsHalves = isHalf
      var x = pass.value(shape, candidates: candidates, bound: 3)
      #expect((x.unit != 0) == isHalf)
      let philox = Philox(seed: 7)
      for i in 0..<candidates * shape.count * pass.samples {
        let normal = philox.normal(.initialisation, cycle: seed, tensor: 0, element: i)
        let number = Float16(min(max(normal, -3), 3))
        if isHalf {
          Self.pointer(x.address).storeBytes(
            of: Float16(Float(number) / x.unit).bitPattern, toByteOffset: 2 * i, as: UInt16.self)
        } else {
          Self.pointer(x.address).storeBytes(of: Float(number), toByteOffset: 4 * i, as: Float.self)
        }
      }
      guard isMapped else { return x }
      x.scale = pass.scratch(candidates * shape.channels, Float.self)
      x.offset = pass.scratch(candidates * shape.channels, Float.self)
      x.affineStride = candidates > 1 ? shape.channels : 0
      for i in 0..<candidates * shape.channels {
        Self.pointer(x.scale).storeBytes(
          of: 0.7 + 0.01 * Float(i), toByteOffset: 4 * i, as: Float.self)
        Self.pointer(x.offset).storeBytes(
          of: 0.1 - 0.02 * Float(i), toByteOffset: 4 * i, as: Float.self)
      }
      x.activation = .relu
      return x
    }

    func run() {
      for launch in weights.launches + pass.launches {
        let status = fake.run(
          FakeCUDA.Recorded(
            name: launch.kernel.rawValue,
            grid: [launch.grid.x, launch.grid.y, launch.grid.z].map { UInt32($0) },
            block: [UInt32(launch.block.x), UInt32(launch.block.y), 1],
            shared: UInt32(launch.shared), stream: 0, arguments: launch.arguments))
        #expect(status == 0)
      }
      #expect(fake.faults.isEmpty, "\(fake.faults)")
    }

    var kernels: [String] { pass.launches.map(\.kernel.rawValue) }

    /// The numbers of the mini-batch's samples as readers see them, `[candidates · channels][area · count]`.
    func numbers(_ y: DeviceValue) -> [[Float]] {
      let (area, samples) = (y.shape.area, pass.samples)
      return (0..<y.candidates * y.shape.channels).map { channel in
        (0..<area * pass.count).map { i in
          let at = (channel * area + i / pass.count) * samples + i % pass.count
          guard y.unit != 0 else {
            return Self.pointer(y.address).load(fromByteOffset: 4 * at, as: Float.self)
          }
          let bits = Self.pointer(y.address).load(fromByteOffset: 2 * at, as: UInt16.self)
          return y.unit * Float(Float16(bitPattern: bits))
        }
      }
    }

    /// The sums and sums of squares, `[candidates · channels]`.
    func sums(_ y: DeviceValue) -> [(Double, Double)]? {
      guard let sums = y.sums else { return nil }
      return (0..<y.candidates * y.shape.channels).map { channel in
        (0..<sums.chunks).reduce((0, 0)) { sum, chunk in
          let at = 16 * (channel * sums.chunks + chunk)
          let from = Self.pointer(sums.partial)
          return (
            sum.0 + from.load(fromByteOffset: at, as: Double.self),
            sum.1 + from.load(fromByteOffset: at + 8, as: Double.self)
          )
        }
      }
    }
  }

  /// A layer that batch norm follows, by the kernel that computes it.
  private static func network(_ kernel: String) throws -> (network: Network, node: Int) {
    func network(
      _ width: Int, _ channels: Int, @Network.Builder _ nodes: () -> [Node]
    ) throws -> Network {
      try Network(
        input: Shape(channels: channels, height: 5, width: width),
        nodes: nodes() + [Node.batchNorm("bn"), Node.globalMaxPool("gmp")])
    }
    let width = kernel.contains("7") ? 7 : 8
    switch kernel {
    case "matrix7_fp16", "matrix8_fp16", "tile7", "tile4":
      return (
        try network(width, kernel.hasPrefix("t") ? 12 : 16) {
          Node.conv2d("conv", channels: 24, kernel: 3, padding: 1, bias: true)
        }, 0
      )
    case "matrix7_box_fp16", "matrix8_box_fp16", "tile7_box", "tile4_box":
      return (
        try network(2 * width, kernel.hasPrefix("t") ? 3 : 4) {
          Node.averagePool("pool", kernel: 2, stride: 1, padding: 1)
          Node.conv2d("conv", channels: 16, kernel: 3, stride: 2)
        }, 1
      )
    case "depthwise":
      return (
        try network(8, 5) { Node.depthwiseConv2d("conv", kernel: 3, padding: 1, bias: true) }, 0
      )
    case "pool": return (try network(8, 5) { Node.maxPool("pool", kernel: 3, stride: 2) }, 0)
    case "copy": return (try network(8, 5) { Node.activation("gelu", .gelu) }, 0)
    case "convolve4": return (try network(8, 5) { Node.conv2d("conv", channels: 4, kernel: 3) }, 0)
    case "convolve16_1":
      return (try network(8, 5) { Node.conv2d("conv", channels: 16, kernel: 1) }, 0)
    case "convolve16_3":
      return (try network(9, 5) { Node.conv2d("conv", channels: 17, kernel: 3, stride: 2) }, 0)
    default:
      return (try network(8, 5) { Node.conv2d("conv", channels: 16, kernel: 5, padding: 2) }, 0)
    }
  }

  static let kernels = [
    "matrix7_fp16", "matrix8_fp16", "matrix7_box_fp16", "matrix8_box_fp16", "tile7", "tile4",
    "tile7_box", "tile4_box", "depthwise", "pool", "copy", "convolve4", "convolve16_1",
    "convolve16_3", "convolve16",
  ]

  /// Read from halves, equal numbers give equal bits. Written as halves, numbers are the nearest ones to those that are
  /// written as floats, and the sums for batch norm are sums of the rounded numbers.
  @Test(arguments: kernels, [4, 21])
  func readAndWritten(kernel: String, count: Int) throws {
    let (network, node) = try Self.network(kernel)
    func run(_ readsHalves: Bool, _ writesHalves: Bool) throws -> (Bench, DeviceValue) {
      let bench = Bench(network, count: count)
      var x = bench.value(network.input, isHalf: readsHalves, isMapped: kernel != "copy")
      bench.pass.keepsHalves = writesHalves
      if node > 0 { x = bench.pass.layer(0, x) }
      let y = bench.pass.layer(node, x)
      #expect(bench.kernels == [kernel], "\(bench.kernels)")
      #expect((y.unit != 0) == writesHalves)
      bench.run()
      return (bench, y)
    }
    let (plain, y) = try run(false, false)
    let expected = plain.numbers(y)
    #expect(expected.allSatisfy { $0.allSatisfy(\.isFinite) })
    let (reads, same) = try run(true, false)
    #expect(reads.numbers(same) == expected)
    for readsHalves in [false, true] {
      let (writes, half) = try run(readsHalves, true)
      let found = writes.numbers(half)
      #expect(found == expected.map { $0.map { half.unit * Float(Float16($0 / half.unit)) } })
      // The kernels' own sums of 4 to 28 numbers are in single precision, and so are squares.
      guard let sums = writes.sums(half) else { continue }
      var difference = 0.0
      for (sum, (numbers, exact)) in zip(sums, zip(found, expected)) {
        let numbers = numbers.map(Double.init)
        let size = numbers.reduce(0) { $0 + abs($1) }
        let square = numbers.reduce(0) { $0 + $1 * $1 }
        #expect(abs(sum.0 - numbers.reduce(0, +)) <= 28 * 0x1p-24 * size)
        #expect(abs(sum.1 - square) <= 30 * 0x1p-24 * square)
        difference = max(
          difference, abs(square - exact.reduce(0) { $0 + Double($1) * Double($1) }) / square)
      }
      // So these are not the sums of the numbers before they are rounded.
      #expect(difference > 60 * 0x1p-24)
    }
    #expect((plain.sums(y) != nil) == ["matrix", "tile"].contains { kernel.hasPrefix($0) })
  }

  /// The mixed value from a rest and a channel in 32 bits, for all candidates.
  @Test(arguments: ["mix7", "mix4", "tile7_box", "tile4_box", "convolve16_1"])
  func mixedValues(kernel: String) throws {
    let isBox = kernel.hasSuffix("box")
    let width = (kernel.contains("7") ? 7 : 8) * (isBox ? 2 : 1)
    let channel = Shape(channels: 1, height: 5, width: width)
    // Where there is a box, the layer reads means of two places, padded.
    let read = isBox ? Shape(channels: 1, height: 6, width: width + 1) : channel
    let taps = kernel == "convolve16_1" ? 1 : 3
    let network = try Network(input: Shape(channels: 4, height: read.height, width: read.width)) {
      Node.conv2d(
        "conv", channels: 16, kernel: taps, stride: isBox ? 2 : 1, padding: isBox ? 0 : taps / 2)
      Node.batchNorm("bn")
      Node.globalMaxPool("gmp")
    }
    func run(_ isHalf: Bool) -> (Bench, DeviceValue) {
      let bench = Bench(network, count: 9, proposed: 3)
      var x = bench.value(channel, candidates: 3, isHalf: false)
      if isBox { (x.shape, x.box) = (read, .init(shape: channel, padding: 1)) }
      let rest = bench.value(network.shapes[1], isHalf: false, seed: 1, isMapped: false)
      bench.pass.keepsHalves = isHalf
      let bound = bench.pass.bound(of: 0, reading: x)
      let y = bench.pass.convolution(
        x, to: network.shapes[1], network.slide(of: 0),
        weights: bench.pass.weights.packed(0, bench.pass), rest: rest, width: 1, isLone: true,
        needsSums: true, bound: bound)
      #expect(bench.kernels == [kernel] && y.candidates == 3, "\(bench.kernels)")
      #expect((y.unit != 0) == isHalf)
      bench.run()
      return (bench, y)
    }
    let ((plain, y), (bench, half)) = (run(false), run(true))
    let (expected, found) = (plain.numbers(y), bench.numbers(half))
    #expect(found == expected.map { $0.map { half.unit * Float(Float16($0 / half.unit)) } })
    #expect(found != expected && found.count == 48)
    for (sum, numbers) in zip(bench.sums(half) ?? [], found) {
      let square = numbers.reduce(0) { $0 + Double($1) * Double($1) }
      #expect(abs(sum.1 - square) <= 30 * 0x1p-24 * square)
    }
  }

  /// A sum of two values, each of either kind.
  @Test func sums() throws {
    let network = try Network(input: Shape(channels: 3, height: 2, width: 3)) {
      Node.relu("relu")
      Node.add("add", "relu")
      Node.globalMaxPool("gmp")
    }
    func run(_ a: Bool, _ b: Bool, _ writes: Bool) -> (DeviceValue, [[Float]]) {
      let bench = Bench(network, count: 5)
      let x = bench.value(network.input, isHalf: a)
      let other = bench.value(network.input, isHalf: b, seed: 1, isMapped: false)
      bench.pass.keepsHalves = writes
      let y = bench.pass.layer(1, x, other)
      bench.run()
      return (y, bench.numbers(y))
    }
    let expected = run(false, false, false).1
    for (a, b) in [(true, false), (false, true), (true, true)] {
      #expect(run(a, b, false).1 == expected)
    }
    let (y, found) = run(true, true, true)
    // At most 3 + 3: 2¹⁵ is 8 of these units of 2⁻¹².
    #expect(y.unit == 0x1p-12 && y.bound == 6)
    #expect(found == expected.map { $0.map { y.unit * Float(Float16($0 / y.unit)) } })
  }

  /// Halves are IEEE 754's binary16: the nearest number, ties to even; also tiny, infinite and NaN.
  @Test func halves() throws {
    let network = try Network(input: Shape(channels: 1, height: 1, width: 1)) {
      Node.globalMaxPool("gmp")
    }
    var numbers: [Float] = [0, -0.0, .infinity, -.infinity, 65504, 65519.99, 65520, -65520, 1e30]
    numbers += [0x1p-24, 0x1p-25, 0x1.8p-25, 0x1.8p-24, 0x1.FFCp-15, 0x1p-14, 1e-30, -0x1p-24]
    numbers += [1 + 0x1p-11, 1 + 0x1.8p-10, 1 + 0x1.000002p-11, 2049, 2051, -4098]
    numbers += (0..<40).map {
      Float(Philox(seed: 1).normal(.initialisation, cycle: 0, tensor: 0, element: $0)) * 100
    }
    while numbers.count % 4 != 0 { numbers.append(.nan) }
    let bench = Bench(network, count: numbers.count)
    let x = bench.value(network.input, isHalf: false, isMapped: false)
    memcpy(Bench.pointer(x.address), numbers, 4 * numbers.count)
    bench.pass.keepsHalves = true
    let y = bench.pass.value(network.input, bound: 0x1.8p14)
    #expect(y.unit == 1)
    bench.pass.copy(x, to: y)
    bench.pass.keepsHalves = false
    let back = bench.pass.value(network.input)
    bench.pass.copy(y, to: back)
    bench.run()
    let floats = bench.numbers(back)[0]
    for (i, number) in numbers.enumerated() {
      let bits = Bench.pointer(y.address).load(fromByteOffset: 2 * i, as: UInt16.self)
      let expected = Float16(number)
      #expect(
        expected.isNaN ? Float16(bitPattern: bits).isNaN : bits == expected.bitPattern, "\(number)")
      #expect(expected.isNaN ? floats[i].isNaN : floats[i] == Float(expected), "\(number)")
    }
  }

  @Test func units() {
    for bound in [Float(1), 3, 4, 1e-20, 1e20, .greatestFiniteMagnitude] {
      let unit = HalfFactors.unit(upTo: bound)
      #expect(unit.significand == 1 && bound / unit <= 0x1p15)
      #expect(bound / unit > 0x1p13, "\(bound)")
    }
    for bound in [Float(0), .infinity, .nan] { #expect(HalfFactors.unit(upTo: bound) == 1) }
    #expect(HalfFactors.unit(upTo: .leastNonzeroMagnitude) == 0x1p-100)
    for activation in [
      Activation.relu, .leakyReLU(slope: -4), .sigmoid, .tanh, .sign, .gelu, .silu, .hardSigmoid,
      .hardSwish, .hardStep, .quantize(bits: 2, signed: true),
    ] {
      for bound in [Float(0.01), 2, 50] {
        for x in stride(from: -bound, through: bound, by: bound / 16) {
          #expect(abs(activation(Double(x))) <= Double(activation.bound(bound)) * (1 + 0x1p-23))
        }
      }
    }
  }
}
