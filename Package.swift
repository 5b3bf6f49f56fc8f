// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let cSettings: [CSetting] = [.treatAllWarnings(as: .error)]
let cxxSettings: [CXXSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
  name: "rso",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "RSO", targets: ["RSO"]),
    .library(name: "RSOFormats", targets: ["RSOFormats"]),
    .executable(name: "rso", targets: ["RSOCommand"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
  ],
  targets: [
    .target(name: "CRSO", cSettings: cSettings),
    .target(name: "CPNG", cSettings: cSettings),
    .target(name: "CCurl", cSettings: cSettings),
    .target(
      name: "RSO",
      dependencies: ["CRSO"],
      resources: [.copy("Resources/mnist")],
      swiftSettings: swiftSettings),
    .target(
      name: "RSOFormats",
      dependencies: [
        "RSO", "CPNG",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      exclude: ["Protobuf/onnx.proto", "Protobuf/event.proto"],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "RSOCommand",
      dependencies: [
        "RSO", "RSOFormats", "CCurl",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swiftSettings,
      plugins: ["RecordCommit"]),
    .plugin(name: "RecordCommit", capability: .buildTool()),
    // The kernels of the CUDA engine, compiled for the CPU.
    .target(
      name: "CUDAHost", dependencies: ["CRSO"], path: "Tests/CUDAHost", cxxSettings: cxxSettings),
    .testTarget(
      name: "RSOTests", dependencies: ["RSO", "RSOFormats", "CRSO", "CUDAHost"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RSOFormatsTests", dependencies: ["RSO", "RSOFormats"], swiftSettings: swiftSettings),
    .testTarget(
      name: "RSOCommandTests", dependencies: ["RSO", "RSOFormats", "RSOCommand"],
      swiftSettings: swiftSettings),
  ],
  cxxLanguageStandard: .cxx17
)
