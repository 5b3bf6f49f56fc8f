import RSO

/// Writes a program as C: tables, functions, and the function that calls them in order.
struct CWriter {
  let program: CProgram
  let memory: CMemory
  private var functions = CFunctions()
  /// Declarations of constants.
  private var tables: [String] = []
  private var calls: [String] = []
  /// Bytes of tables, by what they hold.
  private(set) var flash: [(what: String, bytes: Int)] = []
  /// Elements of the row of weights that is unpacked at a time.
  private var row = 0
  /// The integer type that holds all dimensions.
  private let dimension: CProgram.Element

  init(_ program: CProgram) {
    self.program = program
    memory = CMemory(program)
    let dimensions = program.values.flatMap {
      [$0.shape.channels, $0.shape.height, $0.shape.width]
    }
    dimension = (dimensions.max() ?? 0) <= 32767 ? .i16 : .i32
    for (index, step) in program.steps.enumerated() { write(step, index) }
  }

  /// Characters of code.
  var codeLength: Int { (functions.texts + calls).reduce(0) { $0 + $1.count } }

  /// Bytes of static memory.
  var ram: Int { memory.bytes + row }

  /// All but the head and the function that is called: constants, memory and functions.
  var declarations: String {
    var parts: [String] = []
    if program.steps.contains(where: { $0.operation.window != nil }) {
      parts.append(
        """
        typedef struct {
          \(dimension.c) height, width, channels, out_height, out_width, out_channels;
          \(dimension.c) kernel_height, kernel_width, stride, padding;
        } window;
        """)
    }
    parts += tables
    var arrays = [CProgram.Element.u8, .i16, .i32, .f32].compactMap { element -> String? in
      let name = CMemory.array(of: element)
      return memory.sizes[name].map { "static \(element.c) \(name)[\($0)];" }
    }
    if row > 0 { arrays.append("static int8_t row[\(row)];") }
    if !arrays.isEmpty { parts.append(arrays.joined(separator: "\n")) }
    return (parts + functions.texts).joined(separator: "\n\n")
  }

  /// The calls of all steps.
  var body: String { calls.map { "  \($0)" }.joined(separator: "\n") }

  // MARK: Constants

  private mutating func count(_ bytes: Int, _ what: String) {
    if let index = flash.firstIndex(where: { $0.what == what }) {
      flash[index].bytes += bytes
    } else {
      flash.append((what, bytes))
    }
  }

  /// Adds a table; returns its name, or NULL for one without elements.
  private mutating func table(
    _ name: String, _ element: CProgram.Element, _ values: [String], _ what: String
  ) -> String {
    guard !values.isEmpty else { return "NULL" }
    count(values.count * element.bytes, what)
    var lines: [String] = []
    var line = " "
    for value in values {
      if line.count + value.count > 108 {
        lines.append(line)
        line = " "
      }
      line += " \(value),"
    }
    lines.append(String(line.dropLast()))
    tables.append(
      "static const \(element.c) \(name)[\(values.count)] = {\n\(lines.joined(separator: "\n"))};")
    return name
  }

  private mutating func table(_ name: String, floats: [Float], _ what: String) -> String {
    table(name, .f32, floats.map(Self.number), what)
  }

  private mutating func table(_ name: String, bits: [Bool]) -> String {
    guard bits.contains(true) else { return "NULL" }
    let bytes = stride(from: 0, to: bits.count, by: 8).map { first in
      bits[first..<min(first + 8, bits.count)].enumerated().reduce(0) {
        $0 | ($1.1 ? 1 << $1.0 : 0)
      }
    }
    return table(name, .u8, bytes.map { "\($0)" }, "thresholds")
  }

  /// Integers of `bits` bits each in bytes, and a byte more, which reading the last one touches.
  static func packed(_ levels: [Int], bits: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: (levels.count * bits + 7) / 8 + 1)
    for (index, level) in levels.enumerated() {
      let field = bits == 1 ? (level > 0 ? 1 : 0) : level & (1 << bits - 1)
      let (byte, place) = (index * bits / 8, index * bits % 8)
      let word = field << place
      bytes[byte] |= UInt8(truncatingIfNeeded: word)
      bytes[byte + 1] |= UInt8(truncatingIfNeeded: word >> 8)
    }
    return bytes
  }

  /// A float in C, to the bit; infinity, a threshold that is never reached, as the largest float.
  static func number(_ value: Float) -> String {
    "\(min(max(value, -.greatestFiniteMagnitude), .greatestFiniteMagnitude))f"
  }

  private mutating func window(_ window: CProgram.Window, _ step: CProgram.Step, _ index: Int)
    -> String
  {
    let (x, y) = (program.values[step.inputs[0]].shape, program.values[step.output].shape)
    let name = "window\(index)"
    let numbers = [
      x.height, x.width, x.channels, y.height, y.width, y.channels, window.height, window.width,
      window.stride, window.padding,
    ]
    count(numbers.count * dimension.bytes, "layer sizes")
    tables.append(
      "static const window \(name) = {\(numbers.map { "\($0)" }.joined(separator: ", "))};")
    return "&\(name)"
  }

  // MARK: Steps

  /// Where a value is.
  private func place(_ value: Int) -> String {
    let root = program.root(value)
    if root == 0 { return "pixels" }
    guard let at = memory.places[root] else { return "scores" }
    let element = program.values[root].element
    let place = "\(CMemory.array(of: element))\(at == 0 ? "" : " + \(at)")"
    return element == .i8 ? "(int8_t *)\(at == 0 ? place : "(\(place))")" : place
  }

  private mutating func write(_ step: CProgram.Step, _ index: Int) {
    let x = program.values[step.inputs[0]]
    let y = program.values[step.output]
    let (from, to) = (place(step.inputs[0]), place(step.output))
    let size = y.shape.count
    calls.append("/* \(step.layers.joined(separator: ", ")) */")
    switch step.operation {
    case .interleave:
      call(functions.transpose(x.element), "\(x.shape.channels), \(x.shape.area), \(from), \(to)")
    case .flatten:
      call(functions.transpose(x.element), "\(x.shape.area), \(x.shape.channels), \(from), \(to)")
    case .convolution(let convolution): write(convolution, step, index, x, y)
    case .levels(let levels):
      let (element, arguments) = write(levels, index)
      let function = functions.levels(x.element, element, y.element)
      call(function, "\(x.shape.area), \(x.shape.channels), \(from), \(arguments), \(to)")
    case .levelsOfFloats(let thresholds, let low, let step):
      let name = table("thresholds\(index)", floats: thresholds, "thresholds")
      let function = functions.levelsOfFloats(y.element)
      call(function, "\(size), \(from), \(name), \(thresholds.count), \(low), \(step), \(to)")
    case .maxPool(let window, let falling):
      let (window, name) = (
        self.window(window, step, index), table("falling\(index)", bits: falling)
      )
      call(functions.maxPool(x.element), "\(window), \(from), \(name), \(to)")
    case .averagePool(let window):
      let share =
        x.element == .f32 ? ", \(Self.number(1 / Float(window.area)))" : ""
      let name = self.window(window, step, index)
      call(functions.averagePool(x.element, y.element), "\(name), \(from)\(share), \(to)")
    case .add(let factors):
      let b = program.values[step.inputs[1]]
      let function = functions.add(x.element, b.element, y.element)
      call(
        function,
        "\(size), \(from), \(factors[0]), \(place(step.inputs[1])), \(factors[1]), \(to)")
    case .affine(let scale, let offset):
      let scales = table("scales\(index)", floats: scale, "scales and offsets")
      let offsets = table("offsets\(index)", floats: offset, "scales and offsets")
      call(
        functions.affine(x.element),
        "\(size), \(scale.count), \(from), \(scales), \(offsets), \(to)")
    case .activate(let activation) where x.element == .f32:
      let (name, argument) = functions.activation(activation)
      call(name, "\(size), \(from), \(argument.map { "\($0), " } ?? "")\(to)")
    case .activate: call(functions.positivePart(x.element, y.element), "\(size), \(from), \(to)")
    case .widen: call(functions.widen(x.element, y.element), "\(size), \(from), \(to)")
    }
  }

  private mutating func call(_ function: String, _ arguments: String) {
    calls.append("\(function)(\(arguments));")
  }

  /// The tables of levels, as the arguments of a call, and the type of the thresholds.
  private mutating func write(
    _ levels: CProgram.Levels, _ index: Int
  ) -> (CProgram.Element, String) {
    let all = Array(levels.thresholds.joined())
    let fits = all.allSatisfy { -32768...32767 ~= $0 }
    let element = fits ? CProgram.Element.i16 : .i32
    let name = table("thresholds\(index)", element, all.map { "\($0)" }, "thresholds")
    let falling = table("falling\(index)", bits: levels.falling)
    let count = levels.thresholds.first?.count ?? 0
    return (element, "\(name), \(falling), \(count), \(levels.low), \(levels.step)")
  }

  private mutating func write(
    _ convolution: CProgram.Convolution, _ step: CProgram.Step, _ index: Int,
    _ x: CProgram.Value, _ y: CProgram.Value
  ) {
    let window = self.window(convolution.window, step, index)
    let weights: String
    var isPacked = true
    switch convolution.weights {
    case .packed(let levels, let bits):
      row = max(row, levels.count / y.shape.channels)
      let bytes = Self.packed(levels, bits: bits)
      weights = "\(table("weights\(index)", .u8, bytes.map { "\($0)" }, "weights")), \(bits)"
    case .floats(let values):
      isPacked = false
      weights = table("weights\(index)", floats: values, "weights")
    }
    let finish: CFunctions.Finish
    let arguments: String
    switch convolution.finish {
    case .levels(let levels):
      let (element, tables) = write(levels, index)
      (finish, arguments) = (.levels(element), tables)
    case .integers(let factors, let biases):
      let names = [("factors", factors), ("biases", biases)].map {
        table("\($0)\(index)", .i32, $1.map { "\($0)" }, "factors and biases")
      }
      (finish, arguments) = (.integers, names.joined(separator: ", "))
    case .floats(let scales, let offsets):
      let names = [("scales", scales), ("offsets", offsets)].map {
        table("\($0)\(index)", floats: $1, "scales and offsets")
      }
      (finish, arguments) = (.floats, names.joined(separator: ", "))
    case .rounded(let starts, let scales):
      let names = [("starts", starts), ("scales", scales)].map {
        table("\($0)\(index)", floats: $1, "scales and offsets")
      }
      (finish, arguments) = (.rounded, names.joined(separator: ", "))
    }
    let function = functions.convolution(
      x.element, isPacked: isPacked, isDepthwise: convolution.isDepthwise, finish, y.element)
    call(
      function,
      "\(window), \(place(step.inputs[0])), \(weights), \(arguments), \(place(step.output))")
  }
}

extension CProgram.Operation {
  /// Its window, if it has one.
  fileprivate var window: CProgram.Window? {
    switch self {
    case .convolution(let convolution): convolution.window
    case .maxPool(let window, _), .averagePool(let window): window
    case .interleave, .flatten, .levels, .levelsOfFloats, .add, .affine, .activate, .widen: nil
    }
  }
}
