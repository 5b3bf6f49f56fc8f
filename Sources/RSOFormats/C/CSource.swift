import Foundation
import RSO

/// A network as one C99 file, which needs no other: no allocation, no libm, and no floats where the network has none.
///
///     let source = try CSource(of: model, name: "digits")
///     try source.write(to: URL(fileURLWithPath: "digits.c"))
public struct CSource: Sendable {
  /// The file's text.
  public let code: String
  /// What the names of its functions begin with.
  public let name: String
  /// Whether its scores have the bits that the CPU engine computes on the machine that exports, for every image, and so
  /// the class is the same, too. If not, sums are rounded in another order, and the class may differ where two logits
  /// are equal to rounding.
  public let isExact: Bool
  /// From which layer on it computes in floats, and why; `nil` if it has integers alone.
  public let floatReason: String?
  /// If its scores are integers: the logits are these times 2^`scoreExponent`.
  public let scoreExponent: Int?
  /// Bytes of constants: weights, thresholds and what else the network has, without code.
  public let constantBytes: Int
  /// Bytes of static memory.
  public let memoryBytes: Int
  /// For one image.
  public let multiplyAdds: Int
  let model: Model
  /// The type of the scores.
  let scores: CProgram.Element

  /// - Parameters:
  ///   - model: a network of any layers.
  ///   - name: what the names of the functions begin with, an identifier of C.
  /// - Throws: `RSOError` if the name is none, or naming the layer whose integer sums may grow beyond what single precision
  ///   holds exactly.
  /// - Complexity: a few times the number of thresholds, and of weights.
  public init(of model: Model, name: String) throws {
    guard Self.isName(name) else {
      throw RSOError(
        "`name`",
        "expected a name of letters, digits and '_' that begins with a letter, found '\(name)'")
    }
    // The same check as for a model's file: no value is NaN or infinite.
    _ = try model.safeTensors(file: "model")
    let program = try CProgramBuilder.program(of: model)
    let writer = CWriter(program)
    self.model = model
    self.name = name
    scores = program.scores
    isExact = program.isExact
    scoreExponent = program.scoreExponent
    floatReason = program.firstFloat.map { "\($0.layer): \($0.reason)" }
    constantBytes = writer.flash.reduce(0) { $0 + $1.bytes }
    memoryBytes = writer.ram
    multiplyAdds = program.multiplyAdds
    code = CFile(model: model, name: name, program: program, writer: writer).text
  }

  /// Whether `name` can begin the names of C's functions.
  static func isName(_ name: String) -> Bool {
    let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    guard let first = name.first, letters.contains(first) else { return false }
    return name.allSatisfy { letters.contains($0) || "0123456789_".contains($0) }
  }

  /// A name from that of a file: `my-model.c` gives `my_model`.
  public static func name(for url: URL) -> String {
    let stem = url.deletingPathExtension().lastPathComponent
    let name = String(stem.map { isName("a\($0)") ? $0 : "_" })
    return isName(name) ? name : "model_\(name)"
  }

  /// Replaces the file at `url` as a whole.
  ///
  /// - Throws: `RSOError` naming a file that cannot be written.
  public func write(to url: URL) throws {
    try AtomicFile.write(Data(code.utf8), to: url)
  }
}
