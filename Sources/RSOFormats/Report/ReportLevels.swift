import RSO

extension Report {
  /// How often a discrete tensor has each of its levels, for every run with such tensors; empty if there are none.
  var levels: String {
    guard runs.contains(where: { $0.content.network?.hasDiscreteWeights == true }) else {
      return ""
    }
    let body = eachRun { run in
      let parameters = run.parameters
      let panels = parameters.slots.indices.compactMap { histogram($0, of: parameters) }
      if panels.isEmpty { return "<p class=weak>Its weights are floats.</p>" }
      return "<div class=small>\(panels.joined(separator: "\n"))</div>"
    }
    return section(
      "Levels",
      "How many weights of a tensor have each level; a weight is its level times a scale.",
      body)
  }

  /// - Returns: `nil` if the tensor's weights are floats.
  private func histogram(_ tensor: Int, of parameters: Parameters) -> String? {
    let slot = parameters.slots[tensor]
    guard slot.domain.isDiscrete, let levels = try? parameters.levels(of: tensor) else {
      return nil
    }
    var counts: [Int8: Int] = [:]
    for level in levels { counts[level, default: 0] += 1 }
    let all = slot.domain.levels.filter(slot.domain.has)
    let largest = Double(max(counts.values.max() ?? 1, 1))
    let (width, height) = (240.0, 110.0)
    let each = width / Double(all.count)
    let bars = all.enumerated().map { index, level in
      let count = counts[Int8(clamping: level), default: 0]
      let size = Double(count) / largest * (height - 20)
      return
        "<rect class=b0 x=\(decimal(Double(index) * each, 2)) y=\(decimal(height - 20 - size, 2)) "
        + "width=\(decimal(each * 0.8, 2)) height=\(decimal(size, 2))>"
        + "<title>level \(level): \(count) of \(slot.count)</title></rect>"
    }
    // As many numbers as there is room for.
    let step = max(all.count / 8, 1)
    let numbers = all.enumerated().filter { $0.offset % step == 0 }.map { index, level in
      "<text class=weak text-anchor=middle x=\(decimal((Double(index) + 0.4) * each, 2)) "
        + "y=\(decimal(height - 4, 0))>\(level)</text>"
    }
    let svg =
      "<svg viewBox=\"0 0 240 110\" role=img>\((bars + numbers).joined())</svg>"
    return "<figure class=panel>\n<figcaption>\(escaped(slot.name)), \(slot.domain)</figcaption>\n"
      + "\(svg)\n</figure>"
  }
}
