import Foundation
import RSO
import Testing

/// `rso devices`, on a machine with or without a card.
struct DevicesTests {
  @Test func listsWhatThereIs() throws {
    let folder = FileManager.default.temporaryDirectory
    let result = try Tool.run(["devices"], in: folder)
    #expect(result.code == 0 && result.errors == "")
    let lines = result.output.split(separator: "\n").map { $0.split(separator: " ") }
    #expect(lines.prefix(3).map { $0[0] } == ["cpu", "reference", "cuda:0"])
    #expect(lines.prefix(2).allSatisfy { $0[1] == "yes" })
    #expect(result.output.contains("\nrso devices --check cuda:0 holds a GPU"))

    let json = try Tool.run(["devices", "--json"], in: folder)
    let devices = try JSONDecoder().decode([DeviceDescription].self, from: Data(json.output.utf8))
    #expect(devices.prefix(3).map(\.name) == ["cpu", "reference", "cuda:0"])
    for device in devices {
      #expect(!device.description.isEmpty)
      #expect(result.output.contains(device.description))
      #expect(device.hint.map { result.output.contains($0) } ?? true)
    }
  }

  @Test func badNames() throws {
    let folder = FileManager.default.temporaryDirectory
    let kernels = try Tool.run(["devices", "--compile-kernels", "h100"], in: folder)
    #expect(kernels.code == 64)
    #expect(
      kernels.errors
        == "rso: error: --compile-kernels: expected a name such as sm_90, found 'h100'\n")
    let check = try Tool.run(["devices", "--check", "cuda:99"], in: folder)
    #expect(check.code == 1 && check.errors.hasPrefix("rso: error: cuda:99: "))
  }

  /// Precisions are a card's.
  @Test func precisions() throws {
    let folder = FileManager.default.temporaryDirectory
    func errors(_ arguments: String...) throws -> String {
      let result = try Tool.run(["devices", "--precision"] + arguments, in: folder)
      #expect(result.code == 64 && result.output == "")
      return result.errors
    }
    let noCard = "--precision: expected it with --check cuda:0, found no such device\n"
    #expect(try errors("halves").contains(noCard))
    #expect(try errors("halves", "--check", "cpu").contains(noCard))
    for precision in ["halves", "tf32", "fp16"] {
      let check = try Tool.run(
        ["devices", "--check", "cuda:99", "--precision", precision], in: folder)
      #expect(check.code == 1 && check.errors.hasPrefix("rso: error: cuda:99: "))
    }
  }
}
