import RSO

// Your own images: bytes [N, C, H, W] and a class for each. Here discs (0) and rings (1), at varying positions.
let shape = Shape(channels: 1, height: 12, width: 12)
func pictures(_ count: Int, seed: Int) throws -> Split {
  var images: [UInt8] = []
  for number in 0..<count {
    let (row, column) = ((number * 7 + seed) % 5 + 3, (number * 3 + seed) % 5 + 3)
    for y in 0..<12 {
      for x in 0..<12 {
        let distance = (y - row) * (y - row) + (x - column) * (x - column)
        images.append(distance <= 9 && (number % 2 == 0 || distance >= 4) ? 230 : 20)
      }
    }
  }
  return try Split(images: images, labels: (0..<count).map { Int32($0 % 2) }, shape: shape)
}
let data = try Dataset(name: "shapes", train: pictures(600, seed: 1), test: pictures(200, seed: 2))

// Your own network: each layer reads the one before it, or the one it names.
let network = try Network(input: shape) {
  Node.conv2d("conv0", channels: 6, kernel: 3, padding: 1)
  Node.batchNorm("bn0")
  Node.activation("tanh0", .tanh)
  Node.conv2d("conv1", channels: 6, kernel: 3, padding: 1)
  Node.add("add1", "tanh0")
  Node.maxPool("pool1", kernel: 2)
  Node.globalAveragePool("pool2")
  Node.linear("fc", features: data.classes, bias: true)
}

var settings = SearchSettings()
settings.cycles = 2
settings.batchSize = 200

var search = try RandomSearch(network: network, data: data, settings: settings)
try search.run { event in
  if case .swept(let report) = event, report.parameter == "fc.weight", let test = report.evaluation
  {
    print("cycle \(report.cycle + 1) begins: \(test.accuracy)")
  }
  return .goOn
}
let found = try search.evaluate()
print("test accuracy: \(found.accuracy)")

// The trained network is a value that predicts on arrays.
let predictions = try search.model.predict(data.test.images)
print("first images: \(predictions.prefix(4).map(\.label))")
