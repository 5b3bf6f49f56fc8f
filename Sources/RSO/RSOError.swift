/// An error in what a user supplied: a file, a setting, a network, a checkpoint.
///
/// It reads `subject: problem (hint)`, for example
/// `train-images-idx3-ubyte: expected magic 2051, found 2049 (a labels file? are the two paths swapped?)`.
public struct RSOError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file, setting, layer or parameter with the error. Here and in the other fields, names of this library's
  /// API are in backticks, so that a program can replace them with its own.
  public let subject: String
  /// What was expected and what was found.
  public let problem: String
  /// What to do about it.
  public let hint: String?

  /// An error that reads `subject: problem (hint)`.
  public init(_ subject: String, _ problem: String, hint: String? = nil) {
    self.subject = subject
    self.problem = problem
    self.hint = hint
  }

  /// `subject: problem (hint)`
  public var description: String {
    "\(subject): \(problem)" + (hint.map { " (\($0))" } ?? "")
  }
}
