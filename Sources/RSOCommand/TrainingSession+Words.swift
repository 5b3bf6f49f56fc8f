import Foundation
import RSO

// What a session says.

extension TrainingSession {
  var resumeCommand: String { Self.resumeCommand(parent, isTensors: isTensors) }

  static func resumeCommand(_ path: String, isTensors: Bool) -> String {
    "rso \(isTensors ? "search" : "train") --run \(quoted(path)) --resume"
  }

  /// Whether it is a search without a network.
  var isTensors: Bool {
    if case .tensors = folder.checkpoint.configuration.subject { true } else { false }
  }

  /// - Parameters:
  ///   - path: the folder to go on with; `nil` if there is none yet.
  ///   - isTensors: whether it is that of a search without a network.
  static func sayStopped(by signal: Int32, _ path: String?, isTensors: Bool = false) {
    let advice =
      path.map { "go on with: \(resumeCommand($0, isTensors: isTensors))" } ?? "no run has begun"
    Console.write("rso: stopped by \(Interrupts.name(signal)); \(advice)\n", to: STDERR_FILENO)
  }

  /// The text as one word for a shell.
  static func quoted(_ text: String) -> String {
    let plain = text.allSatisfy {
      $0.isASCII && ($0.isLetter || $0.isNumber || "/._-+=:@%".contains($0))
    }
    return plain ? text : "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'"
  }

  /// What more cycles do to a run that had `earlier` and goes on in cycle `next`, counted from 0.
  static func moreCycles(
    _ settings: SearchSettings, from earlier: Int, at next: Int
  ) -> String {
    let cycles = settings.cycles
    func width(_ cycle: Int, of cycles: Int) -> String {
      percent(settings.anneal.factor(cycle: cycle, of: cycles), 1)
    }
    let text = "cycles: \(cycles) instead of \(earlier); annealing (\(settings.anneal)) "
    if settings.anneal == .constant {
      return text + "leaves σ as it is"
        + (settings.rule.changesOverCycles ? ", and \(settings.rule) changes over them all" : "")
    }
    let before = next > 0 ? "\(width(next - 1, of: earlier)) in cycle \(next), now " : ""
    return text + "spans them all, so σ is at " + before
      + "\(width(next, of: cycles)) in cycle \(next + 1) "
      + "and \(width(cycles - 1, of: cycles)) in the last"
  }

  /// The network before training.
  private var untrained: Metrics? {
    (folder.earlierMetrics.first ?? folder.first).flatMap { $0.parameter == nil ? $0 : nil }
  }

  mutating func describe(_ search: RandomSearch, _ state: String) {
    let settings = search.settings
    let (what, batch, evaluated): (String, String, String)
    switch search.subject {
    case .network(let network, let data):
      what = """
        data: \(data.name), \(data.train.count) \(data.train.shape.sampleWords) to train on, \
        \(data.validation.map { "\($0.count) to validate, " } ?? "")\(data.test.count) to test
        network: \(network.nodes.count) layers, \(search.parameters.values.count) weights, \
        \(data.classes) \(data.hasLabels ? "classes" : "outputs")
        """
      (batch, evaluated) = ("batch \(settings.batchWords), ", "\(data.evaluatedSplit)")
    case .tensors:
      let parameters = search.parameters
      what = "tensors: \(parameters.slots.count), \(parameters.values.count) values"
      (batch, evaluated) = ("", "evaluated")
    }
    display.line(
      """
      \(what)
      search: \(settings.cycles) cycles of \(search.sweeps.count) sweeps, \(batch)seed \(settings.seed)
      run folder: \(path)
      \(state)
      \(row("cycle", "tensor", settings.rule.isChoice ? "kept" : "step", "loss", evaluated, choosesByLoss ? "best loss" : "best", "time"))
      """)
  }

  var choosesByLoss: Bool { folder.checkpoint.configuration.choosesByLoss }

  /// What chose the best model: its accuracy, or its loss if that is not the paper's.
  func words(_ best: Checkpoint.Best) -> String {
    guard choosesByLoss else { return best.accuracy.map { percent($0) } ?? "–" }
    return best.loss.map { fixed($0, 4) } ?? "∞"
  }

  /// The accuracy, or the loss if the samples have no classes.
  static func result(_ evaluation: Evaluation) -> String {
    evaluation.hasClasses ? percent(evaluation.accuracy) : fixed(evaluation.meanLoss, 4)
  }

  /// Metrics besides loss and accuracy.
  static func words(_ measures: [String: Double]?) -> String {
    (measures ?? [:]).sorted { $0.key < $1.key }.map { "  \($0) \(fixed($1, 4))" }.joined()
  }

  func row(
    _ cycle: String, _ tensor: String, _ kept: String, _ loss: String, _ test: String,
    _ best: String, _ time: String
  ) -> String {
    cycle.padded(5, right: true) + "  " + tensor.padded(16)
      + zip([kept, loss, test, best, time], [10, 10, isValidated ? 12 : 10, 10, 10])
      .map { $0.padded($1, right: true) }.joined()
  }

  /// Whether validation images choose the best model.
  private var isValidated: Bool { folder.checkpoint.configuration.isValidated }

  /// The bottom line; a narrow terminal loses the least important parts first.
  func status(_ judged: RandomSearch.Event.Judged) -> String {
    let settings = folder.checkpoint.configuration.settings
    let cycles = settings.cycles
    func time(_ seconds: Double?) -> String { seconds.map(duration) ?? "?" }
    let left = estimate.sweepLeft
    let all = estimate.runLeft(cycles: settings.cost(ofCycles: judged.cycle + 1..<cycles))
    let head = "\(judged.cycle + 1)/\(cycles) \(judged.parameter) \(judged.done)/\(judged.count)"
    let tail = "  left \(time(left)), run \(time(all))"
    let evaluated = folder.lastEvaluated.flatMap { line -> String? in
      let result = line.accuracy.map { percent($0) } ?? line.loss.map { fixed($0, 4) }
      return result.map { "  \(isTensors ? "evaluated" : "\(line.split)") \($0)" }
    }
    let kept = judged.keptShare.map { "  kept \(percent($0, 0))" }
    var middle: [String] = [
      evaluated ?? "", "  loss \(fixed(judged.meanLoss, 4))",
      kept ?? "  step \(fixed(judged.step, 2)) σ",
    ]
    while !middle.isEmpty,
      head.count + tail.count + middle.map(\.count).reduce(0, +) >= ProgressDisplay.width
    {
      middle.removeLast()
    }
    return head + middle.reversed().joined() + tail
  }

  /// How the run ended, for programs.
  private struct Answer: Encodable {
    var run: String
    /// Of the last model; `nil` if the run has no validation images.
    var validationAccuracy: Double?
    /// Of the last model; of the best one if validation images have chosen it.
    var testAccuracy: Double?
    /// As `testAccuracy`; `nil` if it is not finite, or before the first finished tensor.
    var testLoss: Double?
    var best: Checkpoint.Best?
    var seconds: Double?
    var memoryBytes: Int?
  }

  func summary(isRun: Bool) throws {
    let checkpoint = folder.checkpoint
    let test = checkpoint.best?.test
    let last = folder.last.flatMap { $0.parameter == nil ? nil : $0 }
    if output == .json {
      let answer = Answer(
        run: path, validationAccuracy: isValidated ? last?.accuracy : nil,
        testAccuracy: isValidated ? test?.accuracy : last?.accuracy,
        testLoss: isValidated ? test?.loss : last?.loss, best: checkpoint.best,
        seconds: isRun ? (ContinuousClock.now - start) / .seconds(1) : nil,
        memoryBytes: isRun ? peakMemory : nil)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      Console.line(String(decoding: try encoder.encode(answer), as: UTF8.self))
      return
    }
    var lines: [String] = []
    if let last, let accuracy = last.accuracy {
      lines.append("\(last.split) accuracy: \(percent(accuracy))")
    } else if let last, let loss = last.loss {
      lines.append((isTensors ? "" : "\(last.split) ") + "loss: \(fixed(loss, 4))")
    }
    if let best = checkpoint.best {
      lines.append(
        "best: \(choosesByLoss ? "loss " : "")\(words(best)), after \(best.parameter) of cycle \(best.cycle + 1)"
      )
    }
    if let untrained, let best = checkpoint.best,
      untrained.isBetter(than: best, byLoss: choosesByLoss)
    {
      lines.append(
        "\(isTensors ? "what" : "the network that") it began with was better: "
          + (choosesByLoss
            ? "loss \(untrained.loss.map { fixed($0, 4) } ?? "–")"
            : untrained.accuracy.map { percent($0) } ?? "–") + ", \(path)/initial.safetensors")
    }
    if let test {
      let loss = test.loss.map { fixed($0, 4) } ?? "not finite"
      lines.append(
        test.accuracy.map { "test accuracy of the best: \(percent($0)), loss \(loss)" }
          ?? "test loss of the best: \(loss)")
    }
    if isRun {
      lines.append("time: \(duration((ContinuousClock.now - start) / .seconds(1)))")
      lines.append("memory: \(fixed(Double(peakMemory) / 1e9, 2)) GB at most")
    }
    // Several seeds are shown together, at their end.
    if parent == path {
      lines.append(
        isTensors
          ? "the best tensors: \(path)/best.safetensors"
          : "evaluate it: rso evaluate \(Self.quoted(path))")
      lines.append("show it: rso report \(Self.quoted(path))")
    }
    Console.line(lines.joined(separator: "\n"))
  }
}

/// The peak memory of this process, in bytes.
private var peakMemory: Int {
  var usage = rusage()
  // 0 is RUSAGE_SELF, whose type differs between systems.
  getrusage(0, &usage)
  #if canImport(Darwin)
    return usage.ru_maxrss
  #else
    return usage.ru_maxrss * 1024
  #endif
}
