import Foundation
import RSO
import Testing

/// `rso data`, as a user types it.
struct DataCommandTests {
  @Test func lists() throws {
    try Workplace.with { place in
      let result = try place.run(["data", "list"])
      #expect(result.code == 0 && result.errors == "")
      for text in [
        "mnist: MNIST", "  here      built in\n", "  licence   CC BY-SA 3.0\n", "fashion-mnist: ",
        "kmnist: ", "  size      170 MB to download\n",
        "  here      no; fetch it with: rso data fetch cifar10\n",
        "https://www.cs.toronto.edu/~kriz/",
      ] {
        #expect(result.output.contains(text), "no '\(text)' in\n\(result.output)")
      }
      // What is in the cache is found.
      let folder = "cache/rso/cifar10/cifar-10-batches-bin"
      try place.makeFolder(folder)
      for name in (1...5).map({ "data_batch_\($0).bin" }) + ["test_batch.bin"] {
        try Data().write(to: place.file("\(folder)/\(name)"))
      }
      let again = try place.run(["data", "list"])
      #expect(again.output.contains("  here      \(place.file("cache/rso/cifar10").path)\n"))
      let fetch = try place.run(["data", "fetch", "C10"])
      #expect(fetch.code == 0)
      #expect(fetch.output == "cifar10 is here: \(place.file("cache/rso/cifar10").path)\n")
    }
  }

  private struct Entry: Decodable {
    var name: String
    var bytes: Int
    var isBuiltIn: Bool
    var folder: String?
    var licence: String
    var sources: [String]
  }

  @Test func listsForPrograms() throws {
    try Workplace.with { place in
      try place.makeFolder("cache/rso/kmnist")
      for split in ["train", "t10k"] {
        for name in ["images-idx3", "labels-idx1"] {
          try Data().write(to: place.file("cache/rso/kmnist/\(split)-\(name)-ubyte"))
        }
      }
      let result = try place.run(["data", "list", "--json"])
      #expect(result.code == 0 && result.errors == "")
      let entries = try JSONDecoder().decode([Entry].self, from: Data(result.output.utf8))
      #expect(entries.map(\.name) == ["mnist", "fashion-mnist", "kmnist", "cifar10"])
      #expect(entries.map(\.isBuiltIn) == [true, false, false, false])
      #expect(entries[0].folder == nil && entries[3].folder == nil)
      #expect(entries[2].folder == place.file("cache/rso/kmnist").path)
      #expect(entries[3].bytes == 170_000_000 && entries[0].licence == "CC BY-SA 3.0")
      #expect(entries[3].sources == ["https://www.cs.toronto.edu/~kriz/"])
    }
  }

  @Test func whatIsBuiltInIsNotFetched() throws {
    try Workplace.with { place in
      let result = try place.run(["data", "fetch", "mnist"])
      #expect(result.code == 0 && result.output == "mnist is here: built in\n")
    }
  }

  @Test(arguments: [
    (
      ["data", "fetch", "cifar100"],
      "expected mnist, fashion-mnist, kmnist, cifar10, found 'cifar100'"
    ),
    (["data", "fetch"], "Missing expected argument '<name>'"),
    (["data", "fetch", "kmnist", "--timeout", "0"], "--timeout: expected more than 0"),
    (["data", "fetch", "kmnist", "--mirror", "ftp://127.0.0.1/"], "expected http or https"),
  ])
  func badOptions(arguments: [String], text: String) throws {
    try Workplace.with { place in
      let before = try place.files()
      let result = try place.run(arguments)
      #expect(result.code == (text.hasPrefix("expected http") ? 1 : 64))
      #expect(result.errors.contains(text), "\(result.errors)")
      #expect(try place.files().subtracting(before).subtracting(["cache", "cache/rso"]) == [])
    }
  }

  /// Two mirrors, neither of which has it; nothing is left.
  @Test func wrongBytes() throws {
    try Workplace.with { place in
      let wrong = try HTTPServer { _, _ in .ok(Data("not the images".utf8)) }
      let absent = try HTTPServer { _, _ in .status("404 Not Found") }
      defer {
        wrong.stop()
        absent.stop()
      }
      let result = try place.run([
        "data", "fetch", "kmnist", "--mirror", wrong.address, "--mirror", absent.address,
      ])
      #expect(result.code == 1)
      #expect(
        result.output
          == """
          \(wrong.address)train-images-idx3-ubyte.gz: expected a file of digest \
          bdb82020997e1d708af4cf47b453dcf7, found 998e3dba8f50a21882333fe7fce1c6e3
          \(absent.address)train-images-idx3-ubyte.gz: the server answered 404

          """)
      #expect(result.errors.hasPrefix("rso: error: kmnist: train-images-idx3-ubyte.gz could not"))
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: place.file("cache/rso").path) == [])
      #expect(absent.requests.map(\.path) == ["/train-images-idx3-ubyte.gz"])
    }
  }

  /// Control-C keeps what came and says how to go on.
  @Test func interrupted() throws {
    try Workplace.with { place in
      let server = try HTTPServer { _, _ in .ok(Data(count: 5000), sent: 3000, stalls: true) }
      defer { server.stop() }
      let running = try Tool.Running(
        ["data", "fetch", "kmnist", "--mirror", server.address], in: place.url)
      let part = place.file("cache/rso/kmnist.partial/train-images-idx3-ubyte.gz.part")
      for _ in 0..<200 where (try? Data(contentsOf: part))?.count != 3000 {
        Thread.sleep(forTimeInterval: 0.05)
      }
      running.send(SIGINT)
      let result = try running.wait()
      #expect(result.code == 130)
      #expect(
        result.errors == "rso: stopping after this step; again to quit now\n"
          + "rso: stopped by Control-C; go on with: rso data fetch kmnist\n")
      #expect(try Data(contentsOf: part).count == 3000)
    }
  }
}
