import Testing

@testable import RSO

/// Images and labels that a program has as arrays.
struct SplitTests {
  /// Arrays as programs have them: floats, and labels of any integers.
  @Test func aSplitOfFloats() throws {
    let shape = Shape(channels: 1, height: 1, width: 2)
    let values: [Float] = [0, 0.5, -1, 2]
    let split = try Split(images: values, labels: [1, 0], shape: shape)
    #expect(split.images == .floats(values) && split.labels == [1, 0] && split.count == 2)
    #expect(try Split(images: values, labels: [UInt8(3), 9], shape: shape).labels == [3, 9])
    func error(_ values: [Float], _ labels: [Int]) -> String? {
      errorText { _ = try Split(images: values, labels: labels, shape: shape) }
    }
    #expect(
      error([0, 0, .nan, 0], [1, 0])
        == "images: expected finite values, found nan in image 1, value 0")
    #expect(error([0, -.infinity], [1])?.contains("found -inf in image 0, value 1") == true)
    for label in [-1, 1000, Int.max, Int.min] {
      #expect(
        error(values, [5, label]) == "labels: expected labels 0 to 999, found \(label) at index 1")
    }
  }

  @Test func aSplitOfOnesOwnIsChecked() {
    let shape = Shape(channels: 1, height: 2, width: 2)
    func error(_ bytes: Int, _ labels: [Int32], _ shape: Shape) -> String? {
      errorText {
        _ = try Split(images: [UInt8](repeating: 0, count: bytes), labels: labels, shape: shape)
      }
    }
    #expect(error(8, [0, 999], shape) == nil)
    #expect(error(7, [0, 1], shape) == "images: expected whole images of 1×2×2, found 7 values")
    #expect(error(0, [], shape) == "images: expected whole images of 1×2×2, found 0 values")
    #expect(
      error(8, [0], shape) == "labels: expected 2 labels, as many as images in images, found 1")
    #expect(error(8, [0, -1], shape) == "labels: expected labels 0 to 999, found -1 at index 1")
    #expect(
      error(8, [1000, 0], shape) == "labels: expected labels 0 to 999, found 1000 at index 0")
    #expect(
      error(8, [0], Shape(channels: 0, height: 2, width: 2))
        == "images: expected images of 1 channel, 1 row and 1 column or more, found 0×2×2")
    #expect(
      error(8, [0], Shape(channels: .max, height: 64, width: 64))
        == "images: expected images of at most 100000000 values, found \(Int.max)×64×64")
    // Larger than 64×64, and a table.
    #expect(error(80 * 70, [0], Shape(channels: 1, height: 80, width: 70)) == nil)
    #expect(error(65536, [0], Shape(channels: 65536)) == nil)
    #expect(
      error(65537, [0], Shape(channels: 65537))
        == "images: expected a table of at most 65536 features, found 65537")
  }
}
