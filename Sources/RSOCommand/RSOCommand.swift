import ArgumentParser
import RSO

/// The commit that this program was built from; `nil` if it was not built in a checkout.
let commit = builtCommit.isEmpty ? nil : builtCommit

@main
struct RSOCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rso",
    abstract: "Train deep networks without gradients, one weight at a time.",
    discussion: """
      RSO is random search optimisation (arXiv 2005.05955): every weight in turn is tried at w, \
      w + Δ and w − Δ on a mini-batch, and the best of the three stays.

        rso train --preset quick         learn MNIST in a few minutes
        rso evaluate runs/…/best.safetensors
        rso data list                    other images
        rso search --start x.safetensors --command ./simulator
                                         search tensors that a program of your own judges
      """,
    version: (try? Session(on: .cpu(), commit: commit))?.lines ?? "rso \(rsoVersion)",
    subcommands: [
      Train.self,
      Search.self,
      Evaluate.self,
      Predict.self,
      Export.self,
      Import.self,
      ReportCommand.self,
      Describe.self,
      Benchmark.self,
      Devices.self,
      DataCommand.self,
    ])

  /// Errors of the library read `rso: error: …`; the parser prints its own errors about the command line's form.
  static func main() {
    Interrupts.ignoreLostOutput()
    do {
      try runFromCommandLine()
      try Console.finish()
    } catch let error as RSOError {
      let error = error.inOptions
      Console.error("\(error)")
      exit(withError: ExitCode(error.subject.hasPrefix("--") ? 64 : 1))
    } catch {
      exit(withError: error)
    }
  }

  /// - Throws: what goes wrong, but not help that was asked for, which is output like any other.
  private static func runFromCommandLine() throws {
    do {
      try checkSubcommand(Array(CommandLine.arguments.dropFirst()), of: Self.self)
      var command = try parseAsRoot()
      try command.run()
    } catch let error where exitCode(for: error) == .success {
      let text = fullMessage(for: error)
      if !text.isEmpty { Console.line(text) }
    }
  }

  /// - Throws: `ValidationError` naming the subcommand that a misspelled word is most likely meant for, which the parser
  ///   does not say.
  private static func checkSubcommand(
    _ words: [String], of command: any ParsableCommand.Type
  ) throws {
    let subcommands = command.configuration.subcommands
    guard let word = words.first, !word.hasPrefix("-"), !subcommands.isEmpty else { return }
    if let known = subcommands.first(where: { $0._commandName == word }) {
      return try checkSubcommand(Array(words.dropFirst()), of: known)
    }
    guard word != "help", let near = nearest(to: word, in: subcommands.map { $0._commandName })
    else { return }
    throw ValidationError("Unexpected argument '\(word)'. Did you mean '\(near)'?")
  }
}
