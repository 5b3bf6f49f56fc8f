import Foundation
import Testing

@testable import RSO

/// An `.npy` file as NumPy writes it.
func npy(
  _ type: String, _ shape: String, _ content: [UInt8], fortran: Bool = false, version: UInt8 = 1
) -> Data {
  let header =
    "{'descr': '\(type)', 'fortran_order': \(fortran ? "True" : "False"), 'shape': (\(shape)), }"
  let start = version == 1 ? 10 : 12
  let padding = 63 - (start + header.utf8.count) % 64
  let text = Array(header.utf8) + [UInt8](repeating: 32, count: padding) + [10]
  let length = [UInt8(text.count & 255), UInt8(text.count >> 8)] + (version == 1 ? [] : [0, 0])
  return Data([0x93] + Array("NUMPY".utf8) + [version, 0] + length + text + content)
}

func floats(_ values: [Float]) -> [UInt8] {
  values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
  }
}

/// 64-bit integers.
func words(_ values: [UInt64]) -> [UInt8] {
  values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
}

/// Three grey images of 2×2 to train on and one to test with.
func withFolder(
  _ replaced: [String: Data] = [:], _ body: (URL) throws -> Void
) throws {
  var files = [
    "train_images.npy": npy("|u1", "3, 2, 2", Array(0..<12)),
    "train_labels.npy": npy("|u1", "3,", [0, 1, 2]),
    "test_images.npy": npy("|u1", "1, 2, 2", [9, 8, 7, 6]),
    "test_labels.npy": npy("|u1", "1,", [1]),
  ]
  files.merge(replaced) { $1 }
  try withTemporaryFolder { folder in
    for (name, data) in files { try data.write(to: folder.appendingPathComponent(name)) }
    try body(folder)
  }
}

struct NumPyTests {
  @Test func readsBytes() throws {
    try withFolder { folder in
      let data = try Dataset.folder(folder, trainLimit: 2)
      #expect(data.train.shape == Shape(channels: 1, height: 2, width: 2))
      #expect(data.train.images == .bytes(Array(0..<8)))
      #expect(data.train.labels == [0, 1])
      #expect(data.test.images == .bytes([9, 8, 7, 6]))
      #expect(data.classes == 3)
      #expect(data.mean == [Float(3.5 / 255)])
    }
  }

  /// They are taken as they are: only the mean of each channel is subtracted.
  @Test func readsFloats() throws {
    let values: [Float] = [0.5, -1, 3, 1e-3, 7, 8, 9, 10]
    try withFolder([
      "train_images.npy": npy("<f4", "2, 2, 1, 2", floats(values), version: 2),
      "train_labels.npy": npy("<i8", "2,", [0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]),
      "test_images.npy": npy("<f4", "1, 2, 1, 2", floats([1, 2, 3, 4])),
    ]) { folder in
      let data = try Dataset.folder(folder)
      #expect(data.train.shape == Shape(channels: 2, height: 1, width: 2))
      #expect(data.train.images == .floats(values))
      #expect(data.train.labels == [0, 3])
      #expect(data.mean == [3.625, Float((22.0 + Double(Float(1e-3))) / 4)])
      #expect(data.train.prefix(1).images == .floats([0.5, -1, 3, 1e-3]))
    }
  }

  static let labels: [(String, [UInt8], [Int32])] = [
    ("|u1", [0, 1, 200], [0, 1, 200]),
    ("|i1", [0, 1, 100], [0, 1, 100]),
    ("<u2", [0, 0, 1, 0, 0xe7, 3], [0, 1, 999]),
    ("<i2", [0, 0, 1, 0, 0xe7, 3], [0, 1, 999]),
    ("<i4", [0, 0, 0, 0, 1, 0, 0, 0, 0xe7, 3, 0, 0], [0, 1, 999]),
    ("<u8", [UInt8](repeating: 0, count: 16) + [5, 1, 0, 0, 0, 0, 0, 0], [0, 0, 261]),
    ("|b1", [0, 1, 0], [0, 1, 0]),
    ("<f4", floats([0, 2, 999]), [0, 2, 999]),
    ("<f2", [0, 0, 0, 0x40, 0, 0x3c], [0, 2, 1]),
    ("<f8", words([0, 0x4000_0000_0000_0000, 0x3ff0_0000_0000_0000]), [0, 2, 1]),
  ]

  @Test(arguments: labels.indices)
  func readsLabels(index: Int) throws {
    let (type, content, expected) = Self.labels[index]
    try withFolder(["train_labels.npy": npy(type, "3,", content, version: 3)]) { folder in
      let labels = try Dataset.folder(folder).train.labels
      #expect(labels == expected)
    }
  }

  /// A file, what is written over it, and what is wrong with that.
  static let refused: [(String, Data, String)] = [
    (
      "train_images.npy", npy("|u1", "3, 2, 2", Array(0..<12), fortran: true),
      "expected C order, found Fortran order (convert it: np.ascontiguousarray(array))"
    ),
    (
      "train_images.npy", npy(">f4", "3, 2, 2", []),
      "expected little-endian values, found the big-endian type '>f4' "
        + "(convert it: array.astype('<f4'))"
    ),
    (
      "train_images.npy", npy("<c8", "3, 2, 2", []),
      "expected uint8 or floats, found the type '<c8' (convert it: images.astype('float32'))"
    ),
    (
      "train_images.npy", npy("<i8", "1, 1, 3", words([0, 1, 200])),
      "expected uint8 or floats, found the type '<i8' with values from 0 to 200 (pixels from 0 to 255: "
        + "images.astype('uint8'); others: scale them to 0 to 1, as float32)"
    ),
    (
      "train_images.npy", npy("<i8", "1, 1, 3", words([0, 255, 256])),
      "expected uint8 or floats, found the type '<i8' with values from 0 to 256 (pixels from 0 to 255: "
        + "images.astype('uint8'); others: scale them to 0 to 1, as float32)"
    ),
    (
      "train_images.npy", npy("<i2", "1, 1, 2", [255, 255, 255, 0]),
      "expected uint8 or floats, found the type '<i2' with values from -1 to 255 (pixels from 0 to 255: "
        + "images.astype('uint8'); others: scale them to 0 to 1, as float32)"
    ),
    (
      "train_images.npy",
      npy("<f8", "1, 1, 2", words([0x3ff0_0000_0000_0000, 0x7e37_e43c_8800_759c])),
      "expected values that 32-bit floats hold, found 1e+300 at [0, 0, 1]"
    ),
    (
      "train_images.npy", npy("<f2", "1, 1, 2", [0, 0x3c, 0, 0x7c]),
      "expected finite values, found inf at [0, 0, 1]"
    ),
    (
      "train_images.npy", npy("<i4", "1, 2", [1, 0, 0, 1, 1, 0, 0, 0]),
      "expected integers that 32-bit floats hold, found 16777217 at [0, 0] "
        + "(round them: table.astype('float32'))"
    ),
    (
      "train_images.npy", npy("|u1", "1, 65537", [UInt8](repeating: 0, count: 65537)),
      "expected a table of at most 65536 features, found 65537"
    ),
    (
      "train_images.npy", npy("|u1", "3, 2, 2", Array(0..<11)),
      "expected 3×2×2 values of 1 bytes after the header, found 11 bytes (it was cut short)"
    ),
    (
      "train_images.npy", npy("<f4", "3, 2, 2", [UInt8](repeating: 0, count: 49)),
      "expected 3×2×2 values of 4 bytes after the header, found 49 bytes (surplus bytes at its end)"
    ),
    (
      "train_images.npy", npy("<f4", "3, 1, 2", floats([0, 1, 2, .nan, 4, 5])),
      "expected finite values, found nan at [1, 0, 1]"
    ),
    (
      "train_images.npy", npy("|u1", "3,", [1, 2, 3]),
      "expected images [N, H, W] or [N, C, H, W], or a table [N, F], found the shape [3] "
        + "(convert it: images.reshape(-1, channels, height, width))"
    ),
    (
      "train_images.npy", npy("|u1", "3, 8, 8, 3", []),
      "expected images [N, C, H, W], found the shape [3, 8, 8, 3], which is [N, H, W, C] "
        + "(convert it: images.transpose(0, 3, 1, 2).copy(); if they are images of 8 channels and "
        + "8×3 pixels, turn them: images.transpose(0, 1, 3, 2).copy())"
    ),
    (
      "train_images.npy", npy("|u1", "3, 64, 32, 4", []),
      "expected images [N, C, H, W], found the shape [3, 64, 32, 4], which is [N, H, W, C] "
        + "(convert it: images.transpose(0, 3, 1, 2).copy(); if they are images of 64 channels and "
        + "32×4 pixels, turn them: images.transpose(0, 1, 3, 2).copy())"
    ),
    (
      "train_images.npy", npy("|u1", "0, 2, 2", []), "expected dimensions above zero, found 0"
    ),
    (
      "train_images.npy", Data([0x93] + Array("NUMPY".utf8) + [1, 0, 118]),
      "expected a header, found a file of 9 bytes"
    ),
    (
      "train_images.npy", npy("|u1", "3, 2, 2", []).prefix(40),
      "expected a header of 118 bytes, found 30 (it was cut short)"
    ),
    (
      "train_images.npy", npy("|u1", "3, 2, 2", [], version: 1).replacing(6, by: 4),
      "expected an .npy file of version 1.0, 2.0 or 3.0, found version 4.0"
    ),
    (
      "train_images.npy", Data("PK\u{3}\u{4} and more".utf8),
      "expected an .npy file, found something else (an .npz file? save each array with np.save)"
    ),
    (
      "train_labels.npy", npy("<f4", "3,", floats([0, 1, 0.5])),
      "expected whole numbers, found 0.5 at [2] (labels are the numbers of classes, from 0)"
    ),
    (
      "train_labels.npy", npy("<f4", "3,", floats([0, .nan, 1])),
      "expected whole numbers, found nan at [1] (labels are the numbers of classes, from 0)"
    ),
    (
      "train_labels.npy", npy("<f4", "3,", floats([0, 1, 1000])),
      "expected labels 0 to 999, found 1000.0 at [2] "
        + "(number the classes from 0: np.unique(labels, return_inverse=True)[1])"
    ),
    (
      "train_labels.npy", npy("<U5", "3,", []),
      "expected integers, found the type '<U5' "
        + "(convert it: labels.astype('int64'), with the classes numbered from 0)"
    ),
    (
      "train_labels.npy", npy("|u1", "3, 1", [0, 1, 2]),
      "expected labels [N], found the shape [3, 1] (convert it: labels.reshape(-1))"
    ),
    (
      "train_labels.npy", npy("|u1", "3, 10", [0, 1, 2]),
      "expected labels [N], found the shape [3, 10] (of one-hot labels: labels.argmax(axis=1))"
    ),
    (
      "train_labels.npy", npy("|i1", "3,", [0, 255, 2]),
      "expected labels 0 to 999, found -1 at [1] "
        + "(number the classes from 0: np.unique(labels, return_inverse=True)[1])"
    ),
    (
      "train_labels.npy", npy("<u8", "3,", [UInt8](repeating: 255, count: 24)),
      "expected labels 0 to 999, found 18446744073709551615 at [0] "
        + "(number the classes from 0: np.unique(labels, return_inverse=True)[1])"
    ),
    (
      "train_labels.npy", npy("|u1", "2,", [0, 1]),
      "expected 3 labels, as many as images in train_images.npy, found 2"
    ),
    (
      "test_images.npy", npy("<f4", "1, 2, 2", floats([1, 2, 3, 4])),
      "expected images of bytes as in train_images.npy, found floats"
    ),
  ]

  @Test(arguments: refused.indices)
  func refuses(index: Int) throws {
    let (name, data, problem) = Self.refused[index]
    try withFolder([name: data]) { folder in
      #expect(errorText { _ = try Dataset.folder(folder) } == "\(name): \(problem)")
    }
  }

  /// Headers and NumPy 2.4's verdict on them. `Tests/Independent/headers.py` asks it about many more.
  static let headers: [(String, isRead: Bool)] = [
    (#"{"descr": "|u1", "fortran_order": False, "shape": (3, 2, 2)}"#, true),
    ("{'shape':(3,2,2),'fortran_order':False,'descr':'<u1'}", true),
    ("{'descr': 'uint8', 'fortran_order': False, 'shape': (3, 2, 2), }", true),
    ("{'descr': u'|u1', 'fortran_order': False, 'shape': (3L, 2L, 2L), }", true),
    ("{'descr': '>u1',\n'fortran_order': False,\n'shape': ((3), 2, 2), }  # comment", true),
    ("{'shape': (9,), 'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2)}", true),
    ("garbage 'descr': '|u1' 'fortran_order': False 'shape': (3, 2, 2)", false),
    ("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2)", false),
    ("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2)}}", false),
    ("{'descr': '|u1', 'fortran_order': False, 'shape': [3, 2, 2]}", false),
    ("{'descr': '|u1', 'fortran_order': False, 'shape': 12}", false),
    ("{'descr': '|u1', 'fortran_order': False, 'shape': (03, 2, 2)}", false),
    ("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2.0)}", false),
    ("{'descr': '|u1', 'fortran_order': 0, 'shape': (3, 2, 2)}", false),
    ("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2), 'more': 1}", false),
    ("{'descr': '|u1', 'fortran_order': False}", false),
    (
      "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2)}"
        + String(repeating: " ", count: 9950), false
    ),
    ("", false),
  ]

  @Test(arguments: headers.indices)
  func takesNumPysVerdict(index: Int) throws {
    let (header, isRead) = Self.headers[index]
    let count = header.utf8.count
    let file = Data(
      [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(count & 255), UInt8(count >> 8)]
        + Array(header.utf8) + Array(0..<12))
    try withFolder(["train_images.npy": file]) { folder in
      let text = errorText { _ = try Dataset.folder(folder) }
      #expect((text == nil) == isRead, "\(text ?? "read")")
      #expect(text?.hasPrefix("train_images.npy: expected a") ?? true)
    }
  }

  /// Python 3 has no `3L`; version 3 is Python 3's.
  @Test func longIntegersAreOfPython2() throws {
    try withFolder(["train_images.npy": npy("|u1", "3L, 2, 2", Array(0..<12), version: 2)]) {
      let count = try Dataset.folder($0).train.count
      #expect(count == 3)
    }
    try withFolder(["train_images.npy": npy("|u1", "3L, 2, 2", Array(0..<12), version: 3)]) {
      folder in
      #expect(errorText { _ = try Dataset.folder(folder) } != nil)
    }
    let minor = npy("|u1", "3, 2, 2", Array(0..<12)).replacing(7, by: 1)
    try withFolder(["train_images.npy": minor]) { folder in
      #expect(
        errorText { _ = try Dataset.folder(folder) }
          == "train_images.npy: expected an .npy file of version 1.0, 2.0 or 3.0, found version 1.1"
      )
    }
  }

  @Test func refusesAStructuredType() throws {
    var file = npy("|u1", "3, 2, 2", [])
    let header = String(decoding: file[10...], as: UTF8.self)
      .replacingOccurrences(of: "'|u1'", with: "[('a', 'b')]")
    file.replaceSubrange(10..., with: Data(header.utf8.prefix(118)))
    try withFolder(["train_images.npy": file]) { folder in
      #expect(
        errorText { _ = try Dataset.folder(folder) }?.hasPrefix(
          "train_images.npy: expected a header with one element type, an order and a shape, "
            + "found {'descr': [('a'") == true)
    }
  }

  @Test func namesAMissingFile() throws {
    try withFolder { folder in
      try FileManager.default.removeItem(at: folder.appendingPathComponent("test_labels.npy"))
      #expect(
        errorText { _ = try Dataset.folder(folder) }
          == "\(folder.path)/test_labels.npy: cannot be read: No such file or directory "
          + "(its folder is there: check the name)")
    }
  }

  @Test func saysWhichFilesAFolderMayHold() throws {
    try withTemporaryFolder { folder in
      #expect(
        errorText { _ = try Dataset.folder(folder) }
          == "\(folder.path): expected train-images-idx3-ubyte (IDX), train_images.npy (NumPy) or "
          + "data_batch_1.bin (CIFAR-10), found none")
      let none = folder.appendingPathComponent("none")
      #expect(
        errorText { _ = try Dataset.folder(none) }?.hasSuffix("(the folder does not exist)")
          == true)
    }
  }
}

extension Data {
  fileprivate func replacing(_ index: Int, by byte: UInt8) -> Data {
    var copy = self
    copy[index] = byte
    return copy
  }
}
