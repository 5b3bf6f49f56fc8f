import Foundation
import RSO
import Testing

/// The folder of a run stands for its best model, and a folder of runs for the runs in it.
struct RunPathTests {
  private func train(_ place: Workplace, _ run: String, _ options: [String] = []) throws {
    let result = try place.train(["--cycles", "1", "--run", run, "--quiet"] + options)
    #expect(result.code == 0 && result.errors == "")
  }

  @Test func aRunIsItsBestModel() throws {
    try Workplace.with { place in
      try train(place, "runs/a")
      let best = "runs/a/best.safetensors"
      // The last model would not do.
      try FileManager.default.removeItem(at: place.file("runs/a/checkpoint.safetensors"))
      let image = "digits/t10k-images-idx3-ubyte"
      for (before, after) in [
        (["evaluate"], ["--data-dir", "digits"]), (["predict"], [image, "--csv"]),
        (["export"], ["--safetensors", "w.safetensors"]),
      ] {
        let file = try place.run(before + [best] + after)
        let folder = try place.run(before + ["runs/a"] + after)
        #expect(file.code == 0 && folder.code == 0 && folder.errors == "", "\(folder.errors)")
        #expect(folder.output == file.output)
      }
      let result = try place.train([
        "--from", "runs/a", "--cycles", "1", "--run", "b", "--quiet", "--only", "fc*",
      ])
      #expect(result.code == 0 && result.errors == "")
      #expect(
        try place.tensors("b/initial.safetensors").tensors.map(\.tensor)
          == place.tensors(best).tensors.map(\.tensor))
    }
  }

  @Test func aFolderWithoutAModelIsAnError() throws {
    try Workplace.with { place in
      try train(place, "runs/a")
      try train(place, "runs/b")
      try FileManager.default.createDirectory(
        at: place.file("none"), withIntermediateDirectories: false)
      try FileManager.default.removeItem(at: place.file("runs/a/best.safetensors"))
      for (path, errors) in [
        (
          "runs",
          "/runs: expected a model or the folder of a run, found a folder without best.safetensors "
            + "(it holds 2 runs: name one, such as a)"
        ),
        ("none", "/none: expected a model or the folder of a run, found a folder without best."),
        (
          "runs/a",
          "/runs/a: expected a run with a best model, found one without an evaluation so far "
            + "(its latest model is checkpoint.safetensors)"
        ),
      ] {
        let result = try place.run(["evaluate", path, "--data-dir", "digits"])
        #expect(result.code == 1)
        #expect(result.errors.contains(errors), "\(result.errors)")
        #expect(try place.train(["--from", path, "--run", "c"]).errors.contains(errors))
      }
    }
  }

  /// In the order that people count in.
  @Test func aReportAboutAFolderOfRuns() throws {
    try Workplace.with { place in
      for name in ["run-10", "run-9"] { try train(place, "runs/\(name)") }
      try train(place, "other/run-9", ["--seed", "3"])
      let result = try place.run(["report", "runs"])
      #expect(result.errors == "" && result.output == "report: runs/report.html\n")
      #expect(try place.text("runs/report.html").contains("<title>run-9, run-10"))
      // Paths tell equal names apart; the folder still counts as one of runs, with a page in it.
      #expect(try place.run(["report", "runs", "other/run-9", "-o", "all.html"]).code == 0)
      #expect(
        try place.text("all.html").contains("<title>runs/run-9, run-10, other/run-9"))
    }
  }
}
