import Foundation

/// Where to look for NVIDIA's libraries, in this order: `RSO_CUDA_PATH`; for NVRTC, `CUDA_HOME`, `CUDA_PATH` and the
/// active Python environment (`VIRTUAL_ENV`, `CONDA_PREFIX`); the loader's own path; the usual folders; and for NVRTC,
/// the user's Python packages.
package struct CUDAPaths: Hashable, Sendable {
  /// Files to try for the driver.
  package let driver: [String]
  /// Files to try for NVRTC, newest version first within a folder.
  package let nvrtc: [String]
  /// NVRTC versions that can compile the kernels.
  static let versions = [13, 12]

  /// - Parameter environment: the environment of the process.
  package init(_ environment: [String: String] = ProcessInfo.processInfo.environment) {
    func folders(_ variable: String) -> [String] {
      (environment[variable] ?? "").split(separator: ":").map(String.init)
    }
    func toolkit(_ folder: String) -> [String] {
      [folder, "\(folder)/lib64", "\(folder)/lib", "\(folder)/targets/x86_64-linux/lib"]
    }
    let asked = folders("RSO_CUDA_PATH").flatMap(toolkit)
    let homes = (folders("CUDA_HOME") + folders("CUDA_PATH")).flatMap(toolkit)
    let python = (folders("VIRTUAL_ENV") + folders("CONDA_PREFIX")).flatMap(Self.python)
    let local = folders("HOME").prefix(1).flatMap { Self.python("\($0)/.local") }
    let usual =
      Self.entries("/usr/local", prefix: "cuda").flatMap(toolkit)
      + ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]

    /// Files to try: in the `first` folders, where the loader looks, and in the `last` folders.
    func files(_ names: [String], first: [String], last: [String]) -> [String] {
      func within(_ folders: [String]) -> [String] {
        folders.flatMap { folder in names.map { "\(folder)/\($0)" } }
      }
      let found = within(first) + names + within(last)
      return found.filter { !$0.contains("/") || FileManager.default.fileExists(atPath: $0) }
    }
    driver = files(
      ["libcuda.so.1"], first: asked, last: usual + ["/usr/lib/wsl/lib", "/usr/lib/nvidia"])
    nvrtc = files(
      Self.versions.map { "libnvrtc.so.\($0)" }, first: asked + homes + python,
      last: usual + local)
  }

  /// The folders of NVIDIA's packages in a Python environment.
  private static func python(_ environment: String) -> [String] {
    entries("\(environment)/lib", prefix: "python3").flatMap { version in
      ["cu13", "cuda_nvrtc"].map { "\(version)/site-packages/nvidia/\($0)/lib" }
    }
  }

  /// Paths of the entries of `folder` that begin with `prefix`, the last by name first.
  private static func entries(_ folder: String, prefix: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasPrefix(prefix) }.sorted(by: >).map { "\(folder)/\($0)" }
  }
}
