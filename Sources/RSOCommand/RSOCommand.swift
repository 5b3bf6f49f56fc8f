import ArgumentParser
import RSO

@main
struct RSOCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rso",
    abstract: "Train deep networks without gradients, one weight at a time.")
}
