import Foundation
import RSO

// Weights that another program trained: a PyTorch state_dict in safetensors. This file stands in for one.
let data = try Dataset.mnist(trainLimit: 2000, testLimit: 500)
let network = try Network(input: data.train.shape) {
  Node.conv2d("conv0", channels: 8, kernel: 3, stride: 2)
  Node.batchNorm("bn0")
  Node.relu("relu0")
  Node.globalMaxPool("pool")
  Node.linear("fc", features: data.classes)
}
let folder = FileManager.default.temporaryDirectory
let file = folder.appendingPathComponent(
  "foreign-\(ProcessInfo.processInfo.processIdentifier).safetensors")
defer { try? FileManager.default.removeItem(at: file) }
var settings = SearchSettings()
settings.batchSize = 500
settings.cycles = 1
var other = try RandomSearch(network: network, data: data, settings: settings)
try other.run { _ in .goOn }
try other.model.writeStateDict(to: file)

// Names and shapes must match the network; the error names what is missing or left over.
let start = try Parameters(contentsOf: file, for: network)

// Only these tensors change; the others keep their bits.
settings.only = ["bn*", "fc.weight"]
settings.cycles = 2

// The search runs alongside the loop that reads its events; leaving the loop, or cancelling its task, stops it.
let training = try Training(
  RandomSearch(network: network, data: data, settings: settings, parameters: start))
for try await event in training.events() {
  if case .swept(let report) = event, let test = report.evaluation {
    print("cycle \(report.cycle + 1), \(report.parameter): \(test.accuracy)")
  }
}
let model = try await training.model
for slot in start.slots {
  let isSame = model.parameters.values[slot.range] == start.values[slot.range]
  print("\(slot.name) \(isSame ? "is as it was" : "has changed")")
}
