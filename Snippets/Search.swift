import RSO

// A search without a network: numbers that a function of yours judges. Here, where to stand between four wells that are
// measured with noise.
let wells: [(x: Double, y: Double)] = [(0, 0), (4, 0), (4, 3), (0, 5)]
func measuredWay(_ place: [Float], _ seed: UInt32) -> Double {
  // The seed decides the noise, which is the same for w, w + Δ and w − Δ, so it cannot choose between them.
  let noise = Double(seed % 1000) / 1000
  return wells.reduce(0) { sum, well in
    let (x, y) = (Double(place[0]) - well.x, Double(place[1]) - well.y)
    return sum + (x * x + y * y).squareRoot()
  } + noise
}

// Named tensors to begin with, and how wide the first proposals are.
let start = try Parameters(
  SafeTensors(tensors: [("place", .init(shape: [2], values: [9, 9]))]), widths: ["place": 1])

var settings = SearchSettings.tensors
settings.cycles = 100

var search = try RandomSearch(start, settings: settings, loss: measuredWay)
try search.run { event in
  if case .swept(let report) = event, report.cycle % 25 == 24, let found = report.evaluation {
    print("cycle \(report.cycle + 1): \(found.meanLoss)")
  }
  return .goOn
}
// The four ways are shortest where the diagonals of the wells cross.
print("place: \(search.parameters.values)")
