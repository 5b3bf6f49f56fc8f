/// Up to eight numbers stored inline: every proposal has some, and they must not cost an allocation.
public struct ShortList<Number: SIMDScalar & Sendable>: Hashable, Sendable
where Number.SIMD8Storage: Sendable {
  /// The maximum number of elements.
  public static var capacity: Int { 8 }

  private var numbers = SIMD8<Number>()
  public private(set) var count = 0

  /// An empty list.
  public init() {}

  /// - Precondition: at most `capacity` numbers.
  public init(_ numbers: some Sequence<Number>) {
    for number in numbers { append(number) }
  }

  /// - Precondition: fewer than `capacity` numbers so far.
  public mutating func append(_ number: Number) {
    precondition(count < Self.capacity, "a list of more than \(Self.capacity) numbers")
    numbers[count] = number
    count += 1
  }

  /// Calls `body` with a pointer to the numbers, for C.
  mutating func withUnsafeNumbers<R>(_ body: (UnsafeMutablePointer<Number>) -> R) -> R {
    withUnsafeMutablePointer(to: &numbers) {
      $0.withMemoryRebound(to: Number.self, capacity: Self.capacity, body)
    }
  }
}

extension ShortList: RandomAccessCollection, MutableCollection, ExpressibleByArrayLiteral {
  public var startIndex: Int { 0 }
  public var endIndex: Int { count }

  public subscript(index: Int) -> Number {
    get {
      precondition(indices.contains(index), "number \(index) of a list of \(count)")
      return numbers[index]
    }
    set {
      precondition(indices.contains(index), "number \(index) of a list of \(count)")
      numbers[index] = newValue
    }
  }

  public init(arrayLiteral numbers: Number...) { self.init(numbers) }
}

extension ShortList: CustomStringConvertible {
  public var description: String { Array(self).description }
}
