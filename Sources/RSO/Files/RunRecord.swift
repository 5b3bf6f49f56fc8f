import Foundation

/// The results of a run so far, read from its folder without changing it.
package struct RunRecord: Sendable {
  package let url: URL
  package let checkpoint: Checkpoint
  /// One entry for every finished tensor.
  package let metrics: [Metrics]
  /// The untrained network; `nil` for runs from versions that did not record it.
  package let untrained: Metrics?
  /// The best so far; `nil` before the first evaluation of a finished tensor.
  package let best: RandomSearch.Content?
  /// Who worked on the run; empty for runs from versions that did not record it.
  package let sessions: [Session]
  /// What it began with; `nil` for runs from versions that did not keep it.
  package let initial: RandomSearch.Content?

  /// - Throws: `RSOError` if there is no run, a program is still writing it, or a file is damaged, cut short or of
  ///   another version.
  package init(reading url: URL) throws {
    func file(_ name: String) -> URL { url.appendingPathComponent(name) }
    guard FileManager.default.fileExists(atPath: file(RunFolder.Name.checkpoint).path) else {
      throw RSOError(
        url.path, "expected the folder of a run, found no \(RunFolder.Name.checkpoint)",
        hint: "check the path")
    }
    // Held while reading, so that all files are from the same moment.
    let lock = try FolderLock(
      url, hint: "the run goes on: stop it or wait; TensorBoard shows it meanwhile")
    defer { withExtendedLifetime(lock) {} }
    self.url = url
    checkpoint = try Checkpoint(contentsOf: file(RunFolder.Name.checkpoint))
    let sweeps = checkpoint.sweeps
    let lines = try Self.metrics(
      file(RunFolder.Name.metrics),
      count: checkpoint.position.cycle * sweeps.count + checkpoint.position.sweep)
    untrained = lines.first.flatMap { $0.parameter == nil ? $0 : nil }
    metrics = untrained == nil ? lines : Array(lines.dropFirst())
    sessions = try Session.read(file(RunFolder.Name.sessions))
    let content = checkpoint.content
    best = try metrics.isEmpty ? nil : Self.content(file(RunFolder.Name.best), like: content)
    initial = try Self.content(file(RunFolder.Name.initial), like: content)
  }

  /// The content of a file; `nil` if there is no such file.
  private static func content(
    _ url: URL, like other: RandomSearch.Content
  ) throws -> RandomSearch.Content? {
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    let content = try RandomSearch.Content(contentsOf: url)
    guard content.network == other.network, content.parameters.slots == other.parameters.slots
    else {
      throw RSOError(
        url.path,
        "expected the \(other.network == nil ? "tensors" : "network") of "
          + "\(RunFolder.Name.checkpoint), found another")
    }
    return content
  }

  /// The lines that the checkpoint counts, and the untrained network's.
  private static func metrics(_ url: URL, count: Int) throws -> [Metrics] {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw RSOError(
        url.path, "expected the metrics of a run, found no such file",
        hint: "a run that was killed as it began has none: go on with it, --run DIR --resume")
    }
    let bytes = try readFile(url)
    guard bytes.isEmpty || bytes.last == UInt8(ascii: "\n") else {
      throw RSOError(
        url.path, "expected whole lines, found a part of one at its end",
        hint: "the run was killed: going on with it, --run DIR --resume, mends the file")
    }
    let found = try Metrics.read(bytes, count: count, file: url.path)
    guard let metrics = found.metrics else {
      throw RSOError(
        url.path,
        "expected lines of \(count) tensors as in \(RunFolder.Name.checkpoint), "
          + "found \(found.tensors)")
    }
    return metrics
  }
}
