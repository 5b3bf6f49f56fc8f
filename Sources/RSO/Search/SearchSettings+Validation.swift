extension SearchSettings {
  /// - Throws: `RSOError` naming the setting.
  public func validate(samples: Int, network: Network) throws {
    let slots = Parameters.slots(of: network)
    let names = slots.compactMap { slot in
      SweepPlan.group(of: slot.node, in: network).map { network.nodes[$0].name }
    }
    try validate(
      samples: samples, slots, swept: Set(names), called: "a convolution or linear layer")
  }

  /// Checks the settings of a search without a network.
  ///
  /// - Throws: `RSOError` naming the setting.
  func validate(tensors slots: [Parameters.Slot]) throws {
    try validate(samples: 1, slots, swept: Set(slots.map(\.name)), called: "a tensor")
    guard statistics == .renew else {
      throw RSOError(
        "`statistics`", "expected renew: without a network there are none to keep, found keep")
    }
  }

  /// - Parameters:
  ///   - names: what `sweeps` may name.
  ///   - kind: what they are names of.
  private func validate(
    samples: Int, _ slots: [Parameters.Slot], swept names: Set<String>, called kind: String
  ) throws {
    func require(
      _ holds: Bool, _ setting: String, _ expected: String, _ found: Any, _ hint: String
    ) throws {
      guard holds else {
        throw RSOError(setting, "expected \(expected), found \(found)", hint: hint)
      }
    }
    let lengths = 1...1_000_000
    let schedule = "a schedule such as 1000:2,5000 has 1000 for two cycles, then 5000"
    try require(
      lengths.contains(cycles), "`cycles`", "1 to 1,000,000", cycles,
      "a cycle changes every weight once; the paper has 50")
    for size in firstBatches.map(\.size) + [batchSize] {
      try require(
        size >= 1, "`batchSize`", "1 or more", size,
        "it is the number of samples that judge a weight; the paper has 5000")
      try require(
        size <= samples, "`batchSize`", "at most the \(samples) training samples", size,
        "use `batchSize` \(samples) or less")
    }
    for step in firstBatches {
      try require(
        lengths.contains(step.cycles), "`batchSize` \(step.size)", "1 to 1,000,000 cycles",
        step.cycles, schedule)
    }
    try require(
      hold.isValid, "`hold`", "1 or more elements, or channel", hold,
      "1 gives every weight a mini-batch of its own")
    for span in firstRounds.map(\.span) + [round] {
      try require(
        span.isValid, "`round`", "1 or more elements, or channel", span,
        "1 decides on every weight before the next one is judged")
    }
    for step in firstRounds {
      try require(
        lengths.contains(step.cycles), "`round` \(step.span)", "1 to 1,000,000 cycles", step.cycles,
        "a schedule such as 1:2,channel has 1 for two cycles, then a channel")
    }
    try rule.validate()
    try anneal.validate()
    try require(
      weightDecay >= 0 && weightDecay < 1, "`weightDecay`", "0 or more and less than 1",
      weightDecay, "0 turns it off; the paper has 0.0001")
    try require(
      deviationScale > 0 && deviationScale.isFinite, "`deviationScale`", "a number above 0",
      deviationScale, "1 leaves the proposals as wide as they are")
    for (setting, patterns) in [("`only`", only), ("`freeze`", freeze)] {
      guard let patterns else { continue }
      try require(
        !patterns.isEmpty, setting, "a pattern or more", "none",
        "leave it out to search every parameter")
      for pattern in patterns {
        try require(
          tensorNames(of: slots).contains { Self.matches($0, pattern) }, setting,
          "a pattern of the names of parameters", "'\(pattern)', which matches none",
          "there are " + tensorNames(of: slots).joined(separator: ", "))
      }
    }
    try require(
      freeze == nil || tensorNames(of: slots).contains(where: searches), "`freeze`",
      "a parameter left to search",
      "none: the patterns match all"
        + (only.map { " that `only` \($0.joined(separator: " `only` ")) names" } ?? ""),
      "freeze fewer parameters")
    try require(
      scales == .fixed || slots.contains { $0.domain.isDiscrete }, "`scales`",
      "fixed: no weights are discrete", scales.rawValue,
      "binary, ternary and integer weights have scales: `weights`")
    if case .leader = rule {
      try require(
        slots.contains(where: \.domain.isDiscrete), "`rule`",
        "another one: no weights are discrete",
        "\(rule)", "set them: `weights`; floats alone follow slope")
    }
    for (name, count) in sweeps {
      try require(
        names.contains(name), "`sweeps`", "the name of \(kind)", "'\(name)'",
        "there are " + names.sorted().joined(separator: ", "))
      try require(
        (0...1000).contains(count), "`sweeps` \(name)", "0 to 1000 times", count,
        "0 leaves it as it is")
    }
  }
}

extension SearchSettings {
  /// - Throws: `RSOError` naming the setting that asks for what a card does not do.
  func requireCard(for sweeps: [Sweep]) throws {
    let hint = "search on the CPU: --device cpu"
    if sweeps.contains(where: { $0.part == .scales }) {
      throw RSOError(
        "`scales`", "expected fixed on a card, found \(scales.rawValue)", hint: hint)
    }
    if case .leader = rule {
      throw RSOError(
        "`rule`", "expected best, margin, slope or parabola on a card, found \(rule)", hint: hint)
    }
  }
}
