import Foundation
import RSO
import Testing

/// `--weights`: domains on the command line, in files and in reports.
struct WeightsTests {
  private static let options = ["--weights", "ternary", "--weights", "fc*=int8", "--cycles", "2"]

  @Test func trainsDescribesAndReports() throws {
    try Workplace.with { place in
      let result = try place.train(Self.options + ["--run", "r"])
      #expect(result.code == 0 && result.errors == "")
      let tensors = try place.tensors("r/best.safetensors")
      #expect(
        tensors.tensors.filter { $0.tensor.type == .int8 }.map(\.name) == [
          "conv0.weight", "conv1.weight", "fc.weight",
        ])
      #expect(Set(tensors["conv1.weight"]?.values ?? []) == [-1, 0, 1])
      #expect(tensors["fc.weight"]?.values.contains { abs($0) > 10 } == true)
      let model = try Model(contentsOf: place.file("r/best.safetensors"))
      #expect(
        model.network.nodes.map { "\($0.weights)" }.filter { $0 != "float" } == [
          "ternary", "ternary", "int8",
        ])
      // What the first layer reads is exact.
      #expect(model.normalization == Normalization(mean: [0], divisor: 256))
      #expect(try place.text("r/config.json").contains("\"normalize\" : \"integers\""))
      #expect(try place.run(["evaluate", "r", "--data-dir", "digits"]).code == 0)

      let report = try place.run(["report", "r", "-o", "r.html"])
      #expect(report.code == 0)
      let html = try place.text("r.html")
      #expect(html.contains("<h2>Levels</h2>") && html.contains("conv0.weight, ternary"))
      let zeros =
        try place.tensors("r/checkpoint.safetensors")["conv0.weight"]?.values.count { $0 == 0 } ?? 0
      #expect(html.contains("<title>level 0: \(zeros) of 27</title>"))

      let export = try place.run(["export", "r", "--safetensors", "w.safetensors"])
      #expect(export.code == 0 && export.output.contains("pixels / 256"))
      #expect(
        try place.tensors("w.safetensors")["fc.weight"]?.values
          == Array(model.parameters.values[try #require(model.parameters.slots.last).range]))
    }
  }

  @Test func describes() throws {
    try Workplace.with { place in
      let options = ["describe", "--no-time"] + Workplace.options
      let plain = try place.run(options).output
      // 27 + 108 + 12 weights and 14 numbers of batch norms.
      #expect(plain.contains("on a device: 644 bytes of floats"))
      let lines = try place.run(options + ["--weights", "ternary", "--weights", "fc*=int8"]).output
      // 54 and 216 bits are 7 and 27 bytes.
      #expect(lines.contains("on a device: 102 bytes, 46 of them weights packed to their bits"))
      #expect(lines.contains("conv2d, ternary") && lines.contains("linear, int8"))
      let json = try place.run(options + ["--weights", "binary", "--json"]).output
      #expect(json.components(separatedBy: "\"weights\" : \"binary\"").count == 4)
      try Data(json.utf8).write(to: place.file("b.json"))
      let network = try Network(json: Data(json.utf8), name: "b.json")
      #expect(network.nodes.count { $0.weights == .binary } == 3)
    }
  }

  /// A new network with a step right before a global maximum gives all images the same outputs.
  @Test func stepsBeforeAMaximumAreNoted() throws {
    try Workplace.with { place in
      let quantize = #""act", "type": "quantize", "bits": 4"#
      let (sign, relu) = (#""act", "type": "sign""#, #""relu1", "type": "relu""#)
      let (most, mean) = (
        #""pool", "type": "globalMaxPool""#, #""pool", "type": "globalAveragePool""#
      )
      let norm = #""bn2", "type": "batchNorm""#
      // A step and a maximum may change places; a batch norm in between spreads the maxima.
      for (index, (layers, isNoted)) in [
        ([quantize, most], true), ([sign, relu, most], true), ([most, quantize], true),
        ([most, relu, sign], true), ([relu, most], false), ([sign, mean], false),
        ([most, norm, sign], false),
      ].enumerated() {
        let network = Workplace.network.replacing(
          #"{"name": "pool", "type": "globalMaxPool"}"#,
          with: layers.map { #"{"name": \#($0)}"# }.joined(separator: ", "))
        try Data(network.utf8).write(to: place.file("net.json"))
        let found = try place.train(["--cycles", "1", "--run", "r\(index)"])
        #expect(found.code == 0, "\(found.errors)")
        let isFound = found.errors.hasPrefix(
          "rso: note: act: in nearly every image, its global maximum ")
        #expect(isFound == isNoted, "\(layers)")
        #expect(found.errors.isEmpty != isNoted)
      }
    }
  }

  @Test func aStoppedRunGoesOn() throws {
    try Workplace.with { place in
      let options =
        Self.options
        + ["--cycles", "30", "--scales", "channel", "--rule", "margin:m=0.5", "--run", "r"]
      let whole = try place.train(options)
      #expect(whole.code == 0)
      #expect(
        whole.errors
          == "rso: note: --scales: not those of conv0.weight, conv1.weight; the batch norm behind them "
          + "takes any factor out again\n")
      // Scales are tensors of the run like others.
      #expect(
        try place.metrics("r").prefix(2).map(\.parameter) == ["fc.weight", "fc.weight.scale"])
      #expect(try place.tensors("r/checkpoint.safetensors")["fc.weight.scale"]?.shape == [3])
      #expect(try place.tensors("r/checkpoint.safetensors")["conv1.weight.scale"]?.shape == [1])
      let expected = try RunFiles(place, "r")
      try FileManager.default.removeItem(at: place.file("r"))
      let running = try Tool.Running(["train"] + Workplace.options + options, in: place.url)
      while running.process.isRunning,
        ((try? place.text("r/metrics.jsonl")) ?? "").count(where: { $0 == "\n" }) < 3
      {
        usleep(200)
      }
      running.send(SIGKILL)
      _ = try running.wait()
      let other = try place.run(["train", "--run", "r", "--resume", "--weights", "binary"])
      #expect(
        other.code != 0 && other.errors.contains("--weights: the run has")
          && other.errors.contains(#""weights":"ternary"}, found"#)
          && other.errors.contains(#""weights":"binary""#))
      let scales = try place.run(["train", "--run", "r", "--resume", "--scales", "tensor"])
      #expect(
        scales.code != 0 && scales.errors.contains("--scales: the run has channel, found tensor"))
      #expect(
        try place.run(
          ["train", "--run", "r", "--resume", "--weights", "conv*=ternary", "--scales", "channel"]
        ).code == 0)
      #expect(expected.differences(from: try RunFiles(place, "r")) == [])
    }
  }

  /// A float model is rounded, and the search repairs it.
  @Test func roundsAndRepairs() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "2", "--run", "f"]).code == 0)
      let float = try place.tensors("f/best.safetensors")
      for (run, more) in [
        ("t", []), ("c", ["--scales", "channel"]), ("x", ["--scales", "fixed"]),
        ("k", ["--scales", "channel", "--freeze", "*.scale"]),
        ("l", ["--weights", "fc*=ternary", "--rule", "leader"]),
      ] {
        let result = try place.run(
          ["train", "--data-dir", "digits", "--from", "f", "--weights", "int4", "--batch", "30"]
            + ["--cycles", "2", "--run", run, "--save-initial", "\(run).safetensors"] + more)
        #expect(result.code == 0, "\(run): \(result.errors)")
        #expect(
          result.errors.contains(
            "note: f: rounded, with an error of conv0.weight to int4 "))
        #expect(result.errors.contains("test loss ") && result.errors.contains(" before; loss "))
        let initial = try place.tensors("\(run).safetensors")
        #expect(initial["conv0.weight"]?.type == .int8)
        #expect(initial["conv1.weight.scale"]?.shape == (["c", "k"].contains(run) ? [4] : [1]))
        let swept = Set(try place.metrics(run).compactMap(\.parameter))
        #expect(swept.contains("fc.weight.scale") == (run == "c"))
        // The mean of the model's input stays.
        #expect(initial.metadata["mean"] == float.metadata["mean"])
      }
      let described = try place.run(["describe", "k"])
      #expect(described.code == 0, "\(described.errors)")
      let nothing = try place.train(["--from", "f", "--scales", "channel", "--run", "n"])
      #expect(nothing.code != 0)
      #expect(
        nothing.errors.contains(
          "--scales: expected fixed: no weights are discrete, found channel (binary, ternary and "
            + "integer weights have scales: --weights)"))
      let state = try place.run(["export", "f", "--safetensors", "w.safetensors", "-q"])
      #expect(state.code == 0)
      // The same from a state dictionary, whose network says the domain.
      let again = try place.train(
        ["--from", "w.safetensors", "--weights", "int4", "--cycles", "1", "--run", "s"]
          + ["--save-initial", "s.safetensors"])
      #expect(again.code == 0 && again.errors.contains("w.safetensors: rounded, with an error of"))
      #expect(
        try place.tensors("s.safetensors")["conv1.weight"]
          == place.tensors("t.safetensors")["conv1.weight"])
    }
  }

  /// ReLUs become levels: of a new network, and of a trained one, which is fitted to them.
  @Test func quantizesActivations() throws {
    try Workplace.with { place in
      #expect(try place.train(["--cycles", "2", "--run", "f"]).code == 0)
      let options = ["--weights", "ternary", "--activations", "8", "--activations", "relu*=4"]
      let result = try place.train(
        ["--from", "f", "--cycles", "1", "--run", "q", "--save-initial", "q.safetensors"] + options)
      #expect(result.code == 0, "\(result.errors)")
      let notes = result.errors.components(separatedBy: "\n").filter { $0.contains("note: ") }
      #expect(notes.count == 3, "\(notes)")
      #expect(
        notes.first?.contains(
          "note: f: activations quantised: relu0 to 4 bits from 0 to ")
          == true)
      #expect(notes[1].contains("note: f: rounded, with an error of conv0.weight to ternary "))
      #expect(notes[2].contains(" before; loss "))
      let model = try Model(contentsOf: place.file("q.safetensors"))
      #expect(
        model.network.nodes.compactMap { node -> Activation? in
          if case .activation(let activation) = node.layer { activation } else { nil }
        } == [.quantize(bits: 4)])
      // Calibration alone costs little, with 8 bits next to nothing.
      let calibrated = try place.train(
        ["--from", "f", "--cycles", "1", "--run", "c", "--activations", "8"])
      let words = try #require(
        calibrated.errors.components(separatedBy: "test loss ").last?.split(separator: " "))
      let losses = words.compactMap { Double($0.replacingOccurrences(of: ",", with: "")) }
      #expect(losses.count == 4 && abs(losses[0] - losses[2]) < 0.02 * losses[0], "\(words)")

      let lines = try place.run(["describe", "--no-time"] + Workplace.options + options).output
      #expect(lines.contains("quantize, 4 bits"))
      // A network's file asks for levels as the option does.
      let json = try place.run(["describe", "--no-time", "--json"] + Workplace.options + options)
        .output
      try Data(json.utf8).write(to: place.file("q.json"))
      let named = try place.run(
        ["train", "--data-dir", "digits", "--network", "q.json", "--from", "f", "--batch", "30"]
          + ["--cycles", "1", "--run", "n", "--save-initial", "n.safetensors"])
      #expect(named.code == 0, "\(named.errors)")
      #expect(
        try place.tensors("n.safetensors").tensors.map(\.tensor)
          == place.tensors("q.safetensors").tensors.map(\.tensor))
      // So do the weights of another program.
      #expect(try place.run(["export", "f", "--safetensors", "w.safetensors", "-q"]).code == 0)
      let state = try place.train(
        [
          "--from", "w.safetensors", "--cycles", "1", "--run", "s", "--save-initial",
          "s.safetensors",
        ]
          + options)
      #expect(state.code == 0, "\(state.errors)")
      #expect(
        try place.tensors("s.safetensors").tensors.map(\.tensor)
          == place.tensors("q.safetensors").tensors.map(\.tensor))

      let resumed = try place.run(
        ["train", "--run", "q", "--resume", "--cycles", "2", "--activations", "3"])
      #expect(resumed.code != 0 && resumed.errors.contains("--activations: "), "\(resumed.errors)")
      let same = try place.run(
        ["train", "--run", "q", "--resume", "--cycles", "2"] + options)
      #expect(same.code == 0, "\(same.errors)")
      let refused = try place.run(["describe", "q", "--activations", "4"])
      #expect(refused.errors.contains("--activations: expected it without a model"))
    }
  }

  @Test(arguments: [
    (
      ["--activations", "9"],
      "--activations: expected 1 to 8 bits, alone or as in relu5=2, found '9' (--activations 4 "
        + "quantises every ReLU to 16 levels)"
    ),
    (["--activations", "relu1="], "found 'relu1='"),
    (["--activations", "a=b=2"], "found 'a=b=2'"),
    (
      ["--activations", "conv*=2"],
      "--activations: expected a pattern of the names of ReLUs, found 'conv*', which matches none (there are "
    ),
    (
      ["--weights", "int9"],
      "--weights: expected float, binary, ternary, or int2 to int8, found 'int9'"
    ),
    (
      ["--weights", "fc=ternary"],
      "--weights: expected a pattern of the names of weights, found 'fc', which matches none"
    ),
    (["--weights", "bn*=binary"], "found 'bn*', which matches none"),
    (["--weights", "fc*="], "found ''"),
    (["--scales", "tensor"], "--scales: expected fixed: no weights are discrete, found tensor"),
    (
      ["--weights", "ternary", "--scales", "all"],
      "The value 'all' is invalid for '--scales <fixed|tensor|channel>'"
    ),
    (["--normalize", "integer"], "integers"),
  ])
  func wrongOptions(options: [String], expected: String) throws {
    try Workplace.with { place in
      let result = try place.train(options + ["--run", "r"])
      #expect(result.code != 0 && result.errors.contains(expected), "\(result.errors)")
      #expect(!FileManager.default.fileExists(atPath: place.file("r").path))
    }
  }

  @Test func aDamagedLevel() throws {
    try Workplace.with { place in
      #expect(try place.train(Self.options + ["--run", "r"]).code == 0)
      var tensors = try place.tensors("r/best.safetensors")
      tensors["conv1.weight"]?.values[7] = -2
      try tensors.write(to: place.file("d.safetensors"))
      let result = try place.run(["evaluate", "d.safetensors", "--data-dir", "digits"])
      #expect(
        result.code != 0
          && result.errors.contains(
            "d.safetensors: conv1.weight[7]: expected a level of ternary, −1 to 1, found -2")
      )
    }
  }
}
