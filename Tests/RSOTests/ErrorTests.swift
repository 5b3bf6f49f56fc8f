import RSO
import Testing

@Test func errorReadsAsOneLine() {
  #expect("\(RSOError("a", "b", hint: "c"))" == "a: b (c)")
}
