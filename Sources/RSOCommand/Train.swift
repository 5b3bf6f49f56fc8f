import ArgumentParser
import RSO

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Train a network.")
  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Network") var network: NetworkOptions
  @OptionGroup(title: "Search") var search: SearchOptions
  @OptionGroup(title: "Device") var device: DeviceOptions

  func run() throws {}
}
