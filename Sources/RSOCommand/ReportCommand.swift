import ArgumentParser
import Foundation
import RSO
import RSOFormats

/// `rso report`
struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write a page about one run or several.",
    discussion: """
      One file of HTML that needs nothing else: settings, learning curves, kept shares, how far each \
      tensor has moved, filters, confusion and mistakes. Several runs are on the same axes.

        rso report runs/five
        rso report runs/five runs/quick --output both.html
        rso report runs                       all runs in a folder
      """)

  @Argument(help: "Run folders, or folders of runs.", completion: .directory)
  var runs: [String]

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Where to write it (default: report.html in the first folder).", valueName: "file"),
    completion: .file())
  var output: String?

  @Option(
    help: ArgumentHelp("Where the data are now, if they were moved.", valueName: "dir"),
    completion: .directory)
  var dataDir: String?

  @OptionGroup var classNames: ClassNameOptions

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Threads of the CPU (default: one per core).", valueName: "n"))
  var threads: Int?

  @Flag(name: .shortAndLong, help: "Say nothing.")
  var quiet = false

  func run() throws {
    var files = OutputFiles()
    for run in runs { files.add(folder: run, "a file of the run", except: ".html") }
    files.add(folder: dataDir, "one of the data's files")
    try files.write(output, "--output")
    let options = try DataOptions.parse(dataDir.map { ["--data-dir", $0] } ?? [])
    let folders = runs.flatMap { path in
      let inside = RunFolder.runs(in: URL(fileURLWithPath: path))
      return inside.isEmpty
        ? [path] : inside.map { URL(fileURLWithPath: path).appendingPathComponent($0).relativePath }
    }
    let names = folders.map { URL(fileURLWithPath: $0).lastPathComponent }
    let parts = try zip(folders, names).map { path, name in
      let record = try RunRecord(reading: URL(fileURLWithPath: path))
      let configuration = record.checkpoint.configuration
      let network = record.checkpoint.content.network
      if let network { _ = try classNames.names(for: network) }
      return try ReportRun(
        // Paths tell two runs of the same name apart.
        name: names.count { $0 == name } > 1 ? path : name, record: record,
        data: network == nil ? nil : options.dataset(of: configuration), threads: threads)
    }
    let given = try classNames.classNames.flatMap { _ in
      try parts[0].content.network.map(classNames.names)
    }
    let file =
      output ?? URL(fileURLWithPath: runs[0]).appendingPathComponent("report.html").relativePath
    try AtomicFile.write(Report(parts, classNames: given).html(), to: URL(fileURLWithPath: file))
    if !quiet { Console.line("report: \(file)") }
  }
}
