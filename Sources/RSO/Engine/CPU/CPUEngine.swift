package struct CPUEngine: Engine {
  package static func check(_ network: Network) throws {}
  package var parameters: Parameters
  package var statistics = BatchNormStatistics()
  package init(network: Network, data: Dataset, parameters: Parameters, threads: Int) {
    self.parameters = parameters
  }
  package mutating func beginSweep(of parameter: Int, order: SampleOrder) throws {}
  package mutating func judge(_ proposals: ArraySlice<Proposal>) throws -> [Decision] { [] }
  package mutating func evaluate(_ split: EvaluatedSplit) throws -> Evaluation {
    Evaluation(count: 0, loss: 0, confusion: [])
  }
}
