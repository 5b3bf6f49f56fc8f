/// How exactly a card multiplies in whole layers, which are most of the work. Sums are in single precision, everything
/// else is as with `fp32`.
public enum CUDAPrecision: String, Hashable, Sendable, CaseIterable {
  /// Single precision: by tensor cores, with factors split in two.
  case fp32
  /// Factors rounded to 11 bits: faster, and another method, since decisions differ.
  case tf32
}
