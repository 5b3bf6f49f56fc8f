extension SearchSettings {
  /// - Throws: `RSOError` naming the setting.
  public func validate(samples: Int, network: Network) throws {
    func require(
      _ holds: Bool, _ setting: String, _ expected: String, _ found: Any, _ hint: String? = nil
    ) throws {
      guard holds else {
        throw RSOError(setting, "expected \(expected), found \(found)", hint: hint)
      }
    }
    try require((1...1_000_000).contains(cycles), "`cycles`", "1 to 1,000,000", cycles)
    for size in firstBatches.map(\.size) + [batchSize] {
      try require(size >= 1, "`batchSize`", "1 or more", size)
      try require(
        size <= samples, "`batchSize`", "at most the \(samples) training samples", size,
        "use `batchSize` \(samples) or less")
    }
    for step in firstBatches {
      try require(
        (1...1_000_000).contains(step.cycles), "`batchSize` \(step.size)", "1 to 1,000,000 cycles",
        step.cycles)
    }
    try require(hold.isValid, "`hold`", "1 or more elements, or channel", hold)
    for span in firstRounds.map(\.span) + [round] {
      try require(span.isValid, "`round`", "1 or more elements, or channel", span)
    }
    for step in firstRounds {
      try require(
        (1...1_000_000).contains(step.cycles), "`round` \(step.span)", "1 to 1,000,000 cycles",
        step.cycles)
    }
    try rule.validate()
    try anneal.validate()
    try require(
      weightDecay >= 0 && weightDecay < 1, "`weightDecay`", "0 or more and less than 1",
      weightDecay)
    try require(
      deviationScale > 0 && deviationScale.isFinite, "`deviationScale`", "a number above 0",
      deviationScale)
    let slots = Parameters(zerosFor: network).slots
    for (setting, patterns) in [("`only`", only), ("`freeze`", freeze)] {
      guard let patterns else { continue }
      try require(!patterns.isEmpty, setting, "a pattern or more", "none")
      for pattern in patterns {
        try require(
          slots.contains { Self.matches($0.name, pattern) }, setting,
          "a pattern of the names of parameters", "'\(pattern)', which matches none",
          "there are " + slots.map(\.name).joined(separator: ", "))
      }
    }
    try require(
      freeze == nil || slots.contains(where: searches), "`freeze`", "a parameter left to search",
      "none: the patterns match all"
        + (only.map { " that `only` \($0.joined(separator: " `only` ")) names" } ?? ""))
    let names = slots.compactMap { slot in
      SweepPlan.group(of: slot.node, in: network).map { network.nodes[$0].name }
    }
    for (name, count) in sweeps {
      try require(
        names.contains(name), "`sweeps`", "the name of a convolution or linear layer", "'\(name)'",
        "there are " + Set(names).sorted().joined(separator: ", "))
      try require((0...1000).contains(count), "`sweeps` \(name)", "0 to 1000 times", count)
    }
  }
}
