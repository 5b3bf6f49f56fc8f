import Foundation
import Testing

/// `--loss`, `--metric` and `--loss-command`.
struct LossOptionTests {
  @Test func theSmallestLossChoosesTheModel() throws {
    try Workplace.with { place in
      let result = try place.train([
        "--cycles", "2", "--run", "r", "--loss", "macro-f1 + 0.1 cross-entropy", "--metric",
        "kappa",
        "--metric", "auc",
      ])
      #expect(result.code == 0, "\(result.errors)")
      #expect(result.output.contains("best loss") && result.output.contains("  kappa 0."))
      let metrics = try place.metrics("r")
      let losses = metrics.compactMap(\.loss)
      #expect(losses.count == metrics.count)
      let words = String(format: "best: loss %.4f", losses.min() ?? 0)
      #expect(result.output.contains(words), "\(words) in \(result.output)")
      for line in metrics {
        let measures = try #require(line.measures)
        #expect(measures.keys.sorted() == ["auc", "kappa"])
      }
      // The loss is a mean: 1 − F1 and a tenth of the cross entropy.
      #expect((losses.min() ?? 9) < 1.3)
      // With its own settings it goes on; another loss needs a run of its own.
      let other = try place.run(["train", "--run", "r", "--resume", "--loss", "errors"])
      #expect(other.code != 0)
      #expect(
        other.errors.contains("--loss: the run has macro-f1 + 0.1 cross-entropy, found errors"))
    }
  }

  @Test func aKilledRunOfAMetricEndsWithTheSameBits() throws {
    try Workplace.with { place in
      let options = [
        "--cycles", "8", "--loss", "errors + 0.5 balanced-accuracy", "--metric", "auc",
      ]
      #expect(try place.train(options + ["--run", "whole"]).code == 0)
      let running = try Tool.Running(
        ["train"] + Workplace.options + options + ["--run", "r"], in: place.url)
      while running.process.isRunning, ((try? place.metrics("r")) ?? []).count < 9 { usleep(200) }
      running.send(SIGKILL)
      _ = try running.wait()
      #expect(try place.run(["train", "--run", "r", "--resume"]).code == 0)
      #expect(try RunFiles(place, "whole").differences(from: RunFiles(place, "r")) == [])
    }
  }

  @Test(arguments: [
    (["--loss", "f1"], "--loss: expected cross-entropy, hinge"),
    (["--loss", "0.5 makro-f1 + hinge"], "found 'makro-f1' (did you mean 'macro-f1'?)"),
    (["--metric", "tok-p=2"], "found 'tok-p=2' (did you mean 'top-k'?)"),
    (["--loss", "cross-entrpy:smoothing=0.1"], "(did you mean 'cross-entropy'?)"),
    (["--loss", "quantile=2"], "--loss: expected quantile=Q"),
    (["--loss", "cross-entropy:weights=1/2"], "--loss: expected 3 class weights"),
    (["--loss", "top-k=3"], "--loss: expected top-k=K with K below the 3 classes"),
    (["--metric", "f1"], "--metric: expected cross-entropy, hinge"),
    (["--loss", "squared-error"], "--loss: 'squared-error' compares outputs with targets"),
    (["--loss-command", " "], "--loss-command: expected a command"),
    (
      ["--loss-command", "true", "--loss-timeout", "0"], "--loss-timeout: expected seconds above 0"
    ),
    (["--loss-command", "true", "--loss", "hinge"], "--loss-command: expected it without --loss"),
    (["--loss-timeout", "5"], "--loss-timeout: expected it with --loss-command"),
  ])
  func whatIsWrong(options: [String], problem: String) throws {
    try Workplace.with { place in
      let result = try place.train(["--cycles", "1", "--run", "r"] + options)
      #expect(result.code != 0)
      #expect(result.errors.contains(problem), "\(result.errors)")
      #expect(try !place.files().contains("r"))
    }
  }

  /// A program in the shell that reads questions of the tiny data and gives the same answer to every one.
  ///
  /// Questions are 32 bytes, 4 for each number and label of a sample, and 12 for its outputs, one set per candidate.
  private func program(_ answer: String, questions: Int) -> String {
    """
    #!/bin/sh
    echo starting >&2
    # The evaluation of the untrained network on 30 images, then questions of three candidates.
    size=632; count=8; n=0
    while [ $n -lt \(questions) ] && [ "$(head -c $size | wc -c)" = $size ]; do
      \(answer)
      n=$((n + 1)); size=1352; count=24
    done
    echo the end is near >&2
    """
  }

  @Test func aProgramThatFailsIsShownWithItsLastWords() throws {
    try Workplace.with { place in
      let cases: [(name: String, answer: String, questions: Int, problem: String)] = [
        (
          "ends", "head -c $count /dev/zero", 2,
          "found that it ended (exit status 0); its last words: starting | the end is near"
        ),
        (
          "fails", "head -c $count /dev/zero; [ $n = 1 ] && exit 3", 9,
          "found that it ended (exit status 3); its last words: starting"
        ),
        (
          "silent", "[ $n = 1 ] && sleep 60; head -c $count /dev/zero", 9,
          "expected an answer of 24 bytes within 1 seconds, found none"
        ),
        (
          "few", "head -c 8 /dev/zero", 9,
          "expected an answer of 24 bytes within 1 seconds, found 8"
        ),
        ("talks", "head -c 25 /dev/zero", 9, "found more"),
        (
          "nan", "head -c $count /dev/zero | tr '\\000' '\\377'", 9,
          "expected a number for each candidate, found NaN"
        ),
      ]
      for (name, answer, questions, problem) in cases {
        try Data(program(answer, questions: questions).utf8).write(to: place.file("\(name).sh"))
        let result = try place.train([
          "--cycles", "1", "--run", name, "--loss-command", "sh \(name).sh", "--loss-timeout", "1",
        ])
        #expect(result.code == 1, "\(name)")
        #expect(result.errors.contains("sh \(name).sh: "), "\(name): \(result.errors)")
        #expect(result.errors.contains(problem), "\(name): \(result.errors)")
      }
      // The run that ended in its first tensor is there and goes on with the same program, which now waits for the
      // evaluation of an untrained network.
      let again = try place.run(["train", "--run", "ends", "--resume"])
      #expect(again.code == 1 && again.errors.contains("sh ends.sh: expected"), "\(again.errors)")
      let gone = try place.train(["--cycles", "1", "--run", "g", "--loss-command", "/no/program"])
      #expect(gone.code == 1)
      #expect(gone.errors.contains("/no/program: expected answers until it is told to stop"))
    }
  }

  @Test func aProgramThatAnswersIsObeyed() throws {
    try Workplace.with { place in
      // All candidates are equal: the value that is there stays.
      let text = """
        #!/bin/sh
        # Splits of 30 and of 90 images and mini-batches of 30, with 1 to 3 candidates: the question says how long it is.
        word() { od -An -tu4 -j $(($1 * 4)) -N 4 head.bin | tr -d ' '; }
        while head -c 32 > head.bin && [ -s head.bin ]; do
          head -c $(($(word 3) * 8 + $(word 2) * $(word 3) * $(word 4) * 4)) > /dev/null
          head -c $((8 * $(word 2))) /dev/zero
        done
        """
      try Data(text.utf8).write(to: place.file("equal.sh"))
      let result = try place.train([
        "--cycles", "1", "--run", "r", "--loss-command", "A=1 sh equal.sh", "--weight-decay", "0",
      ])
      #expect(result.code == 0, "\(result.errors)")
      let metrics = try place.metrics("r")
      #expect(metrics.allSatisfy { $0.loss == 0 && ($0.keptShare ?? 0) == 0 })
      let other = try place.run(["train", "--run", "r", "--resume", "--loss-command", "true"])
      #expect(other.errors.contains("--loss-command: the run has A=1 sh equal.sh, found true"))
    }
  }
}
