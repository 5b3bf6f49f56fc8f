import Foundation
import RSO
import Testing

@testable import RSOFormats

/// `rso search`
struct VectorSearchCommandTests {
  /// A program in the shell whose losses look random, but depend on the candidate and the seed alone.
  private static let random = """
    #!/bin/sh
    echo starting >&2
    word() { od -An -tu4 -j $(($1 * 4)) -N 4 head.$$ | tr -d ' '; }
    while head -c 32 > head.$$ && [ -s head.$$ ]; do
      length=$(($(word 3) * 4)); seed=$(word 4); i=$(word 2)
      while [ $i -gt 0 ]; do
        n=$({ echo $seed; head -c $length; } | cksum | cut -d' ' -f1)
        # A 64-bit float from 1 to 2.
        printf "\\\\0\\\\0\\\\$(printf %03o $((n & 255)))\\\\$(printf %03o $((n >> 8 & 255)))"
        printf "\\\\$(printf %03o $((n >> 16 & 255)))\\\\$(printf %03o $((n >> 24 & 255)))\\\\360\\\\077"
        i=$((i - 1))
      done
    done
    rm -f head.$$
    """

  static let options = [
    "search", "--start", "start.safetensors", "--command", "sh random.sh",
  ]

  func with(_ body: (Workplace) throws -> Void) throws {
    try Workplace.with { place in
      try SafeTensors(tensors: [
        ("gains", .init(shape: [2, 2], values: [1, 2, 3, 4])),
        ("offset", .init(shape: [], values: [0.5])),
      ]).write(to: place.file("start.safetensors"))
      try Data(Self.random.utf8).write(to: place.file("random.sh"))
      try body(place)
    }
  }

  /// Stopped after a fraction of a second, again and again.
  @Test func aRunInPieces() throws {
    try with { place in
      let options = Self.options + ["--cycles", "8", "--trace", "r/trace.jsonl", "--run", "r"]
      #expect(try place.run(options).code == 0)
      let expected = try RunFiles(place, "r")
      var (stops, isWithin) = (0, false)
      // On a busy machine, no stop of one run may fall within a tensor.
      for _ in 0..<10 where !isWithin {
        try FileManager.default.removeItem(at: place.file("r"))
        var minutes = 0.005
        while true {
          let exists = FileManager.default.fileExists(atPath: place.file("r").path)
          let result = try place.run(
            (exists ? ["search", "--run", "r", "--resume"] : options) + ["--minutes", "\(minutes)"])
          minutes *= 1.1
          if result.code == 1, !exists { continue }
          #expect(result.code == 0 && result.errors == "", "\(result.errors)")
          guard result.output.contains("; go on with: rso search --run r --resume --minutes 0.0")
          else { break }
          stops += 1
          isWithin =
            try isWithin
            || Checkpoint(contentsOf: place.file("r/checkpoint.safetensors")).progress != nil
        }
        #expect(expected.differences(from: try RunFiles(place, "r")) == [])
      }
      #expect(stops > 1 && isWithin, "\(stops)")
    }
  }

  @Test func aRunFromStartToReport() throws {
    try with { place in
      let result = try place.run(
        Self.options + ["--cycles", "3", "--run", "r", "--trace", "r/trace.jsonl"])
      #expect(result.code == 0 && result.errors == "", "\(result.errors)")
      let lines = result.output.split(separator: "\n").map(String.init)
      #expect(lines[0] == "tensors: 2, 5 values")
      #expect(lines[1] == "search: 3 cycles of 2 sweeps, seed 0")
      #expect(lines[3].hasPrefix("start: loss 1."))
      #expect(lines[4].contains("kept      loss evaluated best loss      time"))
      #expect(lines[5].hasPrefix("    1  gains ") && lines[6].hasPrefix("    1  offset "))
      #expect(lines.contains("the best tensors: r/best.safetensors"))
      #expect(!result.output.contains("accuracy") && !result.output.contains("rso evaluate"))

      let metrics = try place.metrics("r")
      #expect(
        metrics.map(\.parameter) == ["gains", "offset", "gains", "offset", "gains", "offset"])
      #expect(metrics.allSatisfy { $0.accuracy == nil && 1..<2 ~= $0.loss ?? 0 && $0.batch == 1 })
      #expect(metrics.last?.totals?.proposals == 15 && metrics.last?.totals?.evaluations == 45)
      // σ is the deviation of the values, and 0.1 of a single one.
      #expect(abs((metrics[0].sigma ?? 0) - 1.25.squareRoot()) < 1e-6 && metrics[1].sigma == 0.1)
      let best = try place.tensors("r/best.safetensors")
      #expect(best.tensors.map(\.name) == ["gains", "offset"])
      #expect(best.tensors.map(\.tensor.shape) == [[2, 2], []])
      #expect(try place.traceLines("r/trace.jsonl").count == 15)
      let tags = Set(try place.events("r").flatMap { $0.summary.value.map(\.tag) })
      #expect(
        tags.isSuperset(of: ["loss/gains", "test/loss", "weights/offset", "cycle/test_loss"]))

      let report = try place.run(["report", "r"])
      #expect(report.code == 0, "\(report.errors)")
      let page = try place.text("r/report.html")
      for text in ["the answers of sh random.sh", "2 tensors, 5 values", "seed of evaluations"] {
        #expect(page.contains(text), "\(text)")
      }
      for text in ["Confusion", "Mistakes", "Filters", "images", "untrained"] {
        #expect(!page.contains(text), "\(text)")
      }
    }
  }

  @Test func aKilledRunEndsWithTheSameBits() throws {
    try with { place in
      for rule in ["best", "slope"] {
        let options = Self.options + ["--cycles", "6", "--rule", rule, "--seed", "5"]
        func trace(_ folder: String) -> [String] {
          ["--run", folder, "--trace", "\(folder)/trace.jsonl"]
        }
        #expect(try place.run(options + trace("whole-\(rule)")).code == 0)
        let name = "killed-\(rule)"
        let running = try Tool.Running(options + trace(name), in: place.url)
        while running.process.isRunning, ((try? place.metrics(name)) ?? []).count < 5 {
          usleep(200)
        }
        running.send(SIGKILL)
        _ = try running.wait()
        let left = try place.metrics(name).count
        #expect(5..<12 ~= left)
        let resumed = try place.run(["search", "--run", name, "--resume"])
        #expect(resumed.code == 0 && resumed.output.contains("resumed: cycle"))
        let (whole, killed) = (
          try RunFiles(place, "whole-\(rule)"), try RunFiles(place, name)
        )
        #expect(whole.differences(from: killed) == [])
        // Another seed is another run.
        #expect(try place.run(Self.options + ["--cycles", "6", "--run", "x-\(rule)"]).code == 0)
        #expect(try RunFiles(place, "x-\(rule)").best != whole.best)
      }
      // More cycles, after its end.
      let more = try place.run(["search", "--run", "whole-best", "--resume", "--cycles", "7"])
      #expect(more.code == 0 && more.output.contains("cycles: 7 instead of 6"))
      #expect(try place.metrics("whole-best").count == 14)
    }
  }

  @Test func whatTheProgramReads() throws {
    try with { place in
      // It keeps every question; all candidates are equal.
      let text = """
        #!/bin/sh
        word() { tail -c $1 questions | od -An -tu4 -j 8 -N 4 | tr -d ' '; }
        : > questions
        while head -c 32 >> questions && [ "$(($(wc -c < questions) - before))" = 32 ]; do
          count=$(word 32)
          head -c $((20 * count)) >> questions
          before=$(wc -c < questions)
          head -c $((8 * count)) /dev/zero
        done
        """
      try Data(("before=0\n" + text).utf8).write(to: place.file("keep.sh"))
      let result = try place.run([
        "search", "--start", "start.safetensors", "--command", "sh keep.sh", "--cycles", "1",
        "--run", "r", "--sigma", "gains=0.5,offset=2", "--anneal", "constant", "--trace", "t",
      ])
      #expect(result.code == 0, "\(result.errors)")
      let bytes = Array(try Data(contentsOf: place.file("questions")))
      let words = bytes.withUnsafeBytes { Array($0.bindMemory(to: UInt32.self)) }
      // The start, five proposals with an evaluation after each tensor.
      let sizes = [1, 3, 3, 3, 3, 1, 3, 1]
      #expect(words.count == sizes.reduce(0) { $0 + 8 + 5 * $1 })
      let trace = try place.traceLines("t")
      let sigmas = try place.metrics("r").compactMap(\.sigma)
      var word = 0
      var proposals = 0
      for size in sizes {
        let head = Array(words[word..<word + 8])
        #expect(Array(head[..<4]) == [0x564F_5352, 1, UInt32(size), 5])
        #expect((head[4] == 0) == (size == 1) && head[5] == (size == 1 ? 1 : 0))
        let vectors = words[word + 8..<word + 8 + 5 * size].map { Float(bitPattern: $0) }
        for candidate in 0..<size {
          var expected: [Float] = [1, 2, 3, 4, 0.5]
          if size == 3 {
            let line = trace[proposals]
            #expect(Int(head[7]) == line.index && (head[6] == 1) == (line.parameter == "offset"))
            expected[line.index + (line.parameter == "offset" ? 4 : 0)] = Float(
              line.candidates[candidate])
          }
          #expect(Array(vectors[5 * candidate..<5 * candidate + 5]) == expected)
        }
        proposals += size == 3 ? 1 : 0
        word += 8 + 5 * size
      }
      #expect(sigmas == [0.5, 2])
    }
  }

  @Test(arguments: [
    ([], "--start: expected a safetensors file to begin with, found none"),
    (["--start", "start.safetensors"], "--command: expected a program that judges, found none"),
    (["--start", "no.safetensors", "--command", "true"], "no.safetensors: "),
    (["--start", "net.json", "--command", "true"], "net.json: expected a header"),
    (["--start", "whole.safetensors", "--command", "true"], "expected n of dtype F32, found I32"),
    (
      ["--start", "nan.safetensors", "--command", "true"],
      "expected finite values, found nan at x[1]"
    ),
    (["--start", "none.safetensors", "--command", "true"], "expected a tensor or more to search"),
    (
      ["--start", "start.safetensors", "--command", " "], "--command: expected a command, found ' '"
    ),
    (ok + ["--timeout", "0"], "--timeout: expected seconds above 0"),
    (ok + ["--sigma", "wide"], "--sigma: expected a number, or names and numbers"),
    (ok + ["--sigma", "x=1"], "--sigma: expected the name of a tensor, found 'x'"),
    (ok + ["--sigma", "gains=1,gains=2"], "--sigma: expected each tensor once"),
    (ok + ["--sigma", "-1"], "--sigma: expected a number above 0 for gains, found -1.0"),
    (ok + ["--only", "x*"], "--only: expected a pattern of the names of parameters"),
    (ok + ["--sweeps", "gains=0,offset=0"], "--sweeps: expected a tensor to search"),
    (ok + ["--sweeps", "x=2"], "--sweeps: expected the name of a tensor, found 'x'"),
    (ok + ["--rule", "worst"], "--rule: expected best"),
    (ok + ["--cycles", "0"], "--cycles: expected 1 to 1,000,000"),
    (ok + ["--trace", "start.safetensors"], "--trace: expected a file of its own"),
    (ok + ["--quiet", "--json"], "--json: expected it without --quiet"),
    (["--resume"], "--resume: expected --run DIR"),
    (ok + ["--run", "r", "--resume"], "--start: a run that goes on has begun already"),
    (["--run", "digits", "--resume"], "digits: expected a run to resume"),
  ])
  func whatIsWrong(options: [String], problem: String) throws {
    try with { place in
      try SafeTensors(tensors: [("x", .init(shape: [2], values: [0, .nan]))])
        .write(to: place.file("nan.safetensors"))
      try SafeTensors().write(to: place.file("none.safetensors"))
      let header = #"{"n":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#
      try Data(
        [UInt8(header.utf8.count)] + [UInt8](repeating: 0, count: 7) + header.utf8 + [1, 0, 0, 0]
      )
      .write(to: place.file("whole.safetensors"))
      let run = options.contains("--run") || options.contains("--resume") ? [] : ["--run", "r"]
      let result = try place.run(["search"] + options + run)
      #expect(result.code != 0)
      #expect(result.errors.contains(problem), "\(result.errors)")
      #expect(try !place.files().contains("r"))
    }
  }

  private static let ok = ["--start", "start.safetensors", "--command", "sh random.sh"]

  @Test func aProgramThatFailsIsShownWithItsLastWords() throws {
    try with { place in
      func program(_ answer: String) -> String {
        """
        #!/bin/sh
        echo starting >&2
        # The start has one candidate, a proposal three.
        size=52; count=8; n=0
        while [ $n -lt 3 ] && [ "$(head -c $size | wc -c)" = $size ]; do
          \(answer)
          n=$((n + 1)); size=92; count=24
        done
        echo the end is near >&2
        """
      }
      let zeros = "head -c $count /dev/zero"
      let cases: [(name: String, answer: String, problem: String)] = [
        ("ends", zeros, "it ended (exit status 0); its last words: starting | the end is near"),
        ("fails", "\(zeros); [ $n = 1 ] && exit 3", "(exit status 3); its last words: starting"),
        (
          "silent", "[ $n = 1 ] && sleep 60; \(zeros)",
          "expected an answer of 24 bytes within 1 seconds, found none; its last words: starting "
            + "(more time: --timeout)"
        ),
        ("few", "head -c 8 /dev/zero", "an answer of 24 bytes within 1 seconds, found 8"),
        ("talks", "head -c 25 /dev/zero", "found more"),
        (
          "nan", "\(zeros) | tr '\\000' '\\377'",
          "expected a number for each candidate, found NaN"
        ),
      ]
      for (name, answer, problem) in cases {
        try Data(program(answer).utf8).write(to: place.file("\(name).sh"))
        let result = try place.run([
          "search", "--start", "start.safetensors", "--command", "sh \(name).sh", "--timeout", "1",
          "--run", name,
        ])
        #expect(result.code == 1, "\(name)")
        #expect(result.errors.contains("sh \(name).sh: "), "\(name): \(result.errors)")
        #expect(result.errors.contains(problem), "\(name): \(result.errors)")
      }
      let gone = try place.run([
        "search", "--start", "start.safetensors", "--command", "/no/program", "--run", "g",
      ])
      #expect(gone.code == 1)
      #expect(gone.errors.contains("/no/program: expected answers until it is told to stop"))
      #expect(try !place.files().contains("g"))
      // What began is saved, and goes on when the program is mended.
      let advice = "the run is saved up to its last finished tensor; go on with: rso search --run"
      try Data(program("\(zeros); [ $n = 2 ] && exit 3").utf8).write(to: place.file("random.sh"))
      let broken = try place.run(Self.options + ["--run", "r", "--cycles", "2"])
      #expect(
        broken.code == 1 && broken.errors.contains("\(advice) r --resume"), "\(broken.errors)")
      try Data(Self.random.utf8).write(to: place.file("random.sh"))
      let mended = try place.run(["search", "--run", "r", "--resume", "--timeout", "30"])
      #expect(mended.code == 0, "\(mended.errors)")
      #expect(try place.metrics("r").count == 4)
    }
  }

  @Test func aRunGoesOnAsItBegan() throws {
    try with { place in
      #expect(try place.run(Self.options + ["--run", "r", "--cycles", "2"]).code == 0)
      #expect(try place.train(["--run", "t", "--cycles", "1"]).code == 0)
      for (arguments, problem) in [
        (
          ["search", "--run", "r", "--resume", "--command", "true"],
          "--command: the run has sh random.sh, found true"
        ),
        (["search", "--run", "r", "--resume", "--seed", "1"], "--seed: the run has 0, found 1"),
        (
          ["search", "--run", "r", "--resume", "--cycles", "1"],
          "--cycles: the run has 2, of which 2 are done"
        ),
        (["search", "--run", "r", "--resume", "--trace", "t.jsonl"], "--trace: the run has none"),
        (
          ["search", "--run", "t", "--resume"],
          "t: expected a search without a network, found the run of a network"
        ),
        (
          ["train", "--run", "r", "--resume"],
          "r: expected the run of a network, found a search without one"
        ),
        (["evaluate", "r"], "r/best.safetensors: expected a network, found a search without one"),
        (
          ["predict", "r", "a.png"],
          "r/best.safetensors: expected a network, found a search without one"
        ),
        (["train"] + Workplace.options + ["--from", "r"], "r/best.safetensors"),
        (["search", "--run", "r"] + Self.ok, "r: expected an empty folder, found a run"),
      ] {
        let result = try place.run(arguments)
        #expect(result.code != 0, "\(arguments)")
        #expect(result.errors.contains(problem), "\(arguments): \(result.errors)")
      }
      let done = try place.run(["search", "--run", "r", "--resume"])
      #expect(done.code == 0 && done.output.contains("this run is finished"))
      // The best tensors begin another search.
      let next = try place.run([
        "search", "--start", "r/best.safetensors", "--command", "sh random.sh", "--cycles", "1",
        "--run", "n", "--json",
      ])
      #expect(next.code == 0, "\(next.errors)")
      #expect(next.output.split(separator: "\n").count == 4)
    }
  }

  @Test func controlC() throws {
    try with { place in
      let running = try Tool.Running(
        Self.options + ["--run", "r", "--cycles", "1000"], in: place.url)
      while running.process.isRunning, ((try? place.metrics("r")) ?? []).count < 3 { usleep(200) }
      running.send(SIGINT)
      let result = try running.wait()
      #expect(result.code == 130 && result.signal == nil)
      #expect(
        result.errors.hasSuffix(
          "rso: stopped by Control-C; go on with: rso search --run r --resume\n"))
    }
  }
}
