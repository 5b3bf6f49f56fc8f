import Foundation
import RSO
import Testing

/// Damaged inputs for a reader, the same for the same seed.
///
/// `Tests/fuzz` sets the environment: `RSO_FUZZ_SECONDS` for each reader instead of a few hundred inputs, `RSO_FUZZ_SEED`,
/// and `RSO_FUZZ_INPUT`, a file that holds the current input, should it end the program.
struct Fuzzer {
  private var state: UInt64
  private let samples: [[UInt8]]

  private static let environment = ProcessInfo.processInfo.environment

  /// Reads damaged samples; a reader may refuse an input with an `RSOError` and do nothing else.
  ///
  /// - Parameter count: the number of inputs, unless the environment asks for seconds.
  static func run(
    _ name: String, _ samples: [[UInt8]], count: Int = 400, read: ([UInt8]) throws -> Void
  ) {
    let seed = environment["RSO_FUZZ_SEED"].flatMap { UInt64($0) } ?? 21
    var fuzzer = Fuzzer(state: seed, samples: samples)
    let seconds = environment["RSO_FUZZ_SECONDS"].flatMap { Double($0) }
    let start = ContinuousClock.now
    var done = 0
    var refused = 0
    while seconds.map({ (ContinuousClock.now - start) / .seconds(1) < $0 }) ?? (done < count) {
      let input = fuzzer.next()
      if let path = environment["RSO_FUZZ_INPUT"] {
        try? Data(input).write(to: URL(fileURLWithPath: path))
      }
      let began = ContinuousClock.now
      do {
        try read(input)
      } catch is RSOError {
        refused += 1
      } catch {
        Issue.record("\(name), input \(done): \(type(of: error)) \(error)")
      }
      let time = ContinuousClock.now - began
      if time > .seconds(20) { Issue.record("\(name), input \(done): took \(time)") }
      done += 1
    }
    if seconds != nil { print("\(name): \(done) inputs, \(refused) refused") }
    // Not all the same: the samples are sound, and damage is found.
    #expect(refused > 0 && refused <= done, "\(name)")
  }

  private mutating func random(_ bound: Int) -> Int {
    // SplitMix64.
    state &+= 0x9e37_79b9_7f4a_7c15
    var bits = state
    bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
    bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
    return Int((bits ^ bits >> 31) >> 1) % max(bound, 1)
  }

  private static let numbers = [
    "0", "-1", "1", "2", "255", "65536", "100000", "2147483648", "4294967296",
    "4611686018427387904", "9223372036854775807", "-9223372036854775808", "18446744073709551615",
    "1e300", "-1e300", "0.5", "1e-300", "null", "true", "[]", "{}", "\"\"",
  ]

  private mutating func next() -> [UInt8] {
    var bytes = samples[random(samples.count)]
    for _ in 0...random(3) { damage(&bytes) }
    return bytes
  }

  private mutating func damage(_ bytes: inout [UInt8]) {
    guard !bytes.isEmpty else { return }
    let place = random(bytes.count)
    let end = min(place + 1 + random(8), bytes.count)
    switch random(9) {
    case 0: bytes[place] ^= 1 << UInt8(random(8))
    case 1: bytes[place] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random(6)]
    case 2: bytes.removeSubrange(place..<end)
    case 3: bytes.insert(contentsOf: bytes[place..<end], at: place)
    case 4: bytes.removeSubrange(place...)
    case 5:
      let other = samples[random(samples.count)]
      let start = random(other.count)
      bytes.replaceSubrange(place..<end, with: other[start...].prefix(1 + random(16)))
    default: replaceNumber(&bytes, from: place)
    }
  }

  /// Replaces the next number in a text by one from the list.
  private mutating func replaceNumber(_ bytes: inout [UInt8], from place: Int) {
    func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || byte == 0x2d }
    guard let start = bytes[place...].firstIndex(where: isDigit) ?? bytes.firstIndex(where: isDigit)
    else { return }
    let end = bytes[start...].firstIndex { !isDigit($0) && $0 != 0x2e } ?? bytes.count
    bytes.replaceSubrange(start..<end, with: Self.numbers[random(Self.numbers.count)].utf8)
  }
}
