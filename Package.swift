// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let cSettings: [CSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
  name: "rso",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "RSO", targets: ["RSO"]),
    .executable(name: "rso", targets: ["RSOCommand"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .systemLibrary(
      name: "CZlib", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"]), .yum(["zlib-devel"]), .brew(["zlib"])]),
    .target(name: "CRSO", cSettings: cSettings),
    .target(
      name: "RSO",
      dependencies: ["CRSO", "CZlib"],
      resources: [.copy("Resources/mnist")],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "RSOCommand",
      dependencies: [
        "RSO",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RSOTests", dependencies: ["RSO", "CRSO"], swiftSettings: swiftSettings),
    .testTarget(
      name: "RSOCommandTests", dependencies: ["RSO", "RSOCommand"],
      swiftSettings: swiftSettings),
  ]
)
