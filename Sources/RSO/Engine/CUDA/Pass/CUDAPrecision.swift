/// How exactly a card multiplies in whole layers, which are most of the work. Sums are in single precision. Everything
/// else is the same as with `fp32`.
public enum CUDAPrecision: String, Hashable, Sendable, CaseIterable {
  /// Single precision, on tensor cores with each factor split in two.
  case fp32
  /// Factors rounded to 11 bits. This is faster, but a different method, since decisions differ.
  case tf32
}
