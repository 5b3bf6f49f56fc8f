import Foundation
import RSO

// A run that may be killed at any moment. Started again with the same folder, this program goes on after the last
// finished tensor, and ends with the same bits as if nothing had stopped it.
let url = URL(fileURLWithPath: CommandLine.arguments.dropFirst().first ?? "runs/snippet")
let data = try Dataset.mnist(trainLimit: 2000, testLimit: 500)

func begin() throws -> (RandomSearch, RunFolder) {
  let network = try Network(input: data.train.shape) {
    Node.conv2d("conv0", channels: 8, kernel: 3, stride: 2)
    Node.batchNorm("bn0")
    Node.relu("relu0")
    Node.globalMaxPool("pool")
    Node.linear("fc", features: data.classes)
  }
  var settings = SearchSettings()
  settings.batchSize = 500
  settings.cycles = 4
  var search = try RandomSearch(network: network, data: data, settings: settings)
  let folder = try RunFolder(beginning: &search, at: url)
  return (search, folder)
}

func resume() throws -> (RandomSearch, RunFolder) {
  let folder = try RunFolder(resuming: url)
  return (try folder.search(on: data), folder)
}

var (search, folder) = try RunFolder.isRun(url) ? resume() : begin()
print("cycle \(search.position.cycle + 1) of \(search.settings.cycles)")
try search.run(in: folder) { event in
  if case .swept(let report) = event, let test = report.evaluation {
    print("cycle \(report.cycle + 1), \(report.parameter): \(test.accuracy)")
  }
  return .goOn
}

// The folder has the best model, for this program and for `rso evaluate`.
if let best = folder.checkpoint.best, let accuracy = best.accuracy {
  print("best: \(accuracy), after \(best.parameter) of cycle \(best.cycle + 1)")
}
