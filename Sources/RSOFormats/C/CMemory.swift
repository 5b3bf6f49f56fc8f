/// Where the values of a program lie: in one static array for each size of element, so that no memory is read as
/// another type than it was written as. Values that are not needed at the same time share places.
struct CMemory {
  /// The name of the array of an element type.
  static func array(of element: CProgram.Element) -> String {
    switch element {
    case .u8, .i8: "bytes"
    case .i16: "halves"
    case .i32: "words"
    case .f32: "floats"
    }
  }

  /// By the roots of values: the index of the first element in its array. The input and the scores have none.
  private(set) var places: [Int: Int] = [:]
  /// Elements of each array.
  private(set) var sizes: [String: Int] = [:]
  /// Bytes of all arrays.
  private(set) var bytes = 0

  /// A value, and values that take its memory when they replace it element by element.
  private struct Block {
    var values: [Int]
    var element: CProgram.Element
    var count: Int
    /// The first step that writes it and the last that reads it.
    var time: ClosedRange<Int>
  }

  init(_ program: CProgram) {
    guard let last = program.steps.last?.output else { return }
    var lastRead: [Int: Int] = [:]
    for (time, step) in program.steps.enumerated() {
      for input in step.inputs { lastRead[program.root(input)] = time }
    }
    var blocks: [Block] = []
    for (time, step) in program.steps.enumerated() where step.output != last {
      let value = program.values[step.output]
      let end = max(lastRead[step.output] ?? time, time)
      let input = program.root(step.inputs[0])
      let array = Self.array(of: value.element)
      if step.operation.isElementwise, lastRead[input] == time,
        let index = blocks.firstIndex(where: { $0.values.contains(input) }),
        Self.array(of: blocks[index].element) == array
      {
        blocks[index].values.append(step.output)
        blocks[index].time = blocks[index].time.lowerBound...end
      } else {
        blocks.append(
          Block(
            values: [step.output], element: value.element, count: value.shape.count,
            time: time...end))
      }
    }
    place(blocks)
  }

  /// The largest first, each at the lowest place that is free for all of its time.
  private mutating func place(_ blocks: [Block]) {
    var placed: [(block: Block, at: Int)] = []
    for block in blocks.enumerated().sorted(by: {
      ($1.element.count, $0.offset) < ($0.element.count, $1.offset)
    })
    .map(\.element) {
      let array = Self.array(of: block.element)
      let others = placed.filter {
        Self.array(of: $0.block.element) == array && $0.block.time.overlaps(block.time)
      }.sorted { $0.at < $1.at }
      var at = 0
      for other in others where other.at < at + block.count {
        at = max(at, other.at + other.block.count)
      }
      placed.append((block, at))
      for value in block.values { places[value] = at }
      let end = at + block.count
      bytes += max(end - sizes[array, default: 0], 0) * block.element.bytes
      sizes[array] = max(sizes[array, default: 0], end)
    }
  }
}

extension CProgram.Operation {
  /// Whether each element of the output comes from the same element of the input.
  fileprivate var isElementwise: Bool {
    switch self {
    case .levels, .levelsOfFloats, .add, .affine, .activate: true
    case .interleave, .flatten, .convolution, .maxPool, .averagePool, .widen: false
    }
  }
}
