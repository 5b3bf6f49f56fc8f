import Testing

@testable import RSO

/// What is said of labels that are allowed, but most likely a mistake.
struct LabelNoteTests {
  @Test(
    arguments: [
      (
        [1, 2, 1], [2, 1],
        [
          "l: labels are 1 to 2, and classes count from 0: that makes 3 classes, of which 0 has no samples; subtract 1 to have 2"
        ]
      ),
      (
        [5, 7, 6], [5],
        [
          "l: labels are 5 to 7, and classes count from 0: that makes 8 classes, of which 0 to 4 have no samples; subtract 5 to have 3"
        ]
      ),
      (
        [0, 1, 1], [3, 0, 2],
        ["m: no training sample is of class 2, 3, so nothing is learned about them"]
      ),
      ([0, 0, 0], [1], ["m: no training sample is of class 1, so nothing is learned about it"]),
      ([0, 2, 0], [0], []), ([0, 1, 2], [1], []), ([1, 0], [0], []),
    ] as [([Int], [Int], [String])])
  func notes(train: [Int], test: [Int], notes: [String]) throws {
    let shape = Shape(channels: 1, height: 1, width: 1)
    func split(_ labels: [Int], _ name: String) throws -> Split {
      try Split(
        images: .floats(labels.map(Float.init)), labels: labels, shape: shape,
        names: ("i", name))
    }
    let data = try Dataset(
      name: "d", train: split(train, "l"), test: split(test, "m"), trainLimit: 2)
    #expect(data.notes == notes)
    #expect(data.prefix(train: 1, test: 1).notes == notes)
  }

  @Test func targetsHaveNoNotes() throws {
    let split = try Split(
      images: .floats([1, 2]), targets: [3, 4], shape: Shape(channels: 1, height: 1, width: 1))
    #expect(try Dataset(name: "d", train: split, test: split).notes == [])
  }
}
