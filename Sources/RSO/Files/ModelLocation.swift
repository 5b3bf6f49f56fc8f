import Foundation

extension Model {
  /// The file of a model: `url` itself or, if it is the folder of a run, the run's best model.
  ///
  /// - Throws: `RSOError` if a folder holds no model, naming the runs in it if there are any.
  package static func file(at url: URL) throws -> URL {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder),
      isFolder.boolValue
    else { return url }
    func exists(_ name: String) -> Bool {
      FileManager.default.fileExists(atPath: url.appendingPathComponent(name).path)
    }
    let best = RunFolder.Name.best
    if exists(best) { return url.appendingPathComponent(best) }
    guard !exists(RunFolder.Name.checkpoint) else {
      throw RSOError(
        url.path, "expected a run with a best model, found one without an evaluation so far",
        hint: "its latest model is \(RunFolder.Name.checkpoint)")
    }
    let runs = RunFolder.runs(in: url)
    throw RSOError(
      url.path, "expected a model or the folder of a run, found a folder without \(best)",
      hint: runs.first.map { "it holds \(runs.count) runs: name one, such as \($0)" }
        ?? "check the path")
  }
}

extension RunFolder {
  /// The names of the runs in a folder, in the order that people count: seed-9 comes before seed-10. Empty if the folder
  /// is itself a run, or cannot be read.
  package static func runs(in url: URL) -> [String] {
    func isRun(_ url: URL) -> Bool {
      FileManager.default.fileExists(atPath: url.appendingPathComponent(Name.checkpoint).path)
    }
    if isRun(url) { return [] }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []
    return names.filter { isRun(url.appendingPathComponent($0)) }
      .sorted { $0.compare($1, options: .numeric) == .orderedAscending }
  }
}

extension RunFolder {
  /// The folder of the run that a file belongs to, if a run cannot do without it; `nil` if there is none.
  package static func run(whichNeeds file: URL) -> String? {
    let file = file.standardizedFileURL.resolvingSymlinksInPath()
    let folder = file.deletingLastPathComponent()
    let checkpoint = folder.appendingPathComponent(Name.checkpoint).path
    let own = files(in: folder.path)
    guard own.contains(file.path), FileManager.default.fileExists(atPath: file.path),
      FileManager.default.fileExists(atPath: checkpoint)
    else { return nil }
    return folder.path
  }
}
