import RSO

/// The text of a C file around its tables and functions: its head, and the function that is called.
struct CFile {
  let model: Model
  let name: String
  let program: CProgram
  let writer: CWriter

  /// The function's declaration.
  static func declaration(_ name: String, _ model: Model, scores: String) -> String {
    let input = model.takesFloats ? "float" : "uint8_t"
    return model.hasClasses
      ? "int \(name)_classify(const \(input) *pixels, \(scores) *scores)"
      : "void \(name)_predict(const \(input) *pixels, \(scores) *scores)"
  }

  private var scores: CProgram.Element { program.scores }

  var text: String {
    let declaration = Self.declaration(name, model, scores: scores.c)
    let best =
      model.hasClasses
      ? """

        int best = 0;
        for (int i = 1; i < \(model.network.classes); i++)
          if (scores[i] > scores[best]) best = i;
        return best;
      """ : ""
    return """
      \(head(declaration))
      #include <stddef.h>
      #include <stdint.h>

      /* The code counts in int. */
      typedef char int_has_32_bits[sizeof(int) >= 4 ? 1 : -1];

      \(writer.declarations)

      \(declaration);

      \(declaration)
      {
      \(writer.body)\(best)
      }

      """
  }

  // MARK: Head

  private func head(_ declaration: String) -> String {
    var lines = [
      "\(name): a network as one C99 file, written by rso. It needs no allocation and no libm.", "",
    ]
    lines += use(declaration) + [""] + arithmetic + [""] + sizes
    if !bounds.isEmpty { lines += [""] + bounds }
    return "/* " + lines.joined(separator: "\n   ").replacing("\n   \n", with: "\n\n") + " */"
  }

  private func use(_ declaration: String) -> [String] {
    let shape = model.network.input
    let values = "\(shape.count) \(model.takesFloats ? "floats" : "bytes from 0 to 255")"
    let order =
      shape.isTable
      ? "" : ", [\(shape.channels)][\(shape.height)][\(shape.width)]: channels, rows, columns"
    var lines = ["  \(declaration);", "", "pixels: \(values)\(order)."]
    let count = model.network.classes
    if let exponent = program.scoreExponent {
      lines.append(
        "scores: \(count) integers are written to it; times 2^\(exponent) they are the network's outputs."
      )
    } else {
      lines.append("scores: \(count) floats are written to it, the network's outputs.")
    }
    if model.hasClasses {
      lines.append("It returns the class of the largest score, from 0; the first of equals.")
    }
    lines.append("It keeps values in static memory: call it from one thread at a time.")
    return lines
  }

  private var arithmetic: [String] {
    let isSame = [
      "For every image, the scores are to the bit what rso computes on the CPU that exported it, and so the",
      "class is the same.",
    ]
    guard let float = program.firstFloat else { return ["Arithmetic: integers alone."] + isSame }
    if float.isExact {
      return [
        "Arithmetic: integers up to '\(float.layer)', which sums floats, because \(float.reason)."
      ] + isSame
    }
    let hasSteps = program.steps.contains {
      if case .levelsOfFloats = $0.operation { true } else { false }
    }
    return [
      "Arithmetic: floats from '\(float.layer)' on, because \(float.reason).",
      "Sums are rounded in another order than in rso, so the class may differ where the two largest scores are",
      "equal to about 5 digits" + (hasSteps ? ", or where a rounding decides a step." : "."),
    ]
  }

  private var sizes: [String] {
    let parts = writer.flash.map { "\(grouped($0.bytes)) of \($0.what)" }
    let total = writer.flash.reduce(0) { $0 + $1.bytes }
    // Four characters a byte, as found for the networks in Examples, in steps of half a kilobyte.
    let code = Double((writer.codeLength / 4 + 499) / 500) / 2
    return [
      "Flash: \(grouped(total)) bytes of constants (\(parts.joined(separator: ", "))),",
      "and code of about \(code) kB (an estimate for a Cortex-M4 at -O2).",
      "RAM: \(grouped(writer.ram)) bytes, static, and a few hundred bytes of stack.",
      "Work for one image: \(grouped(program.multiplyAdds)) multiply-adds.",
    ]
  }

  /// The largest sums of integers.
  private var bounds: [String] {
    let sums = program.steps.compactMap { step -> String? in
      guard case .convolution(let convolution) = step.operation, let bound = convolution.bound
      else { return nil }
      return "  \(step.layers[0]): \(grouped(bound))"
    }
    guard !sums.isEmpty else { return [] }
    return [
      "No overflow: sums are int32_t. With these weights and every input that is possible, no sum of a layer, nor",
      "a part of one, is larger than this; 2^24 = 16,777,216, up to which rso's floats hold every integer, is",
      "not exceeded:",
    ] + sums
  }

  private func grouped(_ number: Int) -> String {
    var digits = Array(String(number))
    var place = digits.count - 3
    while place > 0 {
      digits.insert(",", at: place)
      place -= 3
    }
    return String(digits)
  }
}
