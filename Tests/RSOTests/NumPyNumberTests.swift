import Foundation
import Testing

@testable import RSO

/// Types of numbers in `.npy` files.
struct NumPyNumberTests {
  /// Images of other types, and what NumPy's `.astype('f4')` makes of them; bytes where it is certain that they are.
  static let types: [(String, String, [UInt8], Pixels, note: String?)] = [
    (
      // np.array([1, -2.5, 65504, 5.96e-8, 6.1e-5, 1/3, -0.0, 1e-4], 'f2').astype('f4'), NumPy 2.4
      "<f2", "2, 2, 2", [0, 60, 0, 193, 255, 123, 1, 0, 255, 3, 85, 53, 0, 128, 142, 6],
      .floats([
        1, -2.5, 65504, 5.960464477539063e-08, 6.097555160522461e-05, 0.333251953125, -0.0,
        0.00010001659393310547,
      ]), nil
    ),
    (
      // np.array([0.1, -1/3, 1e-40, 3.4e38], 'f8').astype('f4')
      "float64", "2, 1, 2",
      [
        154, 153, 153, 153, 153, 153, 185, 63, 85, 85, 85, 85, 85, 85, 213, 191, 156, 87, 119, 39,
        38,
        108, 161, 55, 173, 223, 140, 199, 51, 249, 239, 71,
      ], .floats([0.1, -0.33333334, Float(1e-40 as Double), 3.4e38]), "float64, rounded to 32 bits"
    ),
    ("|b1", "2, 1, 2", [0, 1, 1, 0], .floats([0, 1, 1, 0]), nil),
    (
      "<i8", "2, 1, 2", words([0, 255, 7, 1]), .bytes([0, 255, 7, 1]),
      "integers from 0 to 255, taken as bytes"
    ),
    (
      "<u2", "2, 1, 2", [250, 0, 0, 0, 0, 0, 9, 0], .bytes([250, 0, 0, 9]),
      "integers from 0 to 255, taken as bytes"
    ),
    // Tables: numbers are what they are.
    ("<i8", "2, 2", words([0, 1, .max, 300]), .floats([0, 1, -1, 300]), nil),
    ("|u1", "2, 2", [0, 1, 2, 255], .bytes([0, 1, 2, 255]), nil),
    ("<f4", "2, 2", floats([0.5, -1, 3, 1e9]), .floats([0.5, -1, 3, 1e9]), nil),
  ]

  @Test(arguments: types.indices)
  func readsNumbers(index: Int) throws {
    let (type, shape, content, expected, note) = Self.types[index]
    let test = npy(
      type, shape.replacing("2, ", with: "1, ", maxReplacements: 1),
      content.suffix(content.count / 2))
    try withFolder([
      "train_images.npy": npy(type, shape, content), "train_labels.npy": npy("|u1", "2,", [0, 1]),
    ]) { folder in
      // The certainty of integers is one of each file.
      if note?.hasPrefix("integers") == true {
        try npy(type, shape, content).write(to: folder.appendingPathComponent("test_images.npy"))
        try npy("|u1", "2,", [0, 1]).write(to: folder.appendingPathComponent("test_labels.npy"))
      } else {
        try test.write(to: folder.appendingPathComponent("test_images.npy"))
      }
      let data = try Dataset.folder(folder)
      #expect(data.train.images == expected)
      #expect(data.notes == (note.map { ["train_images.npy and test_images.npy: \($0)"] } ?? []))
      #expect(data.train.shape.isTable == (shape == "2, 2"))
      #expect(data.method == (shape == "2, 2" ? .standard : .mean))
    }
  }

  /// All of binary16's numbers, by their definition.
  @Test func halves() {
    for bits in UInt16.min...UInt16.max {
      let (exponent, fraction) = (Int(bits >> 10 & 31), Double(bits & 1023) / 1024)
      let magnitude =
        exponent == 0 ? fraction * 0x1p-14 : (1 + fraction) * pow(2, Double(exponent - 15))
      let found = NumPy.Header.half(bits)
      if exponent == 31 {
        #expect(fraction == 0 ? found.isInfinite : found.isNaN)
      } else if Double(found) != (bits >> 15 == 1 ? -magnitude : magnitude) {
        Issue.record("\(bits): \(found)")
      }
    }
  }
}
