import Foundation
import RSO
import Testing

// What `rso search` has in common with `rso train`.
extension VectorSearchCommandTests {
  /// Each of several seeds is the run of its seed; more can join them.
  @Test func severalSeeds() throws {
    try with { place in
      let options = Self.options + ["--cycles", "2", "--quiet"]
      let result = try place.run(options + ["--seeds", "0,3", "--run", "s"])
      #expect(result.code == 0 && result.errors == "")
      #expect(result.output.contains("2 seeds, mean ± standard deviation: best loss 1."))
      let more = try place.run(
        ["search", "--run", "s", "--resume", "--seeds", "0,3,4", "--quiet"])
      #expect(more.code == 0 && more.output.contains("3 seeds"))
      for seed in [0, 3, 4] {
        let single = try place.run(options + ["--seed", "\(seed)", "--run", "one-\(seed)"])
        #expect(single.code == 0)
        #expect(
          try RunFiles(place, "one-\(seed)").differences(from: RunFiles(place, "s/seed-\(seed)"))
            == [])
      }
      let other = try place.run(["train", "--run", "s", "--resume"])
      #expect(other.code == 1 && other.errors.contains("s: expected the run of a network"))
      let both = try place.run(options + ["--seeds", "0,1", "--seed", "2", "--run", "x"])
      #expect(both.code == 64 && both.errors.contains("--seed: expected it for a single run"))

      // Nothing is said of what there is not: classes, mini-batches and data.
      #expect(try place.run(["report", "s"]).code == 0)
      let page = try place.text("s/report.html")
      #expect(page.contains("<th>runs</th><th>best loss</th>"))
      #expect(page.contains("<th>cycle</th><th>evaluated loss</th><th>time</th>"))
      #expect(page.contains("<td>σ in the first cycle</td><td>gains 1.118, offset 0.1</td>"))
      #expect(page.contains("<td>began with</td><td>start.safetensors</td>"))
      for text in ["accuracy", "<td>batch</td>", "<td>data</td>", "<td>–</td>"] {
        #expect(!page.contains(text), "\(text)")
      }
    }
  }

  /// A tensor's name may have the signs that part names and numbers.
  @Test func namesWithSigns() throws {
    try with { place in
      try SafeTensors(tensors: [
        ("a=b,c", .init(shape: [1], values: [1])), ("a", .init(shape: [1], values: [1])),
      ]).write(to: place.file("start.safetensors"))
      let result = try place.run(
        Self.options + [
          "--cycles", "1", "--run", "r", "--sigma", "a=0.5,a=b,c=0.25", "--sweeps", "a=2,a=b,c=1",
        ])
      #expect(result.code == 0, "\(result.errors)")
      #expect(try place.metrics("r").map(\.sigma) == [0.25, 0.5, 0.5])
      for (sigma, error) in [
        ("a=0.5,", "names and numbers as in w=0.5,b=0.1, found ''"), ("=1", "found '=1'"),
        ("a=0.5,a=b", "found 'a=b'"), ("a=1,a=2", "expected each tensor once, found 'a' again"),
        ("d=1", "expected the name of a tensor, found 'd'"),
      ] {
        let wrong = try place.run(Self.options + ["--run", "w", "--sigma", sigma])
        #expect(wrong.code == 64 && wrong.errors.contains(error), "\(sigma): \(wrong.errors)")
      }
    }
  }

  /// Names may hold what JSON escapes: such runs go on, and have traces and reports.
  @Test func namesThatJSONEscapes() throws {
    try with { place in
      let names = ["a\"b<i>&\\", "c\\t", "d\ne\u{1}"]
      try SafeTensors(tensors: names.map { ($0, .init(shape: [1], values: [1])) })
        .write(to: place.file("start.safetensors"))
      let result = try place.run(
        Self.options + ["--cycles", "1", "--run", "r", "--trace", "trace.jsonl", "--json"])
      #expect(result.code == 0, "\(result.errors)")
      let more = try place.run(["search", "--run", "r", "--resume", "--cycles", "2", "--quiet"])
      #expect(more.code == 0, "\(more.errors)")
      #expect(try place.metrics("r").compactMap(\.parameter) == names + names)
      #expect(try place.traceLines("trace.jsonl").map(\.parameter) == names + names)
      #expect(try place.run(["report", "r"]).code == 0)
      #expect(try !place.text("r/report.html").contains("<i>"))
    }
  }

  /// What cannot begin leaves nothing, and what cannot go on changes nothing.
  @Test func seedsThatCannotRun() throws {
    try with { place in
      let seeds = ["--seeds", "0..1", "--quiet", "--run", "r"]
      let before = try place.files()
      for wrong in [["--cycles", "0"], ["--hold", "0"], ["--command", "false"]] {
        let result = try place.run(Self.options + seeds + wrong)
        #expect(result.code != 0 && !result.errors.contains("go on"), "\(result.errors)")
        #expect(try place.files() == before, "\(wrong)")
      }
      // Stopped in its first evaluation.
      let slow = ["--command", "sleep 60", "--minutes", "0.01"]
      let stopped = try place.run(Self.options + seeds + slow)
      #expect(!(stopped.output + stopped.errors).contains("go on"), "\(stopped)")
      #expect(try place.files() == before)

      #expect(try place.run(Self.options + seeds + ["--cycles", "1"]).code == 0)
      let list = try place.text("r/seeds.json")
      let resume = ["search", "--run", "r", "--resume", "--quiet"]
      for wrong in [["--cycles", "1000001"], ["--cycles", "3", "--timeout", "-1"]] {
        #expect(try place.run(resume + wrong).code == 64)
        #expect(try place.text("r/seeds.json") == list, "\(wrong)")
      }
      #expect(try place.run(resume + ["--cycles", "2"]).code == 0)
      #expect(try place.text("r/seeds.json") != list)
    }
  }

  /// Commands that need a network say that there is none.
  @Test func aSearchIsNoNetwork() throws {
    try with { place in
      #expect(try place.run(Self.options + ["--cycles", "1", "--run", "r"]).code == 0)
      let train = try place.run(["train", "--data-dir", "digits", "--from", "r", "--run", "x"])
      #expect(train.code != 0)
      #expect(
        train.errors.contains(
          "best.safetensors: expected a trained network, found the tensors of a search without one "
            + "(search on from them: rso search --start "))
      let describe = try place.run(["describe", "r"])
      #expect(describe.errors.contains("expected a network, found a search without one"))
    }
  }
}
