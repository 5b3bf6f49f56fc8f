import Foundation
import PackagePlugin

/// Tells the program the commit that it is built from. SwiftPM keeps what it reads from Package.swift, so a commit read
/// there would be an old one; this runs before every build.
@main
struct RecordCommit: BuildToolPlugin {
  /// $1: the package, $2: the folder for Commit.swift. The file changes only with the commit, so nothing else is compiled
  /// again. A copy of the package inside another repository has no commit of its own.
  private static let script = """
    commit=
    if [ -z "$(git -C "$1" rev-parse --show-prefix 2>&1)" ]; then
      commit=$(git --no-optional-locks -C "$1" describe --always --exclude='*' --abbrev=12 --dirty=-modified 2>/dev/null)
    fi
    mkdir -p "$2"
    text="/// The commit that the program was built from; empty if it was not built in a checkout.
    let builtCommit = \\"$commit\\""
    [ "$text" = "$(cat "$2/Commit.swift" 2>/dev/null)" ] || printf '%s\\n' "$text" >"$2/Commit.swift"
    """

  func createBuildCommands(context: PluginContext, target: Target) -> [Command] {
    let folder = context.pluginWorkDirectoryURL.appending(path: "Commit")
    return [
      .prebuildCommand(
        displayName: "Recording the commit", executable: URL(filePath: "/bin/sh"),
        arguments: [
          "-c", Self.script, "sh", context.package.directoryURL.path(percentEncoded: false),
          folder.path(percentEncoded: false),
        ], outputFilesDirectory: folder)
    ]
  }
}
