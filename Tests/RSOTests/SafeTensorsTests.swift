import Foundation
import Testing

@testable import RSO

private typealias Tensor = SafeTensors.Tensor

private func file(header: String, values: Int = 0) -> Data {
  var data = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
  data.append(contentsOf: header.utf8)
  data.append(Data(count: values))
  return data
}

private let sample = SafeTensors(
  tensors: [
    ("conv1.weight", Tensor(shape: [2, 1, 1, 2], values: [1, -2, .leastNonzeroMagnitude, 0.1])),
    ("a\"\\\n\u{1f}ü", Tensor(shape: [], values: [-0.0])),
    ("bias", Tensor(shape: [3], values: [.nan, .infinity, 3])),
    ("empty", Tensor(shape: [0, 5], values: [])),
  ], metadata: ["seed": "72", "note": "a \"quoted\"\tline"])

private func f32(_ shape: String, _ begin: Int, _ end: Int) -> String {
  "{\"dtype\":\"F32\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
}

/// Files, and what is wrong with them.
private let damagedFiles: [(Data, String)] = {
  let hint = "(cut short, or not a safetensors file?)"
  let length = "found its length to be"
  let notJSON =
    "expected a JSON header with dtype, shape and data_offsets of each tensor, "
    + "found something else (not a safetensors file?)"
  func range(_ name: String, from start: Int, within count: Int, found offsets: [Int]) -> String {
    let expected = "expected the values of \(name) from byte \(start) and within the \(count) bytes"
    return "\(expected) of all values, found data_offsets \(offsets)"
  }
  var cases: [(Data, String)] = []
  func add(_ data: Data, _ problem: String) { cases.append((data, problem)) }
  func add(_ header: String, values: Int = 0, _ problem: String) {
    cases.append((file(header: header, values: values), problem))
  }

  add(Data([1, 2, 3]), "expected at least 8 bytes, found 3 \(hint)")
  add(
    Data(repeating: 0xff, count: 16),
    "expected a header in a file of 16 bytes, \(length) 18446744073709551615 \(hint)")
  add(
    file(header: "{} ").dropLast(), "expected a header in a file of 10 bytes, \(length) 3 \(hint)")
  add("{,}", notJSON)
  add("[]", notJSON)
  add("", notJSON)
  add(#"{"__metadata__":{"a":1}}"#, "no valid __metadata__: a in its header")
  add(#"{"w":7}"#, "no valid w in its header")
  add(#"{"w":{"dtype":"F32","shape":[]}}"#, "no valid w: data_offsets in its header")
  add(
    #"{"w":{"dtype":"F32","shape":[],"data_offsets":[0,4,8]}}"#, values: 4,
    "no valid w: data_offsets in its header")
  for number in ["1.5", "1.0", "1e0", "-0", "true", "99999999999999999999"] {
    add("{\"w\":\(f32("[\(number)]", 0, 4))}", values: 4, "no valid w: shape in its header")
  }
  let w = f32("[]", 0, 4)
  for header in [
    "{\"w\":\(w),}", "{\"w\":\(w)}x", "{'w':\(w)}", "{\"w\":\(f32("[01]", 0, 4))}",
    "{\"a\tb\":\(w)}", "{\"\\ud800\":\(w)}", "{\"\\x41\":\(w)}", "\u{feff}{\"w\":\(w)}",
    "{\"w\":" + String(repeating: "[", count: 200) + String(repeating: "]", count: 200) + "}",
  ] {
    add(header, values: 4, notJSON)
  }
  func twice(_ name: String) -> String {
    "expected every name once in its header, found \(name) twice "
      + "(write it again with the safetensors library)"
  }
  add("{\"w\":\(w),\"v\":\(f32("[]", 4, 8)),\"w\":\(f32("[]", 8, 12))}", values: 12, twice("w"))
  add("{\"w\":\(w),\"\\u0077\":\(w)}", values: 4, twice("w"))
  add("{\"__metadata__\":null,\"__metadata__\":{},\"w\":\(w)}", values: 4, twice("__metadata__"))
  add("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", twice("a"))
  add(
    "{\"w\":{\"dtype\":\"F32\",\"shape\":[],\"shape\":[],\"data_offsets\":[0,4]}}", values: 4,
    "no valid w: shape in its header")
  add(
    "{\"w\":\(w.replacingOccurrences(of: "F32", with: "F33"))}", values: 4,
    "no valid w: dtype in its header")
  add(
    #"{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#, values: 4,
    "expected w of dtype F32, found BF16 (convert it to 32-bit floats)")
  // What has scales beside it may be levels, which no file has as floats.
  add(
    #"{"w":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},"w.scale":\#(f32("[1]", 4, 8))}"#,
    values: 8,
    "expected w of dtype F32 or I8, found I32 (convert it to 8-bit integers if it has the levels for w.scale, "
      + "else to 32-bit floats)")
  add("{\"w\":\(f32("[2]", 0, 8))}", values: 4, range("w", from: 0, within: 4, found: [0, 8]))
  add("{\"w\":\(f32("[]", 4, 8))}", values: 8, range("w", from: 0, within: 8, found: [4, 8]))
  add("{\"w\":\(f32("[]", 0, -4))}", values: 4, range("w", from: 0, within: 4, found: [0, -4]))
  add(
    "{\"v\":\(f32("[2]", 0, 8)),\"w\":\(f32("[2]", 4, 12))}", values: 12,
    range("w", from: 8, within: 12, found: [4, 12]))
  let fill = "expected the values of w to fill shape"
  add("{\"w\":\(f32("[3]", 0, 8))}", values: 8, "\(fill) [3], found 8 bytes")
  add("{\"w\":\(f32("[-1,-1]", 0, 4))}", values: 4, "\(fill) [-1, -1], found 4 bytes")
  add(
    "{\"w\":\(f32("[4294967296,4294967296]", 0, 0))}",
    "\(fill) [4294967296, 4294967296], found 0 bytes")
  add("{\"w\":\(f32("[]", 0, 4))}", values: 5, "expected 4 bytes of values, found 5")
  return cases
}()

struct SafeTensorsTests {
  @Test func returnsWhatWasWritten() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("a.safetensors")
      try sample.write(to: url)
      let read = try SafeTensors(contentsOf: url)
      #expect(read.metadata == sample.metadata)
      #expect(read.tensors.map(\.name) == sample.tensors.map(\.name))
      #expect(read.tensors.map(\.tensor.shape) == sample.tensors.map(\.tensor.shape))
      #expect(
        read.tensors.map { $0.tensor.values.map(\.bitPattern) }
          == sample.tensors.map { $0.tensor.values.map(\.bitPattern) })
      #expect(try read.encoded() == sample.encoded())
    }
  }

  @Test func writesTheseBytes() throws {
    var tensors = SafeTensors(metadata: ["b": "2", "a": "1"])
    tensors["w"] = Tensor(shape: [1, 2], values: [1, -2])
    tensors["v"] = Tensor(shape: [], values: [0.5])
    let header =
      #"{"__metadata__":{"a":"1","b":"2"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"#
      + #""v":{"dtype":"F32","shape":[],"data_offsets":[8,12]}}"#
    let padded = header + String(repeating: " ", count: 7 - (header.utf8.count + 7) % 8)
    #expect(padded.utf8.count % 8 == 0)
    var expected = file(header: padded)
    expected.append(contentsOf: [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0x3f])
    #expect(try tensors.encoded() == expected)
  }

  @Test func findsReplacesAndRemovesByName() {
    var tensors = SafeTensors()
    let (one, two) = (Tensor(shape: [], values: [1]), Tensor(shape: [], values: [2]))
    tensors["a"] = one
    tensors["b"] = one
    tensors["a"] = two
    tensors["c"] = nil
    #expect(tensors.tensors.map(\.name) == ["a", "b"])
    #expect(tensors["a"] == two)
    tensors["a"] = nil
    #expect(tensors["a"] == nil)
    #expect(tensors["b"] == one)
  }

  /// A slice of a larger buffer does not start at index 0.
  @Test func readsASlice() throws {
    let slice = try (Data([1, 2, 3]) + sample.encoded()).dropFirst(3)
    #expect(try SafeTensors(data: slice, name: "s").encoded() == sample.encoded())
  }

  @Test func ordersTensorsByTheirValues() throws {
    let header =
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"#
      + #""b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  "#
    let read = try SafeTensors(data: file(header: header, values: 8), name: "f")
    #expect(read.tensors.map(\.name) == ["b", "a"])
  }

  /// What the safetensors library reads, too.
  @Test(arguments: [
    "{\"__metadata__\":null,\"\\ud83d\\ude00\":\(f32("[]", 0, 4))}",
    " \n\t{ \"😀\" : \(f32("[ 1 ]", 0, 4)) }\r\n",
    "{\"😀\":\(f32("[1],\"more\":[{},null,-1.5e+3,\"\"]", 0, 4))}",
  ])
  func readsOtherWriters(header: String) throws {
    let read = try SafeTensors(data: file(header: header, values: 4), name: "f")
    #expect(read.tensors.map(\.name) == ["😀"] && read.metadata.isEmpty)
  }

  /// Also a tensor that is left out must fill its place.
  @Test func checksWhatItSkips() throws {
    func read(_ shape: String) throws -> SafeTensors {
      let header = "{\"n\":{\"dtype\":\"I64\",\"shape\":\(shape),\"data_offsets\":[0,8]}}"
      return try SafeTensors(data: file(header: header, values: 8), name: "f") { $0 == "n" }
    }
    #expect(try read("[]").tensors.isEmpty)
    #expect(
      errorText { _ = try read("[2]") }
        == "f: expected the values of n to fill shape [2], found 8 bytes")
  }

  @Test func namesWhatIsNotFinite() {
    #expect(
      errorText { try sample.checkFinite("a.safetensors") }
        == "a.safetensors: expected finite values, found nan at bias[0]")
    var tensors = SafeTensors()
    tensors["w"] = Tensor(shape: [2], values: [0, -.infinity])
    #expect(
      errorText { try tensors.checkFinite("f") } == "f: expected finite values, found -inf at w[1]")
    tensors["w"] = Tensor(shape: [1], values: [.greatestFiniteMagnitude])
    #expect(errorText { try tensors.checkFinite("f") } == nil)
  }

  @Test func refusesToWriteWhatCannotBeRead() {
    let one = Tensor(shape: [], values: [1])
    #expect(
      errorText { _ = try SafeTensors(tensors: [("a", one), ("a", one)]).encoded() }
        == "a: expected each tensor's name once, found it again")
    #expect(
      errorText { _ = try SafeTensors(tensors: [("__metadata__", one)]).encoded() }
        == "__metadata__: expected another name for a tensor, as the format reserves this one")
    #expect(
      errorText {
        _ = try SafeTensors(tensors: [("a", Tensor(shape: [2, 2], values: [1]))]).encoded()
      } == "a: expected the values of shape [2, 2], found 1")
  }

  @Test(arguments: damagedFiles)
  func refuses(_ data: Data, _ problem: String) {
    #expect(errorText { _ = try SafeTensors(data: data, name: "f") } == "f: \(problem)")
  }

  /// Cut at any byte, or with one byte changed, a file is read or refused; nothing ends the program.
  @Test func survivesDamage() throws {
    let whole = try sample.encoded()
    for length in 0..<whole.count {
      #expect(throws: RSOError.self) {
        try SafeTensors(data: whole.prefix(length), name: "f")
      }
    }
    for index in whole.indices {
      for byte: UInt8 in [0, 0x2d, 0x39, 0xff] {
        var damaged = whole
        damaged[index] = byte
        do { _ = try SafeTensors(data: damaged, name: "f") } catch is RSOError {}
      }
    }
  }
}
