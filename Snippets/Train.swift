import RSO

// A small network on the first images of MNIST, which are built in.
let data = try Dataset.mnist(trainLimit: 4000, testLimit: 1000)
let network = try Network(input: data.train.shape) {
  Node.conv2d("conv0", channels: 8, kernel: 3, stride: 2)
  Node.batchNorm("bn0")
  Node.relu("relu0")
  Node.conv2d("conv1", channels: 16, kernel: 3, stride: 2)
  Node.batchNorm("bn1")
  Node.globalMaxPool("pool")
  Node.linear("fc", features: data.classes)
}

var settings = SearchSettings()
settings.cycles = 2
settings.batchSize = 1000
settings.evaluations = .cycle

var search = try RandomSearch(network: network, data: data, settings: settings)
try search.run { event in
  if case .swept(let report) = event, let test = report.evaluation {
    print("cycle \(report.cycle + 1): \(test.accuracy)")
  }
  return .goOn
}
